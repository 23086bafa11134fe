"""`stream_props` makes a frozen `Update` from each of its forms, and names mistakes."""

from typing import Any

import pytest
from dash import ALL, NoUpdate, html, no_update

from flash_events import Update, UpdateError, stream_props
from flash_events.updates import as_update, together


@pytest.mark.parametrize(
    "made",
    [
        stream_props("a", {"children": 1}),
        stream_props([("a", {"children": 1})]),
        stream_props(component_id="a", props={"children": 1}),
        stream_props(batch=[("a", {"children": 1})]),
        stream_props(html.Div(id="a"), {"children": 1}),
    ],
)
def test_every_form_makes_the_same_update(made: Update) -> None:
    assert made == Update((("a", {"children": 1}),))


def test_a_batch_keeps_its_order() -> None:
    made = stream_props([("b", {"x": 1}), ("a", {"y": 2}), ("b", {"x": 3})])
    assert [target[0] for target in made.targets] == ["b", "a", "b"]


def test_a_dict_id_may_hold_wildcards() -> None:
    [(component_id, _)] = stream_props({"type": "card", "index": ALL}, {"children": 1}).targets
    assert component_id == {"type": "card", "index": ALL}


def test_a_component_without_id_gets_one() -> None:
    component = html.Div()
    [(component_id, _)] = stream_props(component, {"children": 1}).targets
    assert component_id == component.to_plotly_json()["props"]["id"]


def test_the_callers_values_are_neither_kept_nor_modified() -> None:
    props = {"children": 1}
    made = stream_props("a", props)
    props["children"] = 2
    assert made.targets == (("a", {"children": 1}),)


def test_an_update_is_frozen() -> None:
    with pytest.raises(AttributeError):
        stream_props("a", {"children": 1}).alone = True  # type: ignore[misc] # what is tested


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, "Expected stream_props(id, props)"),
        (("a",), {}, "Did you forget the props?"),
        (("a", 1), {}, "Expected a dict of props for 'a', got int 1"),
        (("", {"x": 1}), {}, "Expected a component id"),
        ((3, {"x": 1}), {}, "Expected a component id (a string, a dict or a component), got int 3"),
        (([("a", {"x": 1}, 2)],), {}, "Expected an (id, props) pair in the batch"),
        (([5],), {}, "Expected an (id, props) pair in the batch, got 5"),
        (("{x", {"y": 1}), {}, "Expected a string id without '{', got '{x'"),
        (("a", {1: 1}), {}, "Expected prop names of 'a' as strings, got 1"),
        ((), {"component_id": "a"}, "got stream_props(component_id='a')"),
        (([],), {"props": {}}, "Expected a component id"),
    ],
)
def test_the_error_of_a_wrong_form_names_the_expected_one(
    args: Any, kwargs: Any, says: str
) -> None:
    with pytest.raises(UpdateError) as raised:
        stream_props(*args, **kwargs)
    assert says in str(raised.value)


def test_several_updates_become_one_batch() -> None:
    both = together([stream_props("a", {"x": 1}), stream_props("b", {"y": 2}, alone=True)])
    assert both == Update((("a", {"x": 1}), ("b", {"y": 2})), alone=True)


AS_JSON = no_update.to_plotly_json()


@pytest.mark.parametrize("nothing", [no_update, NoUpdate, AS_JSON], ids=["it", "class", "JSON"])
class TestNoUpdate:
    """P14: a prop whose value is no_update is not set; a bare no_update is None."""

    def test_p14_a_prop_is_not_set_in_every_form(self, nothing: Any) -> None:
        props = {"children": nothing, "title": "t"}
        made = Update((("a", {"title": "t"}),))
        assert stream_props("a", props) == made
        assert stream_props(component_id="a", props=props) == made
        assert stream_props([("a", props)]) == made
        assert stream_props({"a": props, "b": nothing, "c": {"x": nothing}}) == made
        assert props == {"children": nothing, "title": "t"}

    def test_p14_an_update_with_only_no_update_sets_nothing(self, nothing: Any) -> None:
        assert stream_props("a", {"children": nothing}).targets == ()
        assert stream_props("a", nothing).targets == ()
        assert stream_props({"type": "card", "i": ALL}, {"children": nothing}).targets == ()

    def test_p14_a_bare_no_update_is_none_alone_and_in_a_list(self, nothing: Any) -> None:
        update = stream_props("a", {"x": 1})
        assert as_update(nothing) == as_update(None) == as_update([nothing, None])
        assert as_update([nothing, update, None]) == update


def test_p14_a_value_that_only_looks_like_no_update_is_a_value() -> None:
    props = {"data": {"_dash_no_update": 1}, "type": str, "more": {**AS_JSON, "x": 1}}
    assert stream_props("a", props).targets == (("a", props),)

"""The protocol's events in both directions, with the vectors shared with vitest, and values that
cannot be sent.
"""

import datetime
import decimal
import json
import uuid
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from dash import ALL, Patch, html
from hypothesis import given
from hypothesis import strategies as st

from flash_events import EncodingError, Update, sse, stream_props
from flash_events.wire import events
from tests.support.wire import VECTORS, parse

LIMIT = 1024 * 1024
RUN = "A" * 22


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["case"])
def test_a_vector_is_encoded_and_decoded(vector: dict[str, Any]) -> None:
    event = events.decode(vector["event"], json.dumps(vector["data"]))
    assert event is not None
    written = events.encode(event)
    if vector["id"]:
        epoch, _, number = vector["id"].rpartition("-")
        written = sse.with_ids(epoch, int(number), [written])
    assert written == vector["wire"].encode()
    [read] = parse(vector["wire"].encode())
    assert events.decode(read.event, read.data) == event


def test_an_unknown_event_is_ignored() -> None:
    assert events.decode("novelty", '{"run":"x"}') is None


@given(st.lists(st.text(), min_size=1, max_size=10))
def test_any_text_arrives_as_one_event_each(texts: list[str]) -> None:
    wire = b"".join(
        events.encode(events.Updated(RUN, n, encode(stream_props("a", {"children": text}))))
        for n, text in enumerate(texts)
    )
    assert [json.loads(event.data)["set"][0][1]["children"] for event in parse(wire)] == texts


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (float("nan"), None),
        (float("inf"), None),
        ((1, 2), [1, 2]),
        (np.arange(3), [0, 1, 2]),
        (np.int64(3), 3),
        (pd.Series([1.5, 2.5]), [1.5, 2.5]),
        (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
        (pd.NaT, None),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (decimal.Decimal("1.5"), 1.5),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (
            html.B("x"),
            {"props": {"children": "x"}, "type": "B", "namespace": "dash_html_components"},
        ),
        ("\ud800", "\ud800"),
        (2**70, 2**70),
        ({1: float("nan"), "x": 2}, {"1": None, "x": 2}),
    ],
)
def test_values_that_dash_can_send_are_sent(value: object, sent: object) -> None:
    assert sent_value(value) == sent


def test_figures_and_patches_are_sent() -> None:
    patch = Patch()
    patch["data"][0]["x"].append(1)
    assert sent_value(patch)["__dash_patch_update"]
    assert sent_value(go.Figure(go.Scatter(x=[1], y=[2])))["data"][0]["type"] == "scatter"


def test_deeply_nested_components_are_sent() -> None:
    page: Any = "deep"
    for _ in range(300):  # a JSON library may stop at 254
        page = html.Div(page)
    sent = sent_value(page)
    for _ in range(300):
        sent = sent["props"]["children"]
    assert sent == "deep"


def test_sent_values_are_not_modified() -> None:
    props = {"data": {"x": (1, float("nan")), "t": datetime.date(2026, 1, 2)}}
    before = repr(props)
    encode(stream_props("a", props))
    assert repr(props) == before


class Foreign:
    pass


def foreign_list() -> Any:
    return [Foreign()]


def circular() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("props", "says"),
    [
        ({"figure": {"data": [1, {"x": Foreign()}]}}, "'figure' of component 'a' cannot be sent"),
        ({"figure": {"data": [1, {"x": Foreign()}]}}, "Foreign at figure['data'][1]['x']"),
        ({"children": html.Div(foreign_list())}, "Foreign at children['props']['children'][0]"),
        ({"children": 1, "data": {1, 2}}, "set at data has no JSON form"),
        ({"data": pd.DataFrame({"a": [1]})}, '.to_dict("records")'),
        ({"data": circular()}, "'data' of component 'a' cannot be sent"),
        ({"children": b"bytes"}, "bytes at children has no JSON form"),
    ],
)
def test_a_value_that_cannot_be_sent_is_named_with_id_prop_and_type(
    props: dict[str, Any], says: str
) -> None:
    with pytest.raises(EncodingError) as raised:
        encode(stream_props([("fine", {"x": 1}), ("a", props)]))
    assert says in str(raised.value)


def test_an_update_over_the_limit_names_the_setting() -> None:
    with pytest.raises(EncodingError, match="max_event_bytes=100"):
        events.encode_update(stream_props("a", {"children": "x" * 100}), 100)


def test_a_wildcard_is_written_in_dashs_format() -> None:
    body = encode(stream_props({"type": "card", "index": ALL}, {"children": 1}))
    assert json.loads(b"{%b}" % body)["set"] == [
        ['{"index":["ALL"],"type":"card"}', {"children": 1}]
    ]


def encode(update: Update) -> bytes:
    return events.encode_update(update, LIMIT)


def sent_value(value: object) -> Any:
    return json.loads(b"{%b}" % encode(stream_props("a", {"p": value})))["set"][0][1]["p"]

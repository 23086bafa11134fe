"""Arguments of components."""

from typing import Any

import pytest

from flash_events import CallbackError, FlashEventsError, Subscription
from flash_events.settings import Settings
from flash_events.sharing.process import Namespace
from flash_events.sharing.values import DeclaredValues

declared = DeclaredValues(lambda: Namespace("memory://", Settings()))
prices = declared.topic("prices")


def test_a_subscription_has_its_topic_and_what_its_callbacks_see_first() -> None:
    shown: Any = Subscription(prices, id={"type": "sub", "index": 1}, last=5, each=True)
    assert shown.to_plotly_json()["props"] == {
        "id": {"type": "sub", "index": 1},
        "topic": {"name": "prices", "params": {}},
        "last": 5,
        "window": 100,
        "each": True,
        "overflow": "skip",
        "messages": [],
        "offset": 0,
        "missed": 0,
        "state": "connecting",
    }


def test_a_subscription_of_a_shared_value_begins_with_the_value() -> None:
    shown: Any = Subscription(declared.shared_value("choice", "all"), id="choice")
    assert (shown.last, shown.message, shown.initial) == (1, "all", "all")
    frame: Any = Subscription(declared.shared_value("frame", b"no JSON"), id="frame")
    assert "message" not in frame.to_plotly_json()["props"]


@pytest.mark.parametrize(
    ("topic", "options", "error", "text"),
    [
        ("prices", {}, TypeError, r'Write: Subscription\(topic\("prices"\), id=...\)'),
        (len, {}, TypeError, "Expected a topic or a shared value, got builtin_function"),
        (declared.topic("room/{room}"), {}, CallbackError, "without parameters, got 'room/{room}'"),
        (declared.topic("room/{room}")("42"), {}, CallbackError, "without parameters"),
        (prices, {"last": -1}, ValueError, "Expected last to be 0 or more, got -1"),
        (prices, {"last": "1"}, TypeError, "Expected last as a whole number"),
        (prices, {"last": 100_001}, ValueError, "Expected last to be 100,000 or less"),
        (prices, {"window": 10_001}, ValueError, "Expected window to be 10,000 or less"),
        (prices, {"each": 1}, TypeError, "Expected each to be True or False, got 1"),
        (prices, {"overflow": "latst"}, ValueError, "got 'latst'. Did you mean latest?"),
        (prices, {"overflow": "error"}, ValueError, "one of skip, latest"),
    ],
)
def test_a_wrong_argument_is_refused_with_the_cure(
    topic: Any, options: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as raised:
        Subscription(topic, id="x", **options)
    assert isinstance(raised.value, FlashEventsError) == (error is CallbackError)

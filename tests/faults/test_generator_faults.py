"""Rows 7, 8, 9 and 23: faults of generators."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.apps.faults import FAILURES, RAISED, SECRET, UNSENDABLE
from tests.support.page import Page, opened
from tests.support.server import GRACE_SECONDS, Served
from tests.support.socket_client import Stream, read_until

NOTICE_SECONDS = 10.0
STOP_SECONDS = 1.0


@pytest.fixture
def page(faulty: Served) -> Iterator[Page]:
    with opened(faulty) as page:
        yield page


def pings(served: Served, count: int) -> list[str]:
    """Returns the worker's responses to other requests, one after the other."""
    with httpx.Client(timeout=10) as client:
        return [client.get(f"{served.url}ping").text for _ in range(count)]


@pytest.mark.deadline
def test_fault_07_the_worker_responds_to_others_during_a_busy_generator_whose_client_is_lost(
    hasty: Served,
) -> None:
    before = len(hasty.marks("hot finally"))
    with opened(hasty) as page:
        stream = Stream(page.url("start"), page.body("hot"))
        read_until(stream, "update")
        reader = threading.Thread(target=lambda: list_quietly(stream))
        reader.start()  # at full speed
        assert pings(hasty, 20) == ["pong"] * 20
        gone = time.time()
        stream.reset()
        assert pings(hasty, 20) == ["pong"] * 20
        done = hasty.wait_for_mark("hot finally", before + 1)
        assert done["time"] - gone < GRACE_SECONDS + STOP_SECONDS
        reader.join(10)
        assert pings(hasty, 1) == ["pong"]


def list_quietly(stream: Stream) -> None:
    """Reads until the stream is cut, whatever that raises in a reader of a closed socket."""
    try:
        for _ in stream.events():
            pass
    except (OSError, ValueError, AttributeError):
        pass


@pytest.mark.notice
def test_fault_08_a_generator_that_swallows_its_cancellation_is_abandoned_with_a_log_entry(
    page: Page, faulty: Served
) -> None:
    body = page.body("stubborn", 12)
    stream = Stream(page.url("start"), body)
    read_until(stream, "update")
    asked = time.monotonic()
    page.stop(body["flash_events"]["run"])
    end = read_until(stream, "end")[-1].data
    assert time.monotonic() - asked < NOTICE_SECONDS + 0.5  # for the end to travel
    assert end["reason"] == "cancelled"
    assert "tests.apps.faults.stubborn is still running 1 s after it was cancelled" in faulty.log()
    assert "tests.apps.faults.stubborn does not stop" in faulty.log()
    assert faulty.wait_for_mark("stubborn gave in")  # and no second end, whatever it does now
    assert [event.name for event in stream.events()] == ["close"]
    assert pings(faulty, 1) == ["pong"]


@pytest.mark.parametrize("where", FAILURES)
def test_fault_09_a_generator_that_raises_is_one_sanitised_error(
    page: Page, faulty: Served, where: str
) -> None:
    stream = Stream(page.url("start"), page.body(f"fails-{where}"))
    ends = [event.data for event in stream.events() if event.name == "end"]
    [end] = ends
    assert (end["reason"], end["error"]["code"]) == ("error", "callback_error")
    assert set(end["error"]) == {"code", "ref"}
    assert end["set"] == [["answer", {"children": f"{where} failed"}]]
    assert end["n"] == (0 if where == "before" else 1)
    log = faulty.log()
    assert end["error"]["ref"] in log
    assert SECRET in log


@pytest.mark.parametrize("depth", UNSENDABLE)
def test_fault_23_a_value_that_cannot_be_sent_is_named_with_id_prop_and_type(
    page: Page, faulty: Served, depth: str
) -> None:
    before = len(faulty.log())
    stream = Stream(page.url("start"), page.body("unsendable", depth))
    events = list(stream.events())
    assert [event.name for event in events] == ["open", "start", "end", "close"]
    assert events[2].data["error"]["code"] == "callback_error"
    said = faulty.log()[before:]
    assert "'children' of component 'out' cannot be sent: Foreign at children" in said


IN_A_TASK = ("cancels-itself", "cancelled-task")
RAISED_IN = [("raises", kind) for kind in RAISED] + [
    ("raises-plain", kind) for kind in RAISED if kind not in IN_A_TASK
]


@pytest.mark.parametrize(("component", "kind"), RAISED_IN)
def test_fault_29_whatever_a_body_raises_is_an_error_of_its_run_only(
    page: Page, faulty: Served, component: str, kind: str
) -> None:
    """S11, S12, S13: `cancelled` only if somebody asked; the worker and its other runs go on."""
    beside = page.body("waits", 0.1)
    other = Stream(page.url("start"), beside)
    read_until(other, "update")
    before = len(faulty.marks("on_error"))
    stream = Stream(page.url("start"), page.body(component, kind))
    [end] = [event.data for event in stream.events() if event.name == "end"]
    assert (end["reason"], end["error"]["code"]) == ("error", "callback_error")
    assert set(end["error"]) == {"code", "ref"}
    assert end["n"] == 1
    [[target, props]] = end["set"]
    assert (target, props["children"][:12]) == ("answer", "on_error got")
    assert len(faulty.marks("on_error")) == before + 1
    assert end["error"]["ref"] in faulty.log()
    [end] = [event.data for event in other.events() if event.name == "end"]
    assert end["reason"] == "done"
    assert pings(faulty, 1) == ["pong"]

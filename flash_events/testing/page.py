"""Runs in the page of an end-to-end test with `dash.testing`.

    def test_a_stop_ends_the_stream(dash_duo, page_streams):
        dash_duo.start_server(app)
        dash_duo.find_element("#start").click()
        run = page_streams.next(live)
        run.wait_for_updates(20)
        dash_duo.find_element("#stop").click()
        assert run.wait_for_end().reason == "cancelled"

The fixture is in `flash_events.testing.fixtures`; it needs `pip install "dash[testing]"`.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from dash.testing import wait
from dash.testing.browser import Browser

from flash_events.registration import EventCallback, EventFunction, registered
from flash_events.testing.recordings import ALIVE, Recording, recording_of

T = TypeVar("T")

RECORDER = Path(__file__).parent.parent / "static" / "flash_events_recorder.js"


class PageStreams:
    """What event callbacks stream into the page that a browser shows.

    Pages that are opened after this was made are watched from their beginning. A page that is
    reloaded forgets what it has seen; a run that it finds again is not returned anew.

    Args:
        browser: `dash_duo` or `dash_br`.

    Raises:
        TypeError: the browser is not Chrome or Chromium on this machine.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._returned: set[str] = set()
        if not hasattr(browser.driver, "execute_cdp_cmd"):
            name = type(browser.driver).__name__
            raise TypeError(
                f"Expected Chrome on this machine, got {name}: drop --remote, --webdriver."
            )
        arguments = {"source": _recorder()}
        browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", arguments)
        browser.driver.execute_script(_recorder())

    def next(self, callback: EventFunction, timeout: float | None = None) -> "PageRun":
        """The next run of an event callback: the first that was not returned yet.

        Args:
            callback: the decorated function, as the app of the test has it.
            timeout: seconds; `dash_duo.wait_timeout` without it.

        Raises:
            dash.testing.errors.TestingTimeoutError: none has started in time.
        """
        found, _ = registered(callback)

        def first() -> str | None:
            runs: list[str] = self._ask("runs", found.id)
            return next((run for run in runs if run not in self._returned), None)

        run = self._until(first, f"No run of {found.name} has started", timeout)
        self._returned.add(run)
        return PageRun(self, found, run)

    def _ask(self, function: str, argument: str) -> Any:
        """What the recorder in the page answers."""
        recorder = "window.dash_clientside.flash_events_recorder"
        call = f"return {recorder}[arguments[0]](arguments[1])"
        return self._browser.driver.execute_script(call, function, argument)

    def _until(self, condition: Callable[[], T | None], message: str, timeout: float | None) -> T:
        """What the condition gives once that is something."""
        seconds = self._browser.wait_timeout if timeout is None else timeout
        found: T = wait.until(condition, seconds, msg=f"{message} within {seconds:g} s")
        return found


class PageRun:
    """One run in the page."""

    def __init__(self, streams: PageStreams, callback: EventCallback, run: str) -> None:
        self._streams = streams
        self._callback = callback
        self._run = run

    def recording(self) -> Recording:
        """What the page has received of it so far."""
        return recording_of(self._ask("recording") | {"callback": self._callback.name})

    def wait_for_updates(self, count: int, timeout: float | None = None) -> Recording:
        """What the page has received, once these are so many updates, or the run has ended.

        The page shows them with its next frame: `dash_duo.wait_for_text_to_equal` waits for that.

        Raises:
            dash.testing.errors.TestingTimeoutError: there are not so many in time.
        """

        def has_come() -> bool:
            seen = self._ask("seen")
            return bool(seen["updates"] >= count or seen["state"] not in ALIVE)

        name = self._callback.name
        self._streams._until(has_come, f"Not {count} updates of {name}", timeout)
        return self.recording()

    def wait_for_end(self, timeout: float | None = None) -> Recording:
        """What the page has received, once the run has ended.

        The page then shows it; only a component that is busy with commands may still follow.

        Raises:
            dash.testing.errors.TestingTimeoutError: it goes on.
        """

        def has_ended() -> bool:
            return self._ask("seen")["state"] not in ALIVE

        self._streams._until(has_ended, f"{self._callback.name} has not ended", timeout)
        return self.recording()

    def _ask(self, function: str) -> dict[str, Any]:
        answer: dict[str, Any] | None = self._streams._ask(function, self._run)
        assert answer is not None, "The page that had this run is gone, or has had 50 more since"
        return answer


@cache
def _recorder() -> str:
    return RECORDER.read_text("utf-8")

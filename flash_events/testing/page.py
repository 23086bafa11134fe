"""Access to the runs in a page, for end-to-end tests with `dash.testing`.

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
    """The runs in the pages of one browser.

    Pages that are opened later are recorded from their start. A page that is reloaded loses its
    recordings; a run that it attaches to again is not returned by `next` a second time.

    Args:
        browser: `dash_duo` or `dash_br`.

    Raises:
        TypeError: if the browser is not Chrome or Chromium on this machine.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._returned: set[str] = set()
        if not hasattr(browser.driver, "execute_cdp_cmd"):
            name = type(browser.driver).__name__
            raise TypeError(
                f"Expected Chrome on this machine, got {name}. Remove --remote and --webdriver."
            )
        arguments = {"source": _recorder()}
        browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", arguments)
        browser.driver.execute_script(_recorder())

    def next(self, callback: EventFunction, timeout: float | None = None) -> "PageRun":
        """Wait for the next run of an event callback and return it.

        It is the first run that was not returned yet.

        Args:
            callback: the decorated function.
            timeout: timeout in seconds; defaults to `dash_duo.wait_timeout`.

        Raises:
            dash.testing.errors.TestingTimeoutError: if no run has started in time.
        """
        found, _ = registered(callback)

        def first() -> str | None:
            runs: list[str] = self._ask("runs", found.id)
            return next((run for run in runs if run not in self._returned), None)

        run = self._until(first, f"No run of {found.name} has started", timeout)
        self._returned.add(run)
        return PageRun(self, found, run)

    def _ask(self, function: str, argument: str) -> Any:
        """Return the result of a function of the recorder in the page."""
        recorder = "window.dash_clientside.flash_events_recorder"
        call = f"return {recorder}[arguments[0]](arguments[1])"
        return self._browser.driver.execute_script(call, function, argument)

    def _until(self, condition: Callable[[], T | None], message: str, timeout: float | None) -> T:
        """Wait until the condition returns something true, and return that.

        Args:
            condition: function that is called repeatedly.
            message: start of the message of a timeout.
            timeout: timeout in seconds; None for `dash_duo.wait_timeout`.
        """
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
        """Return the updates that the page has received so far."""
        return recording_of(self._ask("recording") | {"callback": self._callback.name})

    def wait_for_updates(self, count: int, timeout: float | None = None) -> Recording:
        """Wait until the page has received `count` updates, or the run has ended.

        The page shows them in its next frame; `dash_duo.wait_for_text_to_equal` waits for that.

        Args:
            count: number of updates.
            timeout: timeout in seconds; defaults to `dash_duo.wait_timeout`.

        Returns:
            The updates that the page has received so far.

        Raises:
            dash.testing.errors.TestingTimeoutError: if there are fewer updates in time.
        """

        def has_arrived() -> bool:
            seen = self._ask("seen")
            return bool(seen["updates"] >= count or seen["state"] not in ALIVE)

        name = self._callback.name
        self._streams._until(has_arrived, f"Not {count} updates of {name}", timeout)
        return self.recording()

    def wait_for_end(self, timeout: float | None = None) -> Recording:
        """Wait until the run has ended.

        The page then shows all updates, except for components that are still busy with commands.

        Args:
            timeout: timeout in seconds; defaults to `dash_duo.wait_timeout`.

        Returns:
            All updates that the page has received, and the reason of the end.

        Raises:
            dash.testing.errors.TestingTimeoutError: if the run has not ended in time.
        """

        def has_ended() -> bool:
            return self._ask("seen")["state"] not in ALIVE

        self._streams._until(has_ended, f"{self._callback.name} has not ended", timeout)
        return self.recording()

    def _ask(self, function: str) -> dict[str, Any]:
        answer: dict[str, Any] | None = self._streams._ask(function, self._run)
        assert answer is not None, (
            "The page no longer has this run: it was left, or has recorded 50 newer runs."
        )
        return answer


@cache
def _recorder() -> str:
    return RECORDER.read_text("utf-8")

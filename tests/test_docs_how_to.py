"""The how-to listings work as their pages say, as far as this can be tested without a browser."""

import asyncio
import re
import socket
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import ServerSentEvent

from flash_events.operations import doctor
from tests.support.listings import NAMED, listing, shown, text_of
from tests.support.page import opened, reasons, sets
from tests.support.server import ROOT, free_port, wait_until


def updates(stream: Iterator[ServerSentEvent]) -> Iterator[ServerSentEvent]:
    return (event for event in stream if event.event == "update")


def test_a_log_is_followed_line_by_line_from_its_level_on(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    old = "".join(f"INFO old {n}\n" for n in range(300))
    log.write_text(old + "DEBUG not shown\n", "utf-8")
    with (
        shown(listing("how-to/log_tail.md", "log_tail"), tmp_path, LOG_FILE=str(log)) as served,
        opened(served) as page,
        log.open("a", encoding="utf-8") as writer,
    ):
        body = page.body("follow")
        body["state"][0]["value"] = "INFO"
        with page.stream("start", body) as stream:
            texts = (text for event in updates(stream) for text in sets([event], "log"))
            assert next(texts) == ""
            assert next(texts).split("\n") == old.splitlines()[-200:]
            for line, ends in (("ERROR first", "\n"), ("INFO sec", ""), ("ond\nINFO third\n", "")):
                writer.write(line + ends)
                writer.flush()
            wanted = ["ERROR first", "INFO second", "INFO third"]
            last = next(text for text in texts if text.endswith(wanted[-1]))
            assert last.split("\n") == [*old.splitlines()[-197:], *wanted]
            page.stop(body["flash_events"]["run"])  # nothing is written any more
            assert reasons(stream) == ["cancelled"]


def test_progress_of_files_and_of_rows_is_streamed(tmp_path: Path) -> None:
    with (
        shown(listing("how-to/progress.md", "progress"), tmp_path) as served,
        opened(served) as page,
        page.stream("start", page.body("import")) as stream,
    ):
        events = list(stream)
    assert list(dict.fromkeys(sets(events, "files", "value"))) == [0, 33.3, 66.6, 100]
    # A value that is streamed ten times a second may be the last, which is then sent once more.
    rows = [value for value, _ in groupby(sets(events, "rows", "value"))]
    assert [rows.count(0), rows.count(600), max(rows)] == [3, 3, 600]
    assert sets(events, "current") == ["north.csv", "east.csv", "south.csv"]
    assert re.fullmatch(r"33 %, [\d.]+/s, 0:\d\d left", sets(events, "time")[1])
    assert sets(events, "result") == ["1,800 rows from 3 files."]
    assert reasons(events) == ["done"]


def login(url: str, user: str, password: str) -> httpx.Client:
    client = httpx.Client()
    client.post(f"{url}login", data={"user": user, "password": password})
    return client


def test_a_user_who_is_not_logged_in_gets_nothing(tmp_path: Path) -> None:
    program = listing("how-to/authentication.md", "login")
    with shown(program, tmp_path, SECRET_KEY="s") as served:
        client = login(served.url, "ada", "wrong")
        assert client.get(served.url).headers["location"] == "/login"
        assert client.post(f"{served.url}_dash-update-component", json={}).status_code == 401
        answer = client.post(f"{served.url}_dash-flash-events/start", json={})
        assert (answer.status_code, answer.json()["error"]) == (403, "identity")
        [found] = doctor.examine(served.url, 1)
        assert found.text.startswith("The server refuses with 403")


def test_a_run_belongs_to_its_user_and_ends_after_logout(tmp_path: Path) -> None:
    program = listing("how-to/authentication.md", "login")
    soon: Any = {
        "FLASH_EVENTS_HEARTBEAT_SECONDS": "0.2",
        "FLASH_EVENTS_GRACE_SECONDS": "0.2",
        "FLASH_EVENTS_METRICS": "1",
    }
    faster = {"sleep(1)": "sleep(0.01)"}
    with shown(program, tmp_path, faster, SECRET_KEY="s", **soon) as served:
        cookies = [
            login(served.url, *user).cookies for user in (("ada", "lovelace"), ("bob", "marley"))
        ]
        with opened(served, cookies[0]) as ada, opened(served, cookies[1]) as bob:
            body = ada.body("count")
            connection = body["flash_events"]["connection"]
            with ada.stream("start", body) as stream:
                texts = (text for event in updates(stream) for text in sets([event], "out"))
                assert next(texts) == "ada: 1"
                alive = {"flash_events": {"version": 1, "connection": connection}}
                assert ada.post("alive", alive).is_success
                bob.stop(body["flash_events"]["run"])
                assert bob.post("resume", bob.resume(connection)).status_code == 404
                assert next(texts) == "ada: 2"
                ada.client.get(f"{served.url}logout")
                assert next(texts) == "ada: 3"
                assert ada.post("alive", alive).status_code == 403
                wait_until(lambda: served.metric("runs") == 0, 5, "its end")


def test_the_proxy_check_succeeds_without_a_proxy(tmp_path: Path) -> None:
    program = listing("how-to/proxies.md", "proxies")
    with shown(program, tmp_path) as served, opened(served) as page:
        assert all(found.is_good for found in doctor.examine(served.url, 1))
        with page.stream("start", page.body("tick")) as stream:
            times = (sets([event], "time")[0] for event in updates(stream))
            first, second = next(times), next(times)
    assert re.fullmatch(r"\d\d:\d\d:\d\d", first)
    assert first != second


def test_the_doctors_messages_are_those_of_its_table() -> None:
    source = Path(doctor.__file__).read_text("utf-8")
    table = text_of("how-to/proxies.md").split("\n## What the doctor says\n")[1].split("\n## ")[0]
    sayings = [text.strip("… ") for text in re.findall(r"^\| `(.*?)` \|", table, re.M)]
    assert len(sayings) == 9
    assert [text for text in sayings if text not in source] == []
    named = re.findall(r"--seconds (\d+)", text_of("how-to/proxies.md"))
    assert {int(seconds) for seconds in named} == {120}
    assert doctor.SILENT_SECONDS == 45


def test_t10_the_smallest_app_is_that_of_the_readme_and_counts(tmp_path: Path) -> None:
    program = listing("index.md", "smallest")
    readme = dict(NAMED.findall((ROOT / "README.md").read_text("utf-8")))
    assert readme["smallest"] == program
    assert len(program.splitlines()) <= 25
    with (
        shown(program, tmp_path, {"sleep(0.5)": "sleep(0.01)"}) as served,
        opened(served) as page,
        page.stream("start", page.body("count")) as stream,
    ):
        events = list(stream)
    assert sets(events, "out") == list(range(1, 11))
    assert reasons(events) == ["done"]


async def test_the_app_of_a_notebook_is_served_in_its_loop(tmp_path: Path) -> None:
    url = f"127.0.0.1:{free_port()}"
    cells: dict[str, Any] = {"__name__": "app_of_a_notebook"}
    exec(listing("index.md", "smallest"), cells)
    served = listing("troubleshooting.md", "jupyter").replace("127.0.0.1:8050", url)
    for _ in range(2):  # it can be started again
        exec(served, cells)
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(listens, url):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
            found = await asyncio.to_thread(lambda: list(doctor.examine(f"http://{url}/", 1)))
            assert all(one.is_good for one in found)
            cells["stop"].set()
            await cells["serving"]


def listens(url: str) -> bool:
    host, port = url.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_a_source_is_read_once_while_there_are_subscribers(tmp_path: Path) -> None:
    program = listing("how-to/dashboards.md", "dashboards")

    def reads(served: Any) -> int:
        return int(served.log().count("The source is read."))

    metrics: Any = {"FLASH_EVENTS_METRICS": "1"}
    with (
        shown(program, tmp_path, {"sleep(0.25)": "sleep(0.02)"}, **metrics) as served,
        opened(served) as one,
        opened(served) as other,
    ):
        for turn in (1, 2):
            bodies = [page.body("price") for page in (one, other)]
            with (
                one.stream("start", bodies[0]) as first,
                other.stream("start", bodies[1]) as second,
            ):
                values = [
                    [
                        sets([event], "price")[0]
                        for event, _ in zip(updates(stream), range(20), strict=False)
                    ]
                    for stream in (first, second)
                ]
                assert len(set(values[0]) & set(values[1])) >= 5
                for page, body in zip((one, other), bodies, strict=True):
                    page.stop(body["flash_events"]["run"])
                assert reasons(first) == reasons(second) == ["cancelled"]
            wait_until(lambda: served.metric("runs") == 0, 5, "both ends")
            assert reads(served) == turn

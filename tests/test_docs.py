"""The deployment guide is correct, and its listings run."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from httpx_sse import EventSource

from flash_events import Settings
from flash_events.endpoint import stats
from tests.support import nginx
from tests.support.page import Page, data, opened
from tests.support.server import (
    ROOT,
    START_SECONDS,
    Served,
    answers,
    free_port,
    serving,
    wait_until,
)

GUIDE = (ROOT / "docs/deployment.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
LISTINGS = dict(re.findall(r"<!-- listing: (\w+) -->\n```python\n(.*?)```", GUIDE, re.S))
COMMANDS = re.findall(r"```sh\n(.*?)```", GUIDE, re.S)
MIB = 1024 * 1024


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE)
    assert links
    assert [one for one in links if not (ROOT / "docs" / one).exists()] == []


def rows(heading: str) -> dict[str, list[str]]:
    """Returns a section's table rows by their first cell."""
    section = GUIDE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = (line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `"))
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in found}


def shown(name: str, value: object) -> str:
    """Formats a default as the guide does."""
    if name == "debug":
        return "as Dash"
    if name == "store":
        return "as `broker`"
    match value:
        case None | ():
            return "none"
        case False:
            return "off"
        case int() if value % MIB == 0:
            return f"{value // MIB} MiB"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:g}"
    return f"`{value}`"


def test_every_setting_is_listed_with_its_default() -> None:
    documented = {name: cells[0] for name, cells in rows("Settings").items()}
    assert documented == {
        field.name: shown(field.name, field.default) for field in fields(Settings)
    }


def test_every_metric_is_listed_with_its_kind() -> None:
    documented = {name: cells[0] for name, cells in rows("What to watch").items()}
    assert documented == {name: kind for name, (kind, _) in stats._HELP.items()}


@pytest.mark.parametrize("text", [GUIDE, README, nginx.DOCUMENTED.read_text("utf-8")])
def test_every_variable_is_a_setting(text: str) -> None:
    variables = set(re.findall(r"FLASH_EVENTS_([A-Z_]+[A-Z])", text))
    assert variables <= {field.name.upper() for field in fields(Settings)}


def test_every_python_listing_has_a_name() -> None:
    assert len(LISTINGS) == GUIDE.count("```python") > 0


@pytest.fixture
def listed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """Serves a listing of the guide unchanged."""
    (tmp_path / "app.py").write_text(LISTINGS[request.param], "utf-8")
    environment: Any = {"PYTHONPATH": str(tmp_path), "SECRET_KEY": "s", "FLASH_EVENTS_METRICS": "1"}
    with serving("app:server", tmp_path, **environment) as served:
        yield served


def refusal(page: Page, component: str, **headers: str) -> tuple[int, str]:
    answer = page.post("start", page.body(component), **headers)
    return answer.status_code, answer.json()["error"]


SESSION = """
from quart import session as _session

@server.get("/login/<user>")
async def login(user):
    _session["user"] = user
    return ""
"""


def test_the_listing_with_a_session_keeps_users_apart(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(LISTINGS["session"] + SESSION, "utf-8")
    environment: Any = {"PYTHONPATH": str(tmp_path), "SECRET_KEY": "s"}
    with (
        serving("app:server", tmp_path, **environment) as served,
        opened(served) as ada,
        opened(served) as bob,
    ):
        assert refusal(ada, "count") == (403, "identity")
        for page, user in ((ada, "ada"), (bob, "bob")):
            assert page.client.get(f"{served.url}login/{user}").status_code == 200
        body = ada.body("count")
        resume = ada.resume(body["flash_events"]["connection"])
        with ada.stream("start", body) as events:
            assert next(event for event in events if event.event == "update")
            assert bob.post("resume", resume).status_code == 404
            bob.stop(body["flash_events"]["run"])
            assert data(next(events))["n"] == 2  # it continues
            ada.stop(body["flash_events"]["run"])
            assert data(next(event for event in events if event.event == "end"))["reason"] == (
                "cancelled"
            )


@pytest.mark.parametrize("listed", ["header"], indirect=True)
def test_the_listing_with_a_header_trusts_the_proxy(listed: Served) -> None:
    with opened(listed) as page:
        envelope = {"flash_events": {"version": 1, "page": page.page, "runs": []}}
        forged = {"X-Forwarded-User": "ada"}
        assert page.post("stop", envelope).status_code == 403
        assert page.post("stop", envelope, **forged).status_code == 202


def test_the_lines_for_nginx_override_the_clients_header(tmp_path: Path) -> None:
    [lines] = re.findall(r"```nginx\n(.*?)```", GUIDE, re.S)
    (tmp_path / "users").write_text("ada:{PLAIN}lovelace\n", "utf-8")
    lines = lines.replace("/etc/nginx/users", str(tmp_path / "users"))
    echo = (
        "from quart import request as _r\nserver.add_url_rule('/who', 'who', lambda: user_of(_r))"
    )
    (tmp_path / "app.py").write_text(f"{LISTINGS['header']}\n{echo}\n", "utf-8")
    with serving("app:server", tmp_path, PYTHONPATH=str(tmp_path)) as served:
        server = urlsplit(served.url).netloc
        configuration, url = nginx.documented(tmp_path, (server, server))
        configuration = configuration.replace(
            "proxy_pass http://app;", "proxy_pass http://app;" + lines
        )
        configuration = configuration.replace(
            "location / {", "location = /ok { return 200; } location / {"
        )
        with nginx.running(configuration, tmp_path, f"{url}ok"):
            forged = {"X-Forwarded-User": "bob"}
            assert httpx.get(f"{url}who", headers=forged, verify=False).status_code == 401
            ada = httpx.get(f"{url}who", headers=forged, verify=False, auth=("ada", "lovelace"))
            assert ada.text == "ada"


@pytest.mark.parametrize("listed", ["finish"], indirect=True)
def test_the_listing_with_finish_continues_and_can_be_stopped(listed: Served) -> None:
    with opened(listed) as page:
        body = page.body("build")
        with page.stream("start", body) as events:
            assert next(event for event in events if event.event == "update")
        attach = {
            **body["flash_events"],
            "connection": page.body("build")["flash_events"]["connection"],
            "runs": [{"run": body["flash_events"]["run"], "seen": 0}],
        }
        with page.stream("attach", {"flash_events": attach}) as events:
            assert data(next(event for event in events if event.event == "update"))["set"]
            callbacks = {"version": 1, "page": page.page, "callbacks": [body["output"]]}
            page.post("stop", {"flash_events": callbacks})
            assert data(next(event for event in events if event.event == "end"))["reason"] == (
                "cancelled"
            )


@pytest.mark.parametrize("listed", ["stats"], indirect=True)
def test_the_listing_that_logs_metrics_does_and_stops_in_time(listed: Served) -> None:
    wait_until(lambda: "INFO:root:flash_events {'runs': 0," in listed.log(), 5, "a line")
    listed.process.terminate()
    listed.process.wait(5)


def test_metrics_are_served_to_prometheus_and_not_through_nginx(tmp_path: Path) -> None:
    [path] = re.findall(r"metrics_path: /(\S+)", GUIDE)
    with serving("tests.apps.faults:server", tmp_path, FLASH_EVENTS_METRICS="1") as served:
        text = httpx.get(served.url + path).text
        assert "flash_events_starts_total 0\n" in text
        assert text.endswith("# EOF\n")
        server = urlsplit(served.url).netloc
        configuration, url = nginx.documented(tmp_path, (server, server))
        with nginx.running(configuration, tmp_path, f"{url}ping"):
            assert httpx.get(url + path, verify=False).status_code == 404
            assert httpx.get(f"{url}prefix/{path}", verify=False).status_code == 404


def command(text: str, url: str, redis_url: str) -> tuple[list[str], dict[str, str]]:
    """Replaces the addresses in a line of the guide; returns its words and its variables."""
    text = re.sub(r"redis://\S+", redis_url, text)
    text = re.sub(r"(?:0\.0\.0\.0|127\.0\.0\.1):\d{4} ", f"{urlsplit(url).netloc} ", text)
    words = shlex.split(text.replace("app:server", "tests.apps.kitchen:server"))
    variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    return [word for word in words if not re.match(r"[A-Z_]+=", word)], variables


LINES = {  # those that differ only in the port count once
    re.sub(r":\d{4} app", ":8000 app", line): line
    for block in COMMANDS
    for line in block.splitlines()
    if "hypercorn" in line
}


@pytest.mark.deadline
@pytest.mark.parametrize("line", LINES.values())
def test_every_command_serves(line: str, tmp_path: Path, redis_url: str) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    words, variables = command(line, url, redis_url)
    assert words.pop(0) == "hypercorn"
    with (tmp_path / "log").open("wb") as log, ExitStack() as stack:
        environment = {**os.environ, "MARKS": str(tmp_path / "marks"), **variables}
        process = subprocess.Popen(
            [sys.executable, "-m", "hypercorn", *words],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
        wait_until(lambda: answers(url) or process.poll() is not None, START_SECONDS, "server")
        assert process.poll() is None, (tmp_path / "log").read_text("utf-8")
        served = Served(url, tmp_path / "marks", tmp_path / "log", process)
        with opened(served) as page:
            resumed(page, times=6 if "redis" in line else 0)
        process.terminate()
        asked = time.monotonic()
        process.wait(5)
        assert time.monotonic() - asked < 5


def resumed(page: Page, times: int) -> None:
    """Leaves a run's connection and resumes it at any worker."""
    body = page.body("start")
    action, request, last = "start", body, ""
    numbers: list[int] = []
    for _ in range(times + 1):
        with (
            httpx.Client(timeout=15) as client,  # a TCP connection of its own
            client.stream("POST", page.url(action), json=request) as answer,
        ):
            assert answer.status_code == 200, answer.read()
            for event in EventSource(answer).iter_sse():
                last = event.id or last
                if event.event == "update":
                    numbers.append(data(event)["n"])
                    if len(numbers) % 5 == 0:
                        break
        action, request = "resume", page.resume(body["flash_events"]["connection"], last)
    page.stop(body["flash_events"]["run"])
    assert numbers == list(range(1, 5 * (times + 1) + 1))

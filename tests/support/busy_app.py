"""An app with runs of each kind, pages that request everything, and the app's remaining state."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sized
from typing import Any

from dash import Dash, Input, html

from flash_events import FlashEvents, Update, bridge, stream_props
from tests.support.page import new_id


def app_of_all_kinds(**settings: Any) -> Dash:
    """Returns an app with runs of each kind that end soon."""
    app = Dash("bounds", backend="quart")
    names = ("brief", "plain", "kept", "fails", "long")
    app.layout = html.Div([html.Button(id=name) for name in names])
    flash = FlashEvents(app, linger_seconds=0.01, max_runs_per_page=10_000, **settings)

    @flash.event_callback(Input("brief", "n"))
    async def brief(_n: int) -> AsyncIterator[Update]:
        yield stream_props("out", {"children": "brief"})

    @flash.event_callback(Input("plain", "n"))
    def plain(_n: int) -> Iterator[Update]:
        yield stream_props("out", {"children": "plain"})

    @flash.event_callback(Input("kept", "n"), on_disconnect="finish")
    async def kept(_n: int) -> AsyncIterator[Update]:
        yield stream_props("out", {"children": "kept"})

    @flash.event_callback(Input("fails", "n"))
    async def fails(_n: int) -> AsyncIterator[Update]:
        yield stream_props("out", {"children": "fails"})
        raise ValueError

    @flash.event_callback(Input("long", "n"))
    async def long(_n: int) -> AsyncIterator[Update]:
        yield stream_props("out", {"children": "long"})
        await asyncio.sleep(5)

    return app


class Asking:
    """Opens pages that request everything, each with new ids."""

    def __init__(self, app: Dash) -> None:
        self._client = app.server.test_client()
        entries = bridge.app_registry(app).entries
        self._outputs = {entry["inputs"][0]["id"]: entry["output"] for entry in entries}

    async def post(self, action: str, fields: Mapping[str, Any], **more: Any) -> int:
        url = f"/_dash-flash-events/{action}"
        answer = await self._client.post(
            url, json={**more, "flash_events": {"version": 1, **fields}}
        )
        return int(answer.status_code)

    async def start(self, name: str, **fields: Any) -> int:
        ids = {"page": new_id(), "run": new_id(), "connection": new_id(), "connections": []}
        inputs = [{"id": name, "property": "n", "value": 1}]
        output, changed = self._outputs[name], [f"{name}.n"]
        more = {"output": output, "inputs": inputs, "changedPropIds": changed}
        return await self.post("start", {**ids, **fields}, **more)

    async def everything(self) -> None:
        run, page = new_id(), new_id()
        for name in self._outputs:
            assert await self.start(name, run=run, page=page) in (200, 202)
            run = new_id()
        unknown = [new_id() for _ in range(20)]
        assert await self.post("stop", {"page": page, "runs": [*unknown, run]}) == 202
        assert await self.start("brief", run=run) == 410
        attach = {"page": page, "connection": new_id(), "connections": []}
        runs = [{"run": one, "seen": 0} for one in unknown]
        assert await self.post("attach", {**attach, "runs": runs}) == 200
        assert await self.post("resume", {"connection": new_id()}) == 404
        assert await self.post("alive", {"connection": new_id()}) == 404
        assert await self.start("brief", run="bad") == 400


def collections_of(root: object) -> dict[str, int]:
    """Returns the sizes of all collections of our objects, by their path."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    waiting: deque[tuple[str, object]] = deque([("server", root)])
    while waiting:
        path, one = waiting.popleft()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict | list | set | deque):
            sizes[path] = len(one)
            inside = one.values() if isinstance(one, dict) else one
            waiting.extend((f"{path}[]", value) for value in inside)
        elif type(one).__module__.startswith("flash_events") and not isinstance(one, type):
            names = [*getattr(one, "__dict__", ())]
            names += [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
            waiting.extend((f"{path}.{name}", getattr(one, name, None)) for name in names)
            if isinstance(one, Sized):
                sizes[path] = len(one)
    return sizes


def server_of(app: Dash) -> Any:
    wiring: Any = vars(app)["_flash_events_wiring"]
    return wiring.ready()

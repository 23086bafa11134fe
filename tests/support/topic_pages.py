"""Pages with a `Subscription`, by raw requests, that go on after each cut and each lost worker."""

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from flash_events.settings import Settings
from flash_events.sharing.process import Namespace
from flash_events.sharing.values import DeclaredValues
from tests.support.page import Page, new_id
from tests.support.server import wait_until
from tests.support.socket_client import Refusal, Stream

END = "end"


def news_of(store: str) -> Any:
    """Returns the topic `news` of the app tests.apps.shared_topics, as another process has it."""
    namespace = Namespace(store, Settings())
    return DeclaredValues(lambda: namespace).topic("news", history=1000)


@dataclass
class TopicPage:
    """A page with a `Subscription` of `news`.

    Attributes:
        page: composes the requests.
        url: of the server or of a proxy in front of it.
        messages: offset, time, missed, flags and data of what it has got.
        starts: how often it has begun, or begun again after its run was lost.
        resumes: how often it has resumed after a cut.
    """

    page: Page
    url: str
    messages: list[list[Any]] = field(default_factory=list)
    starts: int = 0
    resumes: int = 0
    has_begun: threading.Event = field(default_factory=threading.Event)
    """Set at its first message."""
    receive_bytes: int | None = None
    _connection: str = ""
    _last: str = ""
    _nonce: str = ""

    @property
    def offset(self) -> int:
        return self.messages[-1][0] if self.messages else 0

    @property
    def missed(self) -> int:
        return sum(message[2] for message in self.messages)

    @property
    def data(self) -> list[Any]:
        return [message[4] for message in self.messages]

    @property
    def numbers(self) -> list[int]:
        """What was published after it had begun."""
        return [data for data in self.data if isinstance(data, int)]

    @property
    def has_ended(self) -> bool:
        return bool(self.messages) and self.messages[-1][4] == END

    def start_body(self, **value: Any) -> dict[str, Any]:
        """Returns the request that begins, or goes on after the last message."""
        self._connection, self._last = new_id(), ""
        since = {"offset": self.offset, "nonce": self._nonce} if self.messages else None
        topic = {"name": "news", "params": {}, "last": 0, "since": since, "overflow": "skip"}
        return {
            "output": "flash_events.subscription:news",
            "inputs": [{"id": "news", "property": "topic", "value": topic | value}],
            "state": [],
            "changedPropIds": ["news.topic"],
            "flash_events": {
                "version": 1,
                "run": new_id(),
                "page": self.page.page,
                "connection": self._connection,
                "connections": [],
            },
        }

    def open(self) -> Stream:
        """Begins, or resumes after the last event."""
        action = f"{self.url}_dash-flash-events/"
        if self._connection:
            self.resumes += 1
            try:
                return Stream(
                    f"{action}resume",
                    self.page.resume(self._connection, self._last),
                    self.receive_bytes,
                )
            except Refusal:  # its worker is dead, and nobody else knows it
                self._connection = ""
        self.starts += 1
        return Stream(f"{action}start", self.start_body(), self.receive_bytes)

    def follow(self, before_each: Callable[[], object] = lambda: None) -> None:
        """Reads up to the message END."""
        while not self.has_ended:
            before_each()
            with suppress(OSError, HTTPException), closing(self.open()) as stream:
                self.read(stream)

    def read(self, stream: Stream) -> None:
        """Reads one response, up to the message END."""
        for event in stream.events():
            self._last = event.id or self._last
            if event.name == "update":
                self.messages += event.data["news"]["messages"]
                self._nonce = event.data["news"]["nonce"]
                self.has_begun.set()
            elif event.name == "end":
                assert event.data["reason"] == "lost", event.data
                self._connection = ""
            if self.has_ended:
                return


def publish_until_begun(topic: Any, *pages: TopicPage) -> None:
    """Publishes until each page has got a message."""
    for page in pages:
        while not page.has_begun.wait(0.05):
            topic.publish_sync("has it begun?")


def publish_behind(topic: Any, page: TopicPage, count: int, ahead: int = 500) -> None:
    """Publishes numbers and END, and never more messages ahead of a page than that."""
    for n in range(count):
        wait_until(lambda: n - len(page.numbers) <= ahead, 60, "the page")  # noqa: B023
        topic.publish_sync(n)
    topic.publish_sync(END)

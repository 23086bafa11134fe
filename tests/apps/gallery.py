"""The gallery with a slow model and slow checks, so that a test can interrupt them."""

import asyncio
from types import SimpleNamespace

from examples import chat, form, gallery

SLOWER = 3

for example in (chat, form):
    vars(example)["asyncio"] = SimpleNamespace(sleep=lambda s: asyncio.sleep(SLOWER * s))

server = gallery.server

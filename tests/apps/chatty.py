"""The app with faulty callbacks, on a server that logs at the most verbose level."""

import asyncio
import logging
import os

from hypercorn.asyncio import serve
from hypercorn.config import Config

from tests.apps.faults import server

if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG)
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.accesslog = "-"
    config.loglevel = "DEBUG"
    asyncio.run(serve(server, config), debug=True)

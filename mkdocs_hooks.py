"""Finds links and pictures that mkdocs itself does not check: those that are written as HTML."""

import logging
import re
from posixpath import join, normpath
from typing import Any
from urllib.parse import unquote, urlsplit

logger = logging.getLogger("mkdocs.hooks")

CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.M | re.S)
ADDRESSES = re.compile(r'<\w[^>]*?\b(?:src|href)="([^"]*)"')


def on_page_markdown(markdown: str, /, *, page: Any, config: Any, files: Any) -> None:
    """Warns of each address in HTML that leads to no file of the site; `strict` then fails.

    mkdocs turns those in Markdown into addresses relative to the URL of the page, and warns of
    them. Those in HTML stay as they are, so that a path among the sources leads nowhere.
    """
    built = {file.dest_uri for file in files}
    for address in ADDRESSES.findall(CODE.sub("", markdown)):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc or not parts.path:
            continue  # another host, or a place on the same page
        path = normpath(join(page.url, unquote(parts.path)))
        index = "index.html" if path == "." else f"{path}/index.html"
        if path not in built and index not in built:
            logger.warning(
                "Doc file '%s' has the address '%s' in HTML, which leads to no file of the site. "
                "Write it in Markdown: [text](page.md) or ![text](images/picture.png).",
                page.file.src_uri,
                address,
            )

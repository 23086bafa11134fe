"""`python -m tests.programs SEED [COUNT]` runs random programs and shows the smallest that fail."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from tests.support.chromium import CHROMIUM_FLAGS, executable
from tests.support.program_runs import assert_equal, program_page
from tests.support.server import serving


def main(seed: int, number: int = 1) -> None:
    """Run `count` programs from a seed on."""
    with (
        TemporaryDirectory() as directory,
        serving("tests.apps.programs:server", Path(directory)) as served,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable(), args=CHROMIUM_FLAGS) as browser,
        program_page(browser.new_context(), served) as page,
    ):
        try:
            assert_equal(page, range(seed, seed + number))
            print(f"{number} programs are equal")
        except AssertionError as difference:
            print(difference)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))

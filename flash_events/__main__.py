"""The commands `python -m flash_events doctor URL` and `python -m flash_events demo`."""

import argparse
import sys

from flash_events.operations.demo import serve_gallery
from flash_events.operations.doctor import SILENT_SECONDS, examine


def main() -> int:
    """Run a command and return its exit code; 1 for a failure or a finding of the doctor."""
    parser = argparse.ArgumentParser(prog="python -m flash_events", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor", help="check whether streams pass through a deployment, and what to change"
    )
    doctor.add_argument("url", help="URL of the app's page, as https://example.com/app/")
    doctor.add_argument(
        "--seconds",
        type=float,
        default=SILENT_SECONDS,
        help="duration of the test of a silent stream (default: %(default).0f; 120 at most)",
    )
    doctor.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="request header to send, as with curl; may be given several times",
    )
    demo = commands.add_parser("demo", help="serve the gallery of examples")
    demo.add_argument("--bind", default="127.0.0.1", help="address (default: %(default)s)")
    demo.add_argument("--port", type=port_of, default=8050, help="port (default: %(default)d)")
    given = parser.parse_args()
    if given.command == "demo":
        return serve_gallery(given.bind, given.port)
    headers = dict(header_of(text) for text in given.header)
    return print_findings(given.url, given.seconds, headers)


def port_of(text: str) -> int:
    """Return the number of a TCP port from a command line argument."""
    if not (text.isdecimal() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"Expected a port from 0 to 65535, got {text!r}.")
    return int(text)


def header_of(text: str) -> tuple[str, str]:
    """Return name and value of a header from a command line argument, `Name: value`."""
    name, colon, value = text.partition(":")
    if not (name.strip() and colon and text.isprintable()):
        raise SystemExit(f"Expected --header 'Name: value', got {text!r}.")
    return name.strip(), value.strip()


def print_findings(url: str, seconds: float, headers: dict[str, str]) -> int:
    """Print the doctor's findings and return the exit code."""
    is_well = True
    for finding in examine(url, seconds, headers):
        print(f"{'ok ' if finding.is_good else 'BAD'} {finding.text}", flush=True)
        if finding.cure:
            print(f"    -> {finding.cure}", flush=True)
        is_well = is_well and finding.is_good
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())

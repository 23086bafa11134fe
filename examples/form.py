"""A form that is checked while the user types; a newer keystroke cancels the older checks.

Run: python -m examples.form
"""

import asyncio
import re
from collections.abc import AsyncIterator

import dash_mantine_components as dmc
from dash import Dash, Input

from flash_events import Update, event_callback, stream_props

TAKEN = {"ada", "alan", "barbara", "edsger", "grace", "linus"}
COMMON = {"password", "12345678", "qwertyuiop", "letmein123"}


async def is_free(name: str) -> str:
    """Each check returns an error text, or nothing."""
    await asyncio.sleep(0.8)  # a query to the database
    return f"“{name}” is taken" if name.lower() in TAKEN else ""


async def looks_right(email: str) -> str:
    await asyncio.sleep(0.2)
    return "" if re.fullmatch(r"[^@\s]+@[^@\s]+\.\w{2,}", email) else "needs an @ and a domain"


async def can_get_mail(email: str) -> str:
    await asyncio.sleep(1)  # a question to the mail server
    return "example.org gets no mail" if email.endswith("example.org") else ""


async def is_long(password: str) -> str:
    await asyncio.sleep(0.2)
    return f"{10 - len(password)} characters too short" if len(password) < 10 else ""


async def is_secret(password: str) -> str:
    await asyncio.sleep(0.6)  # a list of leaked passwords
    return "everybody knows this one" if password.lower() in COMMON else ""


CHECKS = [
    ("name", "Name is free", is_free),
    ("email", "Address looks right", looks_right),
    ("email", "Address gets mail", can_get_mail),
    ("password", "Password is long", is_long),
    ("password", "Password is secret", is_secret),
]
NOTHING = "Nothing to check yet."
WAITING = dmc.Text("○", c="dimmed", ta="center")
CHECKING = dmc.Loader(size=14)
# Readable on a light page and on a dark one.
GREEN = "light-dark(var(--mantine-color-teal-9), var(--mantine-color-teal-4))"
RED = "light-dark(var(--mantine-color-red-9), var(--mantine-color-red-4))"
GOOD = dmc.Text("✓", c=GREEN, fw=700, ta="center")
BAD = dmc.Text("✗", c=RED, fw=700, ta="center")


def row(number: int, label: str) -> dmc.Group:
    """A check: its mark, its name, and its error."""
    return dmc.Group(
        [
            dmc.Center(WAITING, id=f"form-mark-{number}", w=20, h=24),
            dmc.Text(label, size="sm"),
            dmc.Text(id=f"form-problem-{number}", size="sm", c=RED, ml="auto"),
        ],
        gap="xs",
    )


fields = [
    dmc.TextInput(id="form-name", label="Name", placeholder="ada is taken", debounce=250, value=""),
    dmc.TextInput(id="form-email", label="E-mail", debounce=250, value=""),
    dmc.PasswordInput(id="form-password", label="Password", debounce=250, value=""),
]
checks = [row(number, label) for number, (_, label, _) in enumerate(CHECKS)]
verdict = dmc.Text(NOTHING, id="form-verdict", c="dimmed", size="sm", mt="xs")
layout = dmc.Stack([*fields, dmc.Paper([*checks, verdict], withBorder=True, p="md")], maw=460)


@event_callback(
    Input("form-name", "value"),
    Input("form-email", "value"),
    Input("form-password", "value"),
    overlap="restart",  # also the default: the latest input counts
    reset_props={"form-verdict": {"children": "The checks have failed."}},
)
async def check(name: str, email: str, password: str) -> AsyncIterator[Update]:
    """Runs one check after the other, and shows each result at once."""
    values = {"name": name, "email": email, "password": password}
    filled = [number for number, (field, _, _) in enumerate(CHECKS) if values[field]]
    yield tell("Checking …" if filled else NOTHING)
    for number in range(len(CHECKS)):
        yield show(number, WAITING)
    problems = 0
    for number in filled:
        field, _, find_problem = CHECKS[number]
        yield show(number, CHECKING)
        problem = await find_problem(values[field])
        problems += bool(problem)
        yield show(number, BAD if problem else GOOD, problem)
    if filled:
        yield tell(f"{len(filled) - problems} of {len(CHECKS)} are good.")


def tell(text: str) -> Update:
    """Returns the update of the last line."""
    return stream_props("form-verdict", {"children": text})


def show(number: int, mark: dmc.Text | dmc.Loader, problem: str = "") -> Update:
    """Returns the update that shows the state of a check."""
    return stream_props(
        {
            f"form-mark-{number}": {"children": mark},
            f"form-problem-{number}": {"children": problem},
        }
    )


app = Dash(__name__, backend="quart", title="Form")
app.layout = dmc.MantineProvider(dmc.Container(layout, size="xs", py="lg"))
server = app.server

if __name__ == "__main__":
    app.run(debug=True)

"""A chat with answers token by token; Stop keeps the partial answer, Regenerate asks again.

Run: python -m examples.chat
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, ctx, dcc

from flash_events import Update, event_callback, stream_props

Message = dict[str, str]
ANSWERS = [
    "I am no model, only a few lines of Python. Of “{question}” I know **nothing**, "
    "but I can show what streams well:\n\n"
    "1. a list, item by item,\n2. *emphasis* where it belongs,\n3. and `code` among words.\n\n"
    "Press **Stop** at any time: the words that are here stay here.",
    "You said “{question}”. A real model would now think of something clever. "
    "All of it takes four lines:\n\n"
    "```python\ntext = ''\nasync for token in tokens(messages):\n    text += token\n"
    '    yield stream_props("chat-answer", {{"children": text}})\n```\n\n'
    "The page draws each *frame* once, however many tokens came meanwhile.",
    "“{question}” is a **good** question. Three things happen while you read this:\n\n"
    "- the generator on the server waits for the next token,\n"
    "- the page shows the text so far as Markdown,\n"
    "- and nobody polls.\n\nPress **Regenerate** and I will say something else.",
]


async def tokens(messages: list[Message]) -> AsyncIterator[str]:
    """A fake model that streams its answer."""
    # Your client goes here; most have such a loop already:
    # async with client.messages.stream(model=..., messages=messages) as stream:
    #     async for text in stream.text_stream: yield text
    answer = random.choice(ANSWERS).format(question=messages[-1]["content"])
    for token in re.findall(r"\s*\S+|\s+$", answer):
        await asyncio.sleep(random.uniform(0.03, 0.1))
        yield token


def bubble(message: Message) -> dmc.Paper:
    """A message: the user's on the right, in color."""
    look = {"ml": "auto", "bg": "var(--mantine-primary-color-light)"}
    text = dcc.Markdown(message["content"])
    return dmc.Paper(text, maw="85%", px="md", **(look if message["role"] == "user" else {}))


earlier = dmc.Stack(id="chat-earlier", gap="md")
latest = dcc.Markdown("Hello! Ask me something.", id="chat-answer")
conversation = dmc.Box(
    dmc.Stack([earlier, dmc.Paper(latest, maw="85%", px="md")], gap="md"),
    h="min(56vh, 520px)",
    # A reversed scroll box stays at its end while it grows.
    style={
        "overflowY": "auto",
        "overflowWrap": "anywhere",  # breaks long words, too
        "display": "flex",
        "flexDirection": "column-reverse",
    },
)
prompt = dmc.TextInput(id="chat-prompt", value="", placeholder="Write a message", flex=1)
layout = dmc.Stack(
    [
        dcc.Store(id="chat-messages", data=[]),  # in the page: each reader has their own
        dmc.Paper(conversation, withBorder=True, p="md"),
        dmc.Group([prompt, dmc.Button("Send", id="chat-send")], gap="xs", wrap="nowrap"),
        dmc.Group(
            [
                dmc.Button("Stop", id="chat-stop", variant="default", disabled=True),
                dmc.Button("Regenerate", id="chat-again", variant="light", disabled=True),
                dmc.Loader(id="chat-loader", type="dots", size="sm", display="none"),
            ],
            gap="xs",
        ),
    ]
)


@event_callback(
    Input("chat-send", "n_clicks"),
    Input("chat-prompt", "n_submit"),
    Input("chat-again", "n_clicks"),
    State("chat-prompt", "value"),
    State("chat-messages", "data"),
    State("chat-answer", "children"),
    cancel=Input("chat-stop", "n_clicks"),  # without reset_props: the partial answer stays
    running=[
        (Output("chat-stop", "disabled"), False, True),
        (Output("chat-again", "disabled"), True, False),
        (Output("chat-loader", "display"), "inline-flex", "none"),
    ],
)
async def answer(
    _send: int, _enter: int, _again: int, prompt: str, messages: list[Message], said: str
) -> AsyncIterator[Update]:
    """Answers the last message: a new one, or the same again."""
    if ctx.triggered_id != "chat-again":
        if not prompt.strip():
            return
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": prompt}]
    yield stream_props(
        [
            ("chat-earlier", {"children": [bubble(message) for message in messages]}),
            ("chat-messages", {"data": messages}),
            ("chat-answer", {"children": ""}),
            ("chat-prompt", {"value": ""}),
        ]
    )
    text = ""
    async for token in tokens(messages):
        text += token
        yield stream_props("chat-answer", {"children": text})


app = Dash(__name__, backend="quart", title="Chat")
app.layout = dmc.MantineProvider(dmc.Container(layout, size="sm", py="lg"))
server = app.server

if __name__ == "__main__":
    app.run(debug=True)

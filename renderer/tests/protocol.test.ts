import {createParser, type EventSourceMessage} from "eventsource-parser";
import {describe, expect, it} from "vitest";
import vectors from "../../tests/vectors/events.json";
import {parseEvent} from "../src/protocol.ts";

function messagesOf(wire: string): EventSourceMessage[] {
  const messages: EventSourceMessage[] = [];
  createParser({onEvent: (message) => messages.push(message)}).feed(wire);
  return messages;
}

describe("the shared vectors", () => {
  it.each(vectors)("reads $case", ({event, id, data, wire}) => {
    const messages = messagesOf(wire);

    expect(messages).toHaveLength(1);
    expect(messages[0]?.id ?? null).toBe(id);
    expect(parseEvent(messages[0]?.event, messages[0]?.data ?? "")).toEqual({type: event, ...data});
  });

  it("read the same with CR LF as line ends", () => {
    const wire = vectors.map((one) => one.wire).join("");

    expect(messagesOf(wire.replaceAll("\n", "\r\n"))).toEqual(messagesOf(wire));
  });

  it("have an example of every event that the renderer knows", () => {
    const names = new Set(vectors.map((one) => one.event));

    expect([...names].sort()).toEqual(["close", "drain", "end", "open", "start", "update"]);
  });
});

it.each(["snapshot", "message", "__proto__", undefined])("ignores an event called %s", (name) => {
  expect(parseEvent(name, '{"run":"r"}')).toBeUndefined();
});

it("does not parse the data of an event that it ignores", () => {
  expect(parseEvent("later", "not JSON")).toBeUndefined();
});

it("takes the type of an event from its name, not from its data", () => {
  expect(parseEvent("start", '{"type":"end","run":"r"}')).toEqual({type: "start", run: "r"});
});

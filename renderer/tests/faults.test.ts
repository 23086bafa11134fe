/** Rows of the fault table that concern the renderer; the others are in tests/faults. */

import {createParser} from "eventsource-parser";
import {afterEach, beforeEach, expect, it, vi} from "vitest";
import vectors from "../../tests/vectors/events.json";
import {bytesOf, fakeHost, seededRandom} from "./fakes.ts";
import {createConnections} from "../src/transport/connection.ts";
import {parseEvent} from "../src/protocol.ts";

const CLIENTS = 500;

const open = (connection: string) =>
  `event: open\ndata: ${JSON.stringify({version: 1, connection})}\n\n`;
const update = (n: number) =>
  `id: e-${n}\nevent: update\ndata: {"run":"r","n":${n},"set":[]}\n\n`;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it.each([
  ["LF", "\n"],
  ["CR LF", "\r\n"],
  ["CR", "\r"],
])("fault 01: the vectors are the same events cut anywhere, with %s", (_name, lineEnd) => {
  const wire = bytesOf(`${vectors.map((one) => one.wire).join("")}:\n`.replaceAll("\n", lineEnd));
  const expected = vectors.map(({event, data}) => ({type: event, ...data}));
  for (let at = 0; at <= wire.length; at++) {
    const events: unknown[] = [];
    const parser = createParser({onEvent: (one) => events.push(parseEvent(one.event, one.data))});
    const decoder = new TextDecoder(); // cuts inside UTF-8, too
    for (const piece of [wire.slice(0, at), wire.slice(at)]) {
      parser.feed(decoder.decode(piece, {stream: true}));
    }
    expect(events, `cut at ${at}`).toEqual(expected);
  }
});

it("fault 03: a body that ends cleanly without `close` is resumed, and loses nothing", async () => {
  const host = fakeHost();
  const connections = createConnections(host.host);
  const started = connections.start("{}", {run: "r"});
  let stream = (await host.requests.next()).stream();
  stream.send(open("c"));
  await started;
  for (let n = 1; n <= 10; n++) {
    stream.send(update(n));
    stream.end();
    await vi.advanceTimersByTimeAsync(30_000);
    const request = await host.requests.next();
    expect(request.action).toBe("resume");
    expect(request.envelope["lastEventId"]).toBe(`e-${n}`);
    stream = request.stream();
    stream.send(open("c"));
  }
  expect(host.lost).toEqual([]);
  stream.send("event: close\ndata: {}\n\n");
  stream.end();
  await vi.advanceTimersByTimeAsync(60_000);

  expect(host.events.map((event) => (event as unknown as {n: number}).n)).toEqual(
    Array.from({length: 10}, (_, n) => n + 1),
  );
  expect(host.requests.size()).toBe(0);
});

it("fault 17: 500 clients that are cut at once reconnect spread over the retry delay", async () => {
  vi.spyOn(Math, "random").mockImplementation(seededRandom(17));
  const arrivals: number[] = [];
  const streams = await Promise.all(
    Array.from({length: CLIENTS}, async (_, client) => {
      const host = fakeHost();
      const connections = createConnections({
        ...host.host,
        post(action, body, options) {
          if (action === "resume") arrivals.push(Date.now());
          return host.host.post(action, body, options);
        },
      });
      const started = connections.start("{}", {run: "r"});
      const stream = (await host.requests.next()).stream();
      stream.send(open(`c${client}`));
      await started;
      return stream;
    }),
  );
  const cut = Date.now();
  for (const stream of streams) stream.cut();
  await vi.advanceTimersByTimeAsync(1000);

  expect(arrivals).toHaveLength(CLIENTS); // all within the first retry delay of 1 s
  const perTenth = Array.from({length: 10}, () => 0);
  for (const at of arrivals) perTenth[Math.min(9, Math.floor((at - cut) / 100))]! += 1;
  // An even spread has 50 in each; without jitter one has 500.
  for (const count of perTenth) {
    expect(count).toBeGreaterThan(25);
    expect(count).toBeLessThan(80);
  }
});

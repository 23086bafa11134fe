import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import vectors from "../../tests/vectors/events.json";
import {bytesOf, deferred, fakeHost, type FakeRequest} from "./fakes.ts";
import {StartFailed} from "../src/transport/responses.ts";
import {createConnections} from "../src/transport/connection.ts";

const C = "BBBBBBBBBBBBBBBBBBBBBB";
const OPEN = `event: open\ndata: {"version":1,"connection":"${C}"}\n\n`;
const CLOSE = "event: close\ndata: {}\n\n";

/** An update of run `run`, at position `n` of the log. */
const update = (n: number, run = "r") =>
  `id: e-${n}\nevent: update\ndata: {"run":"${run}","n":${n},"set":[]}\n\n`;

const runEvents = vectors.filter((one) => ["start", "update", "end"].includes(one.event));

let host: ReturnType<typeof fakeHost>;
let connections: ReturnType<typeof createConnections>;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1); // the longest possible retry delay
  host = fakeHost();
  connections = createConnections(host.host);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Runs all pending work that needs no more time. */
const settle = () => vi.advanceTimersByTimeAsync(0);

const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);

const numbers = () => host.events.map((event) => (event as unknown as {n: number}).n);

/** A connection that is open, with the stream that carries it. */
async function opened() {
  const started = connections.start("{}", {run: "r"});
  const request = await host.requests.next();
  const stream = request.stream();
  stream.send(OPEN);
  expect(await started).toBe(C);
  return {...stream, signal: request.options.signal};
}

/** Returns the next resume request, after any retry delay. */
async function resumed() {
  const next = host.requests.next();
  await pass(30);
  const request = await next;
  expect(request.action).toBe("resume");
  return request;
}

const streaming = (body: ReadableStream) =>
  new Response(body, {headers: {"Content-Type": "text/event-stream"}});

describe("a body that is cut into pieces", () => {
  /** Feeds the pieces one by one, each only when the one before has been read. */
  async function eventsOf(pieces: readonly Uint8Array[]) {
    const {host, events, commands} = fakeHost();
    const posted: string[] = [];
    const connections = createConnections({
      ...host,
      post: (action) => {
        if (action === "alive") return Promise.resolve(new Response());
        posted.push(action);
        const rest = [...pieces];
        const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
          const piece = rest.shift();
          if (piece) controller.enqueue(piece);
          else {
            controller.close();
            read.resolve(undefined);
          }
        };
        return Promise.resolve(streaming(new ReadableStream({pull}, {highWaterMark: 0})));
      },
    });
    const read = deferred<undefined>();
    // Events in one piece with `close` have failed the start.
    await Promise.allSettled([connections.start("{}", {}), read.promise]);
    expect(connections.size()).toBe(0);
    expect(posted).toEqual(["start"]);
    return {events, commands};
  }

  const wire = vectors.map((one) => one.wire).join(": heartbeat\n");

  it.each([
    ["LF", wire],
    ["CR LF", wire.replaceAll("\n", "\r\n")],
    ["CR", wire.replaceAll("\n", "\r")],
  ])("at any byte gives the same events, with %s as line end", async (lineEnd, text) => {
    const bytes = bytesOf(lineEnd === "CR" ? `${text}:\n` : text);
    const whole = await eventsOf([bytes]);
    expect(whole.commands).toEqual(["myCommand"]);
    expect(whole.events.map(({bytes: _, ...event}) => event)).toEqual(
      runEvents.map(({event, data}) => ({type: event, ...data})),
    );

    for (let at = 1; at < bytes.length; at++) {
      expect(await eventsOf([bytes.slice(0, at), bytes.slice(at)]), `cut at ${at}`).toEqual(whole);
    }
  }, 60_000);

  it("at every byte gives the same events", async () => {
    const bytes = bytesOf(wire);
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte));

    expect(await eventsOf(single)).toEqual(await eventsOf([bytes]));
  }, 60_000);
});

describe("a start", () => {
  it("posts what Dash would post, with the version and a fresh connection id", async () => {
    void connections.start('{"output":"cb","inputs":[1]}', {run: "r", page: "p"});
    const request = await host.requests.next();

    expect(request.action).toBe("start");
    expect(request.body).toEqual({
      output: "cb",
      inputs: [1],
      flash_events: {
        version: 1,
        connection: expect.stringMatching(/^[\w-]{22}$/) as string,
        connections: [],
        run: "r",
        page: "p",
      },
    });
  });

  it("resolves with the stream's connection id once it is open", async () => {
    let id: string | undefined;
    void connections.start("{}", {}).then((one) => (id = one));
    const stream = (await host.requests.next()).stream();
    await settle();
    expect(id).toBeUndefined();

    stream.send(OPEN);
    await settle();

    expect(id).toBe(C);
    expect(connections.size()).toBe(1);
  });

  it("waits for the response to the first start, and then sends the open connection's id", async () => {
    const first = connections.start("{}", {run: "a"});
    const second = connections.start("{}", {run: "b"});
    const third = connections.start("{}", {run: "c"});
    const request = await host.requests.next();
    await pass(20);
    expect(host.requests.size()).toBe(0);

    request.stream().send(OPEN);
    expect(await first).toBe(C);

    for (const [run, started] of [["b", second], ["c", third]] as const) {
      const next = await host.requests.next();
      expect(next.envelope).toMatchObject({run, connections: [C]});
      next.json(202, {connection: C});
      expect(await started).toBe(C);
    }
    expect(connections.size()).toBe(1);
  });

  it("does not wait for another while a connection is open", async () => {
    await opened();
    void connections.start("{}", {run: "b"});
    void connections.start("{}", {run: "c"});
    await settle();

    expect(host.requests.size()).toBe(2);
  });

  it("that has waited opens the connection itself when the first one is refused", async () => {
    const first = connections.start("{}", {run: "a"});
    const second = connections.start("{}", {run: "b"});
    const third = connections.start("{}", {run: "c"});
    (await host.requests.next()).json(400, {error: "x", message: "y"});
    await expect(first).rejects.toThrow("y");

    const request = await host.requests.next();
    expect(request.envelope).toMatchObject({run: "b", connections: []});
    await settle();
    expect(host.requests.size()).toBe(0);
    request.stream().send(OPEN);
    expect(await second).toBe(C);

    (await host.requests.next()).json(202, {connection: C});
    expect(await third).toBe(C);
  });

  it("may get a second stream, which is read besides the first", async () => {
    const first = await opened();
    const started = connections.start("{}", {run: "b"});
    const second = (await host.requests.next()).stream();
    second.send(OPEN.replace(C, "D"));
    expect(await started).toBe("D");

    first.send(update(1, "a"));
    second.send(update(1, "b"));
    await settle();

    expect(connections.size()).toBe(2);
    expect(host.events.map((event) => event.run).sort()).toEqual(["a", "b"]);
  });

  it.each([
    ["the network fails", undefined],
    ["a gateway answers 502", 502],
    ["the server answers 503", 503],
    ["a gateway answers 504", 504],
  ])("is retried with the same body when %s", async (_, status) => {
    const started = connections.start('{"output":"cb"}', {run: "r"});
    const first = await host.requests.next();
    if (status) first.text(status, "");
    else first.fail();
    await pass(1);
    const second = await host.requests.next();
    expect(second.action).toBe("start");
    expect(second.body).toEqual(first.body);

    second.stream().send(OPEN);
    expect(await started).toBe(C);
  });

  it("fails after the fourth attempt", async () => {
    const started = connections.start("{}", {});
    const failed = expect(started).rejects.toMatchObject({code: "network"});
    for (let attempt = 1; attempt <= 4; attempt++) {
      (await host.requests.next()).fail();
      await pass(30);
    }

    await failed;
    expect(host.requests.size()).toBe(0);
  });

  it.each([400, 401, 403, 404, 409, 413, 429, 500])(
    "with status %i fails without a retry, with the server's code and message",
    async (status) => {
      const started = connections.start("{}", {});
      const failed = started.catch((error: unknown) => error);
      (await host.requests.next()).json(status, {error: "too_many", message: "Set max_runs."});

      const error = await failed;
      expect(error).toBeInstanceOf(StartFailed);
      expect(error).toMatchObject({code: "too_many", message: "Set max_runs."});
      await pass(60);
      expect(host.requests.size()).toBe(0);
    },
  );

  it.each([
    ["5", 5000],
    ["Thu, 01 Jan 2026 00:01:00 GMT", 60_000],
    ["", 1000],
  ])("P17: with status 429 and Retry-After %j fails with the limit's name and the retry delay", async (after, retryMs) => {
    vi.setSystemTime("2026-01-01T00:00:00Z");
    const failed = connections.start("{}", {}).catch((error: unknown) => error);
    const fields = {error: "too_many", message: "Too many.", limit: "max_runs"};
    (await host.requests.next()).json(429, fields, {"Retry-After": after});

    expect(await failed).toMatchObject({full: {limit: "max_runs", retryMs}});
  });

  it("T3: sends headers with the callback and the last attempt", async () => {
    const failed = connections.start("{}", {callback: "cb"}).catch((error: unknown) => error);
    for (let attempt = 1; attempt <= 4; attempt++) {
      const request = await host.requests.next();
      const last = attempt === 4 ? {"Flash-Events-Last-Try": "1"} : {};
      expect(request.options.headers).toEqual({"Flash-Events-Callback": "cb", ...last});
      expect(request.envelope).not.toHaveProperty("callback");
      const set = [["out", {children: "sorry"}]];
      request.json(503, {error: "broker", message: "Busy.", ...(attempt === 4 && {set})});
      await pass(30);
    }
    expect(await failed).toMatchObject({code: "broker", set: [["out", {children: "sorry"}]]});
  });

  describe("T3: with a large body", () => {
    const large = JSON.stringify({output: "cb", inputs: ["ä".repeat(600_000)]});

    it("is sent after the server has given permission", async () => {
      const started = connections.start(large, {callback: "cb", run: "r"});
      const ask = await host.requests.next();
      expect([ask.action, ask.body]).toMatchObject(["ask", {output: "cb"}]);
      expect(ask.envelope).toMatchObject({run: "r", size: bytesOf(large).length});
      expect(ask.options.headers).toEqual({"Flash-Events-Callback": "cb"});
      ask.json(202, {});
      const request = await host.requests.next();
      expect([request.action, request.body]).toMatchObject(["start", JSON.parse(large)]);
      request.stream().send(OPEN);
      expect(await started).toBe(C);
    });

    it("is not sent when the server refuses it", async () => {
      const failed = connections.start(large, {callback: "cb"}).catch((error: unknown) => error);
      (await host.requests.next()).json(413, {error: "too_large", message: "Too large.", set: []});
      expect(await failed).toMatchObject({code: "too_large", set: []});
      expect(host.requests.size()).toBe(0);
    });

    it.each([undefined, 413])("fails with a hint to the proxy when the response is %s", async (status) => {
      const failed = connections.start(large, {callback: "cb"}).catch((error: unknown) => error);
      for (let attempt = 1; attempt <= (status ? 1 : 4); attempt++) {
        (await host.requests.next()).json(202, {});
        const request = await host.requests.next();
        if (status) request.text(status, "<html>");
        else request.fail();
        await pass(30);
      }
      const message = expect.stringContaining(`${bytesOf(large).length} bytes; a proxy`) as string;
      expect(await failed).toMatchObject({message});
    });

    it("is announced again when the server could not be reached", async () => {
      void connections.start(large, {callback: "cb"});
      (await host.requests.next()).fail();
      await pass(30);
      expect((await host.requests.next()).action).toBe("ask");
    });

    it("does not delay other starts", async () => {
      void connections.start(large, {callback: "cb"});
      (await host.requests.next()).json(202, {});
      expect((await host.requests.next()).action).toBe("start");
      const other = connections.start("{}", {callback: "cb"});
      (await host.requests.next()).stream().send(OPEN);
      expect(await other).toBe(C);
    });
  });

  it("refused without JSON fails with the status", async () => {
    const started = connections.start("{}", {});
    const failed = expect(started).rejects.toMatchObject({
      code: "http",
      message: "The server answered 413.",
    });
    (await host.requests.next()).text(413, "<html>");

    await failed;
  });

  it.each([
    null,
    [1],
    "no",
    {error: {code: 7}, message: ["no"], limit: {}, set: {out: 1}},
    {error: 7, message: null, set: null},
  ])("T3: refused with JSON of a gateway, %j, fails with the status", async (answer) => {
    const failed = connections.start("{}", {}).catch((error: unknown) => error);
    (await host.requests.next()).text(429, JSON.stringify(answer));
    const {code, message, full, set} = (await failed) as StartFailed;
    expect([code, message]).toEqual(["http", "The server answered 429."]);
    expect([full?.limit, set]).toEqual(["", undefined]);
  });

  it("with a stream that is cut before it opens resolves after a resume", async () => {
    const started = connections.start("{}", {});
    const first = await host.requests.next();
    first.stream().cut();
    const resume = await resumed();
    expect(resume.envelope).toMatchObject({
      connection: first.envelope["connection"],
      lastEventId: "",
    });

    resume.stream().send(OPEN);
    expect(await started).toBe(C);
  });

  it("with a stream that is cut before it opens and cannot be resumed fails", async () => {
    const failed = expect(connections.start("{}", {})).rejects.toMatchObject({code: "network"});
    (await host.requests.next()).stream().cut();
    (await resumed()).json(404, {});

    await failed;
    expect(connections.size()).toBe(0);
  });
});

describe("an invalid response", () => {
  it("fails the start if it is a page instead of a stream", async () => {
    const started = connections.start("{}", {});
    (await host.requests.next()).text(200, "<form>log in</form>");

    await expect(started).rejects.toThrow("The server answered 200.");
    expect(connections.size()).toBe(0);
  });

  it("fails the start if it has the id of an unknown connection", async () => {
    await opened();
    const started = connections.start("{}", {});
    (await host.requests.next()).json(202, {connection: "another"});

    await expect(started).rejects.toMatchObject({code: "lost"});
  });
});

describe("an open connection", () => {
  it("passes on the events of runs with the size of their data", async () => {
    const stream = await opened();
    stream.send(update(1));
    await settle();

    expect(host.events).toEqual([
      {type: "update", run: "r", n: 1, set: [], bytes: '{"run":"r","n":1,"set":[]}'.length},
    ]);
  });

  it("passes on the props that the server registers as commands", async () => {
    void connections.start("{}", {});
    const stream = (await host.requests.next()).stream();
    stream.send('event: open\ndata: {"version":1,"connection":"c","commands":["a","b"]}\n\n');
    await settle();

    expect(host.commands).toEqual(["a", "b"]);
  });

  it("ignores unknown events and a drain, but counts them as received", async () => {
    const stream = await opened();
    stream.send(update(1), "id: e-2\nevent: later\ndata: x\n\n");
    stream.send("id: e-3\nevent: drain\ndata: {}\n\n");
    stream.end();

    expect((await resumed()).envelope["lastEventId"]).toBe("e-3");
    expect(numbers()).toEqual([1]);
  });

  it("that the server closes is not resumed, and the next start opens another", async () => {
    const stream = await opened();
    stream.send(update(1), CLOSE);
    stream.end();
    await pass(600);
    expect(host.requests.size()).toBe(0);
    expect(connections.size()).toBe(0);

    void connections.start("{}", {});
    expect((await host.requests.next()).envelope).toMatchObject({connections: []});
  });

  it("P22: that the server closes loses the runs that it still carries", async () => {
    const stream = await opened();
    stream.send(update(1), CLOSE);
    stream.end();
    await settle();

    expect(host.lost).toEqual([C]);
    expect(host.states.at(-1)).toEqual(["idle", undefined]);
  });

  it("P22: that is closed together with the response to a start fails this start", async () => {
    const started = connections.start("{}", {run: "r"});
    (await host.requests.next()).stream().send(OPEN + CLOSE);

    await expect(started).rejects.toMatchObject({code: "lost"});
  });

  it("stops reading while the page is over the limit of unapplied bytes", async () => {
    const stream = await opened();
    const {promise, resolve} = deferred<void>();
    host.state.drained = promise;
    stream.send(update(1));
    await settle();
    stream.send(update(2));
    await pass(600); // nor does the heartbeat timeout end the request
    expect(numbers()).toEqual([1]);
    expect(host.requests.size()).toBe(0);

    host.state.drained = undefined;
    resolve();
    await settle();
    expect(numbers()).toEqual([1, 2]);
  });
});

describe("a connection that is cut", () => {
  it.each(["end", "cut"] as const)(
    "(%s) without a close is resumed after the last event",
    async (how) => {
      const stream = await opened();
      stream.send(update(1), update(2));
      await settle();
      stream[how]();
      const resume = await resumed();
      expect(resume.envelope).toEqual({version: 1, connection: C, lastEventId: "e-2"});

      resume.stream().send(OPEN, update(3));
      await settle();

      expect(numbers()).toEqual([1, 2, 3]);
      expect(connections.size()).toBe(1);
      expect(host.lost).toEqual([]);
    },
  );

  it("anywhere is resumed after the last complete event", async () => {
    const events = vectors.slice(2, -1); // those with an id, without the close
    const text = OPEN + events.map((one) => one.wire).join("");
    const bytes = bytesOf(text);
    const ends: {at: number; id: string}[] = [{at: bytesOf(OPEN).length, id: ""}];
    for (const {wire, id} of events) {
      ends.push({at: (ends.at(-1)?.at ?? 0) + bytesOf(wire).length, id: id ?? ""});
    }
    const around = ends.flatMap(({at}) => [at - 30, at - 2, at - 1, at, at + 1]);
    for (const cut of around.filter((one) => one >= (ends[0]?.at ?? 0) && one <= bytes.length)) {
      host = fakeHost();
      connections = createConnections(host.host);
      const received = ends.filter((one) => one.at <= cut);
      void connections.start("{}", {});
      const stream = (await host.requests.next()).stream();
      stream.sendBytes(bytes.slice(0, cut));
      stream.end();
      const resume = await resumed();
      expect(resume.envelope["lastEventId"], `cut at ${cut}`).toBe(received.at(-1)?.id);

      const rest = resume.stream();
      rest.send(OPEN);
      rest.sendBytes(bytes.slice(received.at(-1)?.at));
      await settle();
      expect(host.events.map(({bytes: _, ...event}) => event)).toEqual(
        runEvents.map(({event, data}) => ({type: event, ...data})),
      );
    }
  }, 60_000);

  it("is resumed before an event that raised an error in the page", async () => {
    const stream = await opened();
    host.state.onEvent = (run) => {
      if (run === "bad") throw new Error("bad");
    };
    stream.send(update(1), update(2, "bad"), update(3));

    expect((await resumed()).envelope["lastEventId"]).toBe("e-1");
    expect(numbers()).toEqual([1]);
    expect(stream.signal?.aborted).toBe(true); // else the request stays open beside the new one
  });

  it.each([
    ["a page instead of a stream", (request: FakeRequest) => request.text(200, "<form>log in</form>")],
    ["no content", (request: FakeRequest) => request.json(204, {})],
  ])("is lost when a resume is answered with %s", async (_, answer) => {
    const stream = await opened();
    stream.cut();
    answer(await resumed());
    await pass(600);

    expect(host.lost).toEqual([C]);
    expect(host.requests.size()).toBe(0);
  });

  it("is lost when an event cannot be parsed", async () => {
    const stream = await opened();
    stream.send(update(1), "id: e-2\nevent: update\ndata: {\n\n");
    await pass(600);

    expect(host.lost).toEqual([C]);
    expect(host.warnings).toHaveLength(1);
    expect(host.requests.size()).toBe(0);
  });

  it.each([400, 401, 403, 404, 409, 410])(
    "is lost when a resume is answered %i",
    async (status) => {
      const stream = await opened();
      stream.cut();
      (await resumed()).json(status, {});
      await pass(600);

      expect(host.lost).toEqual([C]);
      expect(connections.size()).toBe(0);
      expect(host.requests.size()).toBe(0);
    },
  );

  it.each([
    ["the network fails", undefined],
    ["the server answers 408", 408],
    ["the server answers 429", 429],
    ["the server answers 500", 500],
    ["the server answers 503", 503],
  ])("is resumed with exponential backoff while %s", async (_, status) => {
    const stream = await opened();
    stream.send(update(1));
    await settle();
    stream.cut();
    await settle();
    for (const seconds of [1, 2, 4, 8, 16, 30, 30, 30]) {
      await pass(seconds - 0.001);
      expect(host.requests.size()).toBe(0);
      await pass(0.001);
      expect(host.requests.size()).toBe(1);
      const request = await host.requests.next();
      expect(request.envelope["lastEventId"]).toBe("e-1");
      if (status) request.text(status, "");
      else request.fail();
      await settle();
    }

    expect(host.lost).toEqual([]);
    expect(connections.size()).toBe(1);
  });

  it("waits a random part of the retry delay (jitter)", async () => {
    vi.mocked(Math.random).mockReturnValue(0.25);
    const stream = await opened();
    stream.cut();
    await pass(0.249);
    expect(host.requests.size()).toBe(0);

    await pass(0.001);
    expect(host.requests.size()).toBe(1);
  });

  it("resets the backoff after it was open", async () => {
    const stream = await opened();
    stream.cut();
    for (let attempt = 0; attempt < 5; attempt++) (await resumed()).fail();
    const again = (await resumed()).stream();
    again.send(OPEN);
    await settle();
    again.cut();
    await pass(1);

    expect(host.requests.size()).toBe(1);
  });

  it("is listed by starts meanwhile, so that they can join it", async () => {
    const stream = await opened();
    stream.cut();
    await settle();
    void connections.start("{}", {run: "b"});

    expect((await host.requests.next()).envelope).toMatchObject({run: "b", connections: [C]});
  });
});

describe("a heartbeat", () => {
  const HEARTBEAT = ": heartbeat\n";

  it("is answered with the connection's id", async () => {
    const stream = await opened();
    stream.send(HEARTBEAT);
    await settle();

    expect(host.answers.map((one) => one.body)).toEqual([
      {flash_events: {version: 1, connection: C}},
    ]);
  });

  it("is not answered while an earlier answer is in flight", async () => {
    const stream = await opened();
    stream.send(HEARTBEAT, HEARTBEAT);
    await settle();
    expect(host.answers).toHaveLength(1);

    host.answers[0]?.json(202, {});
    await settle();
    stream.send(HEARTBEAT);
    await settle();
    expect(host.answers).toHaveLength(2);
  });

  it("is answered after an earlier answer has failed", async () => {
    const stream = await opened();
    stream.send(HEARTBEAT);
    await settle();
    host.answers[0]?.fail();
    await settle();
    stream.send(HEARTBEAT);
    await settle();

    expect(host.answers).toHaveLength(2);
    expect(host.warnings).toEqual([]);
    expect(stream.signal?.aborted).toBe(false);
  });

  it("is answered although reading waits for the page to apply its updates", async () => {
    const stream = await opened();
    host.state.drained = new Promise(() => undefined);
    stream.send(update(1), HEARTBEAT);
    for (const expected of [1, 2, 3]) {
      await pass(20);
      expect(host.answers).toHaveLength(expected);
      host.answers.at(-1)?.json(202, {});
      await settle();
    }
  });

  it("is not answered after the end of the stream", async () => {
    const stream = await opened();
    stream.send(HEARTBEAT);
    await settle();
    stream.cut();
    await settle();
    expect(host.answers[0]?.options.signal?.aborted).toBe(true);

    await resumed();
    await pass(600);
    expect(host.answers).toHaveLength(1);
  });
});

describe("silence", () => {
  it("of 40 s aborts the request and resumes the connection", async () => {
    const stream = await opened();
    stream.send(update(1));
    await settle();
    await pass(39.9);
    expect(stream.signal?.aborted).toBe(false);

    await pass(0.1);
    expect(stream.signal?.aborted).toBe(true);
    expect((await resumed()).envelope["lastEventId"]).toBe("e-1");
  });

  it("is ended by heartbeats", async () => {
    const stream = await opened();
    for (let beats = 0; beats < 10; beats++) {
      await pass(30);
      stream.send(": heartbeat\n");
    }
    await settle();

    expect(stream.signal?.aborted).toBe(false);
    expect(host.requests.size()).toBe(0);
  });

  it("has a timeout that follows the server's heartbeat interval", async () => {
    const stream = await opened();
    stream.send(OPEN.replace("}", ',"heartbeat_seconds":5}'));
    await settle();
    await pass(10);
    expect(host.answers).toHaveLength(1);
    await pass(9.9);
    expect(stream.signal?.aborted).toBe(false);

    await pass(0.1);
    expect(stream.signal?.aborted).toBe(true);
  });

  it("of a stream without any event resumes the connection", async () => {
    void connections.start("{}", {});
    (await host.requests.next()).stream();
    await pass(40);

    await resumed();
  });
});

describe("a page in the back/forward cache", () => {
  it("aborts its requests, and resumes at once on its return", async () => {
    const stream = await opened();
    stream.send(update(1));
    await settle();
    connections.suspend();
    expect(stream.signal?.aborted).toBe(true);
    await pass(600);
    expect(host.requests.size()).toBe(0);

    connections.wake();
    await settle();

    const request = await host.requests.next();
    expect(request.action).toBe("resume");
    expect(request.envelope["lastEventId"]).toBe("e-1");
    expect(host.lost).toEqual([]);
  });

  it("aborts a resume in flight", async () => {
    const stream = await opened();
    stream.cut();
    const resume = await resumed();
    connections.suspend();

    expect(resume.options.signal?.aborted).toBe(true);
    await pass(600);
    expect(host.requests.size()).toBe(0);
  });
});

it("resumes at once when the network is back", async () => {
  const stream = await opened();
  stream.cut();
  for (let attempt = 0; attempt < 5; attempt++) (await resumed()).fail();
  await settle();
  connections.wake();
  await settle();

  expect(host.requests.size()).toBe(1);
});

it("does not touch a working connection when the network is back", async () => {
  const stream = await opened();
  connections.wake();
  stream.send(update(1));
  await settle();

  expect(host.requests.size()).toBe(0);
  expect(numbers()).toEqual([1]);
});

describe("close", () => {
  const goodbye = {page: "p", runs: ["r"]};

  it("stops the runs with a keepalive request, and does not reconnect", async () => {
    const stream = await opened();
    connections.close(goodbye);
    const request = await host.requests.next();
    expect(request.action).toBe("stop");
    expect(request.envelope).toEqual({version: 1, page: "p", runs: ["r"]});
    expect(request.options).toEqual({keepalive: true});

    stream.cut();
    request.fail();
    await pass(600);
    expect(host.requests.size()).toBe(0);
    expect(connections.size()).toBe(0);
  });

  it("ends a connection that waits to reconnect", async () => {
    const stream = await opened();
    stream.cut();
    await settle();
    connections.close(goodbye);
    expect((await host.requests.next()).action).toBe("stop");
    await pass(600);

    expect(host.requests.size()).toBe(0);
  });

  it("posts nothing when there is no run to stop", async () => {
    await opened();
    connections.close({page: "p", runs: []});
    await settle();

    expect(host.requests.size()).toBe(0);
    expect(connections.size()).toBe(0);
  });
});

describe("an attach", () => {
  const wanted = {page: "p", runs: [{run: "r", seen: 3}]};

  it("posts the runs, and opens a connection as a start does", async () => {
    const attached = connections.attach(wanted);
    const request = await host.requests.next();
    expect(request.action).toBe("attach");
    expect(request.body).toEqual({
      flash_events: {
        version: 1,
        connection: expect.stringMatching(/^[\w-]{22}$/) as string,
        connections: [],
        ...wanted,
      },
    });
    request.stream().send(OPEN);

    expect(await attached).toBe(C);
    expect(connections.size()).toBe(1);
  });

  it("joins an open connection", async () => {
    await opened();
    const attached = connections.attach(wanted);
    const request = await host.requests.next();
    expect(request.envelope).toMatchObject({connections: [C]});
    request.json(202, {connection: C});

    expect(await attached).toBe(C);
  });

  it("that is refused fails with the server's code", async () => {
    const attached = connections.attach(wanted);
    (await host.requests.next()).json(404, {error: "not_found", message: "no"});

    await expect(attached).rejects.toMatchObject({code: "not_found"});
  });
});

describe("a connection that another worker has read before", () => {
  it("is resumed at once from the given position", async () => {
    connections.adopt({connection: C, lastEventId: "e-7"});
    await settle();
    const request = await host.requests.next();
    expect(request.action).toBe("resume");
    expect(request.envelope).toEqual({version: 1, connection: C, lastEventId: "e-7"});
    request.stream().send(OPEN, update(8));
    await settle();

    expect(numbers()).toEqual([8]);
  });

  it("is not resumed when it is open already", async () => {
    await opened();
    connections.adopt({connection: C, lastEventId: "e-7"});
    await pass(10);

    expect(host.requests.size()).toBe(0);
  });

  it("is lost when the server no longer knows it", async () => {
    connections.adopt({connection: C, lastEventId: "e-7"});
    await settle();
    (await host.requests.next()).json(404, {});
    await settle();

    expect(host.lost).toEqual([C]);
  });
});

it("passes the connection and its last event id with every event", async () => {
  const stream = await opened();
  stream.send(update(1), update(2));
  await settle();

  expect(host.positions).toEqual([
    {connection: C, lastEventId: "e-1"},
    {connection: C, lastEventId: "e-2"},
  ]);
});

describe("stop", () => {
  it("names the runs", async () => {
    const stopped = connections.stop({page: "p", runs: ["a", "b"]});
    const request = await host.requests.next();
    expect(request.action).toBe("stop");
    expect(request.envelope).toEqual({version: 1, page: "p", runs: ["a", "b"]});

    request.json(200, {});
    await stopped;
    expect(host.warnings).toEqual([]);
  });

  it("is retried until the server is reached", async () => {
    const stopped = connections.stop({page: "p", runs: ["a"]});
    const first = await host.requests.next();
    first.fail();
    await pass(1);
    const second = await host.requests.next();
    expect(second.body).toEqual(first.body);
    second.text(503, "");
    await pass(2);
    (await host.requests.next()).json(200, {});

    await stopped;
    await pass(60);
    expect(host.requests.size()).toBe(0);
  });

  it("warns when the server cannot be reached", async () => {
    const stopped = connections.stop({page: "p", runs: ["a"]});
    for (let attempt = 1; attempt <= 4; attempt++) {
      (await host.requests.next()).fail();
      await pass(30);
    }

    await stopped;
    expect(host.warnings).toHaveLength(1);
    expect(host.requests.size()).toBe(0);
  });
});

describe("the state of the connection", () => {
  const told = () => host.states.map(([state]) => state);

  it("is reported from the first request to the close", async () => {
    const {send, end} = await opened();
    expect(told()).toEqual(["connecting", "open"]);
    send(CLOSE);
    end();
    await settle();
    expect(told()).toEqual(["connecting", "open", "idle"]);
  });

  it("after a cut contains the retry delay, and is open again after the resume", async () => {
    const {cut} = await opened();
    cut();
    await settle();
    expect(host.states.at(-1)).toEqual(["reconnecting", 1000]);
    const request = await resumed();
    request.stream().send(OPEN);
    await settle();
    expect(told()).toEqual(["connecting", "open", "reconnecting", "open"]);
  });

  it("is lost after a resume that is refused", async () => {
    const {cut} = await opened();
    cut();
    (await resumed()).json(410, {});
    await settle();
    expect(told().at(-1)).toBe("lost");
  });

  it("P23: is lost after a start that did not reach the server", async () => {
    const started = expect(connections.start("{}", {run: "r"})).rejects.toThrow(StartFailed);
    for (let attempt = 1; attempt <= 4; attempt++) {
      (await host.requests.next()).fail();
      await pass(30);
    }
    await started;
    await settle();
    expect(told()).toEqual(["connecting", "lost"]);
  });

  it("is idle again after a start that is refused", async () => {
    const started = connections.start("{}", {run: "r"});
    (await host.requests.next()).json(403, {});
    await expect(started).rejects.toThrow(StartFailed);
    await settle();
    expect(told()).toEqual(["connecting", "idle"]);
  });
});

import {afterEach, beforeEach, describe, expect, it, test, vi} from "vitest";
import {fakeHost, fakeLocks} from "./fakes.ts";
import {createConnections} from "../src/transport/connection.ts";
import {MAX_UNAPPLIED_BYTES} from "../src/transport/flow.ts";
import {createHub} from "../src/tabs/hub.ts";
import {tabLock, type Claim, type Delivery, type Hello, type ToTab} from "../src/tabs/messages.ts";
import type {Endpoint} from "../src/transport/host.ts";

const C = "BBBBBBBBBBBBBBBBBBBBBB";
const OPEN = `event: open\ndata: {"version":1,"connection":"${C}","commands":["special"]}\n\n`;

const update = (run: string, n: number, id = n, text = "") =>
  `id: e-${id}\nevent: update\ndata: {"run":"${run}","n":${n},"set":[],"text":"${text}"}\n\n`;

const end = (run: string, n: number) =>
  `id: e-${n}\nevent: end\ndata: {"run":"${run}","n":${n},"reason":"done"}\n\n`;

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const deliveriesOf = (json = "[]") => JSON.parse(json) as Delivery[];

const settle = () => vi.advanceTimersByTimeAsync(0);
const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);

/** A hub with real connections, whose requests the test answers. */
function setup() {
  const locks = fakeLocks();
  const {host, requests} = fakeHost();
  const endpoints: string[] = [];
  const hub = createHub({
    id: "worker",
    connect: createConnections,
    post(endpoint: Endpoint, action, fields, options) {
      endpoints.push(`${endpoint.url}${action}`);
      return host.post(action, fields, options);
    },
    whenFree: (name) => locks.whenFree(name),
  });

  /** A tab that has sent its hello. */
  function tab(name: string, more: Partial<Hello> = {}) {
    const heard: ToTab[] = [];
    const receive = hub.connect({postMessage: (message) => heard.push(message)});
    void locks.hold(tabLock(name));
    const endpoint = {url: `/${name}/`, headers: {"X-Tab": name}};
    const said = {tab: name, page: `page ${name}`, endpoint, claims: [], positions: [], peers: []};
    receive({type: "hello", ...said, ...more});
    let asked = 0;
    return {
      heard,
      receive,
      of: <T extends ToTab["type"]>(type: T) =>
        heard.filter((one): one is Extract<ToTab, {type: T}> => one.type === type),
      /** `run:n` of every event that came. */
      events: () =>
        heard.flatMap((one) =>
          one.type === "events"
            ? deliveriesOf(one.json).map(({event}) => `${event.run}:${"n" in event ? event.n : ""}`)
            : [],
        ),
      lost: () => heard.flatMap((one) => (one.type === "lost" ? [one.id] : [])),
      start(run: string, survives = false) {
        receive({
          type: "ask",
          ask: ++asked,
          action: "start",
          endpoint,
          body: '{"output":"cb"}',
          fields: {page: `page ${name}`, run, replaces: [], callback: "cb"},
          claims: [{run, survives}],
        });
        return asked;
      },
      die: () => locks.release(tabLock(name)),
    };
  }

  /** A tab whose run `run` has opened the connection. */
  async function opened(name: string, run: string, survives = false) {
    const one = tab(name);
    one.start(run, survives);
    const stream = (await requests.next()).stream();
    stream.send(OPEN);
    await settle();
    return {...one, stream};
  }

  /** Starts another run, which joins the open connection. */
  async function joined(one: ReturnType<typeof tab>, run: string, survives = false) {
    one.start(run, survives);
    (await requests.next()).json(202, {connection: C});
    await settle();
  }

  /** The runs that the next request stops. */
  async function stopped() {
    const request = await requests.next();
    expect(request.action).toBe("stop");
    expect(request.options).toEqual({keepalive: true});
    request.json(202, {});
    return request.envelope["runs"];
  }

  return {hub, locks, requests, endpoints, tab, opened, joined, stopped};
}

describe("a tab", () => {
  it("is welcomed with the worker's id and the registered commands", async () => {
    const {opened, tab} = setup();
    const one = await opened("a", "r");
    expect(one.heard[0]).toEqual({type: "welcome", worker: "worker", commands: []});
    expect(one.of("commands")).toEqual([{type: "commands", props: ["special"]}]);

    expect(tab("b").heard[0]).toEqual({type: "welcome", worker: "worker", commands: ["special"]});
  });

  it("starts runs with its own URL and headers, and joins the one connection", async () => {
    const {opened, tab, requests, endpoints} = setup();
    await opened("a", "r1");
    const two = tab("b");
    const ask = two.start("r2");
    const request = await requests.next();
    expect(request.body).toMatchObject({
      output: "cb",
      flash_events: {run: "r2", page: "page b", connections: [C]},
    });
    expect(endpoints).toEqual(["/a/start", "/b/start"]);
    request.json(202, {connection: C});
    await settle();

    const position = {connection: C, lastEventId: ""};
    expect(two.of("answer")).toEqual([{type: "answer", ask, position}]);
  });

  it("gets events of its own runs only, and one message per chunk", async () => {
    const {opened, joined, tab} = setup();
    const one = await opened("a", "r1");
    const two = tab("b");
    await joined(two, "r2");
    one.stream.send(update("r1", 1) + update("r2", 1, 2) + update("r1", 2, 3) + end("unknown", 4));
    await settle();

    expect(one.events()).toEqual(["r1:1", "r1:2"]);
    expect(two.events()).toEqual(["r2:1"]);
    expect(one.of("events")).toHaveLength(1);
    expect(deliveriesOf(two.of("events")[0]?.json)[0]?.position).toEqual({connection: C, lastEventId: "e-2"});
  });

  it("gets the reason why a start was refused", async () => {
    const {tab, requests} = setup();
    const one = tab("a");
    const ask = one.start("r");
    const set = [["out", {children: "sorry"}]];
    (await requests.next()).json(429, {error: "too_many", message: "Too many runs.", set});
    await settle();

    const full = {limit: "", retryMs: 1000};
    const refusal = {type: "refusal", ask, code: "too_many", message: "Too many runs.", full, set};
    expect(one.of("refusal")).toEqual([refusal]);
  });

  it("gets the end of a run again after it attaches again", async () => {
    const {opened} = setup();
    const one = await opened("a", "r", true);
    one.stream.send(end("r", 3), update("r", 3), end("r", 3));
    await settle();

    expect(one.events()).toEqual(["r:3", "r:3", "r:3"]);
  });

  it("that attaches owns the attached runs", async () => {
    const {tab, requests} = setup();
    const one = tab("a");
    one.receive({
      type: "ask",
      ask: 1,
      action: "attach",
      endpoint: {url: "/a/", headers: {}},
      fields: {page: "page a", runs: [{run: "r", seen: 0}]},
      claims: [{run: "r", survives: true}],
    });
    const request = await requests.next();
    expect(request.action).toBe("attach");
    request.stream().send(OPEN, update("r", 5));
    await settle();

    expect(one.events()).toEqual(["r:5"]);
  });

  it("P22: gets the close of a connection after earlier events", async () => {
    const {opened} = setup();
    const one = await opened("a", "r");
    one.stream.send(update("r", 1) + "event: close\ndata: {}\n\n");
    await settle();

    expect(one.lost()).toEqual([C]);
    const types = one.heard.map(({type}) => type);
    expect(types.indexOf("lost")).toBeGreaterThan(types.indexOf("events"));
  });

  it("gets a lost connection, as all tabs do", async () => {
    const {opened, tab, requests} = setup();
    const one = await opened("a", "r");
    const two = tab("b");
    one.stream.cut();
    await settle();
    (await requests.next()).json(404, {});
    await settle();

    expect([one.lost(), two.lost()]).toEqual([[C], [C]]);
  });
});

it("resumes with the endpoint of a live tab after the tab that opened the connection has left", async () => {
  const {opened, joined, tab, stopped, requests, endpoints} = setup();
  const one = await opened("a", "r1");
  await joined(tab("b"), "r2");
  one.receive({type: "bye"});
  await stopped();
  one.stream.cut();
  await settle();
  expect((await requests.next()).action).toBe("resume");

  expect(endpoints.at(-1)).toBe("/b/resume");
});

describe("P21: a request whose token has expired", () => {
  const fresh = {url: "/a/fresh/", headers: {"X-Tab": "new"}};

  it("is retried with headers of the tab that sent it", async () => {
    const {tab, requests, endpoints} = setup();
    const one = tab("a");
    const two = tab("b");
    one.start("r");
    (await requests.next()).text(401, "JWT Expired");
    await settle();
    expect(two.of("renew")).toEqual([]);
    const [renew] = one.of("renew");
    expect(renew).toMatchObject({refused: {url: "/a/"}, isExpired: true});
    one.receive({type: "renewed", ask: renew?.ask ?? 0, endpoint: fresh});

    expect((await requests.next()).action).toBe("start");
    expect(endpoints).toEqual(["/a/start", "/a/fresh/start"]);
  });

  it("is resumed with headers of another tab if that one leaves", async () => {
    const {opened, tab, requests, endpoints} = setup();
    const two = tab("b");
    const one = await opened("a", "r");
    one.stream.cut();
    await settle();
    (await requests.next()).text(401, "JWT Expired");
    await settle();
    expect(one.of("renew")).toHaveLength(1);
    one.receive({type: "bye"});
    await settle();
    const [renew] = two.of("renew");
    two.receive({type: "renewed", ask: renew?.ask ?? 0, endpoint: fresh});
    await settle();

    expect(endpoints.filter((one) => one.endsWith("resume"))).toEqual(["/a/resume", "/a/fresh/resume"]);
  });

  it("is retried while no tab can renew it", async () => {
    const {opened, requests} = setup();
    const one = await opened("a", "r");
    one.receive({type: "suspend", heard: 0});
    one.stream.cut();
    await settle();
    (await requests.next()).text(401, "JWT Expired");
    await pass(1);

    expect((await requests.next()).action).toBe("resume");
    expect(one.lost()).toEqual([]);
  });
});

describe("a tab that has left", () => {
  it("is detected by its lock: its runs stop, and no others", async () => {
    const {opened, joined, tab, stopped} = setup();
    const one = await opened("a", "r1");
    const two = tab("b");
    await joined(two, "r2");
    await joined(two, "r3");
    two.die();
    await pass(0.2);

    expect(await stopped()).toEqual(["r2", "r3"]);
    one.stream.send(update("r1", 1), update("r2", 1));
    await settle();
    expect(one.events()).toEqual(["r1:1"]);
    expect(two.events()).toEqual([]);
  });

  it("has its unanswered starts stopped", async () => {
    const {tab, requests, stopped} = setup();
    const one = tab("a");
    one.start("r");
    await requests.next();
    one.die();
    await pass(0.2);

    expect(await stopped()).toEqual(["r"]);
  });

  it("does not have its surviving runs stopped", async () => {
    const {opened, joined, stopped, requests} = setup();
    const one = await opened("a", "r1", true);
    await joined(one, "r2");
    one.receive({type: "bye"});

    expect(await stopped()).toEqual(["r2"]);
    await pass(10);
    expect(requests.size()).toBe(0);
  });

  it("does not have ended runs stopped", async () => {
    const {opened, requests} = setup();
    const one = await opened("a", "r");
    one.stream.send(end("r", 0));
    await settle();
    one.die();
    await pass(1);

    expect(requests.size()).toBe(0);
  });
});

describe("a tab in the back/forward cache", () => {
  async function suspended() {
    const all = setup();
    const one = await all.opened("a", "r1");
    one.receive({type: "suspend", heard: one.heard.length - 1});
    one.die();
    const count = one.heard.length;
    return {...all, one, sent: () => one.heard.length - count};
  }

  it("gets no message, and all missed ones on its return", async () => {
    const {one, sent, tab, joined, requests} = await suspended();
    one.stream.send(update("r1", 1), update("r1", 2));
    await joined(tab("b"), "r2"); // would announce another tab to it
    await pass(10);
    expect(sent()).toBe(0);
    expect(requests.size()).toBe(0);

    const back = tab("a", {claims: [{run: "r1", survives: false}]});
    expect(back.events()).toEqual(["r1:1", "r1:2"]);
    expect(back.lost()).toEqual([]);
    one.stream.send(update("r1", 3));
    await pass(60);
    expect(back.events()).toEqual(["r1:1", "r1:2", "r1:3"]);
  });

  it("gets messages again that were in transit when it was suspended", async () => {
    const {opened, tab} = setup();
    const one = await opened("a", "r1");
    const heard = one.heard.length - 1;
    one.stream.send(update("r1", 1));
    await settle();
    one.receive({type: "suspend", heard});
    one.stream.send(update("r1", 2));
    await settle();

    expect(tab("a", {claims: [{run: "r1", survives: false}]}).events()).toEqual(["r1:1", "r1:2"]);
  });

  it("has its runs stopped after a timeout of 30 s, and gets their loss on its return", async () => {
    const {tab, stopped} = await suspended();
    await pass(30);
    expect(await stopped()).toEqual(["r1"]);

    expect(tab("a", {claims: [{run: "r1", survives: false}]}).lost()).toEqual(["r1"]);
  });

  it("has its runs stopped above the limit of 1 MiB, and gets their loss on its return", async () => {
    const {one, tab, stopped} = await suspended();
    one.stream.send(update("r1", 1, 1, "x".repeat(1024 * 1024)));
    await settle();
    expect(await stopped()).toEqual(["r1"]);

    const back = tab("a", {claims: [{run: "r1", survives: false}]});
    expect([back.lost(), back.events()]).toEqual([["r1"], []]);
  });

  it("does not have a surviving run stopped, and gets its loss of events", async () => {
    const all = setup();
    const one = await all.opened("a", "r1", true);
    one.receive({type: "suspend", heard: one.heard.length - 1});
    await pass(30);
    expect(all.requests.size()).toBe(0);

    expect(all.tab("a", {claims: [{run: "r1", survives: true}]}).lost()).toEqual(["r1"]);
  });
});

describe("a slow tab", () => {
  const big = (run: string, n: number) => update(run, n, n, "x".repeat(MAX_UNAPPLIED_BYTES / 2));

  async function slow() {
    const all = setup();
    const one = await all.opened("a", "r1");
    const two = all.tab("b");
    await all.joined(two, "r2");
    for (const n of [1, 2, 3]) {
      one.stream.send(big("r2", n));
      await settle();
    }
    one.stream.send(update("r1", 1));
    await settle();
    return {...all, one, two};
  }

  it("that makes progress is waited for, and loses nothing", async () => {
    const {one, two, requests} = await slow();
    expect(one.events()).toEqual([]);
    await pass(1.9);
    two.receive({type: "applied", bytes: MAX_UNAPPLIED_BYTES});
    await settle();

    expect(one.events()).toEqual(["r1:1"]);
    expect(two.lost()).toEqual([]);
    expect(requests.size()).toBe(0);
  });

  it("that makes none has its runs stopped and gets their loss, and other tabs continue", async () => {
    const {one, two, stopped} = await slow();
    await pass(2);

    expect(await stopped()).toEqual(["r2"]);
    expect(two.lost()).toEqual(["r2"]);
    expect(one.events()).toEqual(["r1:1"]);
    expect(one.lost()).toEqual([]);
  });
});

describe("the successor of a worker that has died", () => {
  const claim = (run: string): Claim => ({run, survives: false});
  const at = (lastEventId: string, time: number) => [{connection: C, lastEventId, at: time}];

  it("resumes from the latest position of all tabs", async () => {
    const {tab, requests} = setup();
    const one = tab("a", {claims: [claim("r1")], positions: at("e-3", 100)});
    const two = tab("b", {claims: [claim("r2")], positions: at("e-9", 200)});
    await pass(0.2);
    const request = await requests.next();
    expect(request.action).toBe("resume");
    expect(request.envelope).toMatchObject({connection: C, lastEventId: "e-9"});
    request.stream().send(OPEN, update("r1", 7), update("r2", 8));
    await settle();

    expect([one.events(), two.events()]).toEqual([["r1:7"], ["r2:8"]]);
    expect(requests.size()).toBe(0);
  });

  it("buffers events for a tab that others have reported until its hello", async () => {
    const {tab, requests, locks} = setup();
    void locks.hold(tabLock("b"));
    const peers = [{tab: "b", page: "page b", claims: [claim("r2")]}];
    tab("a", {positions: at("e-3", 100), peers});
    await pass(0.2);
    (await requests.next()).stream().send(OPEN, update("r2", 1));
    await settle();

    expect(tab("b", {claims: [claim("r2")]}).events()).toEqual(["r2:1"]);
  });

  it("stops the runs of a tab that others have reported and that has left too", async () => {
    const {tab, stopped} = setup();
    tab("a", {peers: [{tab: "b", page: "page b", claims: [claim("r2"), claim("r3")]}]});
    await pass(0.2);

    expect(await stopped()).toEqual(["r2", "r3"]);
  });
});

it("sends every tab the other tabs' runs, for the next worker", async () => {
  const {opened, joined, tab} = setup();
  const one = await opened("a", "r1");
  const two = tab("b");
  await joined(two, "r2", true);

  expect(one.of("peers").at(-1)?.peers).toEqual([
    {tab: "b", page: "page b", claims: [{run: "r2", survives: true}]},
  ]);
  expect(two.of("peers").at(-1)?.peers).toEqual([
    {tab: "a", page: "page a", claims: [{run: "r1", survives: false}]},
  ]);
});

test("a tab that connects late gets the connection's state", async () => {
  const {tab, requests} = setup();
  const early = tab("early");
  early.start("r");
  (await requests.next()).stream().send(OPEN);
  await settle();
  expect(early.of("state").map((one) => one.state)).toEqual(["connecting", "open"]);
  expect(tab("late").of("state").map((one) => one.state)).toEqual(["open"]);
});

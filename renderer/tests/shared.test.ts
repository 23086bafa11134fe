import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {deferred, fakeConnections, fakeLocks} from "./fakes.ts";
import {tabLock, workerLock, type Peer, type ToTab, type ToWorker} from "../src/tabs/messages.ts";
import {createShared} from "../src/tabs/shared.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const settle = () => vi.advanceTimersByTimeAsync(0);
const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);

/** A worker as a page sees it; the test sends its messages. */
function fakeWorker(tell: (message: ToTab) => void, fail: () => void) {
  const heard: ToWorker[] = [];
  const state = {isClosed: false};
  return {
    heard,
    state,
    tell,
    fail,
    port: {
      postMessage: (message: ToWorker) => void heard.push(message),
      close: () => void (state.isClosed = true),
    },
    of: <T extends ToWorker["type"]>(type: T) =>
      heard.filter((one): one is Extract<ToWorker, {type: T}> => one.type === type),
  };
}

function setup({hasWorker = true} = {}) {
  const locks = fakeLocks();
  const owned = fakeConnections();
  const workers: ReturnType<typeof fakeWorker>[] = [];
  const events: string[] = [];
  const lost: string[] = [];
  const states: string[] = [];
  const commands: string[] = [];
  const away: string[] = [];
  const state = {unapplied: 0, hasWorker};
  const shared = createShared({
    host: {
      onEvent: ({run}, bytes) => events.push(`${run} ${bytes}`),
      onLost: (id) => lost.push(id),
      onState: (state) => states.push(state),
      onCommands: (props) => commands.push(...props),
      warn: () => undefined,
    },
    owned: {
      ...owned.connections,
      suspend: () => void away.push("suspend"),
      wake: () => void away.push("wake"),
    },
    page: Promise.resolve("p"),
    endpoint: () => ({url: "/", headers: {"X-Token": "t"}}),
    renew: (_, isExpired) =>
      Promise.resolve(isExpired ? {url: "/", headers: {"X-Token": "fresh"}} : undefined),
    unapplied: () => state.unapplied,
    open(onMessage, onError) {
      if (!state.hasWorker) return undefined;
      const worker = fakeWorker(onMessage, onError);
      workers.push(worker);
      return worker.port;
    },
    hold: (name) => locks.hold(name),
    whenFree: (name, signal) => locks.whenFree(name, signal),
  });
  const start = (run: string) =>
    shared.start('{"output":"cb"}', {page: "p", run, replaces: [], callback: "cb"}, run === "finish");

  /** The worker that the page has connected to last, with its lock held. */
  async function welcome(name = "w") {
    await settle();
    const worker = workers.at(-1);
    if (!worker) throw new Error("The page has not reached for a worker.");
    void locks.hold(workerLock(name));
    worker.tell({type: "welcome", worker: name, commands: ["special"]});
    await settle();
    return worker;
  }

  /** A run that a worker streams over connection `c`. */
  async function carried(run = "r") {
    const started = start(run);
    const worker = await welcome();
    const ask = worker.of("ask").at(-1)?.ask ?? 0;
    worker.tell({type: "answer", ask, position: {connection: "c", lastEventId: "e-1"}});
    expect(await started).toBe("c");
    return worker;
  }

  return {shared, start, welcome, carried, locks, owned, workers, events, lost, commands, away, state};
}

const delivery = (run: string, lastEventId: string, bytes = 10) => ({
  event: {type: "update", run, n: 1, set: []} as const,
  bytes,
  position: {connection: "c", lastEventId},
});

describe("a page", () => {
  it("connects to the worker with its first start, and not before", async () => {
    const {start, workers, welcome, owned} = setup();
    await pass(10);
    expect(workers).toEqual([]);
    void start("r");
    await welcome();
    void start("finish");
    await settle();

    const [worker] = workers;
    expect(workers).toHaveLength(1);
    expect(worker?.of("hello")).toMatchObject([
      {page: "p", endpoint: {url: "/", headers: {"X-Token": "t"}}, claims: [], positions: []},
    ]);
    expect(worker?.of("ask")).toMatchObject([
      {action: "start", body: '{"output":"cb"}', claims: [{run: "r", survives: false}]},
      {fields: {run: "finish"}, claims: [{run: "finish", survives: true}]},
    ]);
    expect(owned.starts.size()).toBe(0);
  });

  it("holds its lock before it sends its hello", async () => {
    const {start, workers, locks} = setup();
    void start("r");
    await settle();
    const [hello] = workers[0]?.of("hello") ?? [];

    expect(hello && locks.isHeld(tabLock(hello.tab))).toBe(true);
  });

  it("passes on events, lost runs and commands from the worker", async () => {
    const {carried, events, lost, commands} = setup();
    const worker = await carried();
    worker.tell({type: "events", json: JSON.stringify([delivery("r", "e-2"), delivery("r", "e-3", 5)])});
    worker.tell({type: "lost", id: "r"});

    expect(events).toEqual(["r 10", "r 5"]);
    expect(lost).toEqual(["r"]);
    expect(commands).toEqual(["special"]);
  });

  it("gets the reason why a start was refused", async () => {
    const {start, welcome} = setup();
    const started = start("r");
    const worker = await welcome();
    const set = [["out", {children: "sorry"}]] as const;
    const refusal = {code: "too_large", message: "Too large.", full: undefined, set};
    worker.tell({type: "refusal", ask: 1, ...refusal});

    await expect(started).rejects.toMatchObject(refusal);
  });

  it("P17: releases its claim to a refused run", async () => {
    const {start, welcome, locks} = setup();
    const started = expect(start("r")).rejects.toThrow("Too many.");
    const worker = await welcome();
    const full = {limit: "max_runs", retryMs: 5000};
    worker.tell({type: "refusal", ask: 1, code: "too_many", message: "Too many.", full, set: undefined});
    await started;
    locks.release(workerLock("w"));

    expect((await welcome("v")).of("hello")).toMatchObject([{claims: []}]);
  });

  it.each([
    [true, {url: "/", headers: {"X-Token": "fresh"}}],
    [false, undefined],
  ])("P21: renews its headers for the worker (expired: %s)", async (isExpired, endpoint) => {
    const {carried} = setup();
    const worker = await carried();
    worker.tell({type: "renew", ask: 7, refused: {url: "/", headers: {}}, isExpired});
    await settle();

    expect(worker.of("renewed")).toEqual([{type: "renewed", ask: 7, endpoint}]);
  });

  it("sends stop requests itself", async () => {
    const {shared, carried, owned} = setup();
    await carried();
    await shared.stop({page: "p", runs: ["r"]});

    expect(owned.stops).toEqual([["r"]]);
  });

  it("sends its close to the server and to the worker", async () => {
    const {shared, carried, owned} = setup();
    const worker = await carried();
    shared.close({page: "p", runs: ["r"]});

    expect(owned.closes).toEqual([{page: "p", runs: ["r"]}]);
    expect(worker.of("bye")).toHaveLength(1);
  });

  it("reports its applied bytes in steps", async () => {
    const {shared, carried, state} = setup();
    const worker = await carried();
    state.unapplied = 300_000;
    worker.tell({type: "events", json: JSON.stringify([delivery("r", "e-2", 400_000)])});
    expect(worker.of("applied")).toEqual([]);
    state.unapplied = 100_000;
    shared.report();
    state.unapplied = 99_000;
    shared.report();

    expect(worker.of("applied")).toEqual([{type: "applied", bytes: 300_000}]);
  });
});

describe("a page uses its own connections", () => {
  /** Expects that the page has started a run itself. */
  async function isOwned({owned}: ReturnType<typeof setup>, started: Promise<string>) {
    (await owned.starts.next()).answer("own");
    expect(await started).toBe("own");
  }

  it("if there are no shared workers", async () => {
    const all = setup({hasWorker: false});
    await isOwned(all, all.start("r"));
  });

  it("if the worker's script does not load", async () => {
    const all = setup();
    const started = all.start("r");
    await settle();
    all.workers[0]?.fail();
    await isOwned(all, started);

    expect(all.workers[0]?.state.isClosed).toBe(true);
  });

  it("after a welcome timeout of two seconds, even if the worker answers later", async () => {
    const all = setup();
    const started = all.start("r");
    await pass(1.9);
    expect(all.owned.starts.size()).toBe(0);
    await pass(0.1);
    await isOwned(all, started);
    all.workers[0]?.tell({type: "welcome", worker: "w", commands: []});
    await isOwned(all, all.start("r2"));

    expect(all.workers).toHaveLength(1);
  });

  it("and suspends and wakes them", async () => {
    const all = setup({hasWorker: false});
    await isOwned(all, all.start("r"));
    all.shared.suspend();
    all.shared.restore();

    expect(all.away).toEqual(["suspend", "wake"]);
  });
});

describe("a worker that dies", () => {
  const peers: Peer[] = [{tab: "t", page: "q", claims: [{run: "x", survives: false}]}];

  it("is followed by another, which gets the page's claims and positions", async () => {
    const {carried, workers, locks, welcome, lost, events} = setup();
    const worker = await carried();
    worker.tell({type: "events", json: JSON.stringify([delivery("r", "e-7")])});
    worker.tell({type: "peers", peers});
    locks.release(workerLock("w"));
    const next = await welcome("w2");

    expect(workers).toHaveLength(2);
    expect(next.of("hello")).toMatchObject([
      {
        tab: worker.of("hello")[0]?.tab,
        claims: [{run: "r", survives: false}],
        positions: [{connection: "c", lastEventId: "e-7"}],
        peers,
      },
    ]);
    expect(lost).toEqual([]);
    next.tell({type: "events", json: JSON.stringify([delivery("r", "e-8")])});
    expect(events).toHaveLength(2);
  });

  it("has a successor that does not get ended or stopped runs", async () => {
    const {carried, locks, welcome, shared, start} = setup();
    const worker = await carried();
    void start("r2");
    await settle();
    const over = {type: "end", run: "r", n: 1, reason: "done"} as const;
    worker.tell({type: "events", json: JSON.stringify([{...delivery("r", "e-7"), event: over}])});
    await shared.stop({page: "p", runs: ["r2"]});
    locks.release(workerLock("w"));

    expect((await welcome("w2")).of("hello")).toMatchObject([{claims: [], positions: []}]);
  });

  it("has its unanswered starts sent again", async () => {
    const {start, welcome, locks} = setup();
    const started = start("r");
    await welcome();
    locks.release(workerLock("w"));
    const next = await welcome("w2");
    expect(next.of("ask")).toMatchObject([{ask: 1, fields: {run: "r"}}]);
    next.tell({type: "answer", ask: 1, position: {connection: "c", lastEventId: ""}});

    expect(await started).toBe("c");
  });

  it("without a successor loses its runs, and the page uses its own connections from then on", async () => {
    const {carried, start, locks, lost, state, owned} = setup();
    await carried();
    const started = start("r2");
    await settle();
    state.hasWorker = false;
    locks.release(workerLock("w"));
    await settle();
    expect(lost).toEqual(["r"]);
    const request = await owned.starts.next();
    expect(request.fields.run).toBe("r2");
    request.answer("own");

    expect(await started).toBe("own");
  });

  it("more often than the limit is not replaced", async () => {
    const {carried, locks, welcome, workers, lost} = setup();
    await carried();
    locks.release(workerLock("w"));
    for (let deaths = 2; deaths <= 6; deaths++) {
      await welcome(`w${deaths}`);
      locks.release(workerLock(`w${deaths}`));
      await settle();
    }

    expect(workers).toHaveLength(6);
    expect(lost).toEqual(["r"]);
  });
});

describe("a page in the back/forward cache", () => {
  it("tells the worker before it releases its lock, and does not wait for the worker's death", async () => {
    const {shared, carried, locks, workers, lost} = setup();
    const worker = await carried();
    const tab = worker.of("hello")[0]?.tab ?? "";
    shared.suspend();
    expect(worker.of("suspend")).toEqual([{type: "suspend", heard: 1}]);
    expect(worker.state.isClosed).toBe(true);
    expect(locks.isHeld(tabLock(tab))).toBe(false);
    locks.release(workerLock("w"));
    await pass(60);

    expect([workers.length, lost]).toEqual([1, []]);
  });

  it("sends a hello as the same tab on its return", async () => {
    const {shared, carried, welcome, workers, locks} = setup();
    const worker = await carried();
    shared.suspend();
    shared.restore();
    const again = await welcome();
    const [hello] = again.of("hello");

    expect(workers).toHaveLength(2);
    expect(hello?.tab).toBe(worker.of("hello")[0]?.tab);
    expect(hello?.claims).toEqual([{run: "r", survives: false}]);
    expect(locks.isHeld(tabLock(hello?.tab ?? ""))).toBe(true);
  });

  it("does not connect to a worker on its return if it had none", async () => {
    const {shared, workers} = setup();
    shared.suspend();
    shared.restore();
    await settle();

    expect(workers).toEqual([]);
  });
});

it("wakes the worker's connections when the network is back", async () => {
  const {shared, carried} = setup();
  const worker = await carried();
  shared.wake();

  expect(worker.of("wake")).toHaveLength(1);
});

it("starts wait until the worker has answered or timed out", async () => {
  const {start, welcome} = setup();
  const both = [start("a"), start("b")];
  const answered = deferred<readonly string[]>();
  Promise.all(both).then(answered.resolve, answered.reject);
  const worker = await welcome();
  for (const ask of [1, 2]) {
    worker.tell({type: "answer", ask, position: {connection: "c", lastEventId: ""}});
  }

  expect(await answered.promise).toEqual(["c", "c"]);
});

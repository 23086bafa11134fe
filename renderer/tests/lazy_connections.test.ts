import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {fakeConnections} from "./fakes.ts";
import {StartFailed} from "../src/transport/responses.ts";
import type {Connections, Host} from "../src/transport/host.ts";
import {createLazyConnections, type CreateConnections} from "../src/transport/lazy_connections.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const FIELDS = {page: "p", run: "r", replaces: [], callback: "cb"};

/** A page whose connections script can be loaded from the given attempt on. */
function setup(loadsAt = 1) {
  const made = fakeConnections();
  const posts: string[] = [];
  const states: string[] = [];
  const away: string[] = [];
  let loads = 0;
  const host = {
    post: (action: string) => {
      posts.push(action);
      return Promise.resolve({ok: true});
    },
    onState: (state: string) => states.push(state),
    warn: () => undefined,
  } as unknown as Host;
  const create: CreateConnections = () =>
    ({
      ...made.connections,
      suspend: () => away.push("suspend"),
      wake: () => away.push("wake"),
    }) as unknown as Connections;
  const owned = createLazyConnections(host, () => Promise.resolve(++loads >= loadsAt ? create : undefined));
  return {owned, made, posts, states, away, loads: () => loads};
}

describe("connections of a page that shares none", () => {
  it("load their script once, with the first start", async () => {
    const {owned, made, loads} = setup();
    expect(loads()).toBe(0);
    const started = [1, 2].map(() => owned.start("{}", FIELDS, false));
    for (const _ of started) (await made.starts.next()).answer("c");
    expect(await Promise.all(started)).toEqual(["c", "c"]);
    expect(loads()).toBe(1);
  });

  it("load their script earlier if it will be needed", async () => {
    const {owned, loads} = setup();
    owned.prepare();
    await vi.advanceTimersByTimeAsync(0);
    expect(loads()).toBe(1);
  });

  it("retry to load it, and start the run once it is loaded", async () => {
    const {owned, made, loads} = setup(3);
    const started = owned.start("{}", FIELDS, false);
    await vi.advanceTimersByTimeAsync(60_000);
    (await made.starts.next()).answer("c");
    expect(await started).toBe("c");
    expect(loads()).toBe(3);
  });

  it("fail a start if the script cannot be loaded, and retry with the next one", async () => {
    const {owned, made, states} = setup(5);
    const refused = owned.start("{}", FIELDS, false).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await refused).toMatchObject({code: "network"});
    expect(states).toEqual(["lost"]);
    const started = owned.start("{}", FIELDS, false);
    (await made.starts.next()).answer("c");
    expect(await started).toBe("c");
  });

  it("convert a refusal to the page's own error class", async () => {
    const {owned, made} = setup();
    const started = owned.attach({page: "p", runs: []}).catch((error: unknown) => error);
    const full = {limit: "max_runs", retryMs: 1000};
    const set = [["out", {}]];
    (await made.attaches.next()).refuse({code: "too_many", message: "No room.", full, set});
    const error = await started;
    expect(error).toBeInstanceOf(StartFailed);
    expect(error).toMatchObject({code: "too_many", message: "No room.", full, set});
  });

  it("stop runs without their script", async () => {
    const {owned, posts, loads} = setup();
    await owned.stop({page: "p", runs: ["r"]});
    owned.close({page: "p", runs: ["r"]});
    owned.close({page: "p", runs: []});
    owned.suspend();
    owned.wake();
    expect(posts).toEqual(["stop", "stop"]);
    expect(loads()).toBe(0);
  });

  it("pass on close, suspend and wake once they are loaded", async () => {
    const {owned, made, posts, away} = setup();
    const started = owned.start("{}", FIELDS, false);
    (await made.starts.next()).answer("c");
    await started;
    owned.suspend();
    owned.wake();
    owned.close({page: "p", runs: ["r"]});
    expect(away).toEqual(["suspend", "wake"]);
    expect(made.closes).toEqual([{page: "p", runs: ["r"]}]);
    expect(posts).toEqual([]);
  });
});

import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {deferred} from "./fakes.ts";
import {StartFailed} from "../src/transport/responses.ts";
import {createLazyWaitlist} from "../src/runs/lazy_waitlist.ts";
import {createWaitlist} from "../src/runs/waitlist.ts";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const settle = () => vi.advanceTimersByTimeAsync(0);
const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);

/** A server with a limit of runs, and starts of a page, each named by its run. */
function setup(room = 0, limit = "max_runs_per_page") {
  const server = {room, asked: [] as string[], isDown: false, limit};
  const warnings: string[] = [];
  const began: string[] = [];
  const dropped: string[] = [];
  const failed: string[] = [];
  const given = new Set<string>();
  const waits: string[] = [];
  const load = () => Promise.resolve(createWaitlist((message) => warnings.push(message)));
  const {enter, retryNow} = createLazyWaitlist(load);
  function start(run: string, replaces: readonly string[] = []): void {
    const ask = () => {
      server.asked.push(run);
      if (server.isDown) return Promise.reject(new StartFailed("network", "Down."));
      if (replaces.length || server.room-- > 0) return Promise.resolve("c");
      server.room = 0;
      const full = {limit: server.limit, retryMs: 5000};
      return Promise.reject(new StartFailed("too_many", "Too many runs.", full));
    };
    const isWanted = () => !given.has(run);
    const onLimitReached = () => void waits.push(run);
    enter({runs: [run], replaces, isNew: !replaces.length, ask, isWanted, onLimitReached}).then(
      (connection) => (connection ? began : dropped).push(run),
      () => failed.push(run),
    );
  }
  return {server, start, retryNow, warnings, began, dropped, failed, given, waits};
}

describe("P17: a start that is refused by a limit", () => {
  it("is retried after the server's Retry-After and some jitter", async () => {
    const {server, start, began, waits} = setup();
    start("a");
    await pass(7.4);
    expect(server.asked).toEqual(["a"]);
    expect(waits).toEqual(["a"]);
    server.room = 1;
    await pass(0.2);
    expect(began).toEqual(["a"]);
    await pass(60);
    expect(server.asked).toEqual(["a", "a"]);
  });

  it("is retried when a run of the page ends, before later starts", async () => {
    const {server, start, retryNow, began} = setup(2);
    for (const run of "abcdef") start(run);
    await settle();
    expect(began).toEqual(["a", "b"]);
    start("g");
    await settle();
    server.room = 1;
    retryNow();
    await settle();
    expect(began).toEqual(["a", "b", "c"]);
    server.room = 9;
    retryNow();
    await settle();
    expect(began.join("")).toBe("abcdefg");
  });

  it("causes one warning, however many wait and how long", async () => {
    const {server, start, warnings, began} = setup();
    for (const run of "abc") start(run);
    await pass(100);
    expect(warnings).toEqual([expect.stringMatching(/waits.*Too many runs\./)]);
    server.room = 3;
    await pass(10);
    expect(began.join("")).toBe("abc");
    start("d");
    await pass(1);
    expect(warnings).toHaveLength(1);
  });

  it("causes one request at a time, however many wait", async () => {
    const {server, start} = setup();
    for (const run of "abcdefgh") start(run);
    await settle();
    server.asked.length = 0;
    await pass(16);
    expect(server.asked).toEqual(["a", "a"]);
  });

  it("is not retried after it is given up, and the next one is", async () => {
    const {server, start, retryNow, began, dropped, given} = setup();
    for (const run of "abc") start(run);
    await settle();
    given.add("a").add("b");
    server.room = 9;
    retryNow();
    await settle();
    expect(dropped).toEqual(["a", "b"]);
    expect(began).toEqual(["c"]);
    expect(server.asked).toEqual(["a", "b", "c", "c"]);
  });

  it("gives its place to the start that replaces it", async () => {
    const {server, start, retryNow, began, dropped} = setup();
    for (const run of "abc") start(run);
    await settle();
    start("A", ["a"]);
    await settle();
    expect(dropped).toEqual(["a"]);
    server.room = 9;
    retryNow();
    await settle();
    expect(began).toEqual(["A", "b", "c"]);
  });

  it("does not delay a start that replaces a live run", async () => {
    const {start, began} = setup(1);
    for (const run of "ab") start(run);
    await settle();
    start("A", ["a"]);
    await settle();
    expect(began).toEqual(["a", "A"]);
  });

  it("of plain generators does not delay other callbacks", async () => {
    const {server, start, began} = setup(0, "max_threads");
    start("plain");
    await settle();
    server.room = 1;
    start("async");
    await settle();
    expect(began).toEqual(["async"]);
  });

  it("may be refused for another reason, and the next one is retried", async () => {
    const {server, start, retryNow, failed} = setup();
    for (const run of "ab") start(run);
    await settle();
    server.isDown = true;
    retryNow();
    await settle();
    expect(failed).toEqual(["a", "b"]);
  });

  it("is retried at once if a run ends during the refusal", async () => {
    const {enter, retryNow} = createWaitlist(() => undefined);
    const answers = [deferred<string>(), deferred<string>(), deferred<string>()];
    let asked = 0;
    const ask = () => answers[asked++]?.promise ?? Promise.reject(new Error("asked too often"));
    const started = enter({runs: ["a"], replaces: [], isNew: true, ask, isWanted: () => true}, 1);
    const full = new StartFailed("too_many", "LimitReached.", {limit: "max_runs", retryMs: 5000});
    answers[0]?.reject(full);
    await settle();
    retryNow();
    retryNow();
    answers[1]?.reject(full);
    await settle();
    answers[2]?.resolve("c");
    expect(await started).toBe("c");
  });

  it("fails if the waitlist script cannot be loaded, and the next start loads it", async () => {
    let loads = 0;
    const room = createWaitlist(() => undefined);
    const {enter} = createLazyWaitlist(() => Promise.resolve(++loads === 1 ? undefined : room));
    const full = new StartFailed("too_many", "LimitReached.", {limit: "max_runs", retryMs: 5000});
    const request = {runs: ["a"], replaces: [], isNew: true, isWanted: () => true};
    await expect(enter({...request, ask: () => Promise.reject(full)})).rejects.toBe(full);
    const answers = [Promise.reject(full), Promise.resolve("c")];
    const started = enter({...request, ask: () => answers.shift() ?? Promise.reject(full)});
    await pass(60);
    expect(await started).toBe("c");
    expect(loads).toBe(2);
  });
});

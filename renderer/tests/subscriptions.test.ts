import {afterEach, beforeEach, describe, expect, test, vi} from "vitest";
import type {CallbackContext, Entry} from "../src/dash/types.ts";
import type {WireId} from "../src/ids.ts";
import type {Message, Props, Target} from "../src/protocol.ts";
import type {RunState} from "../src/runs/subscribers.ts";
import {triggerOf} from "../src/runs/triggers.ts";
import {createSubscriptions, MAX_QUEUE, type Subscribed} from "../src/runs/subscriptions.ts";
import {fakeFrames} from "./fakes.ts";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const FRESH = {state: "connecting", offset: 0};

/** A page with Subscriptions; the test plays the page's script, the server and the callbacks. */
function setup() {
  const layout = new Map<WireId, Record<string, unknown>>();
  const settings: [WireId, Props][] = [];
  const starts: {run: string; entry: Entry; context: CallbackContext}[] = [];
  const warnings: string[] = [];
  const frames = fakeFrames();
  const page = {isHidden: false, awaited: new Set<WireId>(), now: 0, commits: 0};
  const subscriptions = createSubscriptions({
    dash: {
      has: (id) => layout.has(id),
      get: (id, prop) => layout.get(id)?.[prop],
      set(id, props) {
        settings.push([id, props]);
        Object.assign(layout.get(id) as object, props);
      },
      commit(work) {
        page.commits++;
        work();
      },
    },
    isAwaited: (id) => page.awaited.has(id),
    start(entry, context) {
      const run = `run ${starts.length}`;
      starts.push({run, entry, context});
      tell(run, "queued");
    },
    isHidden: () => page.isHidden,
    nextFrame: frames.next,
    now: () => page.now,
    warn: (message) => void warnings.push(message),
  });
  const tell = (run: string, state: RunState) => {
    const {entry, context} = starts.find((one) => one.run === run)!;
    subscriptions.accept({type: "run", run, trigger: triggerOf(entry, context), state});
  };
  /** Draws the component (again), as Dash and React do. */
  const draw = (some: Partial<Subscribed> = {}, isNew = true) => {
    const given = {id: "sub", last: 0, window: 100, each: false, overflow: "skip", ...some};
    if (isNew) layout.set(given.id, {...FRESH});
    subscriptions.show({topic: {name: "news", params: {}}, ...given});
    vi.advanceTimersByTime(0);
    return starts.at(-1)!.run;
  };
  const drawLive = (some?: Partial<Subscribed>) => {
    const run = draw(some);
    tell(run, "running");
    return run;
  };
  const send = (run: string, messages: readonly Message[], set: readonly Target[] = []) =>
    subscriptions.accept({
      type: "event",
      event: {type: "update", run, n: 0, set, news: {nonce: `n${messages.at(-1)?.[0]}`, messages}},
      bytes: 0,
    });
  const fail = (run: string, code: string) => {
    starts.find((one) => one.run === run)!.entry.onFailure?.(`failed (${code})`, code);
    tell(run, "error");
  };
  const shown = (id: WireId = "sub") => layout.get(id)!;
  const sinces = () =>
    starts.map(({context}) => (context.inputs_list[0] as {value: {since: unknown}}).value.since);
  return {
    ...{subscriptions, page, layout, settings, starts, warnings, frames, tell, draw, drawLive},
    ...{send, fail, shown, sinces},
  };
}

const message = (offset: number, data: unknown = offset, missed: number | null = 0, flags = 0): Message =>
  [offset, 1000 + offset, missed, flags, data];
const item = (offset: number, more: object = {}) => ({
  ...{data: offset, offset, missed: 0, time: 1000 + offset, is_mine: false},
  ...more,
});

describe("a start", () => {
  test("is a call of a callback that only this component has", () => {
    const {draw, starts} = setup();
    draw({id: '{"index":1,"type":"é"}', last: 7});
    const {entry, context} = starts[0]!;
    expect(entry).toMatchObject({
      output: "flash_events.subscription:%7B%22index%22%3A1%2C%22type%22%3A%22%C3%A9%22%7D",
      inputs: [{id: '{"index":1,"type":"é"}', property: "topic"}],
      flash_events: {overlap: "restart", onDisconnect: "cancel"},
    });
    expect(context.inputs_list).toEqual([
      {
        id: {index: 1, type: "é"},
        property: "topic",
        value: {name: "news", params: {}, last: 7, since: null, overflow: "skip"},
      },
    ]);
  });

  test("waits until the component is on the page", () => {
    const {subscriptions, starts} = setup();
    const component = {id: "sub", last: 0, window: 1, each: false, overflow: "skip"};
    subscriptions.show({...component, topic: {name: "news", params: {}}});
    vi.runAllTimers();
    expect(starts).toEqual([]);
  });

  test("is not made again for other props of the component", () => {
    const {drawLive, draw, send, frames, shown, starts} = setup();
    const run = drawLive();
    send(run, [message(1), message(2)]);
    draw({window: 1}, false);
    frames.run();
    expect(shown()["messages"]).toEqual([item(2)]);
    expect(starts).toHaveLength(1);
  });
});

describe("messages", () => {
  test("of a frame are set in one commit, and `message` shows the last", () => {
    const {drawLive, send, frames, settings, page} = setup();
    const run = drawLive();
    for (let n = 1; n <= 500; n++) send(run, [message(n)]);
    send(run, [message(501, "mine", 3, 1), message(502, "cleared", null, 4)]);
    frames.run();
    const messages = [
      ...Array.from({length: 98}, (_, i) => item(403 + i)),
      item(501, {data: "mine", missed: 3, is_mine: true}),
      item(502, {data: "cleared", missed: null, is_cleared: true}),
    ];
    const props = {state: "live", messages, message: "cleared", offset: 502, missed: 4};
    expect(settings).toEqual([["sub", props]]);
    expect(page.commits).toBe(1);
  });

  test("of a hidden page are set at once, those of one turn together", async () => {
    const {drawLive, send, settings, page} = setup();
    page.isHidden = true;
    const run = drawLive();
    send(run, [message(1)]);
    send(run, [message(2)]);
    await Promise.resolve();
    expect(settings.map(([, props]) => props["message"])).toEqual([2]);
  });

  test("are preceded by the initial value, which shows again for a component that is drawn again", () => {
    const {drawLive, draw, send, frames, shown} = setup();
    const run = drawLive({initial: "all"});
    frames.run();
    shown()["state"] = "connecting"; // as Dash draws it
    draw({initial: "all"}, false);
    frames.run();
    expect(shown()).toMatchObject({message: "all", offset: 0});
    send(run, [message(1, null)]);
    frames.run();
    expect(shown()).toMatchObject({message: null, offset: 1});
  });

  test("that are updates have these as their data", () => {
    const {drawLive, send, frames, shown} = setup();
    const run = drawLive();
    send(run, [[1, 1001, 0, 8]], [["out", {children: "x"}]]);
    frames.run();
    expect(shown()["message"]).toEqual({set: [["out", {children: "x"}]]});
  });

  test("of several components are set in one commit", () => {
    const {drawLive, send, frames, settings, page} = setup();
    for (const id of ["a", "b"]) send(drawLive({id}), [message(1)]);
    frames.run();
    expect(settings.map(([id]) => id)).toEqual(["a", "b"]);
    expect(page.commits).toBe(1);
  });

  test("of a run that was replaced are ignored", () => {
    const {drawLive, draw, send, frames, shown, tell} = setup();
    const run = drawLive();
    send(run, [message(1)]);
    frames.run();
    const next = draw({topic: {name: "other", params: {}}}, false);
    tell(run, "cancelled");
    send(run, [message(2)]);
    send(next, [message(9)]);
    frames.run();
    expect(shown()).toMatchObject({message: 9, offset: 9, messages: [item(9)]});
  });
});

describe("a run that ends", () => {
  test.each(["lost", "done", "error"] as const)("as %s is followed by one after the last message", (reason) => {
    const {drawLive, send, tell, frames, shown, sinces, starts} = setup();
    const run = drawLive();
    send(run, [message(1), message(2)]);
    tell(run, reason);
    frames.run();
    expect(shown()).toMatchObject({state: "reconnecting", message: 2});
    vi.advanceTimersByTime(999);
    expect(starts).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(sinces()).toEqual([null, {offset: 2, nonce: "n2"}]);
    tell("run 1", "running");
    send("run 1", [message(3)]);
    frames.run();
    expect(shown()).toMatchObject({state: "live", message: 3, missed: 0});
    expect((shown()["messages"] as {offset: number}[]).map(({offset}) => offset)).toEqual([1, 2, 3]);
  });

  test("without any message asks for the last ones again", () => {
    const {drawLive, tell, sinces} = setup();
    tell(drawLive({last: 5}), "lost");
    vi.advanceTimersByTime(1000);
    expect(sinces()).toEqual([null, null]);
  });

  test("is retried more and more rarely, up to every 30 s, until a message comes", () => {
    const {draw, fail, send, tell, starts} = setup();
    draw();
    const waits = [];
    for (let tries = 0; tries < 8; tries++) {
      const count = starts.length;
      fail(starts.at(-1)!.run, "network");
      let ms = 0;
      for (; starts.length === count; ms += 500) vi.advanceTimersByTime(500);
      waits.push(ms / 1000);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30, 30]);
    send(starts.at(-1)!.run, [message(1)]);
    tell(starts.at(-1)!.run, "lost");
    vi.advanceTimersByTime(1000);
    expect(starts).toHaveLength(10);
  });

  test.each(["unknown_topic", "refused"])("as refused (%s) is not retried", (code) => {
    const {drawLive, fail, frames, shown, starts, warnings} = setup();
    fail(drawLive(), code);
    frames.run();
    vi.runAllTimers();
    expect(shown()["state"]).toBe("refused");
    expect(starts).toHaveLength(1);
    expect(warnings).toEqual([`The Subscription "sub" was refused. failed (${code})`]);
  });
});

describe("a component that is drawn again", () => {
  test("goes on after its last message, and shows its window at once", () => {
    const {drawLive, draw, send, frames, layout, shown, sinces, tell} = setup();
    const run = drawLive();
    send(run, [message(1), message(2, 2, 1)]);
    frames.run();
    layout.delete("sub");
    tell(run, "cancelled");
    vi.runAllTimers();
    expect(sinces()).toHaveLength(1);
    draw();
    frames.run();
    expect(shown()).toMatchObject({message: 2, offset: 2, missed: 1, state: "connecting"});
    expect(shown()["messages"]).toHaveLength(2);
    expect(sinces()).toEqual([null, {offset: 2, nonce: "n2"}]);
  });

  test("in its place, without a new mount, too", () => {
    const {drawLive, send, frames, layout, shown, sinces, tell} = setup();
    const run = drawLive();
    send(run, [message(1)]);
    frames.run();
    layout.set("sub", {...FRESH});
    tell(run, "cancelled");
    vi.advanceTimersByTime(0);
    frames.run();
    expect(sinces()).toEqual([null, {offset: 1, nonce: "n1"}]);
    expect(shown()).toMatchObject({message: 1, offset: 1});
  });

  test("and whose props are still there sets nothing", () => {
    const {drawLive, draw, send, frames, settings, starts} = setup();
    send(drawLive(), [message(1)]);
    frames.run();
    draw({}, false);
    frames.run();
    expect(settings).toHaveLength(1);
    expect(starts).toHaveLength(1);
  });

  test("shows the messages that came while it was away from the page", () => {
    const {drawLive, draw, send, frames, layout, shown} = setup();
    const run = drawLive();
    layout.delete("sub");
    send(run, [message(1)]);
    frames.run();
    draw();
    frames.run();
    expect(shown()).toMatchObject({message: 1, state: "live"});
  });

  test("with another topic shows that one", () => {
    const {drawLive, draw, send, frames, shown, sinces} = setup();
    send(drawLive(), [message(1)]);
    frames.run();
    draw({topic: {name: "other", params: {}}}, false);
    frames.run();
    expect(shown()).toEqual({message: null, messages: [], offset: 0, missed: 0, state: "connecting"});
    expect(sinces()).toEqual([null, null]);
  });

  test("is forgotten when 200 others have come since", () => {
    const {drawLive, draw, send, frames, layout, tell, sinces} = setup();
    const leave = (run: string, id: WireId) => {
      layout.delete(id);
      tell(run, "cancelled");
      vi.runAllTimers();
    };
    const run = drawLive();
    send(run, [message(1)]);
    frames.run();
    leave(run, "sub");
    for (let n = 0; n < 200; n++) leave(drawLive({id: `other${n}`}), `other${n}`);
    draw();
    expect(sinces().at(-1)).toBeNull();
  });
});

describe("each", () => {
  test("shows one message after the other, when no callback waits", () => {
    const {drawLive, send, frames, settings, subscriptions, page} = setup();
    const run = drawLive({each: true});
    page.awaited.add("sub");
    send(run, [message(1), message(2), message(3)]);
    frames.run();
    expect(settings.at(-1)![1]).not.toHaveProperty("message");
    expect(settings.at(-1)![1]["messages"]).toHaveLength(3);
    const seen: unknown[] = [];
    for (let n = 0; n < 5; n++) {
      subscriptions.handOut(); // nothing: a callback is under way
      page.awaited.clear();
      const count = settings.length;
      // Dash requests the callbacks of a prop while it is set.
      settings.push = (...all) => {
        page.awaited.add("sub");
        return Array.prototype.push.apply(settings, all);
      };
      subscriptions.handOut();
      seen.push(...settings.slice(count).map(([, {message, offset}]) => [message, offset]));
    }
    expect(seen).toEqual([1, 2, 3].map((n) => [n, n]));
  });

  test("shows one message per frame if no callback wants it", () => {
    const {drawLive, send, frames, settings} = setup();
    send(drawLive({each: true}), [message(1), message(2), message(3)]);
    for (let n = 0; n < 6; n++) frames.run();
    expect(settings.flatMap(([, props]) => props["message"] ?? [])).toEqual([1, 2, 3]);
  });

  test("goes on after the component was drawn again, and repeats nothing", () => {
    const {drawLive, draw, send, frames, layout, settings, tell} = setup();
    const run = drawLive({each: true});
    send(run, [message(1), message(2), message(3)]);
    frames.run();
    layout.delete("sub");
    tell(run, "cancelled");
    vi.runAllTimers();
    frames.run();
    draw({each: true});
    for (let n = 0; n < 6; n++) frames.run();
    expect(settings.flatMap(([, props]) => props["message"] ?? [])).toEqual([1, 2, 3]);
  });

  test("counts the messages for which there is no room as missed", () => {
    const {drawLive, send, frames, page, shown, subscriptions} = setup();
    const run = drawLive({each: true});
    page.awaited.add("sub");
    send(run, Array.from({length: MAX_QUEUE + 5}, (_, n) => message(n + 1)));
    frames.run();
    expect(shown()["missed"]).toBe(5);
    page.awaited.clear();
    subscriptions.handOut();
    expect(shown()["message"]).toBe(6);
  });
});

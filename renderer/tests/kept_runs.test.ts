import {describe, expect, it} from "vitest";
import {changed, entryOf, fakeConnections, fakeFrames, fakeStorage, fakePage} from "./fakes.ts";
import {createApplier} from "../src/apply/apply.ts";
import {StartFailed} from "../src/transport/responses.ts";
import type {Entry} from "../src/dash/types.ts";
import type {WireId} from "../src/ids.ts";
import type {Ended, Props, Target, Updated} from "../src/protocol.ts";
import {createWaitlist} from "../src/runs/waitlist.ts";
import {createRuns} from "../src/runs/runs.ts";

/** Runs promises that wait for nothing else. */
const settle = async () => {
  for (let turns = 0; turns < 20; turns++) await Promise.resolve();
};

const stop = {id: "stop", property: "n_clicks"};
const running = [["button", "disabled", true, false]] as const;
const reset = [["out", {children: "reset"}]] as const;
const finish = entryOf({onDisconnect: "finish", cancel: [stop], running, reset});

/** A page, which may have been loaded before with the same storage. */
async function load(
  entry: Entry = finish,
  {storage = fakeStorage(), layout = {}, page: id = "p"} = {} as {
    storage?: ReturnType<typeof fakeStorage>;
    layout?: Readonly<Record<WireId, Props>>;
    page?: string;
  },
) {
  const all = {go: {}, stop: {n_clicks: 0}, button: {}, out: {}, ...layout};
  const page = fakePage(all, [entry]);
  const frames = fakeFrames();
  const server = fakeConnections();
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const applier = createApplier({
    dash: page.dash,
    onApplied: (source, id, props) => runs.onApplied(source, id, props),
    warn,
    isHidden: () => false,
    nextFrame: frames.next,
    now: () => 0,
  });
  const runs = createRuns({
    dash: page.dash,
    applier,
    connections: server.connections,
    page: Promise.resolve(id),
    storage,
    loadWaitlist: () => Promise.resolve(createWaitlist(warn)),
    onState: () => undefined,
    warn,
  });
  await settle();
  runs.check();
  await settle();
  const started = async () => {
    runs.trigger("cb", changed("go", "n_clicks", 1));
    const request = await server.starts.next();
    request.answer("c");
    await settle();
    return request.fields.run;
  };
  const update = (run: string, n: number, children: string, more: Partial<Updated> = {}) => {
    const set: Target[] = [["out", {children}]];
    runs.onEvent({type: "update", run, n, set, ...more}, 10);
    frames.runAll();
  };
  const end = (run: string, n: number, reason: Ended["reason"]) =>
    runs.onEvent({type: "end", run, n, reason}, 10);
  const shown = () => page.dash.get("out", "children");
  const isDisabled = () => page.dash.get("button", "disabled");
  return {...server, page, storage, warnings, runs, started, update, end, shown, isDisabled};
}

describe("a run that finishes without a viewer", () => {
  it("is not stopped when the page is closed, while the others are", async () => {
    const one = await load();
    await one.started();
    one.runs.close();
    expect(one.closes).toEqual([{page: "p", runs: []}]);

    const other = await load(entryOf());
    const run = await other.started();
    other.runs.trigger("cb", changed("go", "n_clicks", 2));
    const unanswered = (await other.starts.next()).fields.run;
    other.runs.close();
    expect([...(other.closes[0]?.runs ?? [])].sort()).toEqual([run, unanswered].sort());
  });

  it("is attached to after a reload, with running on", async () => {
    const before = await load();
    const run = await before.started();
    const {attaches, update, end, shown, isDisabled, runs} = await load(finish, {storage: before.storage});
    const {fields, answer} = await attaches.next();
    expect(fields).toEqual({page: "p", runs: [{run, seen: 0}]});
    expect(isDisabled()).toBe(true);
    answer("c");
    await settle();
    update(run, 41, "so far", {snapshot: true});
    update(run, 42, "more");
    expect(shown()).toBe("more");
    end(run, 42, "done");

    expect([runs.size(), isDisabled(), shown()]).toEqual([0, false, "more"]);
  });

  it("is not lost by events from before the attach", async () => {
    const before = await load();
    const run = await before.started();
    const {attaches, update, end, shown, runs, stops} = await load(finish, {
      storage: before.storage,
    });
    update(run, 40, "from before");
    end(run, 40, "done");
    (await attaches.next()).answer("c");
    await settle();
    expect([shown(), runs.size(), stops]).toEqual([undefined, 1, []]);
    update(run, 40, "snapshot", {snapshot: true});
    end(run, 40, "done");

    expect([shown(), runs.size(), stops]).toEqual(["snapshot", 0, []]);
  });

  it("is removed from the storage at its end", async () => {
    const before = await load();
    const run = await before.started();
    before.end(run, 0, "done");
    const after = await load(finish, {storage: before.storage});

    expect(after.attaches.size()).toBe(0);
    expect(after.runs.size()).toBe(0);
  });

  it("is stopped by its cancel Input after a reload, with its resets", async () => {
    const before = await load();
    const run = await before.started();
    const after = await load(finish, {storage: before.storage});
    (await after.attaches.next()).answer("c");
    await settle();
    after.page.change("stop", {n_clicks: 1});
    after.runs.check();

    expect(after.stops).toEqual([[run]]);
    expect(after.stoppedCallbacks).toEqual([]);
    expect([after.shown(), after.isDisabled()]).toEqual(["reset", false]);
  });

  it("that is cancelled during the attach is stopped after its response", async () => {
    const before = await load();
    const run = await before.started();
    const after = await load(finish, {storage: before.storage});
    after.page.change("stop", {n_clicks: 1});
    after.runs.check();
    expect(after.stops).toEqual([]);
    (await after.attaches.next()).answer("c");
    await settle();

    expect(after.stops).toEqual([[run]]);
  });

  it("ends as lost if the server no longer knows it", async () => {
    const before = await load();
    const run = await before.started();
    const after = await load(finish, {storage: before.storage});
    (await after.attaches.next()).answer("c");
    await settle();
    after.end(run, 7, "lost");

    expect([after.shown(), after.isDisabled(), after.runs.size()]).toEqual(["reset", false, 0]);
    expect(after.stops).toEqual([]);
    expect(after.warnings).toHaveLength(1);
  });

  it("ends as lost when the attach fails", async () => {
    const before = await load();
    await before.started();
    const after = await load(finish, {storage: before.storage});
    (await after.attaches.next()).refuse(new StartFailed("network", "no"));
    await settle();

    expect([after.shown(), after.runs.size()]).toEqual(["reset", 0]);
  });

  it("is not shown by a duplicated tab, which copies the storage", async () => {
    const before = await load();
    await before.started();

    expect((await load(finish, {storage: before.storage, page: "other"})).attaches.size()).toBe(0);
  });

  it("is restored once its Inputs are on the page", async () => {
    const before = await load();
    await before.started();
    const inputs = [{id: "late", property: "n_clicks"}];
    const late = await load(entryOf({onDisconnect: "finish"}, {inputs}), {storage: before.storage});
    expect(late.attaches.size()).toBe(0);
    late.page.insert("late", {});
    late.runs.check();
    await settle();

    expect(late.attaches.size()).toBe(1);
  });

  it("is stopped when the app no longer has its callback", async () => {
    const before = await load();
    const run = await before.started();
    const after = await load({...finish, output: "another"}, {storage: before.storage});

    expect(after.stops).toEqual([[run]]);
    expect(after.attaches.size()).toBe(0);
  });

  it("overlaps with a trigger after a reload", async () => {
    const skip = {...finish, flash_events: {...finish.flash_events, overlap: "skip"}} as const;
    const before = await load(skip);
    await before.started();
    const after = await load(skip, {storage: before.storage});
    after.runs.trigger("cb", changed("go", "n_clicks", 2));
    await settle();

    expect(after.starts.size()).toBe(0);
  });

  it("is attached to again when its connection is lost, from the last update on", async () => {
    const one = await load();
    const run = await one.started();
    one.update(run, 1, "a");
    one.runs.onLost("c");
    const {fields, answer} = await one.attaches.next();
    expect(fields.runs).toEqual([{run, seen: 1}]);
    expect([one.shown(), one.warnings, one.stops]).toEqual(["a", [], []]);
    answer("c2");
    await settle();
    one.update(run, 5, "e", {snapshot: true});
    one.update(run, 6, "f");

    expect([one.shown(), one.runs.size()]).toEqual(["f", 1]);
  });

  it("is marked as surviving, so that it is not stopped with its tab", async () => {
    const one = await load();
    one.runs.trigger("cb", changed("go", "n_clicks", 1));

    expect((await one.starts.next()).survives).toBe(true);
  });
});

it("a snapshot may follow a gap; a run with any other gap is lost", async () => {
  const one = await load(entryOf({reset}));
  const run = await one.started();
  one.update(run, 9, "snapshot", {snapshot: true});
  one.update(run, 10, "live");
  expect(one.shown()).toBe("live");
  one.update(run, 12, "hole");

  expect(one.shown()).toBe("reset");
});

it("a single lost run ends, and no other run of its connection", async () => {
  const one = await load(entryOf({overlap: "parallel", reset}));
  const [first] = [await one.started(), await one.started()];
  one.runs.onLost(first);

  expect([one.runs.size(), one.stops]).toEqual([1, [[first]]]);
});

describe("a cancel Input of a callback that finishes without a viewer", () => {
  const clicked = async (entry: Entry, layout: Readonly<Record<WireId, Props>> = {}) => {
    const one = await load(entry, {layout});
    one.page.change("stop", {n_clicks: 1});
    one.runs.check();
    return one;
  };

  it("stops its runs from a page that shows none of them", async () => {
    const {stoppedCallbacks, stops, runs} = await clicked(finish);
    expect(stoppedCallbacks).toEqual([["cb"]]);
    expect(stops).toEqual([]);
    runs.check();

    expect(stoppedCallbacks).toHaveLength(1);
  });

  it("stops nothing of a callback that ends with its page", async () => {
    expect((await clicked(entryOf({cancel: [stop]}))).stoppedCallbacks).toEqual([]);
  });

  it("stops nothing when it changes to its allowed value", async () => {
    const allowed = entryOf({onDisconnect: "finish", cancel: [{...stop, allowed: 1}]});

    expect((await clicked(allowed)).stoppedCallbacks).toEqual([]);
  });

  it("counts a first number as a change (a button without n_clicks)", async () => {
    expect((await clicked(finish, {stop: {}})).stoppedCallbacks).toEqual([["cb"]]);
  });

  it("stops nothing when a component sets its own first value (dcc.Location)", async () => {
    const one = await load(
      entryOf({onDisconnect: "finish", cancel: [{id: "url", property: "pathname"}]}),
      {layout: {url: {}}},
    );
    one.page.change("url", {pathname: "/"});
    one.runs.check();
    expect(one.stoppedCallbacks).toEqual([]);
    one.page.change("url", {pathname: "/away"});
    one.runs.check();

    expect(one.stoppedCallbacks).toEqual([["cb"]]);
  });

  it("with a wildcard stops the page's own runs only", async () => {
    const all = {id: '{"index":["ALL"],"type":"stop"}', property: "n_clicks"};
    const own = '{"index":1,"type":"stop"}';
    const one = await load(entryOf({onDisconnect: "finish", cancel: [all]}), {
      layout: {[own]: {n_clicks: 0}},
    });
    one.page.change(own, {n_clicks: 1});
    one.runs.check();

    expect(one.stoppedCallbacks).toEqual([]);
  });

  it("that a run writes itself stops nothing, during the run and after it", async () => {
    const one = await load();
    const run = await one.started();
    const set: Target[] = [["stop", {n_clicks: 5}]];
    one.runs.onEvent({type: "update", run, n: 1, set}, 10);
    one.end(run, 1, "done");
    one.runs.check();

    expect([one.stoppedCallbacks, one.stops]).toEqual([[], []]);
  });
});

import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {createApplier} from "../src/apply/apply.ts";
import {StartFailed} from "../src/transport/responses.ts";
import type {Entry} from "../src/dash/types.ts";
import type {WireId} from "../src/ids.ts";
import type {Ended, Props, Target} from "../src/protocol.ts";
import {createWaitlist} from "../src/runs/waitlist.ts";
import {createRuns} from "../src/runs/runs.ts";
import {
  changed,
  entryOf,
  fakeConnections,
  fakeFrames,
  fakeStorage,
  fakePage,
  patch,
} from "./fakes.ts";

/** A page with one event callback, real applier, and connections that the test answers. */
function setup(entry: Entry, layout: Readonly<Record<WireId, Props>> = {}) {
  const page = fakePage({go: {}, button: {}, out: {}, ...layout}, [entry]);
  const frames = fakeFrames();
  const storage = fakeStorage();
  const server = fakeConnections();
  const warnings: string[] = [];
  const warn = (message: string) => void warnings.push(message);
  const states: [string, string][] = [];
  const applier = createApplier({
    dash: {
      ...page.dash,
      set(id, props) {
        runs.onSet(id);
        page.dash.set(id, props);
      },
    },
    onApplied: (source, id, props) => runs.onApplied(source, id, props),
    onMissing: (source, id, props) => runs.onMissing(source, id, props),
    warn,
    isHidden: () => false,
    nextFrame: frames.next,
    now: () => 0,
  });
  const runs = createRuns({
    dash: page.dash,
    applier,
    connections: server.connections,
    page: Promise.resolve("the page"),
    storage,
    loadWaitlist: () => Promise.resolve(createWaitlist(warn)),
    onState: (run, _, state) => void states.push([run, state]),
    warn,
  });
  let clicks = 0;
  const click = (id: WireId = "go") => runs.trigger("cb", changed(id, "n_clicks", ++clicks));
  /** Clicks, and answers the start. */
  const started = async (id?: WireId, connection = "c") => {
    click(id);
    const request = await server.starts.next();
    request.answer(connection);
    await settle();
    return request.fields.run;
  };
  const update = (run: string, n: number, ...set: Target[]) =>
    runs.onEvent({type: "update", run, n, set}, 10);
  const end = (run: string, n: number, reason: Ended["reason"], more: Partial<Ended> = {}) =>
    runs.onEvent({type: "end", run, n, reason, ...more}, 10);
  return {...server, page, frames, storage, warnings, states, runs, applier, click, started, update, end};
}

/** Runs promises that wait for nothing else. */
const settle = async () => {
  for (let turns = 0; turns < 20; turns++) await Promise.resolve();
};

const running = [["button", "disabled", true, false]] as const;
const reset = [["out", {children: ""}]] as const;

const cardOf = (index: unknown) => JSON.stringify({index, type: "card"});
const textOf = (index: unknown) => JSON.stringify({index, type: "text"});
const perCard = {inputs: [{id: cardOf(["MATCH"]), property: "n_clicks"}]};
const cards = {[cardOf(1)]: {}, [cardOf(2)]: {}, [textOf(1)]: {}, [textOf(2)]: {}};

const error = {code: "callback_error", ref: "0badcafe"};

describe("a run that a component starts itself", () => {
  const failures: [string, string | undefined][] = [];
  const own: Entry = {
    ...entryOf({}, {output: "own", inputs: [{id: "go", property: "topic"}]}),
    onFailure: (message, code) => void failures.push([message, code]),
  };
  const context = {
    entry: own,
    inputs_list: [{id: "go", property: "topic", value: {last: 1}}],
    states_list: [],
    triggered: [],
  };
  beforeEach(() => void failures.splice(0));

  it("has the entry of its call, and ends when the component leaves", async () => {
    const {runs, starts, stops, page} = setup(entryOf());
    runs.trigger("own", context);
    const {body, fields, answer} = await starts.next();
    expect(body).toMatchObject({output: "own", inputs: context.inputs_list, changedPropIds: []});
    expect(fields.callback).toBe("own");
    answer("c");
    await settle();
    page.insert("go", {});
    runs.check();
    expect(runs.size()).toBe(0);
    expect(stops).toEqual([[fields.run]]);
  });

  it("tells the component why it has failed, and not the console", async () => {
    const {runs, starts, end, page, warnings} = setup(entryOf());
    runs.trigger("own", context);
    (await starts.next()).refuse(new StartFailed("unknown_topic", "No such topic."));
    await settle();
    runs.trigger("own", context);
    const {fields, answer} = await starts.next();
    answer("c");
    await settle();
    end(fields.run, 0, "lost");
    expect(failures).toEqual([
      [expect.stringContaining("No such topic."), "unknown_topic"],
      [expect.stringContaining("A run was lost"), undefined],
    ]);
    expect([...warnings, ...page.errors]).toEqual([]);
  });
});

describe("a trigger", () => {
  it("starts a run with Dash's own request body, the run's id and the page's", async () => {
    const {click, starts, runs} = setup(entryOf());
    click();
    const {body, fields} = await starts.next();

    expect(body).toMatchObject({
      output: "cb",
      inputs: [{id: "go", property: "n_clicks", value: 1}],
      changedPropIds: ["go.n_clicks"],
    });
    expect(fields).toEqual({
      run: expect.stringMatching(/^[\w-]{22}$/) as string,
      page: "the page",
      callback: "cb",
      replaces: [],
    });
    expect(runs.size()).toBe(1);
  });

  it("P5: posts values as Dash does, without those that JSON drops", async () => {
    const {runs, starts} = setup(entryOf());
    const value = {
      success: () => undefined,
      missing: undefined,
      infinite: Infinity,
      startRow: 0,
      at: new Date(0),
      bytes: new Uint8Array([1, 2]),
      list: [() => undefined, undefined, NaN],
      file: new File(["text"], "name"),
    };
    runs.trigger("cb", changed("go", "n_clicks", value));

    const {body} = await starts.next();
    expect((body as {inputs: unknown}).inputs).toEqual([
      {
        id: "go",
        property: "n_clicks",
        value: {
          infinite: null,
          startRow: 0,
          at: "1970-01-01T00:00:00.000Z",
          bytes: {0: 1, 1: 2},
          list: [null, null, null],
          file: {},
        },
      },
    ]);
  });

  it.each([
    ["a BigInt", () => 1n],
    ["a circle", () => {
      const circle: {self?: object} = {};
      circle.self = circle;
      return circle;
    }],
  ])("P5: fails with %s, which Dash cannot post either", async (_, value) => {
    const {runs, starts, warnings, states} = setup(entryOf());
    runs.trigger("cb", changed("go", "n_clicks", value()));
    await settle();

    expect(starts.size()).toBe(0);
    expect(runs.size()).toBe(0);
    expect(warnings).toHaveLength(1);
    expect(states.at(-1)?.[1]).toBe("error");
  });

  it("P21: calls the page's hooks before the request, with the body to change, and after the response", async () => {
    const {click, starts, page} = setup(entryOf());
    page.state.beforeRequest = (body) => Object.assign(body, {tenant: "a"});
    click();
    const request = await starts.next();
    expect(request.body).toMatchObject({output: "cb", changedPropIds: ["go.n_clicks"], tenant: "a"});
    expect(page.answered).toEqual([]);

    request.answer("c");
    await settle();
    expect(page.answered).toEqual([request.body]);
  });

  it("P21: fails when the page's hook does", async () => {
    const {click, starts, page, warnings} = setup(entryOf());
    page.state.beforeRequest = () => {
      throw new Error("no session");
    };
    click();
    await settle();

    expect(starts.size()).toBe(0);
    expect(warnings).toEqual([expect.stringContaining("no session")]);
  });

  it("of another callback does nothing", async () => {
    const {runs, starts} = setup(entryOf());
    runs.trigger("unknown", changed("go", "n_clicks", 1));
    await settle();

    expect(starts.size()).toBe(0);
    expect(runs.size()).toBe(0);
  });
});

describe("running", () => {
  it("does not set a prop if the value is no_update (P14)", async () => {
    const nothing = {_dash_no_update: "_dash_no_update"};
    const running = [
      ["button", "disabled", true, nothing],
      ["button", "title", nothing, "ready"],
    ] as const;
    const {started, end, page} = setup(entryOf({running}), {button: {}});
    const run = await started();
    end(run, 0, "done");

    expect(page.setsOf("button")).toEqual([{disabled: true}, {title: "ready"}]);
  });
});

describe("updates", () => {
  it("are applied in the next frame", async () => {
    const {started, update, page, frames} = setup(entryOf());
    const run = await started();
    update(run, 1, ["out", {children: "a"}]);
    expect(page.commits).toEqual([]);
    frames.run();

    expect(page.setsOf("out")).toEqual([{children: "a"}]);
  });

  it("that are marked as alone are not joined with others", async () => {
    const {started, runs, page, frames} = setup(entryOf());
    const run = await started();
    for (const n of [1, 2]) {
      const set: Target[] = [["out", {children: n}]];
      runs.onEvent({type: "update", run, n, set, alone: true}, 10);
    }
    frames.runAll();

    expect(page.setsOf("out")).toEqual([{children: 1}, {children: 2}]);
  });

  it("that are replayed are not applied twice", async () => {
    const {started, update, end, page, frames, warnings} = setup(entryOf(), {out: {}});
    const run = await started();
    for (const n of [1, 2, 1, 2, 3]) {
      update(run, n, ["out", {children: n}]);
      frames.runAll();
    }
    end(run, 3, "done");

    expect(page.setsOf("out")).toEqual([{children: 1}, {children: 2}, {children: 3}]);
    expect(warnings).toEqual([]);
  });

  it("with a gap lose the run, with a warning", async () => {
    const {started, update, page, frames, stops, warnings, runs} = setup(entryOf({reset, running}));
    const run = await started();
    update(run, 1, ["out", {children: "a"}]);
    update(run, 3, ["out", {children: "c"}]);
    frames.runAll();

    expect(runs.size()).toBe(0);
    expect(stops).toEqual([[run]]);
    expect(warnings).toHaveLength(1);
    expect(page.dash.get("out", "children")).toBe("");
    expect(page.dash.get("button", "disabled")).toBe(false);
    expect(page.setsOf("out")).not.toContainEqual({children: "c"});
  });

  it("that are missing before the end lose the run", async () => {
    const {started, update, end, page, stops, warnings, runs} = setup(entryOf({reset}));
    const run = await started();
    update(run, 1, ["out", {children: "a"}]);
    end(run, 2, "done");

    expect(runs.size()).toBe(0);
    expect(stops).toEqual([[run]]);
    expect(warnings).toHaveLength(1);
    expect(page.dash.get("out", "children")).toBe("");
  });

  it("of an ended run are dropped, like its further ends", async () => {
    const {started, update, end, page, frames} = setup(entryOf({reset}));
    const run = await started();
    end(run, 0, "cancelled");
    const before = page.commits.length;
    update(run, 1, ["out", {children: "late"}]);
    end(run, 1, "error", {error, set: [["out", {children: "failed"}]]});
    frames.runAll();

    expect(page.commits).toHaveLength(before);
  });

  it("with MATCH go to the run's own component", async () => {
    const {started, update, page, frames} = setup(entryOf({}, perCard), cards);
    const run = await started(cardOf(2));
    update(run, 1, [textOf(["MATCH"]), {children: "x"}]);
    frames.run();

    expect(page.commits).toEqual([[[textOf(2), {children: "x"}]]]);
  });
});

describe("overlap restart", () => {
  const entry = entryOf({overlap: "restart", reset, running});

  it("starts a run with the id of the run that it replaces", async () => {
    const {started, click, starts, stops, runs} = setup(entry);
    const old = await started();
    click();
    const {fields} = await starts.next();

    expect(fields.replaces).toEqual([old]);
    expect(fields.run).not.toBe(old);
    expect(stops).toEqual([]);
    expect(runs.size()).toBe(1);
  });

  it("drops the old run's pending and later updates", async () => {
    const {started, update, end, page, frames} = setup(entry);
    const old = await started();
    update(old, 1, ["out", {children: "old", title: "old"}]);
    const fresh = await started();
    update(old, 2, ["out", {children: "late"}]);
    end(old, 2, "cancelled");
    update(fresh, 1, ["out", {children: "new"}]);
    frames.runAll();

    expect(page.setsOf("out")).toEqual([{children: "new"}]);
  });

  it("keeps running on and resets nothing", async () => {
    const {started, end, page} = setup(entry);
    await started();
    const last = await started();
    expect(page.setsOf("button")).toEqual([{disabled: true}]);
    expect(page.setsOf("out")).toEqual([]);

    end(last, 0, "done");
    expect(page.setsOf("button")).toEqual([{disabled: true}, {disabled: false}]);
  });

  it("stops the old run even if its own start is not answered yet", async () => {
    const {click, starts, stops} = setup(entry);
    click();
    const first = await starts.next();
    click();
    expect((await starts.next()).fields.replaces).toEqual([first.fields.run]);
    expect(stops).toEqual([]);

    first.answer("c");
    await settle();
    expect(stops).toEqual([[first.fields.run]]);
  });

  it("does not report the refusal of a replaced run", async () => {
    const {click, starts, warnings, page} = setup(entry);
    click();
    const first = await starts.next();
    click();
    first.refuse(new StartFailed("too_many", "no"));
    await settle();

    expect(warnings).toEqual([]);
    expect(page.setsOf("button")).toEqual([{disabled: true}]);
    expect(page.setsOf("out")).toEqual([]);
  });

  it("stops the replaced run even if the new one is refused", async () => {
    const {started, click, starts, stops, page} = setup(entry);
    const old = await started();
    click();
    (await starts.next()).refuse(new StartFailed("too_many", "no"));
    await settle();

    expect(stops).toHaveLength(1);
    expect(stops[0]).toContain(old);
    expect(page.dash.get("button", "disabled")).toBe(false);
  });
});

describe("overlap skip", () => {
  it("changes nothing while a run is live, and starts again afterwards", async () => {
    const {started, click, end, starts, page, frames, runs} = setup(
      entryOf({overlap: "skip", reset, running}),
    );
    const run = await started();
    const before = page.commits.length;
    click();
    await settle();
    frames.runAll();
    expect(starts.size()).toBe(0);
    expect(runs.size()).toBe(1);
    expect(page.commits).toHaveLength(before);

    end(run, 0, "done");
    click();
    expect((await starts.next()).fields.replaces).toEqual([]);
  });
});

describe("overlap queue", () => {
  const entry = entryOf({overlap: "queue", running, cancel: [{id: "stop", property: "n_clicks"}]});
  const valueOf = ({body}: {body: object}) =>
    (body as {inputs: {value: number}[]}).inputs.map((one) => one.value);

  it("starts one after the other, with the values at the trigger", async () => {
    const {click, starts, end, runs} = setup(entry);
    for (let clicks = 1; clicks <= 3; clicks++) click();
    for (let clicks = 1; clicks <= 3; clicks++) {
      const request = await starts.next();
      expect(valueOf(request)).toEqual([clicks]);
      expect(request.fields.replaces).toEqual([]);
      request.answer("c");
      await settle();
      expect(starts.size()).toBe(0);
      expect(runs.size()).toBe(1);
      end(request.fields.run, 0, "done");
    }

    expect(runs.size()).toBe(0);
  });

  it("has a limit of 16 triggers and drops the 17th with a warning", async () => {
    const {started, click, starts, end, warnings} = setup(entry);
    let run = await started();
    for (let waiting = 1; waiting <= 16; waiting++) click();
    expect(warnings).toEqual([]);
    click();
    expect(warnings).toEqual([expect.stringContaining("16 queued triggers")]);

    const values: number[] = [];
    for (let waiting = 1; waiting <= 16; waiting++) {
      end(run, 0, "done");
      const request = await starts.next();
      values.push(...valueOf(request));
      run = request.fields.run;
    }
    end(run, 0, "done");
    await settle();

    expect(values).toEqual(Array.from({length: 16}, (_, i) => i + 2));
    expect(starts.size()).toBe(0);
  });

  it("keeps running on, once, until the last queued run has ended", async () => {
    const {started, click, starts, end, page} = setup(entry);
    const first = await started();
    click();
    end(first, 0, "error", {error});
    const second = await starts.next();
    expect(page.setsOf("button")).toEqual([{disabled: true}]);

    end(second.fields.run, 0, "done");
    expect(page.setsOf("button")).toEqual([{disabled: true}, {disabled: false}]);
  });

  it("continues with the next when one is refused", async () => {
    const {click, starts, page} = setup(entry);
    click();
    click();
    (await starts.next()).refuse(new StartFailed("too_many", "no"));

    expect(valueOf(await starts.next())).toEqual([2]);
    expect(page.dash.get("button", "disabled")).toBe(true);
  });

  it("drops queued triggers when the run is cancelled", async () => {
    const {started, click, starts, page, runs} = setup(entry, {stop: {}});
    await started();
    click();
    page.change("stop", {n_clicks: 1});
    runs.check();
    await settle();

    expect(starts.size()).toBe(0);
    expect(runs.size()).toBe(0);
    expect(page.dash.get("button", "disabled")).toBe(false);
  });
});

describe("overlap parallel", () => {
  it("keeps all runs, sets running on once and off with the last", async () => {
    const {started, update, end, page, frames, runs} = setup(
      entryOf({overlap: "parallel", running}),
      {a: {}, b: {}},
    );
    const one = await started();
    const two = await started();
    expect(runs.size()).toBe(2);
    update(one, 1, ["a", {children: 1}]);
    update(two, 1, ["b", {children: 2}]);
    frames.runAll();
    expect(page.setsOf("a")).toEqual([{children: 1}]);
    expect(page.setsOf("b")).toEqual([{children: 2}]);

    end(one, 1, "done");
    expect(page.setsOf("button")).toEqual([{disabled: true}]);
    end(two, 1, "done");
    expect(page.setsOf("button")).toEqual([{disabled: true}, {disabled: false}]);
  });
});

describe("runs with other MATCH values", () => {
  it("do not replace each other", async () => {
    const {started, starts, click, runs} = setup(entryOf({overlap: "restart"}, perCard), cards);
    const first = await started(cardOf(1));
    await started(cardOf(2));
    expect(runs.size()).toBe(2);

    click(cardOf(1));
    expect((await starts.next()).fields.replaces).toEqual([first]);
  });

  it.each(["skip", "queue"] as const)("do not wait for each other under %s", async (overlap) => {
    const {started, runs} = setup(entryOf({overlap}, perCard), cards);
    await started(cardOf(1));
    await started(cardOf(2));

    expect(runs.size()).toBe(2);
  });

  it("have their own running and reset props", async () => {
    const entry = entryOf(
      {
        running: [[textOf(["MATCH"]), "hidden", true, false]],
        reset: [[textOf(["MATCH"]), {children: ""}]],
      },
      perCard,
    );
    const {started, end, page} = setup(entry, cards);
    await started(cardOf(1));
    const second = await started(cardOf(2));
    end(second, 0, "error", {error, set: [[textOf(["MATCH"]), {title: "failed"}]]});

    expect(page.setsOf(textOf(1))).toEqual([{hidden: true}]);
    expect(page.setsOf(textOf(2))).toEqual([
      {hidden: true},
      {children: "", hidden: false, title: "failed"},
    ]);
  });
});

describe("the end of a run", () => {
  const entry = entryOf({
    reset: [["out", {children: "reset", title: "reset", lang: "reset"}]],
    running: [
      ["out", "title", "on", "off"],
      ["out", "lang", "on", "off"],
    ],
  });

  it("applies pending updates, then resets, running's off values and on_error's updates in one commit", async () => {
    const {started, update, end, page} = setup(entry);
    const run = await started();
    const before = page.commits.length;
    update(run, 1, ["out", {children: "waiting", value: "waiting"}]);
    end(run, 1, "error", {error, set: [["out", {lang: "failed"}]]});

    expect(page.commits.slice(before)).toEqual([
      [["out", {children: "reset", value: "waiting", title: "off", lang: "failed"}]],
    ]);
  });

  it("as done resets nothing", async () => {
    const {started, update, end, page, warnings} = setup(entry);
    const run = await started();
    update(run, 1, ["out", {children: "last"}]);
    end(run, 1, "done");

    expect(page.setsOf("out").at(-1)).toEqual({children: "last", title: "off", lang: "off"});
    expect(warnings).toEqual([]);
  });

  it.each(["cancelled", "error", "lost"] as const)("%s resets", async (reason) => {
    const {started, end, page} = setup(entry);
    const run = await started();
    end(run, 0, reason);

    expect(page.dash.get("out", "children")).toBe("reset");
  });

  it("as cancelled drops pending updates", async () => {
    const {started, update, end, page, frames} = setup(entry);
    const run = await started();
    update(run, 1, ["out", {value: "waiting"}]);
    end(run, 5, "cancelled");
    frames.runAll();

    expect(page.dash.get("out", "value")).toBeUndefined();
    expect(page.dash.get("out", "title")).toBe("off");
  });

  it("finishes a command in flight before the reset of its component", async () => {
    const {started, update, end, page, runs, frames, applier} = setup(
      entryOf({reset: [["out", {children: "reset"}]]}),
    );
    const run = await started();
    update(run, 1, ["out", {sendNotifications: [1]}]);
    frames.runAll();
    end(run, 1, "error", {error});
    frames.runAll();
    expect(page.setsOf("out")).toEqual([{sendNotifications: [1]}]);
    expect(runs.size()).toBe(0);

    page.change("out", {sendNotifications: []});
    applier.poke();
    frames.runAll();
    expect(page.setsOf("out")).toEqual([{sendNotifications: [1]}, {children: "reset"}]);
  });

  it("by an error is logged in the console, and shown in the dev tools only with a trace (debug mode)", async () => {
    const {started, end, page, warnings} = setup(entry);
    end(await started(), 0, "error", {error});
    expect(warnings).toEqual([expect.stringMatching(/callback_error.*0badcafe/)]);
    expect(page.errors).toEqual([]);

    end(await started(), 0, "error", {error: {...error, callback: "app.live", trace: "ValueError: x"}});
    expect(page.errors).toEqual([expect.stringContaining("ValueError: x")]);
  });
});

describe("a start that is refused", () => {
  it("counts as an error: it is shown, resets are applied and running is set off", async () => {
    const {click, starts, page, warnings, runs} = setup(entryOf({reset, running}));
    click();
    const request = await starts.next();
    expect(page.dash.get("button", "disabled")).toBe(true);
    request.refuse(new StartFailed("too_many_runs", "Raise max_runs."));
    await settle();

    expect(runs.size()).toBe(0);
    expect(page.dash.get("button", "disabled")).toBe(false);
    expect(page.setsOf("out")).toEqual([{children: ""}]);
    expect(warnings).toEqual([expect.stringMatching(/too_many_runs.*Raise max_runs/)]);
    expect(page.errors).toEqual([expect.stringContaining("Raise max_runs.")]);
  });

  it("T3: applies on_error's updates after the resets", async () => {
    const {click, starts, page} = setup(entryOf({reset, running}));
    click();
    const set = [["out", {children: "Take a smaller file."}]] as const;
    (await starts.next()).refuse(new StartFailed("too_large", "Too large.", undefined, set));
    await settle();

    expect(page.dash.get("button", "disabled")).toBe(false);
    expect(page.dash.get("out", "children")).toBe("Take a smaller file.");
  });

  it("by an exception in the page is reported too", async () => {
    const {click, starts, warnings, runs} = setup(entryOf());
    click();
    (await starts.next()).refuse(new TypeError("circular"));
    await settle();

    expect(runs.size()).toBe(0);
    expect(warnings).toEqual([expect.stringContaining("circular")]);
  });
});

describe("P17: a start that is refused by a limit", () => {
  const full = new StartFailed("too_many", "Too many.", {limit: "max_runs", retryMs: 5000});
  const entry = entryOf({cancel: [{id: "stop", property: "n_clicks"}], reset, running});

  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("waits as queued, with running on, and runs once a retry succeeds", async () => {
    const {click, starts, page, states, stops, update, frames} = setup(entry);
    click();
    const request = await starts.next();
    request.refuse(full);
    await vi.advanceTimersByTimeAsync(4999);
    expect(starts.size()).toBe(0);
    expect(states.map(([, state]) => state)).toEqual(["queued"]);
    expect(page.dash.get("button", "disabled")).toBe(true);
    expect(page.setsOf("out")).toEqual([]);

    await vi.advanceTimersByTimeAsync(6000);
    const again = await starts.next();
    expect(again.fields).toEqual(request.fields);
    expect(again.body).toEqual(request.body);
    again.answer("c");
    await settle();
    update(again.fields.run, 1, ["out", {children: "x"}]);
    frames.runAll();
    expect(states.map(([, state]) => state)).toEqual(["queued", "running"]);
    expect(page.dash.get("out", "children")).toBe("x");
    expect(stops).toEqual([]);
    expect(page.errors).toEqual([]);
  });

  it("can be cancelled while it waits, and is not retried", async () => {
    const {click, starts, page, runs, states, stops} = setup(entry, {stop: {}});
    click();
    (await starts.next()).refuse(full);
    await settle();
    page.change("stop", {n_clicks: 1});
    runs.check();
    await vi.advanceTimersByTimeAsync(60_000);

    expect(states.map(([, state]) => state)).toEqual(["queued", "cancelled"]);
    expect(page.dash.get("button", "disabled")).toBe(false);
    expect(starts.size()).toBe(0);
    expect(stops).toEqual([]);
  });

  it("is retried when another run of the page ends", async () => {
    const {started, click, starts, end} = setup(entryOf({overlap: "parallel"}));
    const first = await started();
    click();
    (await starts.next()).refuse(full);
    await settle();
    end(first, 0, "done");
    await settle();

    expect(starts.size()).toBe(1);
  });

  it("ends when the page closes, even if a run would survive", async () => {
    const {click, starts, storage} = setup(entryOf({onDisconnect: "finish"}));
    click();
    const request = await starts.next();
    const noted = () => Object.values(storage.stored).join();
    expect(noted()).toContain(request.fields.run);
    request.refuse(full);
    await settle();

    expect(noted()).not.toContain(request.fields.run);
  });

  it("stops the run that it replaces", async () => {
    const {started, click, starts, stops} = setup(entryOf({overlap: "restart"}));
    const first = await started();
    click();
    (await starts.next()).refuse(full);
    await settle();

    expect(stops).toEqual([[first]]);
  });
});

describe("a connection that is lost", () => {
  it("loses its own runs, and no others", async () => {
    const {started, page, runs, stops, warnings} = setup(
      entryOf({overlap: "parallel", reset, running}),
    );
    const one = await started("go", "c1");
    const two = await started("go", "c1");
    await started("go", "c2");
    runs.onLost("c1");

    expect(runs.size()).toBe(1);
    expect(stops.flat().sort()).toEqual([one, two].sort());
    expect(warnings).toHaveLength(2);
    expect(page.dash.get("out", "children")).toBe("");
    expect(page.dash.get("button", "disabled")).toBe(true);
  });
});

describe("a cancel", () => {
  const entry = entryOf({cancel: [{id: "stop", property: "n_clicks"}], reset, running});

  it("stops the run at the server, drops pending updates, resets, and sets running off", async () => {
    const {started, update, page, runs, stops, frames, warnings} = setup(entry, {stop: {}});
    const run = await started();
    update(run, 1, ["out", {children: "waiting", title: "waiting"}]);
    page.change("stop", {n_clicks: 1});
    runs.check();
    frames.runAll();

    expect(stops).toEqual([[run]]);
    expect(runs.size()).toBe(0);
    expect(page.setsOf("out")).toEqual([{children: ""}]);
    expect(page.dash.get("button", "disabled")).toBe(false);
    expect(warnings).toEqual([]);
  });

  it("applies resets and running's off values once, whatever the server then says", async () => {
    const {started, end, page, runs} = setup(entry, {stop: {}});
    const run = await started();
    page.change("stop", {n_clicks: 1});
    runs.check();
    runs.check();
    end(run, 0, "cancelled");

    expect(page.setsOf("out")).toEqual([{children: ""}]);
    expect(page.setsOf("button")).toEqual([{disabled: true}, {disabled: false}]);
  });

  it("before the start is answered stops the run afterwards", async () => {
    const {click, starts, page, runs, stops} = setup(entry, {stop: {}});
    click();
    const request = await starts.next();
    page.change("stop", {n_clicks: 1});
    runs.check();
    expect(runs.size()).toBe(0);
    expect(page.dash.get("button", "disabled")).toBe(false);
    expect(stops).toEqual([]);

    request.answer("c");
    await settle();
    expect(stops).toEqual([[request.fields.run]]);
  });

  it("stops only runs that began before the change", async () => {
    const {started, page, runs} = setup(entry, {stop: {}});
    page.change("stop", {n_clicks: 1});
    await started();
    runs.check();

    expect(runs.size()).toBe(1);
  });

  it("stops all parallel runs with one request", async () => {
    const {started, page, runs, stops} = setup(
      entryOf({...entry.flash_events, overlap: "parallel"}),
      {stop: {}},
    );
    const all = [await started(), await started()];
    page.change("stop", {n_clicks: 1});
    runs.check();

    expect(stops).toEqual([all]);
    expect(page.setsOf("button")).toEqual([{disabled: true}, {disabled: false}]);
  });
});

describe("an Input's component that leaves the page", () => {
  it("cancels the run", async () => {
    const {started, page, runs, stops} = setup(entryOf({reset}));
    runs.check();
    const run = await started();
    page.remove("go");
    runs.check();

    expect(runs.size()).toBe(0);
    expect(stops).toEqual([[run]]);
    expect(page.setsOf("out")).toEqual([{children: ""}]);
  });

  it("does not cancel a keep-alive run", async () => {
    const {started, page, runs} = setup(entryOf({keepAlive: true}));
    await started();
    page.remove("go");
    runs.check();

    expect(runs.size()).toBe(1);
  });

  it("counts only after Dash has finished building the page", async () => {
    const {started, page, runs} = setup(entryOf());
    await started();
    page.state.isReady = false;
    page.remove("go");
    runs.check();
    expect(runs.size()).toBe(1);

    page.state.isReady = true;
    runs.check();
    expect(runs.size()).toBe(0);
  });
});

describe("an Input's component that is inserted", () => {
  it("starts a run, as Dash's initial call would", async () => {
    const entry = entryOf({}, {prevent_initial_call: false});
    const {page, runs, starts} = setup(entry);
    page.remove("go");
    runs.check();
    page.insert("go", {n_clicks: 4});
    runs.check();

    expect((await starts.next()).body).toMatchObject({
      inputs: [{id: "go", property: "n_clicks", value: 4}],
      changedPropIds: [],
    });
  });
});

describe("a value that a run writes itself", () => {
  it("does not trigger its callback, and a user's change does", async () => {
    const {started, update, page, frames, runs, starts} = setup(entryOf());
    const run = await started();
    update(run, 1, ["go", {n_clicks: 0}]);
    frames.run();
    expect(page.dash.get("go", "n_clicks")).toBe(0);
    runs.trigger("cb", changed("go", "n_clicks", 0));
    await settle();
    expect(starts.size()).toBe(0);

    runs.trigger("cb", changed("go", "n_clicks", 1));
    expect((await starts.next()).fields.replaces).toEqual([run]);
  });

  it("does not trigger its callback when it is a reset", async () => {
    const {started, end, runs, starts} = setup(entryOf({reset: [["go", {n_clicks: 0}]]}));
    end(await started(), 0, "error", {error});
    runs.trigger("cb", changed("go", "n_clicks", 0));
    await settle();

    expect(starts.size()).toBe(0);
  });

  it("does not cancel a run of its callback, and a user's change does", async () => {
    const {started, update, page, frames, runs} = setup(
      entryOf({overlap: "parallel", cancel: [{id: "in", property: "value"}]}),
      {in: {value: "a"}},
    );
    const one = await started();
    await started();
    update(one, 1, ["in", {value: "b"}]);
    frames.run();
    runs.check();
    expect(runs.size()).toBe(2);

    page.change("in", {value: "c"});
    runs.check();
    expect(runs.size()).toBe(0);
  });

  it("does not hide a write of another callback's run in the same frame", async () => {
    const entry = entryOf({cancel: [{id: "in", property: "value"}]});
    const another = {...entryOf(), output: "cb2"};
    const page = fakePage({go: {}, in: {value: "a"}}, [entry, another]);
    const {starts, connections} = fakeConnections();
    const frames = fakeFrames();
    const applier = createApplier({
      dash: page.dash,
      onApplied: (source, id, props) => runs.onApplied(source, id, props),
      warn: () => undefined,
      isHidden: () => false,
      nextFrame: frames.next,
      now: () => 0,
    });
    const runs = createRuns({
      dash: page.dash,
      applier,
      connections,
      page: Promise.resolve("p"),
      storage: fakeStorage(),
      loadWaitlist: () => Promise.resolve(undefined),
      onState: () => undefined,
      warn: () => undefined,
    });
    runs.trigger("cb", changed("go", "n_clicks", 1));
    runs.trigger("cb2", changed("go", "n_clicks", 1));
    const [one, two] = [await starts.next(), await starts.next()];
    const write = (run: string, props: Props) =>
      runs.onEvent({type: "update", run, n: 1, set: [["in", props]]}, 10);
    write(one.fields.run, {title: "x"});
    write(two.fields.run, {value: "b"});
    frames.run();
    runs.check();

    expect(runs.size()).toBe(1);
  });
});

describe("the state of a run", () => {
  it("is reported from the trigger to its end", async () => {
    const {started, update, end, states} = setup(entryOf());
    const run = await started();
    expect(states).toEqual([[run, "queued"]]);
    update(run, 1, ["out", {children: "a"}]);
    end(run, 1, "done");
    expect(states).toEqual([
      [run, "queued"],
      [run, "running"],
      [run, "done"],
    ]);
  });

  it("is reported for a replaced run after its successor has started", async () => {
    const {started, states} = setup(entryOf());
    const first = await started();
    const second = await started();
    expect(states).toEqual([
      [first, "queued"],
      [second, "queued"],
      [first, "cancelled"],
    ]);
  });

  it("is reported for a run that the server refuses", async () => {
    const {click, starts, states} = setup(entryOf());
    click();
    const {fields, refuse} = await starts.next();
    refuse(new Error("no"));
    await settle();
    expect(states).toEqual([
      [fields.run, "queued"],
      [fields.run, "error"],
    ]);
  });
});

describe("components that are redrawn", () => {
  const leaving = entryOf({reset, running});

  it("P4: end the earlier run, without resets of their new instances", async () => {
    const {started, page, runs, stops} = setup(leaving, {button: {disabled: false}});
    const run = await started();
    expect(page.setsOf("button")).toEqual([{disabled: true}]);
    for (const id of ["go", "button", "out"]) page.insert(id, {children: "new"});
    runs.check();

    expect(stops).toEqual([[run]]);
    expect(page.setsOf("button")).toEqual([{disabled: true}]);
    expect(page.setsOf("out")).toEqual([]);
  });

  it.each(["skip", "queue", "restart", "parallel"] as const)(
    "P4: start a run that the earlier one does not delay (%s)",
    async (overlap) => {
      const entry = entryOf({overlap}, {prevent_initial_call: false});
      const {page, runs, starts, stops, click} = setup(entry);
      runs.check();
      (await starts.next()).answer("c"); // that of the page
      await settle();
      if (overlap === "queue") click(); // it is queued, and dropped later
      page.insert("go", {n_clicks: 7});
      runs.check();

      expect((await starts.next()).body).toMatchObject({
        inputs: [{id: "go", property: "n_clicks", value: 7}],
        changedPropIds: [],
      });
      await settle();
      expect(stops).toHaveLength(1);
      expect(starts.size()).toBe(0);
      expect(runs.size()).toBe(1);
    },
  );

  it("P4: end the run, and reset the remaining components", async () => {
    const {started, page, runs} = setup(leaving);
    await started();
    page.insert("go", {});
    runs.check();

    expect(page.setsOf("button")).toEqual([{disabled: true}, {disabled: false}]);
    expect(page.setsOf("out")).toEqual([{children: ""}]);
  });

  it("P4: do not end or restart a run that has drawn them itself", async () => {
    const {started, update, page, frames, runs, stops, starts} = setup(
      entryOf({}, {prevent_initial_call: false}),
    );
    const run = await started();
    runs.check();
    page.state.onSet = (id) => id === "out" && page.insert("go", {n_clicks: 0});
    update(run, 1, ["out", {children: "a new button"}]);
    frames.run();
    runs.check();

    expect(stops).toEqual([]);
    expect(starts.size()).toBe(0);
  });

  it("P18: are not reported as missing if they have left with the run or before", async () => {
    const {started, page, runs, warnings} = setup(leaving);
    await started();
    page.remove("out");
    runs.check();
    for (const id of ["go", "button"]) page.remove(id);
    runs.check();

    expect(warnings).toEqual([]);
    expect(runs.size()).toBe(0);
  });

  it("P18: are reported as missing if they were never on the page", async () => {
    const {started, page, runs, warnings} = setup(entryOf({reset: [["wrong", {children: ""}]]}));
    await started();
    page.remove("go");
    runs.check();

    expect(warnings).toEqual([expect.stringContaining('"wrong" is on the page')]);
  });

  it("P19: get the running values of a live run", async () => {
    const {started, page, runs} = setup(leaving);
    await started();
    page.insert("button", {disabled: false});
    runs.check();
    runs.check();

    expect(page.setsOf("button")).toEqual([{disabled: true}, {disabled: true}]);
  });

  it("P19: show the values of a keep-alive run, even inside components that it has drawn", async () => {
    const {started, update, page, frames, runs, warnings} = setup(entryOf({keepAlive: true}), {
      frame: {},
    });
    page.state.onSet = (id) => id === "frame" && page.insert("inner", {children: "drawn"});
    const run = await started();
    update(run, 1, ["frame", {children: "inner"}], ["inner", {children: "filled"}]);
    frames.runAll();
    runs.check();
    for (const id of ["go", "out", "frame", "inner"]) page.remove(id);
    runs.check();
    update(run, 2, ["inner", {children: "meanwhile"}], ["out", {children: "first"}]);
    frames.runAll();
    for (const id of ["out", "frame"]) page.insert(id, {children: "as the layout says"});
    runs.check();

    expect(page.dash.get("inner", "children")).toBe("meanwhile");
    expect(page.dash.get("out", "children")).toBe("first");
    expect(warnings).toEqual(['No component with id "out" is on the page; its updates are skipped.']);
  });

  it("P19: show older values before the next update", async () => {
    const {started, update, page, frames, runs} = setup(entryOf({keepAlive: true}), {
      out: {children: []},
    });
    const run = await started();
    update(run, 1, ["out", {children: patch("a")}]);
    frames.runAll();
    page.remove("out");
    runs.check();
    update(run, 2, ["out", {children: patch("b")}]);
    frames.runAll();
    page.insert("out", {children: []});
    update(run, 3, ["out", {children: patch("c")}]);
    frames.runAll(); // before the page is looked at
    runs.check();

    expect(page.dash.get("out", "children")).toEqual(["a", "b", "c"]);
  });
});

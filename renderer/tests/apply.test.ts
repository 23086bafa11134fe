import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {createApplier} from "../src/apply.ts";
import type {Source} from "../src/steps.ts";
import {addCommands} from "../src/commands.ts";
import type {WireId} from "../src/ids.ts";
import type {Props} from "../src/protocol.ts";
import {fakeFrames, fakeGraph, fakePage, patch, seededRandom, setOrPatch} from "./fakes.ts";

addCommands(["ring"]);

const run: Source = {id: "run"};
const other: Source = {id: "other"};
const MiB = 1024 * 1024;

/** An applier for a page; `clock` and `isHidden` may be changed. */
function setup(layout: Readonly<Record<WireId, Props>>) {
  const page = fakePage(layout);
  const frames = fakeFrames();
  const warnings: string[] = [];
  const applied: [source: Source, id: WireId, props: Props][] = [];
  const state = {clock: 0, isHidden: false};
  const applier = createApplier({
    dash: page.dash,
    onApplied: (source, id, props) => applied.push([source, id, props]),
    warn: (message) => warnings.push(message),
    isHidden: () => state.isHidden,
    nextFrame: frames.next,
    now: () => state.clock,
  });
  return {applier, page, frames, warnings, applied, state};
}

beforeEach(() => void vi.useFakeTimers());

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("state props", () => {
  it("collapse to their last values, once per frame", () => {
    const {applier, page, frames} = setup({out: {}});
    for (let n = 1; n <= 100; n++) applier.add(run, [["out", {children: n}]]);
    expect(page.commits).toEqual([]);
    expect(frames.size()).toBe(1);

    frames.run();
    expect(page.commits).toEqual([[["out", {children: 100}]]]);

    applier.add(run, [["out", {children: 101}]]);
    frames.run();
    expect(page.commits).toHaveLength(2);
    expect(frames.size()).toBe(0);
  });

  it("that come alone are set at once, and those that follow with the next frame", async () => {
    const {applier, page, frames, state} = setup({out: {}});
    state.clock = 1000;
    applier.add(run, [["out", {children: 1}]]);
    applier.add(run, [["out", {children: 2}]]);
    await Promise.resolve();
    expect(page.commits).toEqual([[["out", {children: 2}]]]);
    expect(frames.size()).toBe(0);

    state.clock = 1010;
    applier.add(run, [["out", {children: 3}]]);
    await Promise.resolve();
    expect(page.commits).toHaveLength(1);
    frames.run();
    expect(page.commits).toHaveLength(2);
  });

  it("that a component does not bear keep no other from theirs", () => {
    const {applier, page, frames, warnings} = setup({bad: {}, good: {}});
    page.state.onSet = (id) => {
      if (id === "bad") throw new TypeError("Cannot patch undefined");
    };
    applier.add(run, [["bad", {children: 1}], ["good", {children: 2}]]);
    frames.runAll();
    expect(page.dash.get("good", "children")).toBe(2);
    expect(warnings).toEqual([
      '"bad" could not be updated: TypeError: Cannot patch undefined',
    ]);
  });

  it("of several components and updates are set in one commit", () => {
    const {applier, page, frames} = setup({a: {}, b: {}});
    applier.add(run, [["a", {children: 1}], ["b", {value: 2}]]);
    applier.add(other, [["a", {style: 3}]]);
    frames.run();

    expect(page.commits).toEqual([
      [["a", {children: 1, style: 3}], ["b", {value: 2}]],
    ]);
  });

  it("that are null or undefined are values like others", () => {
    const {applier, page, frames} = setup({out: {value: 1}});
    applier.add(run, [["out", {value: null}]]);
    frames.run();

    expect(page.dash.get("out", "value")).toBeNull();
  });

  it("of a pattern are set of every component that it means", () => {
    const [a, b] = ['{"index":1,"type":"card"}', '{"index":2,"type":"card"}'];
    const {applier, page, frames} = setup({[a]: {}, [b]: {}, out: {}});
    applier.add(run, [['{"index":["ALL"],"type":"card"}', {children: "x"}]]);
    frames.run();

    expect(page.commits).toEqual([[[a, {children: "x"}], [b, {children: "x"}]]]);
  });

  it("are applied at once by a flush, without a frame", () => {
    const {applier, page} = setup({out: {}});
    applier.add(run, [["out", {children: 1}]]);
    applier.flush();

    expect(page.commits).toEqual([[["out", {children: 1}]]]);
  });

  it("are told to each source that has set them", () => {
    const {applier, applied, frames} = setup({out: {}});
    applier.add(run, [["out", {children: 1}]]);
    applier.add(other, [["out", {value: 2}]]);
    frames.run();

    expect(applied).toEqual([
      [run, "out", {children: 1}],
      [other, "out", {value: 2}],
    ]);
  });

  it("are told only to the source whose value was the last", () => {
    const {applier, applied, frames} = setup({out: {}});
    applier.add(run, [["out", {children: 1}]]);
    applier.add(other, [["out", {children: 2}]]);
    frames.run();

    expect(applied).toEqual([[other, "out", {children: 2}]]);
  });
});

describe("a missing component", () => {
  it("is warned of once, and the rest of the batch is applied", () => {
    const {applier, page, frames, warnings} = setup({out: {}});
    for (let n = 1; n <= 3; n++) {
      applier.add(run, [["gone", {children: n, ring: n}], ["out", {children: n}]]);
      frames.runAll();
    }

    expect(page.setsOf("out")).toEqual([{children: 1}, {children: 2}, {children: 3}]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('"gone"');
  });

  it("gets what comes once it is on the page", () => {
    const {applier, page, frames} = setup({});
    applier.add(run, [["late", {children: 1}]]);
    frames.run();
    page.insert("late", {});
    applier.add(run, [["late", {children: 2}]]);
    frames.run();

    expect(page.setsOf("late")).toEqual([{children: 2}]);
  });
});

it.each(["__proto__", "constructor", "prototype"])("refuses a prop called %s", (name) => {
  const {applier, page, frames, warnings} = setup({out: {}});
  const props = JSON.parse(`{"a":1,"${name}":{"polluted":true},"b":2,"ring":3}`) as Props;
  applier.add(run, [["out", props]]);
  frames.runAll();

  expect(page.setsOf("out")).toEqual([{a: 1, b: 2}, {ring: 3}]);
  expect(Object.keys(page.setsOf("out")[0] ?? {})).toEqual(["a", "b"]);
  expect("polluted" in {}).toBe(false);
  expect(warnings).toEqual([expect.stringContaining(`"${name}"`)]);
});

describe("Patches", () => {
  it("of one prop are joined in order", () => {
    const {applier, page, frames} = setup({out: {data: []}});
    for (let n = 1; n <= 3; n++) applier.add(run, [["out", {data: patch(n, -n)}]]);
    frames.run();

    expect(page.commits).toEqual([[["out", {data: patch(1, -1, 2, -2, 3, -3)}]]]);
  });

  it("of a pattern are joined for each component by itself", () => {
    const [a, b] = ['{"index":1,"type":"card"}', '{"index":2,"type":"card"}'];
    const {applier, page, frames} = setup({[a]: {data: []}, [b]: {data: []}});
    for (const n of [1, 2]) applier.add(run, [['{"index":["ALL"],"type":"card"}', {data: patch(n)}]]);
    applier.add(run, [[b, {data: patch(3)}]]);
    frames.run();

    expect(page.commits).toEqual([[[a, {data: patch(1, 2)}], [b, {data: patch(1, 2, 3)}]]]);
  });

  it("after a value are applied to it", () => {
    const {applier, page, frames} = setup({out: {data: ["old"]}});
    applier.add(run, [["out", {data: ["new"]}]]);
    applier.add(run, [["out", {data: patch("more")}]]);
    frames.run();

    expect(page.commits).toEqual([[["out", {data: ["new"]}], ["out", {data: patch("more")}]]]);
    expect(page.dash.get("out", "data")).toEqual(["new", "more"]);
  });

  it("before a value are set before it", () => {
    const {applier, page, frames} = setup({out: {data: ["old"]}});
    applier.add(run, [["out", {data: patch("more")}]]);
    applier.add(run, [["out", {data: ["new"]}]]);
    frames.run();

    expect(page.commits).toEqual([[["out", {data: patch("more")}], ["out", {data: ["new"]}]]]);
  });

  it("after a value are applied although the prop was not set before", () => {
    const {applier, page, frames, warnings} = setup({out: {}});
    applier.add(run, [["out", {data: ["new"]}]]);
    applier.add(run, [["out", {data: patch("more")}]]);
    frames.run();

    expect(page.dash.get("out", "data")).toEqual(["new", "more"]);
    expect(warnings).toEqual([]);
  });

  it("of a prop that is not set are warned of once and skipped, and the rest is applied", () => {
    const {applier, page, frames, warnings} = setup({out: {}, b: {}});
    for (let n = 1; n <= 2; n++) {
      applier.add(run, [["out", {data: patch(n), children: n}], ["b", {children: n}]]);
      frames.run();
    }

    expect(page.setsOf("out")).toEqual([{children: 1}, {children: 2}]);
    expect(page.setsOf("b")).toEqual([{children: 1}, {children: 2}]);
    expect(warnings).toEqual([expect.stringMatching(/Patch of "data" of "out"/)]);
  });

  it.each([1, 2, 3, 4, 5])("and values in any order end as one by one (seed %i)", (seed) => {
    const random = seededRandom(seed);
    const {applier, page, frames, warnings} = setup({out: {a: [], b: []}});
    const model: Record<string, unknown> = {a: [], b: []};
    for (let n = 0; n < 300; n++) {
      const props: Record<string, unknown> = {};
      if (random() < 0.7) props["a"] = random() < 0.7 ? patch(n) : [n];
      if (random() < 0.7) props["b"] = random() < 0.7 ? patch(n) : [n];
      applier.add(random() < 0.5 ? run : other, [["out", props]]);
      for (const [prop, value] of Object.entries(props)) {
        model[prop] = setOrPatch(model[prop], value);
      }
      if (random() < 0.1) frames.run();
      if (random() < 0.1) applier.flush();
    }
    frames.runAll();

    expect({a: page.dash.get("out", "a"), b: page.dash.get("out", "b")}).toEqual(model);
    expect(warnings).toEqual([]);
  });
});

describe("commands that nothing shows to be taken", () => {
  it("each get a commit of their own", () => {
    const {applier, page, frames} = setup({bell: {}});
    for (let n = 1; n <= 20; n++) applier.add(run, [["bell", {ring: n}]]);
    frames.runAll();

    expect(page.commits).toEqual(
      Array.from({length: 20}, (_, i) => [["bell", {ring: i + 1}]]),
    );
  });

  it("keep their place among the component's other props", () => {
    const {applier, page, frames} = setup({bell: {}, out: {}});
    applier.add(run, [["bell", {color: "red"}], ["out", {children: 1}]]);
    applier.add(run, [["bell", {color: "blue"}]]);
    applier.add(run, [["bell", {ring: 1}]]);
    applier.add(run, [["bell", {color: "green"}], ["out", {children: 2}]]);
    applier.add(run, [["bell", {color: "white"}]]);
    frames.runAll();

    expect(page.setsOf("bell")).toEqual([{color: "blue"}, {ring: 1}, {color: "white"}]);
    expect(page.setsOf("out")).toEqual([{children: 2}]);
  });

  it("follow the state props that stand beside them in one update", () => {
    const {applier, page, frames} = setup({bell: {}});
    applier.add(run, [["bell", {ring: 1, color: "red", size: 2}]]);
    frames.runAll();

    expect(page.commits).toEqual([[["bell", {color: "red", size: 2}]], [["bell", {ring: 1}]]]);
  });

  it("give way to the browser when a frame takes long", () => {
    const {applier, page, frames, state} = setup({bell: {}});
    page.state.onSet = () => void (state.clock += 13);
    for (let n = 1; n <= 3; n++) applier.add(run, [["bell", {ring: n}]]);

    for (let n = 1; n <= 3; n++) {
      expect(frames.size()).toBe(1);
      frames.run();
      expect(page.commits).toHaveLength(n);
    }
    expect(frames.size()).toBe(0);
  });
});

describe("commands that a component clears", () => {
  const add = (n: number) => ({rowTransaction: {add: [n]}});

  it("wait until it has taken the one before, and are joined meanwhile", () => {
    const {applier, page, frames} = setup({grid: {rowTransaction: null}});
    applier.add(run, [["grid", add(1)]]);
    frames.runAll();
    applier.add(run, [["grid", add(2)]]);
    applier.add(run, [["grid", add(3)]]);
    frames.runAll();
    applier.poke(); // the page has changed, the grid has not
    frames.runAll();
    expect(page.setsOf("grid")).toEqual([add(1)]);

    page.change("grid", {rowTransaction: null});
    applier.poke();
    frames.runAll();

    expect(page.setsOf("grid")).toEqual([add(1), {rowTransaction: {add: [2, 3]}}]);
  });

  it("hold what follows for the same component, and nothing of another", () => {
    const {applier, page, frames} = setup({grid: {}, out: {}});
    applier.add(run, [["grid", add(1)]]);
    frames.runAll();
    applier.add(run, [["grid", {style: 1}], ["out", {children: 1}]]);
    frames.runAll();
    expect(page.setsOf("out")).toEqual([{children: 1}]);
    expect(page.setsOf("grid")).toEqual([add(1)]);

    page.change("grid", {rowTransaction: null});
    applier.poke();
    frames.runAll();

    expect(page.setsOf("grid")).toEqual([add(1), {style: 1}]);
  });

  it("are not joined over another prop of the component", () => {
    const {applier, page, frames} = setup({grid: {}});
    page.state.onSet = (id) => page.change(id, {rowTransaction: null});
    applier.add(run, [["grid", add(1)]]);
    applier.add(run, [["grid", {style: 1}]]);
    applier.add(run, [["grid", add(2)]]);
    frames.runAll();

    expect(page.setsOf("grid")).toEqual([add(1), {style: 1}, add(2)]);
  });

  it("are applied to the last row before something else of the grid is set", () => {
    const {applier, page, frames} = setup({grid: {}});
    const order: string[] = [];
    const flushAsyncTransactions = () => order.push("flushed");
    vi.stubGlobal("dash_ag_grid", {
      getApi: (id: string) => (id === "grid" ? {flushAsyncTransactions} : null),
    });
    page.state.onSet = (_, props) => order.push(...Object.keys(props));
    applier.add(run, [["grid", {rowTransaction: {add: [1]}}]]);
    frames.runAll();
    page.change("grid", {rowTransaction: null});
    applier.add(run, [["grid", {rowData: []}]]);
    applier.add(run, [["grid", {columnDefs: []}]]);
    frames.runAll();
    applier.add(run, [["grid", {rowData: []}]]);
    frames.runAll();

    expect(order).toEqual(["rowTransaction", "flushed", "rowData", "columnDefs", "rowData"]);
  });

  it("of a grid that is not shown any more keep nothing from being set", () => {
    const {applier, page, frames, warnings} = setup({grid: {}, out: {}});
    vi.stubGlobal("dash_ag_grid", {
      getApi: () => {
        throw new Error("no grid found, or grid is not initialized yet");
      },
    });
    applier.add(run, [["grid", {rowTransaction: {add: [1]}}]]);
    frames.runAll();
    page.change("grid", {rowTransaction: null});
    page.show("grid", false);
    applier.add(run, [["grid", {rowData: []}], ["out", {children: 1}]]);
    frames.runAll();
    page.show("grid", true);
    applier.add(run, [["grid", {rowTransaction: {add: [2]}}]]);
    frames.runAll();
    page.change("grid", {rowTransaction: null});
    applier.add(run, [["grid", {rowData: [3]}], ["out", {children: 2}]]);
    frames.runAll();

    expect(page.setsOf("out")).toEqual([{children: 1}, {children: 2}]);
    expect(page.setsOf("grid").at(-1)).toEqual({rowData: [3]});
    expect(warnings).toEqual([
      '"grid" could not be updated: Error: no grid found, or grid is not initialized yet',
    ]);
  });

  it("wait for as long as their component is not shown", async () => {
    const {applier, page, frames, state, warnings} = setup({grid: {}});
    page.show("grid", false);
    applier.add(run, [["grid", {rowTransaction: {remove: [1]}}]]);
    applier.add(run, [["grid", {rowTransaction: {remove: [2]}}]]);
    frames.runAll();
    state.clock = 60_000;
    applier.poke();
    page.show("grid", true);
    state.clock = 65_000;
    applier.poke();
    frames.runAll();
    expect(page.setsOf("grid")).toEqual([{rowTransaction: {remove: [1]}}]);

    page.change("grid", {rowTransaction: null});
    applier.poke();
    await Promise.resolve();

    expect(page.setsOf("grid").at(-1)).toEqual({rowTransaction: {remove: [2]}});
    expect(warnings).toEqual([]);
  });

  it("are passed over with a warning when they are not taken for 10 s", () => {
    const {applier, page, frames, warnings, state} = setup({grid: {}});
    applier.add(run, [["grid", add(1)]]);
    frames.runAll();
    applier.add(run, [["grid", add(2)]]);
    state.clock = 10_000;
    applier.poke();
    frames.runAll();
    expect(page.setsOf("grid")).toEqual([add(1)]);
    expect(warnings).toEqual([]);

    state.clock = 10_001;
    applier.poke();
    frames.runAll();

    expect(page.setsOf("grid")).toEqual([add(1), add(2)]);
    expect(warnings).toEqual([expect.stringContaining('"grid" has not taken')]);
  });

  it("are passed over also when nothing else happens on the page", async () => {
    const {applier, page, frames, state} = setup({grid: {}});
    applier.add(run, [["grid", add(1)]]);
    frames.runAll();
    applier.add(run, [["grid", add(2)]]);
    frames.runAll();
    for (let seconds = 1; seconds <= 21; seconds++) {
      state.clock += 1000;
      await vi.advanceTimersByTimeAsync(1000);
    }

    expect(page.setsOf("grid")).toEqual([add(1), add(2)]);
  });

  it("hold nothing when the component has left the page", () => {
    const {applier, page, frames, warnings} = setup({grid: {}});
    applier.add(run, [["grid", add(1)]]);
    frames.runAll();
    applier.add(run, [["grid", add(2)]], false, 5 * MiB);
    frames.runAll();
    page.remove("grid");
    applier.poke();
    frames.runAll();

    expect(page.setsOf("grid")).toEqual([add(1)]);
    expect(warnings).toEqual([expect.stringContaining('No component with id "grid"')]);
    expect(applier.drained()).toBeUndefined();
  });

  it("are told to every source whose value was joined", () => {
    const {applier, frames, applied} = setup({grid: {}});
    applier.add(run, [["grid", add(1)]]);
    applier.add(other, [["grid", add(2)]]);
    frames.runAll();

    const joined = {rowTransaction: {add: [1, 2]}};
    expect(applied).toEqual([
      [run, "grid", joined],
      [other, "grid", joined],
    ]);
  });
});

describe("commands of a graph", () => {
  const point = (n: number) => ({extendData: [{y: [[n]]}, [0]]});

  function setupGraph(options: {isDrawn?: boolean} = {}) {
    const fixture = setup({graph: {}});
    const graph = fakeGraph(options);
    const getElementById = (id: string) => (id === "graph" ? graph.element : null);
    vi.stubGlobal("document", {getElementById});
    fixture.page.state.onSet = (_, props) => {
      if ("extendData" in props) graph.receive(props["extendData"]);
    };
    const points = () =>
      (graph.applied as [{y: number[][]}, number[]][]).flatMap(([data]) => data.y[0]);
    /** Lets Plotly draw, and the frames that follow. */
    const draw = () => {
      graph.draw();
      vi.advanceTimersByTime(0);
      fixture.frames.runAll();
    };
    return {...fixture, points, draw};
  }

  it("wait until Plotly has drawn the one before, so that each point is drawn once", () => {
    const {applier, frames, points, draw} = setupGraph();
    for (let n = 1; n <= 100; n++) {
      applier.add(run, [["graph", point(n)]]);
      if (n % 3 === 0) frames.runAll();
      if (n % 10 === 0) draw();
    }
    draw();
    draw();

    expect(points()).toEqual(Array.from({length: 100}, (_, i) => i + 1));
  });

  it("are joined behind the one that is being drawn", () => {
    const {applier, page, frames, draw} = setupGraph();
    applier.add(run, [["graph", point(1)]]);
    frames.runAll();
    for (const n of [2, 3, 4]) applier.add(run, [["graph", point(n)]]);
    frames.runAll();
    expect(page.setsOf("graph")).toEqual([point(1)]);

    draw();

    expect(page.setsOf("graph")).toEqual([point(1), {extendData: [{y: [[2, 3, 4]]}, [0]]}]);
  });

  it("wait for the first drawing, however long it takes", async () => {
    const {applier, frames, state, points, warnings, draw} = setupGraph({isDrawn: false});
    applier.add(run, [["graph", point(1)]]);
    frames.runAll();
    state.clock = 60_000;
    vi.advanceTimersByTime(60_000);
    frames.runAll();
    expect(points()).toEqual([]);
    expect(warnings).toEqual([
      '"graph" has not been ready for its extendData for 10 s; waiting on.',
    ]);

    draw();
    await vi.advanceTimersByTimeAsync(50); // an undrawn graph has nothing to listen to

    expect(points()).toEqual([1]);
  });

  it("hold nothing when the graph has left the page", () => {
    const {applier, page, frames, points} = setupGraph({isDrawn: false});
    applier.add(run, [["graph", point(1)]], false, 5 * MiB);
    frames.runAll();
    expect(applier.drained()).toBeDefined();

    page.remove("graph");
    applier.poke();
    frames.runAll();

    expect(applier.drained()).toBeUndefined();
    expect(points()).toEqual([]);
  });

  it("hold a state prop that follows until they are drawn", () => {
    const {applier, page, frames, draw} = setupGraph();
    applier.add(run, [["graph", point(1)]]);
    applier.add(run, [["graph", {figure: {}}]]);
    frames.runAll();
    expect(page.setsOf("graph")).toEqual([point(1)]);

    draw();

    expect(page.setsOf("graph")).toEqual([point(1), {figure: {}}]);
  });
});

describe("an update that is alone", () => {
  it("does not collapse with those before and after it", () => {
    const {applier, page, frames} = setup({log: {}});
    applier.add(run, [["log", {line: "a"}]]);
    applier.add(run, [["log", {line: "b"}]]);
    for (const line of ["c", "d"]) applier.add(run, [["log", {line}]], true);
    applier.add(run, [["log", {line: "e"}]]);
    applier.add(run, [["log", {line: "f"}]]);
    frames.runAll();

    expect(page.commits).toEqual(
      ["b", "c", "d", "f"].map((line) => [["log", {line}]]),
    );
  });

  it("sets its props of one component together", () => {
    const {applier, page, frames} = setup({log: {}});
    applier.add(run, [["log", {line: "a", color: "red"}]], true);
    frames.runAll();

    expect(page.commits).toEqual([[["log", {line: "a", color: "red"}]]]);
  });

  it("is not joined with other commands", () => {
    const {applier, page, frames} = setup({grid: {}});
    page.state.onSet = (id) => page.change(id, {rowTransaction: null});
    const add = (n: number) => ({rowTransaction: {add: [n]}});
    applier.add(run, [["grid", add(1)]]);
    applier.add(run, [["grid", add(2)]], true);
    applier.add(run, [["grid", add(3)]]);
    applier.add(run, [["grid", add(4)]]);
    frames.runAll();

    expect(page.setsOf("grid")).toEqual([add(1), add(2), {rowTransaction: {add: [3, 4]}}]);
  });
});

describe("drop", () => {
  it("forgets what its source has queued, and only that", () => {
    const {applier, page, frames} = setup({a: {}, b: {}});
    applier.add(run, [["a", {children: 1}], ["b", {ring: 1}]]);
    applier.add(other, [["a", {style: 2}], ["b", {ring: 2}]]);
    applier.add(run, [["a", {children: 3}], ["b", {ring: 3}]]);
    applier.drop(run);
    frames.runAll();

    expect(page.setsOf("a")).toEqual([{style: 2}]);
    expect(page.setsOf("b")).toEqual([{ring: 2}]);
  });

  it("leaves what the source adds afterwards", () => {
    const {applier, page, frames} = setup({a: {}});
    applier.add(run, [["a", {children: 1}]]);
    applier.drop(run);
    applier.add(run, [["a", {children: 2}]]);
    frames.runAll();

    expect(page.setsOf("a")).toEqual([{children: 2}]);
  });

  it("lets the page read on when the rest is little enough", async () => {
    const {applier, frames} = setup({grid: {}});
    applier.add(run, [["grid", {rowTransaction: {add: [1]}}]]);
    frames.runAll(); // the grid does not take it
    applier.add(run, [["grid", {rowTransaction: {add: [2]}}]], false, 5 * MiB);
    frames.runAll();
    const told = vi.fn();
    const drained = applier.drained()?.then(told);
    applier.drop(run);
    frames.runAll();
    await Promise.resolve();

    expect(drained).toBeDefined();
    expect(told).toHaveBeenCalledOnce();
  });
});

describe("drained", () => {
  it("lets the page read while less than 4 MiB wait", () => {
    const {applier} = setup({out: {}});
    applier.add(run, [["out", {children: 1}]], false, 4 * MiB - 1);

    expect(applier.drained()).toBeUndefined();
  });

  it("holds the page from 4 MiB on, until they are applied", async () => {
    const {applier, frames} = setup({a: {}, b: {}});
    applier.add(run, [["a", {children: 1}], ["b", {children: 1}]], false, 3 * MiB);
    applier.add(run, [["a", {ring: 1}]], false, MiB);
    const told = vi.fn();
    const drained = applier.drained()?.then(told);
    expect(drained).toBeDefined();
    await Promise.resolve();
    expect(told).not.toHaveBeenCalled();

    frames.runAll();
    await drained;

    expect(applier.drained()).toBeUndefined();
  });

  it("goes on holding while a busy component keeps too much", async () => {
    const {applier, page, frames} = setup({grid: {}});
    applier.add(run, [["grid", {rowTransaction: {add: [1]}}]]);
    frames.runAll();
    applier.add(run, [["grid", {rowTransaction: {add: [2]}}]], false, 5 * MiB);
    const told = vi.fn();
    const drained = applier.drained()?.then(told);
    frames.runAll();
    await Promise.resolve();
    expect(told).not.toHaveBeenCalled();

    page.change("grid", {rowTransaction: null});
    applier.poke();
    frames.runAll();
    await drained;

    expect(told).toHaveBeenCalledOnce();
  });
});

describe("a hidden page", () => {
  it("applies when data arrives, without a frame", async () => {
    const {applier, page, frames, state} = setup({out: {}});
    state.isHidden = true;
    applier.add(run, [["out", {children: 1}]]);
    applier.add(run, [["out", {children: 2}]]);
    await Promise.resolve();

    expect(page.commits).toEqual([[["out", {children: 2}]]]);
    expect(frames.size()).toBe(0);
  });

  it("goes on beyond a long turn without a frame", async () => {
    const {applier, page, frames, state} = setup({bell: {}});
    state.isHidden = true;
    page.state.onSet = () => void (state.clock += 13);
    for (let n = 1; n <= 3; n++) applier.add(run, [["bell", {ring: n}]]);
    await vi.advanceTimersByTimeAsync(0);

    expect(page.setsOf("bell")).toEqual([{ring: 1}, {ring: 2}, {ring: 3}]);
    expect(frames.size()).toBe(0);
  });
});

import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {fakeFrames, fakeGraph, fakePage, node, patch, seededRandom, setOrPatch} from "./fakes.ts";
import {createApplier} from "../src/apply/apply.ts";
import type {Source} from "../src/apply/steps.ts";
import {addCommands} from "../src/apply/commands.ts";
import type {WireId} from "../src/ids.ts";
import type {Props, Target} from "../src/protocol.ts";

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

  it("are set at once after an idle time, and later ones with the next frame", async () => {
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

  it("that raise an error in one component do not affect the others", () => {
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

  it("may be null or undefined", () => {
    const {applier, page, frames} = setup({out: {value: 1}});
    applier.add(run, [["out", {value: null}]]);
    frames.run();

    expect(page.dash.get("out", "value")).toBeNull();
  });

  it("of a pattern are set on every component that it matches", () => {
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

  it("are reported to each source that has set them", () => {
    const {applier, applied, frames} = setup({out: {}});
    applier.add(run, [["out", {children: 1}]]);
    applier.add(other, [["out", {value: 2}]]);
    frames.run();

    expect(applied).toEqual([
      [run, "out", {children: 1}],
      [other, "out", {value: 2}],
    ]);
  });

  it("are reported only to the source of the last value", () => {
    const {applier, applied, frames} = setup({out: {}});
    applier.add(run, [["out", {children: 1}]]);
    applier.add(other, [["out", {children: 2}]]);
    frames.run();

    expect(applied).toEqual([[other, "out", {children: 2}]]);
  });
});

describe("a missing component", () => {
  it("causes one warning, and the rest of the batch is applied", () => {
    const {applier, page, frames, warnings} = setup({out: {}});
    for (let n = 1; n <= 3; n++) {
      applier.add(run, [["gone", {children: n, ring: n}], ["out", {children: n}]]);
      frames.runAll();
    }

    expect(page.setsOf("out")).toEqual([{children: 1}, {children: 2}, {children: 3}]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('"gone"');
  });

  it("gets later updates once it is on the page", () => {
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

  it("of a pattern are joined separately for each component", () => {
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

  it("of a prop that is not set are skipped with one warning, and the rest is applied", () => {
    const {applier, page, frames, warnings} = setup({out: {}, b: {}});
    for (let n = 1; n <= 2; n++) {
      applier.add(run, [["out", {data: patch(n), children: n}], ["b", {children: n}]]);
      frames.run();
    }

    expect(page.setsOf("out")).toEqual([{children: 1}, {children: 2}]);
    expect(page.setsOf("b")).toEqual([{children: 1}, {children: 2}]);
    expect(warnings).toEqual([expect.stringMatching(/Patch of "data" of "out"/)]);
  });

  it.each([1, 2, 3, 4, 5])("and values in any order have the same result as one by one (seed %i)", (seed) => {
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

describe("the order of updates", () => {
  const [card1, card2] = ['{"card":1}', '{"card":2}'];
  const ALL = '{"card":["ALL"]}';

  it("P1: holds for a component that is redrawn in between", () => {
    const {applier, page, frames} = setup({box: {}});
    page.insert("child", {}, "box");
    applier.add(run, [
      ["child", {children: "A"}],
      ["box", {children: node("child", {children: "new"})}],
      ["child", {children: "B"}],
    ]);
    frames.run();

    expect(page.dash.get("child", "children")).toBe("B");
    expect(page.commits).toHaveLength(1);
  });

  it.each(["together", "one by one"])("P2: holds for a pattern after the components that it matches (%s)", (how) => {
    const {applier, page, frames, warnings} = setup({cards: {}});
    const targets: Target[] = [
      ["cards", {children: [node(card1), node(card2)]}],
      [ALL, {children: "marked"}],
    ];
    if (how === "together") applier.add(run, targets);
    else for (const target of targets) applier.add(run, [target]);
    frames.run();

    expect([card1, card2].map((id) => page.dash.get(id, "children"))).toEqual(["marked", "marked"]);
    expect(warnings).toEqual([]);
  });

  it("holds for updates around a barrier", () => {
    const {applier, page, frames} = setup({outer: {}});
    page.insert("inner", {}, "outer");
    applier.add(run, [["inner", {children: [node("leaf", {children: "1"})]}]]);
    applier.add(run, [["outer", {children: node("inner", {children: "empty"})}]]);
    frames.run();

    expect(page.dash.get("inner", "children")).toBe("empty");
    expect(page.dash.has("leaf")).toBe(false);
  });

  it("joins a barrier with later ones until an update depends on it", () => {
    const {applier, page, frames} = setup({list: {children: []}, out: {}});
    for (let n = 1; n <= 50; n++) {
      applier.add(run, [["list", {children: patch(node(`item${n}`))}], ["out", {children: n}]]);
    }
    applier.add(run, [["item7", {children: "seventh"}]]);
    frames.run();

    expect(page.setsOf("list")).toHaveLength(1);
    expect(page.setsOf("out")).toEqual([{children: 50}]);
    expect(page.dash.get("item7", "children")).toBe("seventh");
    expect(page.commits).toHaveLength(1);
  });

  it("joins sibling barriers separately", () => {
    const {applier, page, frames} = setup({a: {children: []}, b: {children: []}});
    for (let n = 1; n <= 50; n++) {
      applier.add(run, [["a", {children: patch(node(`a${n}`))}]]);
      applier.add(run, [["b", {children: patch(node(`b${n}`))}]]);
    }
    frames.run();

    expect([page.setsOf("a").length, page.setsOf("b").length]).toEqual([1, 1]);
    expect(page.dash.has("a50") && page.dash.has("b50")).toBe(true);
  });

  it("does not join a barrier whose update is alone", () => {
    const {applier, page, frames} = setup({list: {}});
    const draw = (id: string) => ({children: [node(id)]});
    applier.add(run, [["list", draw("a")]]);
    applier.add(run, [["list", draw("b")]], true);
    applier.add(run, [["list", draw("c")]]);
    applier.add(run, [["list", draw("d")]]);
    frames.runAll();

    const commits = ["a", "b", "d"].map((id) => [["list", draw(id)]]);
    expect(page.commits).toEqual(commits);
  });

  it("holds for the commands of components that are redrawn", () => {
    const {applier, page, frames} = setup({box: {}});
    page.insert("grid", {}, "box");
    const add = (row: number) => ({rowTransaction: {add: [row], async: false}});
    applier.add(run, [["grid", add(1)]]);
    applier.add(run, [["grid", add(2)]]);
    applier.add(run, [["grid", {rowTransaction: {remove: [1]}}]]);
    applier.add(run, [["box", {children: node("grid")}]]);
    applier.add(run, [["grid", add(3)]]);
    frames.runAll();
    applier.poke();
    frames.runAll();

    expect(page.setsOf("grid").at(-1)).toEqual(add(3));
    expect(page.dash.get("grid", "rowTransaction")).toEqual(add(3).rowTransaction);
    expect(applier.unapplied()).toBe(0);
  });

  it("makes a barrier wait for a command inside it that has an effect outside", () => {
    const {applier, page, frames} = setup({box: {}, out: {}});
    page.insert("bell", {}, "box");
    for (const n of [1, 2, 3]) applier.add(run, [["bell", {ring: n}]]);
    applier.add(run, [["box", {children: node("no bell")}], ["out", {children: "after"}]]);
    frames.runAll();

    expect(page.setsOf("bell")).toEqual([{ring: 1}, {ring: 2}, {ring: 3}]);
    expect(page.setsOf("box")).toHaveLength(1);
    expect(page.setsOf("out")).toEqual([{children: "after"}]);
  });

  it("makes a Patch wait for commands of the components that it keeps, with a timeout of one second", async () => {
    const {applier, page, frames, state} = setup({box: {children: []}, out: {}, side: {}});
    page.insert("grid", {}, "box");
    applier.add(run, [["grid", {rowTransaction: {add: [1]}}]]);
    applier.add(run, [["side", {children: "before"}]]);
    applier.add(run, [["box", {children: patch(node("new"))}], ["new", {children: "n"}]]);
    applier.add(run, [["out", {children: "after"}]]);
    frames.runAll();
    expect(page.setsOf("side")).toEqual([{children: "before"}]);
    expect(page.setsOf("box")).toEqual([]);
    expect(page.setsOf("out")).toEqual([]);

    state.clock = 1001;
    await vi.advanceTimersByTimeAsync(1001);
    frames.runAll();

    expect(page.setsOf("new")).toEqual([{children: "n"}]);
    expect(page.setsOf("out")).toEqual([{children: "after"}]);
  });

  it("lets a barrier continue as soon as the commands inside are acknowledged", () => {
    const {applier, page, frames} = setup({box: {children: []}});
    page.insert("grid", {}, "box");
    applier.add(run, [["grid", {rowTransaction: {add: [1]}}]]);
    applier.add(run, [["box", {children: patch(node("new"))}]]);
    frames.runAll();
    expect(page.setsOf("box")).toEqual([]);

    page.change("grid", {rowTransaction: null});
    applier.poke();
    frames.runAll();

    expect(page.setsOf("box")).toHaveLength(1);
  });

  it("does not make a barrier wait for a component that is outside or not mounted", () => {
    const {applier, page, frames} = setup({box: {children: []}, outside: {}});
    page.insert("hidden", {}, "box");
    page.show("hidden", false);
    const add = {rowTransaction: {add: [1]}};
    applier.add(run, [["outside", add], ["hidden", add]]);
    applier.add(run, [["box", {children: patch(node("new"))}]]);
    frames.runAll();

    expect(page.setsOf("box")).toHaveLength(1);
  });

  it("continues after a waiting barrier is dropped", () => {
    const {applier, page, frames} = setup({box: {children: []}, out: {}});
    page.insert("grid", {}, "box");
    applier.add(run, [["grid", {rowTransaction: {add: [1]}}]]);
    applier.add(run, [["box", {children: patch(node("new"))}]]);
    applier.add(other, [["out", {children: 1}]]);
    frames.runAll();
    expect(page.setsOf("out")).toEqual([]);

    applier.drop(run);
    frames.runAll();

    expect(page.setsOf("out")).toEqual([{children: 1}]);
    expect(page.setsOf("box")).toEqual([]);
  });
});

describe("a command with an effect that happens once", () => {
  const DOWNLOAD = "dash_core_components.Download";
  const DIALOG = "dash_core_components.ConfirmDialog";

  it("P11: runs as often as it is streamed", () => {
    const {applier, page, frames} = setup({download: {}, store: {}});
    page.setType("download", DOWNLOAD);
    page.setType("store", "dash_core_components.Store");
    for (let n = 1; n <= 5; n++) {
      applier.add(run, [["download", {data: n}], ["store", {data: n}]]);
    }
    frames.runAll();

    expect(page.setsOf("download")).toEqual([1, 2, 3, 4, 5].map((data) => ({data})));
    expect(page.setsOf("store")).toEqual([{data: 5}]);
  });

  it("P10: is not repeated from a snapshot, which sets the props beside it", () => {
    const {applier, page, frames} = setup({dialog: {}, bell: {}});
    page.setType("dialog", DIALOG);
    const targets: Target[] = [["dialog", {displayed: true, message: "?"}], ["bell", {ring: 1}]];
    applier.add(run, targets, false, MiB, true);
    applier.add(run, [["dialog", {displayed: true}]], false, MiB, true);
    frames.runAll();

    expect(page.setsOf("dialog")).toEqual([{message: "?"}]);
    expect(page.setsOf("bell")).toEqual([{ring: 1}]);
    expect(applier.unapplied()).toBe(0);
  });

  it("reads the props that are set with it", () => {
    const {applier, page, frames} = setup({dialog: {}});
    page.setType("dialog", DIALOG);
    applier.add(run, [["dialog", {displayed: true, message: "Sure?"}]]);
    frames.runAll();

    expect(page.commits).toEqual([[["dialog", {displayed: true, message: "Sure?"}]]]);
  });

  it("is not awaited if its value has no effect", () => {
    const {applier, page, frames} = setup({dialog: {}});
    page.setType("dialog", DIALOG);
    applier.add(run, [["dialog", {displayed: false}]]);
    applier.add(run, [["dialog", {message: "later"}]]);
    frames.runAll();

    expect(page.setsOf("dialog")).toEqual([{displayed: false}, {message: "later"}]);
  });
});

it("does not flush within a flush", () => {
  const {applier, page, frames} = setup({out: {}, other: {}});
  page.state.onSet = (id) => {
    if (id !== "out") return;
    applier.add(run, [["other", {children: 2}]]);
    applier.flush();
  };
  applier.add(run, [["out", {children: 1}]]);
  frames.runAll();

  expect(page.setsOf("other")).toEqual([{children: 2}]);
});

describe("commands without acknowledgement", () => {
  it("each get a commit of their own", () => {
    const {applier, page, frames} = setup({bell: {}});
    for (let n = 1; n <= 20; n++) applier.add(run, [["bell", {ring: n}]]);
    frames.runAll();

    expect(page.commits).toEqual(
      Array.from({length: 20}, (_, i) => [["bell", {ring: i + 1}]]),
    );
  });

  it("keep their order among the component's other props", () => {
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

  it("P12: are set in the order of their dict", () => {
    const {applier, page, frames} = setup({bell: {}});
    applier.add(run, [["bell", {shape: "big", ring: 1, color: "red", size: 2}]]);
    frames.runAll();

    expect(page.setsOf("bell")).toEqual([{shape: "big"}, {ring: 1}, {color: "red", size: 2}]);
  });

  it("yield to the browser when a frame exceeds its time budget", () => {
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
  const add = (...rows: number[]) => ({rowTransaction: {add: rows, async: false}});

  it("wait until the one before is acknowledged, and are joined meanwhile", () => {
    const {applier, page, frames, state} = setup({grid: {rowTransaction: null}});
    applier.add(run, [["grid", add(1)]]);
    frames.runAll();
    applier.add(run, [["grid", add(2)]]);
    applier.add(run, [["grid", add(3)]]);
    frames.runAll();
    applier.poke(); // the page has changed, the grid has not
    frames.runAll();
    expect(page.setsOf("grid")).toEqual([add(1)]);

    page.change("grid", {rowTransaction: null});
    state.clock = 50;
    applier.poke();
    frames.runAll();

    expect(page.setsOf("grid")).toEqual([add(1), add(2, 3)]);
  });

  it("are batched for 50 ms after the one before, while all pending ones can be joined", async () => {
    const {applier, page, frames, state} = setup({grid: {}});
    page.state.onSet = (id) => page.change(id, {rowTransaction: null});
    for (const row of [1, 2, 3]) {
      applier.add(run, [["grid", add(row)]]);
      frames.runAll();
      state.clock += 10;
    }
    expect(page.setsOf("grid")).toEqual([add(1)]);

    state.clock = 51;
    await vi.advanceTimersByTimeAsync(51);
    frames.runAll();
    expect(page.setsOf("grid")).toEqual([add(1), add(2, 3)]);

    applier.add(run, [["grid", add(4)]]);
    applier.add(run, [["grid", {style: 1}]]);
    frames.runAll();
    expect(page.setsOf("grid").slice(2)).toEqual([add(4), {style: 1}]);
  });

  it("delay later updates of the same component, and of no other", () => {
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
    const {applier, page, frames, state} = setup({grid: {}});
    page.state.onSet = (id) => page.change(id, {rowTransaction: null});
    applier.add(run, [["grid", add(1)]]);
    applier.add(run, [["grid", {style: 1}]]);
    applier.add(run, [["grid", add(2)]]);
    frames.runAll();
    state.clock = 50;
    applier.flush();

    expect(page.setsOf("grid")).toEqual([add(1), {style: 1}, add(2)]);
  });

  it("wait while their component is not mounted", async () => {
    const {applier, page, frames, state, warnings} = setup({grid: {}});
    page.show("grid", false);
    const remove = (row: number) => ({rowTransaction: {remove: [row], async: false}});
    applier.add(run, [["grid", remove(1)]]);
    applier.add(run, [["grid", remove(2)]]);
    frames.runAll();
    state.clock = 60_000;
    applier.poke();
    page.show("grid", true);
    state.clock = 65_000;
    applier.poke();
    frames.runAll();
    expect(page.setsOf("grid")).toEqual([remove(1)]);

    page.change("grid", {rowTransaction: null});
    applier.poke();
    await Promise.resolve();

    expect(page.setsOf("grid").at(-1)).toEqual(remove(2));
    expect(warnings).toEqual([]);
  });

  it("are skipped with a warning after a timeout of 10 s", () => {
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
    expect(warnings).toEqual([expect.stringContaining('"grid" has not processed')]);
  });

  it("are skipped after the timeout even if nothing else happens on the page", async () => {
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

  it("delay nothing after the component has left the page", () => {
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

  it("are reported to every source whose value was joined", () => {
    const {applier, frames, applied} = setup({grid: {}});
    applier.add(run, [["grid", add(1)]]);
    applier.add(other, [["grid", add(2)]]);
    frames.runAll();

    const joined = add(1, 2);
    expect(applied).toEqual([
      [run, "grid", joined],
      [other, "grid", joined],
    ]);
  });
});

describe("commands of a graph", () => {
  const point = (n: number) => ({extendData: [{y: [[n]]}, [0]]});

  function setupGraph(options: {isDrawn?: boolean; data?: object[]} = {}) {
    const fixture = setup({graph: {}});
    const graph = fakeGraph(options);
    const getElementById = (id: string) => (id === "graph" ? graph.element : null);
    vi.stubGlobal("document", {getElementById});
    const state = {refusal: (_value: unknown): string | undefined => undefined};
    fixture.page.state.onSet = (_, props) => {
      if ("extendData" in props) graph.receive(props["extendData"], state.refusal);
    };
    const points = () =>
      (graph.applied as [{y: number[][]}, number[]][]).flatMap(([data]) => data.y[0]);
    /** Lets Plotly draw, and the frames that follow. */
    const draw = async () => {
      graph.draw();
      await vi.advanceTimersByTimeAsync(1);
      fixture.frames.runAll();
    };
    return {...fixture, graph, plotly: state, points, draw};
  }

  it("wait until Plotly has drawn the one before, so that each point is drawn once", async () => {
    const {applier, frames, points, draw} = setupGraph();
    for (let n = 1; n <= 100; n++) {
      applier.add(run, [["graph", point(n)]]);
      if (n % 3 === 0) frames.runAll();
      if (n % 10 === 0) await draw();
    }
    await draw();
    await draw();
    await draw();

    expect(points()).toEqual(Array.from({length: 100}, (_, i) => i + 1));
  });

  it("are joined behind the one that is being drawn", async () => {
    const {applier, page, frames, draw} = setupGraph();
    applier.add(run, [["graph", point(1)]]);
    frames.runAll();
    for (const n of [2, 3, 4]) applier.add(run, [["graph", point(n)]]);
    frames.runAll();
    expect(page.setsOf("graph")).toEqual([point(1)]);

    await draw();
    await draw();

    expect(page.setsOf("graph")).toEqual([point(1), {extendData: [{y: [[2, 3, 4]]}, [0]]}]);
  });

  it("wait for the first drawing without a timeout", async () => {
    const {applier, frames, state, points, warnings, draw} = setupGraph({isDrawn: false});
    applier.add(run, [["graph", point(1)]]);
    frames.runAll();
    state.clock = 60_000;
    await vi.advanceTimersByTimeAsync(60_000);
    frames.runAll();
    expect(points()).toEqual([]);
    expect(warnings).toEqual([
      '"graph" has not been ready for its extendData for 10 s; still waiting.',
    ]);

    await draw();
    await vi.advanceTimersByTimeAsync(50);
    frames.runAll();
    await draw();

    expect(points()).toEqual([1]);
  });

  it("delay nothing after the graph has left the page", () => {
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

  it("delay a later state prop until they are drawn", async () => {
    const {applier, page, frames, draw} = setupGraph();
    applier.add(run, [["graph", point(1)]]);
    applier.add(run, [["graph", {figure: {}}]]);
    frames.runAll();
    expect(page.setsOf("graph")).toEqual([point(1)]);

    await draw();
    await draw();

    expect(page.setsOf("graph")).toEqual([point(1), {figure: {}}]);
  });

  it("P6: are removed from the page's state once the graph has them", () => {
    const {applier, page, frames} = setupGraph();
    applier.add(run, [["graph", point(1)]]);
    frames.runAll();

    expect(page.setsOf("graph")).toEqual([point(1)]);
    expect(page.dash.get("graph", "extendData")).toBeUndefined();
  });

  it("P6: that a graph had not drawn before it was unmounted are set again when it is mounted", async () => {
    const {applier, page, frames, draw} = setupGraph();
    applier.add(run, [["graph", point(1)]]);
    applier.flush();
    page.show("graph", false);
    applier.poke();
    frames.runAll();
    page.show("graph", true);
    applier.poke();
    await draw();
    applier.poke();
    await draw();

    expect(page.setsOf("graph")).toEqual([point(1), point(1)]);
  });

  it("P6: that are in a graph's figure when it is unmounted are not set again", async () => {
    const trace = {y: [0]};
    const {applier, page, frames, draw} = setupGraph({data: [trace]});
    applier.add(run, [["graph", point(1)]]);
    frames.runAll();
    trace.y = [...trace.y, 1]; // Plotly.extendTraces
    page.show("graph", false);
    applier.poke();
    page.show("graph", true);
    applier.poke();
    await draw();
    frames.runAll();

    expect(page.setsOf("graph")).toEqual([point(1)]);
  });

  it("P15: that Plotly rejects cause an error that names graph and trace, and the others continue", async () => {
    const {applier, page, frames, points, plotly, warnings, draw} = setupGraph();
    plotly.refusal = (value) =>
      (value as [object, number[]])[1].includes(7) ? "indices must be valid" : undefined;
    for (let n = 1; n <= 20; n++) {
      applier.add(run, [["graph", {extendData: [{y: [[n]]}, [n === 5 ? 7 : 0]]}]]);
    }
    for (let n = 0; n < 20; n++) {
      frames.runAll();
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
      applier.poke(); // the graph's queue is empty, the error is not reported yet
      await draw();
    }
    applier.add(run, [["graph", {figure: {}}]]);
    frames.runAll();

    expect(points()).toEqual(Array.from({length: 20}, (_, i) => i + 1).filter((n) => n !== 5));
    expect(page.setsOf("graph").at(-1)).toEqual({figure: {}});
    const message = expect.stringMatching(/"graph" rejected its extendData of trace 7: Error: ind/);
    expect(warnings).toEqual([message]);
    expect(page.errors).toEqual([message]);
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
    const {applier, page, frames, state} = setup({grid: {}});
    page.state.onSet = (id) => page.change(id, {rowTransaction: null});
    const add = (...rows: number[]) => ({rowTransaction: {add: rows, async: false}});
    applier.add(run, [["grid", add(1)]]);
    applier.add(run, [["grid", add(2)]], true);
    applier.add(run, [["grid", add(3)]]);
    applier.add(run, [["grid", add(4)]]);
    frames.runAll();
    state.clock = 50;
    applier.flush();

    expect(page.setsOf("grid")).toEqual([add(1), add(2), add(3, 4)]);
  });
});

describe("drop", () => {
  it("drops the queued updates of its source only", () => {
    const {applier, page, frames} = setup({a: {}, b: {}});
    applier.add(run, [["a", {children: 1}], ["b", {ring: 1}]]);
    applier.add(other, [["a", {style: 2}], ["b", {ring: 2}]]);
    applier.add(run, [["a", {children: 3}], ["b", {ring: 3}]]);
    applier.drop(run);
    frames.runAll();

    expect(page.setsOf("a")).toEqual([{style: 2}]);
    expect(page.setsOf("b")).toEqual([{ring: 2}]);
  });

  it("keeps later updates of the source", () => {
    const {applier, page, frames} = setup({a: {}});
    applier.add(run, [["a", {children: 1}]]);
    applier.drop(run);
    applier.add(run, [["a", {children: 2}]]);
    frames.runAll();

    expect(page.setsOf("a")).toEqual([{children: 2}]);
  });

  it("resumes reading when the remaining bytes are below the limit", async () => {
    const {applier, frames} = setup({grid: {}});
    applier.add(run, [["grid", {rowTransaction: {add: [1]}}]]);
    frames.runAll(); // the grid does not acknowledge it
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
  it("allows reading while less than 4 MiB are unapplied", () => {
    const {applier} = setup({out: {}});
    applier.add(run, [["out", {children: 1}]], false, 4 * MiB - 1);

    expect(applier.drained()).toBeUndefined();
  });

  it("stops reading from 4 MiB on until they are applied", async () => {
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

  it("stops reading while a busy component's backlog is over the limit", async () => {
    const {applier, page, frames, state} = setup({grid: {}});
    applier.add(run, [["grid", {rowTransaction: {add: [1]}}]]);
    frames.runAll();
    applier.add(run, [["grid", {rowTransaction: {add: [2]}}]], false, 5 * MiB);
    const told = vi.fn();
    const drained = applier.drained()?.then(told);
    frames.runAll();
    await Promise.resolve();
    expect(told).not.toHaveBeenCalled();

    page.change("grid", {rowTransaction: null});
    state.clock = 50;
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

  it("continues after a long turn without a frame", async () => {
    const {applier, page, frames, state} = setup({bell: {}});
    state.isHidden = true;
    page.state.onSet = () => void (state.clock += 13);
    for (let n = 1; n <= 3; n++) applier.add(run, [["bell", {ring: n}]]);
    await vi.advanceTimersByTimeAsync(0);

    expect(page.setsOf("bell")).toEqual([{ring: 1}, {ring: 2}, {ring: 3}]);
    expect(frames.size()).toBe(0);
  });
});

import {describe, expect, it} from "vitest";
import {seededRandom} from "./fakes.ts";
import {addCommands, commandOf} from "../src/apply/commands.ts";

function join(prop: string, values: readonly unknown[]) {
  const command = commandOf(prop);
  if (!command) throw new Error(`${prop} is no command`);
  return command.join(values);
}

/** Returns all values as the applier would set them, joined as far as possible. */
function joinAll(prop: string, values: readonly unknown[]): unknown[] {
  const joined: unknown[] = [];
  for (let rest = values; rest.length; ) {
    const {value, count} = join(prop, rest);
    if (count < 1) throw new Error("nothing was taken");
    joined.push(value);
    rest = rest.slice(count);
  }
  return joined;
}

describe("extendData", () => {
  it.each([
    [
      "points of one trace",
      [
        [{x: [[1]], y: [[2]]}, [0]],
        [{x: [[3]], y: [[4]]}, [0]],
      ],
      [{x: [[1, 3]], y: [[2, 4]]}, [0]],
      2,
    ],
    [
      "plain data, which extends all traces",
      [{y: [[1], [2]]}, {y: [[3], [4]]}],
      [
        {
          y: [
            [1, 3],
            [2, 4],
          ],
        },
        [0, 1],
      ],
      2,
    ],
    [
      "different traces",
      [
        [{y: [[1]]}, [0]],
        [{y: [[2]]}, [1]],
        [{y: [[3]]}, [0]],
      ],
      [{y: [[1, 3], [2]]}, [0, 1]],
      3,
    ],
    [
      "the same keys in another order",
      [
        [{x: [[1]], y: [[2]]}, [0]],
        [{y: [[4]], x: [[3]]}, [0]],
      ],
      [{x: [[1, 3]], y: [[2, 4]]}, [0]],
      2,
    ],
    [
      "the same maxPoints",
      [
        [{y: [[1]]}, [0], 5],
        [{y: [[2]]}, [0], 5],
      ],
      [{y: [[1, 2]]}, [0], 5],
      2,
    ],
    [
      "maxPoints null and left out, which are the same",
      [
        [{y: [[1]]}, [0], null],
        [{y: [[2]]}, [0]],
      ],
      [{y: [[1, 2]]}, [0]],
      2,
    ],
  ])("joins %s", (_, values, value, count) => {
    expect(join("extendData", values)).toEqual({value, count});
  });

  it.each([
    ["another maxPoints", [{y: [[1]]}, [0], 5], [{y: [[2]]}, [0], 6]],
    ["maxPoints only in the second", [{y: [[1]]}, [0]], [{y: [[2]]}, [0], 6]],
    ["other keys", [{y: [[1]]}, [0]], [{x: [[2]]}, [0]]],
    ["more keys", [{y: [[1]]}, [0]], [{x: [[2]], y: [[2]]}, [0]]],
    ["fewer keys", [{x: [[2]], y: [[1]]}, [0]], [{y: [[2]]}, [0]]],
    ["maxPoints per trace", [{y: [[1]]}, [0], {y: [5]}], [{y: [[2]]}, [0], {y: [5]}]],
    ["traces counted from the end", [{y: [[1]]}, [-1]], [{y: [[2]]}, [-1]]],
    ["a trace named twice", [{y: [[1], [2]]}, [0, 0]], [{y: [[3], [4]]}, [0, 0]]],
    ["an invalid value", {y: "abc"}, {y: "def"}],
    ["nothing", null, [{y: [[1]]}, [0]]],
  ])("does not join %s", (_, first, second) => {
    expect(join("extendData", [first, second])).toEqual({value: first, count: 1});
  });

  it("joins up to the first value that differs", () => {
    const values = [{y: [[1]]}, {y: [[2]]}, {x: [[3]]}, {y: [[4]]}];

    expect(joinAll("extendData", values)).toEqual([
      [{y: [[1, 2]]}, [0]],
      [{x: [[3]]}, [0]],
      [{y: [[4]]}, [0]],
    ]);
  });

  it("does not modify the given values", () => {
    const values = [[{y: [[1]]}, [0]], [{y: [[2]]}, [0]]];
    join("extendData", values);

    expect(values).toEqual([[{y: [[1]]}, [0]], [{y: [[2]]}, [0]]]);
  });
});

it("puts later prepended points before earlier ones", () => {
  const values = [[{y: [[3, 4]]}, [0]], [{y: [[1, 2]]}, [0]]];

  expect(join("prependData", values)).toEqual({value: [{y: [[1, 2, 3, 4]]}, [0]], count: 2});
});

type Traces = Readonly<Record<string, readonly unknown[]>>[];
type Extend = readonly [Readonly<Record<string, unknown[][]>>, readonly number[], number?];

/** Plotly.extendTraces and prependTraces. */
function extend(traces: Traces, [data, indices, maxPoints]: Extend, where: string): Traces {
  return traces.map((trace, index) => {
    const at = indices.indexOf(index);
    if (at < 0) return trace;
    const grown = Object.entries(data).map(([key, columns]) => {
      const [old, fresh] = [trace[key] ?? [], columns[at] ?? []];
      if (where === "extendData") {
        const all = [...old, ...fresh];
        return [key, maxPoints === undefined ? all : all.slice(-maxPoints)];
      }
      return [key, [...fresh, ...old].slice(0, maxPoints)];
    });
    return {...trace, ...(Object.fromEntries(grown) as Traces[number])};
  });
}

describe.each(["extendData", "prependData"])("%s joined", (prop) => {
  it.each([1, 2, 3, 4, 5])("draws the same as one by one (seed %i)", (seed) => {
    const random = seededRandom(seed);
    const pick = <T>(...choices: [T, ...T[]]) =>
      choices[Math.floor(random() * choices.length)] ?? choices[0];
    let point = 0;
    const values: Extend[] = Array.from({length: 200}, () => {
      const traces = pick([0], [0], [1], [0, 1], [1, 0], [2, 0]);
      const points = () => traces.map(() => Array.from({length: pick(1, 2, 0)}, () => point++));
      const data = pick(true, true, true, false) ? {x: points(), y: points()} : {y: points()};
      return pick(true, true, false) ? [data, traces] : [data, traces, pick(3, 5)];
    });
    const empty: Traces = [{x: [], y: []}, {x: [], y: []}, {x: [], y: []}];
    const draw = (all: readonly unknown[]) =>
      (all as Extend[]).reduce((traces, one) => extend(traces, one, prop), empty);

    const joined = joinAll(prop, values);

    expect(joined.length).toBeLessThan(values.length);
    expect(draw(joined)).toEqual(draw(values));
  });
});

describe("rowTransaction", () => {
  const [r1, r2, r3] = [{id: 1}, {id: 2}, {id: 3}];

  it.each([
    ["adds", [{add: [r1]}, {add: [r2]}], {add: [r1, r2]}],
    ["updates", [{update: [r1]}, {update: [r2]}], {update: [r1, r2]}],
    [
      "P13: asynchronous and synchronous ones",
      [{add: [r1]}, {add: [r2], async: false}, {add: [r3], async: true}],
      {add: [r1, r2, r3]},
    ],
  ])("joins %s", (_, values, value) => {
    const joined = {value: {...value, async: false}, count: values.length};
    expect(join("rowTransaction", values)).toEqual(joined);
  });

  it.each([
    ["an add and a remove, which AG Grid applies the other way round", {add: [r1]}, {remove: [r1]}],
    ["an add and an update", {add: [r1]}, {update: [r1]}],
    ["removes", {remove: [r1]}, {remove: [r2]}],
    ["adds at an index", {add: [r1], addIndex: 0}, {add: [r2], addIndex: 0}],
    ["an add at an index after one without", {add: [r1]}, {add: [r2], addIndex: 0}],
    ["a transaction of two kinds", {add: [r1], update: [r2]}, {add: [r2]}],
    ["an add and a null", {add: [r1]}, null],
  ])("does not join %s", (_, first, second) => {
    const value = {...first, async: false};
    expect(join("rowTransaction", [first, second])).toEqual({value, count: 1});
  });

  it("does not change null", () => {
    expect(join("rowTransaction", [null, {add: [r1]}])).toEqual({value: null, count: 1});
  });

  it("P7: makes all synchronous, because AG Grid loses its asynchronous batch when it is unmounted", () => {
    const {value} = join("rowTransaction", [{remove: [r1], async: true}]);
    expect(value).toEqual({remove: [r1], async: false});
  });

  it.each([1, 2, 3, 4, 5])("joined has the same rows as one by one (seed %i)", (seed) => {
    const random = seededRandom(seed);
    const pick = <T>(...choices: [T, ...T[]]) =>
      choices[Math.floor(random() * choices.length)] ?? choices[0];
    let lastId = 0;
    const known = () => Math.ceil(random() * lastId);
    const values: Transaction[] = Array.from({length: 300}, (_, value) =>
      pick<() => Transaction>(
        () => ({add: [{id: ++lastId, value}]}),
        () => ({add: [{id: ++lastId, value}]}),
        () => ({add: [{id: ++lastId, value}], addIndex: 0}),
        () => ({update: [{id: known(), value}]}),
        () => ({update: [{id: known(), value}]}),
        () => ({remove: [{id: known(), value}]}),
        () => ({add: [{id: ++lastId, value}], remove: [{id: known(), value}]}),
      )(),
    );
    const rows = (all: readonly unknown[]) => (all as Transaction[]).reduce(transact, []);

    const joined = joinAll("rowTransaction", values);

    expect(joined.length).toBeLessThan(values.length);
    expect(rows(joined)).toEqual(rows(values));
  });
});

interface Row {
  readonly id: number;
  readonly value: number;
}

interface Transaction {
  readonly add?: Row[];
  readonly addIndex?: number;
  readonly update?: Row[];
  readonly remove?: Row[];
}

/** AG Grid's applyTransaction: remove, then update, then add. */
function transact(rows: readonly Row[], transaction: Transaction): readonly Row[] {
  const {add = [], addIndex, update = [], remove = []} = transaction;
  const kept = rows.filter((row) => !remove.some((one) => one.id === row.id));
  const updates = new Map(update.map((row) => [row.id, row]));
  const rest = kept.map((row) => updates.get(row.id) ?? row);
  const at = addIndex ?? rest.length;
  return [...rest.slice(0, at), ...add, ...rest.slice(at)];
}

it("never joins asynchronous transactions, which have no acknowledgement", () => {
  expect(join("rowTransactionAsync", [{add: [1]}, {add: [2]}])).toEqual({
    value: {add: [1]},
    count: 1,
  });
});

it("shows all notifications at once, in order", () => {
  expect(join("sendNotifications", [[{id: "a"}], [{id: "b"}, {id: "c"}]])).toEqual({
    value: [{id: "a"}, {id: "b"}, {id: "c"}],
    count: 2,
  });
});

it("joins notifications up to the first value that is no list", () => {
  expect(join("sendNotifications", [["a"], null, ["b"]])).toEqual({value: ["a"], count: 1});
  expect(join("sendNotifications", [null, ["b"]])).toEqual({value: null, count: 1});
});

it("treats props that the server registers as commands, and never joins their values", () => {
  expect(commandOf("beep")).toBeUndefined();

  addCommands(["beep"]);

  expect(join("beep", [1, 2])).toEqual({value: 1, count: 1});
});

it("keeps the built-in definition of a command that the server registers again", () => {
  addCommands(["extendData"]);

  expect(commandOf("extendData")?.acknowledgedBy).toBe("graph");
});

it.each(["children", "figure", "toString", "constructor"])("treats %s as a state prop", (prop) => {
  expect(commandOf(prop)).toBeUndefined();
});

describe("props that are commands on components of one type", () => {
  it.each([
    ["data", "dash_core_components.Download"],
    ["displayed", "dash_core_components.ConfirmDialog"],
    ["href", "dash_core_components.Location"],
    ["n_clicks", "dash_core_components.Clipboard"],
    ["scrollTo", "dash_ag_grid.AgGrid"],
    ["clean", "dash_mantine_components.NotificationContainer"],
  ])("P11: %s is a command on %s, and on no other type", (prop, type) => {
    expect(commandOf(prop, type)).toMatchObject({isOnce: true});
    expect(commandOf(prop, "dash_core_components.Store")).toBeUndefined();
    expect(commandOf(prop, undefined)).toBeUndefined();
  });

  it("may be registered by the server", () => {
    addCommands(["my_lib.Beeper.play"]);

    expect(commandOf("play", "my_lib.Beeper")?.acknowledgedBy).toBe("commit");
    expect(commandOf("play", "other_lib.Beeper")).toBeUndefined();
  });
});

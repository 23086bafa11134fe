import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {entryOf} from "./fakes.ts";
import {connectDash} from "../src/dash/dash.ts";
import {isAwaited} from "../src/dash/progress.ts";

const cardOf = (index: unknown) => JSON.stringify({index, type: "card"});

/** Dash's store with two cards, a string id and two callbacks, one of which is ours. */
function stateOf() {
  const div = (id: unknown, props: object) => ({props: {id, ...props}});
  const path = (index: number) => ["props", "children", index];
  return {
    appLifecycle: "HYDRATED",
    layout: {
      props: {
        children: [
          div({index: 1, type: "card"}, {children: "one"}),
          div({index: 2, type: "card"}, {children: "two"}),
          div("out", {children: "text"}),
        ],
      },
    },
    paths: {
      strs: {out: path(2)},
      objs: {
        "index,type": [
          {values: [1, "card"], path: path(0)},
          {values: [2, "card"], path: path(1)},
        ],
      },
    },
    dependenciesRequest: {content: [entryOf(), {output: "other.children", inputs: [], state: []}]},
    config: {},
  };
}

let state: ReturnType<typeof stateOf>;
let listeners: (() => void)[];
let sets: unknown[][];
let dispatched: object[];
const dash = connectDash();

beforeEach(() => {
  state = stateOf();
  listeners = [];
  sets = [];
  dispatched = [];
  const store = {
    getState: () => state,
    subscribe: (listener: () => void) => listeners.push(listener),
    dispatch: (action: object) => dispatched.push(action),
  };
  vi.stubGlobal("dash_stores", [store]);
  vi.stubGlobal("dash_clientside", {set_props: (...args: unknown[]) => sets.push(args)});
  vi.stubGlobal("document", {cookie: ""});
});

afterEach(() => void vi.unstubAllGlobals());

describe("the page's components", () => {
  it("are gone after a callback has replaced them by nothing, although Dash keeps the path", () => {
    state.layout.props.children = [];
    expect(dash.has("out")).toBe(false);
    expect(dash.get("out", "children")).toBeUndefined();
  });

  it("are not mistaken for a component that has taken their place", () => {
    state.layout.props.children[2] = {props: {id: "another"}};
    expect(dash.has("out")).toBe(false);
  });

  it.each([
    ["out", true, "text"],
    [cardOf(2), true, "two"],
    ["gone", false, undefined],
    [cardOf(3), false, undefined],
    [cardOf("2"), false, undefined],
    ['{"other":1}', false, undefined],
    ["__proto__", false, undefined],
    ["constructor", false, undefined],
    ['{"__proto__":1}', false, undefined],
    ['{"constructor":1}', false, undefined],
  ])("are found by their ids (%s)", (id, isThere, children) => {
    expect(dash.has(id)).toBe(isThere);
    expect(dash.get(id, "children")).toBe(children);
  });

  it.each([
    ["out", ["out"]],
    ["gone", ["gone"]],
    [cardOf(3), [cardOf(3)]],
    [cardOf(["ALL"]), [cardOf(1), cardOf(2)]],
    [JSON.stringify({index: ["ALL"], type: "text"}), []],
    [JSON.stringify({index: ["ALL"]}), []],
    [JSON.stringify({index: 2, type: ["ALL"]}), [cardOf(2)]],
  ])("are matched by a pattern (%s)", (id, ids) => {
    expect(dash.expand(id)).toEqual(ids);
  });

  it("do not exist before Dash has a store", () => {
    vi.stubGlobal("dash_stores", undefined);

    expect(dash.isReady()).toBe(false);
    expect(dash.has("out")).toBe(false);
    expect(dash.get("out", "children")).toBeUndefined();
    expect(dash.expand(cardOf(["ALL"]))).toEqual([]);
    expect(dash.entries()).toEqual([]);
  });

  it("are set by Dash's own function, dict ids as objects", () => {
    dash.set("out", {children: 1});
    dash.set(cardOf(1), {children: 2});

    expect(sets).toEqual([
      ["out", {children: 1}],
      [{index: 1, type: "card"}, {children: 2}],
    ]);
  });
});

it("recognizes our callbacks among Dash's", () => {
  expect(dash.entries().map((one) => one.output)).toEqual(["cb"]);
  expect(dash.entry("cb")?.flash_events.overlap).toBe("restart");
  expect(dash.entry("gone")).toBeUndefined();
});

describe("a mounted component", () => {
  const nodes = () => state.layout.props.children as {props: object}[];
  /** Dash copies a node when one of its props changes. */
  const change = (index: number) => {
    nodes()[index] = {...nodes()[index]!, props: {...nodes()[index]!.props, children: "changed"}};
  };

  it("is the same instance after changes, and another one when it is redrawn", () => {
    const before = dash.instance("out");
    change(2);
    expect(dash.instance("out")).toBe(before);

    nodes()[2] = {props: {id: "out"}};
    expect(dash.instance("out")).not.toBe(before);
    expect(dash.instance("gone")).toBeUndefined();
  });

  it("is another instance when a server has returned it, even if a worker has cloned its mark", () => {
    const before = dash.instance("out");
    nodes()[2] = JSON.parse(JSON.stringify(nodes()[2])) as {props: object};
    expect(dash.instance("out")).not.toBe(before);

    const second = dash.instance("out");
    nodes()[2] = structuredClone(nodes()[2]!);
    expect(dash.instance("out")).not.toBe(second);
  });

  it("is fresh until it has been seen", () => {
    expect(dash.fresh(cardOf(["ALL"]))).toEqual([cardOf(1), cardOf(2)]);
    dash.instance(cardOf(1))!.isNew = false;
    expect(dash.fresh(cardOf(["ALL"]))).toEqual([cardOf(2)]);
    expect(dash.fresh(cardOf(1))).toEqual([]);
    expect(dash.fresh("out")).toEqual(["out"]);
    expect(dash.fresh("gone")).toEqual([]);
  });
});

it("returns the callbacks that Dash has not finished, with their outputs", () => {
  expect(dash.pending()).toEqual([]);
  const one = (changedPropIds: object) => ({
    callback: {output: "a.b"},
    changedPropIds,
    getInputs: () => [],
    getOutputs: () => [[{id: "out", property: "children"}], [{id: {index: 1}, property: "data"}]],
  });
  Object.assign(state, {callbacks: {requested: [one({})], stored: [one({})], executing: [one({"x.y": 2})]}});
  const outputs = ["out.children", '{"index":1}.data'];

  expect(dash.pending()).toEqual([
    {callback: "a.b", isInitial: true, outputs},
    {callback: "a.b", isInitial: false, outputs},
  ]);
});

it("knows whether a callback waits for a prop, by its id or a pattern", () => {
  const one = {
    callback: {output: "a.b"},
    changedPropIds: {},
    getInputs: () => [
      {id: "news", property: "message"},
      [{id: {type: "sub", index: 1}, property: "message"}],
    ],
    getOutputs: () => [],
  };
  for (const [name, isUnderWay] of [["requested", true], ["watched", true], ["stored", false]] as const) {
    Object.assign(state, {callbacks: {[name]: [one]}});
    expect(isAwaited("news", "message")).toBe(isUnderWay);
    expect(isAwaited('{"index":1,"type":"sub"}', "message")).toBe(isUnderWay);
  }
  Object.assign(state, {callbacks: {executing: [one]}});
  expect(isAwaited("news", "offset")).toBe(false);
  expect(isAwaited("others", "message")).toBe(false);
});

describe("components in a value", () => {
  const drawn = (id: unknown) => ({type: "Div", namespace: "html", props: {id, children: "new"}});
  const asOutput = (id: string, props: object) => ({
    type: "Callbacks.AddExecuted",
    payload: [expect.objectContaining({executionResult: {data: {[id]: props}, payload: null}})],
  });
  const resolved = (id: string) => ({getInputs: () => [[{id}]], getOutputs: () => []});
  let requested: object[];

  beforeEach(() => {
    requested = [];
    Object.assign(state, {
      callbacks: {requested},
      graphs: {
        inputMap: {heard: {value: []}},
        outputMap: {shown: {children: []}},
        inputPatterns: {"index,type": {value: []}},
        outputPatterns: {},
      },
    });
  });

  it.each(["heard", "shown", {index: 7, type: "card"}])(
    "P9: are set like an Output if a callback depends on them (%o)",
    (id) => {
      const props = {children: [drawn(undefined), {...drawn("frame"), props: {children: drawn(id)}}]};
      dash.set("out", props);

      expect(dispatched).toEqual([asOutput("out", props)]);
      expect(sets).toEqual([]);
    },
  );

  it("P9: are removed like an Output", () => {
    Object.assign(state.layout.props.children[2]!.props, {children: [drawn("heard")]});
    dash.set("out", {children: []});

    expect(dispatched).toEqual([asOutput("out", {children: []})]);
  });

  it("P9: are set like an Output if they have persistence", () => {
    const props = {children: {...drawn("input"), props: {id: "input", persistence: true}}};
    dash.set("out", props);

    expect(dispatched).toEqual([asOutput("out", props)]);
  });

  it("are set by set_props if no callback depends on them", () => {
    dash.set("out", {children: drawn("silent")});

    expect(dispatched).toEqual([]);
    expect(sets).toHaveLength(1);
  });

  it("P9: in a Patch cause calls only for the components that it adds", () => {
    const {props} = state.layout.props.children[2] as unknown as {props: {children: unknown}};
    props.children = [drawn("heard")];
    const patch = {__dash_patch_update: "__dash_patch_update", operations: []};
    const [others, added] = [resolved("heard"), resolved("shown")];
    vi.stubGlobal("dash_clientside", {
      set_props: () => void (props.children = [drawn("heard"), drawn("shown")]),
    });
    const stores = Reflect.get(globalThis, "dash_stores") as {dispatch(action: object): void}[];
    stores[0]!.dispatch = (action) => {
      if (!dispatched.push(action) || requested.length) return;
      requested.push(others, added);
    };
    dash.set("out", {children: patch});

    expect(dispatched).toEqual([
      asOutput("out", {children: props.children}),
      {type: "Callbacks.RemoveRequested", payload: [others]},
    ]);
  });
});

describe("a commit", () => {
  it("is flushed and batched if React supports it", () => {
    const log: string[] = [];
    const wrap = (name: string) => (work: () => void) => {
      log.push(name);
      work();
      log.push(`${name} is over`);
    };
    const react = {flushSync: wrap("flush"), unstable_batchedUpdates: wrap("batch")};
    vi.stubGlobal("ReactDOM", react);
    dash.commit(() => log.push("work"));

    expect(log).toEqual(["flush", "batch", "work", "batch is over", "flush is over"]);
  });

  it("works without that support", () => {
    const work = vi.fn();
    dash.commit(work);

    expect(work).toHaveBeenCalledOnce();
  });
});

it("reports changes of the page once per turn", async () => {
  const told = vi.fn();
  dash.subscribe(told);
  await Promise.resolve();
  expect(told).toHaveBeenCalledTimes(1);

  for (let change = 0; change < 10; change++) for (const listener of listeners) listener();
  expect(told).toHaveBeenCalledTimes(1);
  await Promise.resolve();
  expect(told).toHaveBeenCalledTimes(2);
});

it("waits until the store exists", async () => {
  vi.useFakeTimers();
  const stores: unknown = Reflect.get(globalThis, "dash_stores");
  vi.stubGlobal("dash_stores", undefined);
  const told = vi.fn();
  dash.subscribe(told);
  await vi.advanceTimersByTimeAsync(1000);
  expect(told).not.toHaveBeenCalled();

  vi.stubGlobal("dash_stores", stores);
  await vi.advanceTimersByTimeAsync(20);
  vi.useRealTimers();

  expect(told).toHaveBeenCalledOnce();
});

it.each([
  [{}, "/_dash-flash-events/start"],
  [{requests_pathname_prefix: "/app/"}, "/app/_dash-flash-events/start"],
  [{requests_pathname_prefix: "/app"}, "/app/_dash-flash-events/start"],
  [{url_base_pathname: "/base/"}, "/base/_dash-flash-events/start"],
])("posts under the app's prefix (%o)", (config, url) => {
  state.config = config;

  expect(dash.url("start")).toBe(url);
});

describe("headers", () => {
  it("contain those of the app's fetch config, and always JSON", () => {
    state.config = {fetch: {headers: {Authorization: "Bearer x", "Content-Type": "text/plain"}}};

    expect(dash.headers()).toEqual({
      Authorization: "Bearer x",
      "Content-Type": "application/json",
    });
  });

  it("contain the CSRF token as Dash's do", () => {
    vi.stubGlobal("document", {cookie: "a=1; _csrf_token=x%3Dy; b=2"});

    expect(dash.headers()).toMatchObject({"X-CSRFToken": "x=y"});
  });

  it("contain the CSRF token under the app's names", () => {
    state.config = {csrf_token_name: "mine", csrf_header_name: "X-Mine"};
    vi.stubGlobal("document", {cookie: "_csrf_token=other; mine=token"});

    expect(dash.headers()).toEqual({"X-Mine": "token", "Content-Type": "application/json"});
  });
});

it("shows errors through Dash's dev tools", () => {
  dash.showError("It failed", "details");

  expect(dispatched).toEqual([
    {
      type: "ON_ERROR",
      payload: {type: "backEnd", error: {message: "It failed", html: "details"}},
    },
  ]);
});

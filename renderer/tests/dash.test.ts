import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {entryOf} from "./fakes.ts";
import {connectDash} from "../src/dash/dash.ts";

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
  it("are gone when a callback has put nothing in their place, though Dash keeps the path", () => {
    state.layout.props.children = [];
    expect(dash.has("out")).toBe(false);
    expect(dash.get("out", "children")).toBeUndefined();
  });

  it("are not taken for one that has come to stand in their place", () => {
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
  ])("are what a pattern means (%s)", (id, ids) => {
    expect(dash.expand(id)).toEqual(ids);
  });

  it("are none before Dash has a store", () => {
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

it("knows our callbacks among Dash's", () => {
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

  it("stays the same whatever changes in it, and is another when it is drawn anew", () => {
    const before = dash.instance("out");
    change(2);
    expect(dash.instance("out")).toBe(before);

    nodes()[2] = {props: {id: "out"}};
    expect(dash.instance("out")).not.toBe(before);
    expect(dash.instance("gone")).toBeUndefined();
  });

  it("is another when a server has returned it, even if a worker has cloned its mark", () => {
    const before = dash.instance("out");
    nodes()[2] = JSON.parse(JSON.stringify(nodes()[2])) as {props: object};
    expect(dash.instance("out")).not.toBe(before);

    const second = dash.instance("out");
    nodes()[2] = structuredClone(nodes()[2]!);
    expect(dash.instance("out")).not.toBe(second);
  });

  it("is fresh until somebody has looked at it", () => {
    expect(dash.fresh(cardOf(["ALL"]))).toEqual([cardOf(1), cardOf(2)]);
    dash.instance(cardOf(1))!.isNew = false;
    expect(dash.fresh(cardOf(["ALL"]))).toEqual([cardOf(2)]);
    expect(dash.fresh(cardOf(1))).toEqual([]);
    expect(dash.fresh("out")).toEqual(["out"]);
    expect(dash.fresh("gone")).toEqual([]);
  });
});

it("knows what Dash has still to call, and what that may set", () => {
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

describe("components that are drawn", () => {
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
    "P9: are handed to Dash as an Output's where a callback has to do with them (%o)",
    (id) => {
      const props = {children: [drawn(undefined), {...drawn("frame"), props: {children: drawn(id)}}]};
      dash.set("out", props);

      expect(dispatched).toEqual([asOutput("out", props)]);
      expect(sets).toEqual([]);
    },
  );

  it("P9: are an Output's also when they are taken away", () => {
    Object.assign(state.layout.props.children[2]!.props, {children: [drawn("heard")]});
    dash.set("out", {children: []});

    expect(dispatched).toEqual([asOutput("out", {children: []})]);
  });

  it("P9: are an Output's where a user's edits persist", () => {
    const props = {children: {...drawn("input"), props: {id: "input", persistence: true}}};
    dash.set("out", props);

    expect(dispatched).toEqual([asOutput("out", props)]);
  });

  it("are set as ever where no callback has to do with them", () => {
    dash.set("out", {children: drawn("silent")});

    expect(dispatched).toEqual([]);
    expect(sets).toHaveLength(1);
  });

  it("P9: by a Patch have only the callbacks called of those that it adds", () => {
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
  it("is flushed and batched where React can do so", () => {
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

  it("just works where it cannot", () => {
    const work = vi.fn();
    dash.commit(work);

    expect(work).toHaveBeenCalledOnce();
  });
});

it("tells once per turn that the page has changed, however often it has", async () => {
  const told = vi.fn();
  dash.subscribe(told);
  await Promise.resolve();
  expect(told).toHaveBeenCalledTimes(1);

  for (let change = 0; change < 10; change++) for (const listener of listeners) listener();
  expect(told).toHaveBeenCalledTimes(1);
  await Promise.resolve();
  expect(told).toHaveBeenCalledTimes(2);
});

it("waits for a store that comes late", async () => {
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
  it("are those of the app's fetch config, but always JSON", () => {
    state.config = {fetch: {headers: {Authorization: "Bearer x", "Content-Type": "text/plain"}}};

    expect(dash.headers()).toEqual({
      Authorization: "Bearer x",
      "Content-Type": "application/json",
    });
  });

  it("carry the CSRF token as Dash does", () => {
    vi.stubGlobal("document", {cookie: "a=1; _csrf_token=x%3Dy; b=2"});

    expect(dash.headers()).toMatchObject({"X-CSRFToken": "x=y"});
  });

  it("carry the CSRF token under the app's names", () => {
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

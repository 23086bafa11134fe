import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {connectDash} from "../src/dash/dash.ts";

const RENDER_TYPE = "clientsideApi";

/** Dash's store with three texts, a container, and a callback that listens to two of them. */
function stateOf() {
  const node = (type: string, id: unknown, props: object) => ({
    namespace: "lib",
    type,
    props: {id, ...props},
  });
  const path = (index: number) => ["props", "children", index];
  return {
    layout: {
      props: {
        children: [
          node("Div", "one", {children: "1"}),
          node("Div", {index: 1}, {children: "2"}),
          node("Div", "three", {children: "3", persistence: true}),
          node("Card", "card", {children: [node("Div", "inner", {})], header: null, title: "t"}),
        ],
      },
    },
    paths: {
      strs: {one: path(0), three: path(2), card: path(3)},
      objs: {index: [{values: [1], path: path(1)}]},
    },
    layoutHashes: {} as Record<string, object>,
    graphs: {inputMap: {one: {heard: []}}, inputPatterns: {index: {heard: []}}} as object | undefined,
  };
}

let state: ReturnType<typeof stateOf>;
let sets: unknown[][];
let dispatched: object[];
const dash = connectDash();

const textOf = (index: number) => state.layout.props.children[index]?.props;

beforeEach(() => {
  state = stateOf();
  sets = [];
  dispatched = [];
  const dispatch = (action: object) => dispatched.push(action);
  vi.stubGlobal("dash_stores", [{getState: () => state, subscribe: vi.fn(), dispatch}]);
  vi.stubGlobal("dash_clientside", {set_props: (...args: unknown[]) => sets.push(args)});
  vi.stubGlobal("__dashprivate_childrenProps", {
    lib: {Card: ["header", "items[].label"], Bare: null}, // null: the component declares none
  });
});

afterEach(() => void vi.unstubAllGlobals());

describe("plain values", () => {
  it("of many components cost one action, that of the last one", () => {
    dash.commit(() => {
      dash.set("one", {children: "a"});
      dash.set('{"index":1}', {children: "b"});
    });

    expect(sets).toEqual([]);
    expect([textOf(0), textOf(1)]).toEqual([
      {id: "one", children: "a"},
      {id: {index: 1}, children: "b"},
    ]);
    const itempath = ["props", "children", 1];
    expect(dispatched).toEqual([
      {
        type: "ON_PROP_CHANGE",
        payload: {itempath, props: {children: "b"}, renderType: RENDER_TYPE, source: "response"},
      },
    ]);
  });

  it("count as changed on every write", () => {
    for (const text of ["a", "b"]) dash.commit(() => dash.set("one", {children: text}));

    expect(state.layoutHashes["props,children,0"]).toEqual({
      hash: 2,
      changedProps: {children: "b"},
      renderType: RENDER_TYPE,
    });
  });

  it("do not modify the previous props object", () => {
    const before = textOf(0);
    dash.commit(() => dash.set("one", {children: "a"}));

    expect(before).toEqual({id: "one", children: "1"});
  });

  it("may be objects in props that cannot hold components", () => {
    dash.commit(() => dash.set("card", {style: {color: "red"}, title: ["x", null, 2]}));

    expect(sets).toEqual([]);
    expect(textOf(3)).toMatchObject({style: {color: "red"}});
  });
});

it("displays plain values before set_props may move their component", () => {
  const order: string[] = [];
  const dispatch = () => order.push("shown");
  vi.stubGlobal("dash_stores", [{getState: () => state, subscribe: vi.fn(), dispatch}]);
  vi.stubGlobal("dash_clientside", {set_props: (id: string) => order.push(id)});
  dash.commit(() => {
    dash.set("one", {children: "a"});
    dash.set("card", {children: "text"});
  });

  expect(order).toEqual(["shown", "card"]);
});

it("continues after an error in a listener of the store", () => {
  const reported = vi.fn();
  vi.stubGlobal("reportError", reported);
  const dispatch = () => {
    throw new Error("not ours");
  };
  vi.stubGlobal("dash_stores", [{getState: () => state, subscribe: vi.fn(), dispatch}]);
  dash.commit(() => dash.set("one", {children: "a"}));

  expect(reported).toHaveBeenCalledOnce();
});

it("does nothing if no value was set", () => {
  dash.commit(() => undefined);

  expect(dispatched).toEqual([]);
});

describe("Dash's set_props sets", () => {
  const div = {namespace: "lib", type: "Div", props: {}};

  it.each([
    ["a prop with a listening callback", "one", {heard: 1}],
    ["a prop that a callback with wildcards may listen to", '{"index":1}', {heard: 1}],
    ["a component", "one", {children: div}],
    ["a list with components", "one", {children: ["text", div]}],
    ["a text that replaces components", "card", {children: "text"}],
    ["components in a prop that may hold them", "card", {header: div}],
    ["components deep in a prop that may hold them", "card", {items: [{label: div}]}],
    ["a Patch", "card", {title: {__dash_patch_update: "__dash_patch_update", operations: []}}],
    ["a component with persistence", "three", {children: "text"}],
    ["a missing component", "gone", {children: "text"}],
  ])("%s", (_, id, props) => {
    const before = JSON.stringify(state);
    dash.commit(() => dash.set(id, props));

    expect(sets).toHaveLength(1);
    expect(JSON.stringify(state)).toBe(before);
    expect(dispatched).toEqual([]);
  });

  it.each([
    ["without hashes", () => Reflect.deleteProperty(state, "layoutHashes")],
    ["without graphs", () => Reflect.deleteProperty(state, "graphs")],
    ["with other graphs", () => (state.graphs = {})],
    ["of several renderers", () => Reflect.get(globalThis, "dash_stores").push({})],
  ])("everything in a state %s", (_, change) => {
    change();
    dash.commit(() => dash.set("one", {children: "a"}));

    expect(sets).toEqual([["one", {children: "a"}]]);
  });
});

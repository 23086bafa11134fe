import {afterEach, expect, test, vi} from "vitest";
import {connectDebugging} from "../src/dash/debugging.ts";

afterEach(() => vi.unstubAllGlobals());

function setup(state: object) {
  const dispatch = vi.fn();
  vi.stubGlobal("dash_stores", [{getState: () => state, dispatch, subscribe: () => () => undefined}]);
  return {debugging: connectDebugging(), dispatch};
}

const div = (props: object) => ({namespace: "html", type: "Div", props});

test("components are found in all props, with their types", () => {
  const layout = div({
    id: "root",
    children: ["text", null, [div({id: {k: 1, a: "x"}, title: {deep: [div({id: "deep"})]}})]],
  });
  const {debugging} = setup({layout});
  const ids = ["root", '{"a":"x","k":1}', "deep"];
  expect([...debugging.onPage()]).toEqual(ids.map((id) => [id, "html.Div"]));
});

test("the validation layout is read once, and is optional", () => {
  expect(setup({config: {}}).debugging.validated()).toBeUndefined();
  const {debugging} = setup({config: {validation_layout: div({id: "later"})}});
  expect(debugging.validated()?.has("later")).toBe(true);
  expect(debugging.validated()).toBe(debugging.validated());
});

test("ids on the page are read from Dash's paths", () => {
  const paths = {strs: {a: []}, objs: {"k,t": [{values: [1, "x"], path: []}]}};
  expect(setup({paths}).debugging.idsOnPage()).toEqual(["a", '{"k":1,"t":"x"}']);
});

test("props are those that a component's script declares", () => {
  vi.stubGlobal("html", {Div: {propTypes: {id: 1, children: 1}}, Bare: () => null});
  const {debugging} = setup({});
  expect(debugging.propTypes("html.Div")).toEqual(["id", "children"]);
  expect(debugging.propTypes("html.Bare")).toBeUndefined();
  expect(debugging.propTypes("nowhere.Div")).toBeUndefined();
});

test("errors are shown in Dash's dev tools, and the callbacks' names are read from them", () => {
  const dev_tools = [{namespace: "flash_events", props: {names: {cb: "app.live"}}}];
  const {debugging, dispatch} = setup({config: {dev_tools, suppress_callback_exceptions: true}});
  debugging.showError("title", ["one", "two"]);
  const error = {message: "title", html: "one\ntwo"};
  expect(dispatch).toHaveBeenCalledWith({type: "ON_ERROR", payload: {type: "backEnd", error}});
  expect(debugging.callbackNames().names).toEqual({cb: "app.live"});
  expect(debugging.isLenient()).toBe(true);
  expect(setup({}).debugging.callbackNames()).toEqual({});
});

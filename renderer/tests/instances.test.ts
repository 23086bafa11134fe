import {describe, expect, it} from "vitest";
import {entryOf, fakePage} from "./fakes.ts";
import type {Entry} from "../src/dash/types.ts";
import {createInstances} from "../src/runs/instances.ts";
import {Instance} from "../src/dash/instance.ts";
import {matchOf} from "../src/runs/triggers.ts";

const cardOf = (index: unknown) => JSON.stringify({index, type: "card"});
const nameOf = (index: unknown) => JSON.stringify({index, type: "name"});
const cellOf = (row: unknown, cell: unknown) => JSON.stringify({cell, row});

const initial = (more: Partial<Omit<Entry, "flash_events">> = {}) =>
  entryOf({}, {prevent_initial_call: false, ...more});

/** A page that makes initial calls as soon as they are due; `calls` has their values. */
function setup(entries: readonly Entry[], layout: Parameters<typeof fakePage>[0] = {}) {
  const page = fakePage(layout, entries);
  const instances = createInstances(page.dash);
  const calls = () => {
    instances.look();
    return instances.due().map(([entry, context]) => {
      instances.claim(entry, matchOf(entry, context.inputs_list));
      const values = context.inputs_list.map((item) => [item].flat().map(({value}) => value));
      return [entry.output, ...values];
    });
  };
  return {page, instances, calls};
}

describe("a mark", () => {
  it("is not sent with a component that is a callback's State", () => {
    expect(JSON.stringify({props: {}, mark: new Instance()})).toBe('{"props":{}}');
  });
});

describe("an initial call", () => {
  it("is due once for an inserted component, with the current values of all Inputs and States", () => {
    const state = [{id: cardOf(["ALL"]), property: "value"}];
    const entry = initial({state});
    const {page, instances} = setup([entry], {[cardOf(1)]: {value: "a"}});
    expect(instances.due()).toEqual([]);
    page.insert("go", {n_clicks: 3});
    instances.look();

    const due = instances.due();
    expect(due).toEqual([
      [
        entry,
        {
          inputs_list: [{id: "go", property: "n_clicks", value: 3}],
          states_list: [[{id: {index: 1, type: "card"}, property: "value", value: "a"}]],
          triggered: [],
        },
      ],
    ]);
    instances.claim(entry, {});
    page.insert("other", {});
    expect(instances.due()).toEqual([]);
  });

  it("is due again when its component is redrawn, even without leaving the page", () => {
    const {page, calls} = setup([initial()], {go: {n_clicks: 1}});
    expect(calls()).toEqual([["cb", [1]]]);
    expect(calls()).toEqual([]);
    page.insert("go", {n_clicks: 2});
    expect(calls()).toEqual([["cb", [2]]]);
    page.remove("go");
    expect(calls()).toEqual([]);
    page.insert("go", {n_clicks: 3});
    expect(calls()).toEqual([["cb", [3]]]);
  });

  it("is not due for a callback that prevents it, or for components that its own run has drawn", () => {
    const own = initial();
    const {page, instances, calls} = setup([own, {...own, output: "other"}, entryOf({}, {output: "no"})]);
    page.insert("go", {n_clicks: 1});
    instances.look("cb");

    expect(calls()).toEqual([["other", [1]]]);
  });

  it("is not due after a call by a trigger", () => {
    const {page, instances, calls} = setup([initial()]);
    page.insert("go", {});
    instances.claim(initial(), {});

    expect(calls()).toEqual([]);
  });

  it("waits while the component of a State is missing, unless the State is optional", () => {
    const state = [{id: "name", property: "value"}];
    const strict = initial({state});
    const optional = initial({output: "cb2", state: [{...state[0]!, allow_optional: true}]});
    const {page, calls} = setup([strict, optional], {go: {}});
    expect(calls().map(([callback]) => callback)).toEqual(["cb2"]);
    page.insert("name", {});

    expect(calls().map(([callback]) => callback)).toEqual(["cb"]);
  });

  it("waits for ordinary callbacks that will set its Inputs or States", () => {
    const {page, calls} = setup([initial()], {go: {}});
    page.state.pending = [{callback: "o", isInitial: true, outputs: ["go.n_clicks"]}];
    expect(calls()).toEqual([]);
    page.state.pending = [{callback: "o", isInitial: true, outputs: ["go.children"]}];

    expect(calls()).toHaveLength(1);
  });

  it("is left to Dash if Dash will make it", () => {
    const {page, instances, calls} = setup([initial()], {go: {}});
    page.state.pending = [{callback: "cb", isInitial: true, outputs: []}];
    expect(calls()).toEqual([]);
    instances.claim(initial(), {});
    page.state.pending = [];

    expect(calls()).toEqual([]);
  });

  it("P8: is made for each MATCH, even when another is inserted", () => {
    const entry = initial({
      inputs: [{id: cardOf(["MATCH"]), property: "v"}],
      state: [{id: nameOf(["MATCH"]), property: "v"}],
    });
    const names = {[nameOf(1)]: {}, [nameOf(2)]: {}};
    const {page, calls} = setup([entry], {[cardOf(1)]: {v: 1}, [cardOf(2)]: {v: 2}, ...names});
    page.state.pending = [{callback: "cb", isInitial: true, outputs: []}]; // ignored for MATCH
    expect(calls()).toEqual([["cb", [1]], ["cb", [2]]]);
    page.insert(cardOf(3), {v: 3});
    expect(calls()).toEqual([]);
    page.insert(nameOf(3), {});
    expect(calls()).toEqual([["cb", [3]]]);
  });

  it("P8: with MATCH waits for a change that Dash will publish", () => {
    const entry = initial({inputs: [{id: cardOf(["MATCH"]), property: "v"}]});
    const {page, calls} = setup([entry], {[cardOf(1)]: {v: 1}});
    page.state.pending = [{callback: "cb", isInitial: false, outputs: []}];

    expect(calls()).toEqual([]);
  });

  it("P8: with ALL is made once, and with ALL besides MATCH once for each MATCH", () => {
    const every = initial({output: "every", inputs: [{id: cardOf(["ALL"]), property: "v"}]});
    const cells = [{id: cellOf(["MATCH"], ["ALL"]), property: "v"}];
    const {page, calls} = setup([every, initial({output: "rows", inputs: cells})], {
      [cardOf(1)]: {v: 1},
      [cardOf(2)]: {v: 2},
      [cellOf("x", 1)]: {v: "x1"},
      [cellOf("x", 2)]: {v: "x2"},
      [cellOf("y", 1)]: {v: "y1"},
    });
    expect(calls()).toEqual([
      ["every", [1, 2]],
      ["rows", ["x1", "x2"]],
      ["rows", ["y1"]],
    ]);
    page.insert(cellOf("y", 2), {v: "y2"});
    page.insert(cardOf(3), {v: 3});

    expect(calls()).toEqual([
      ["every", [1, 2, 3]],
      ["rows", ["y1", "y2"]],
    ]);
  });

  it("P8: with a string id besides MATCH is made once for each MATCH", () => {
    const inputs = [
      {id: "go", property: "v"},
      {id: cardOf(["MATCH"]), property: "v"},
    ];
    const {page, calls} = setup([initial({inputs})], {go: {v: 0}, [cardOf(1)]: {v: 1}});
    expect(calls()).toEqual([["cb", [0], [1]]]);
    page.insert(cardOf(2), {v: 2});

    expect(calls()).toEqual([["cb", [0], [2]]]);
  });
});

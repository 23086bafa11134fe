import {describe, expect, it} from "vitest";
import {changed, entryOf, fakePage} from "./fakes.ts";
import type {CallbackContext} from "../src/dash/types.ts";
import {createOwnWrites, triggerOf} from "../src/runs/triggers.ts";

const cardOf = (index: unknown) => JSON.stringify({index, type: "card"});
const anyCard = cardOf(["MATCH"]);
const perCard = entryOf({}, {inputs: [{id: anyCard, property: "n_clicks"}]});

describe("a trigger", () => {
  it("has the body that Dash itself would post", () => {
    const inputs = [
      {id: "go", property: "n_clicks", value: 1},
      [{id: {index: 1, type: "card"}, property: "value", value: "a"}],
    ];
    const states = [{id: "name", property: "value", value: "x"}];
    const context: CallbackContext = {
      inputs_list: inputs,
      states_list: states,
      triggered: [{prop_id: "go.n_clicks", value: 1}, {prop_id: `${cardOf(1)}.value`}],
    };

    expect(triggerOf(entryOf(), context).body).toEqual({
      output: "cb",
      outputs: [],
      inputs,
      state: states,
      changedPropIds: ["go.n_clicks", `${cardOf(1)}.value`],
      parsedChangedPropsIds: ["go.n_clicks", {index: 1, type: "card"}],
    });
  });

  it("of a callback without States posts an empty list", () => {
    const context = {inputs_list: [], triggered: []};

    expect(triggerOf(entryOf(), context).body).toMatchObject({state: []});
  });

  it("takes the MATCH values from the triggering component's id", () => {
    expect(triggerOf(perCard, changed(cardOf(3), "n_clicks", 1)).match).toEqual({index: 3});
  });

  it("takes the MATCH values from the first of a list if ALL stands besides MATCH", () => {
    const id = JSON.stringify({index: ["MATCH"], part: ["ALL"]});
    const entry = entryOf({}, {inputs: [{id, property: "value"}]});
    const items = [1, 2].map((part) => ({id: {index: 7, part}, property: "value", value: part}));

    expect(triggerOf(entry, {inputs_list: [items], triggered: []}).match).toEqual({index: 7});
  });

  it("has no MATCH values if ALL finds nothing or ids are strings", () => {
    const all = entryOf({}, {inputs: [{id: cardOf(["ALL"]), property: "n_clicks"}]});

    expect(triggerOf(all, {inputs_list: [[]], triggered: []}).match).toEqual({});
    expect(triggerOf(entryOf(), changed("go", "n_clicks", 1)).match).toEqual({});
  });

  it("has the same key as another with its callback and MATCH values, and no other", () => {
    const keyOf = (index: unknown) => triggerOf(perCard, changed(cardOf(index), "n_clicks", 1)).key;
    const another = {...perCard, output: "cb2"};

    expect(keyOf(1)).toBe(keyOf(1));
    expect(keyOf(1)).not.toBe(keyOf(2));
    expect(keyOf(1)).not.toBe(keyOf("1"));
    expect(triggerOf(another, changed(cardOf(1), "n_clicks", 1)).key).not.toBe(keyOf(1));
  });
});

describe("a write of a callback's own runs to its Inputs", () => {
  it("is ignored once, so that the same value from elsewhere triggers", () => {
    const page = fakePage({go: {n_clicks: 5}});
    const writes = createOwnWrites(page.dash);
    writes.record(entryOf(), "go", {n_clicks: 5});

    expect(writes.isOwn(entryOf(), changed("go", "n_clicks", 5))).toBe(true);
    expect(writes.isOwn(entryOf(), changed("go", "n_clicks", 5))).toBe(false);
  });

  it("is not ignored if the value has changed since", () => {
    const page = fakePage({go: {n_clicks: 5}});
    const writes = createOwnWrites(page.dash);
    writes.record(entryOf(), "go", {n_clicks: 5});

    expect(writes.isOwn(entryOf(), changed("go", "n_clicks", 6))).toBe(false);
  });

  it("is compared as JSON, because Dash may pass a copy", () => {
    const page = fakePage({go: {n_clicks: {a: [1]}}});
    const writes = createOwnWrites(page.dash);
    writes.record(entryOf(), "go", {n_clicks: {a: [1]}});

    expect(writes.isOwn(entryOf(), changed("go", "n_clicks", {a: [1]}))).toBe(true);
  });

  it("does not hide another change in the same call", () => {
    const inputs = [{id: "go", property: "n_clicks"}, {id: "in", property: "value"}];
    const entry = entryOf({}, {inputs});
    const page = fakePage({go: {n_clicks: 5}, in: {value: "x"}});
    const writes = createOwnWrites(page.dash);
    writes.record(entry, "go", {n_clicks: 5});
    const triggered = [
      {prop_id: "go.n_clicks", value: 5},
      {prop_id: "in.value", value: "x"},
    ];

    expect(writes.isOwn(entry, {inputs_list: [], triggered})).toBe(false);
  });

  it("does not affect other props of the component or other callbacks", () => {
    const page = fakePage({go: {n_clicks: 5, title: "x"}});
    const writes = createOwnWrites(page.dash);
    writes.record(entryOf(), "go", {title: "x"});
    writes.record({...entryOf(), output: "cb2"}, "go", {n_clicks: 5});

    expect(writes.isOwn(entryOf(), changed("go", "n_clicks", 5))).toBe(false);
  });

  it("is ignored for each component that a wildcard matches", () => {
    const page = fakePage({[cardOf(1)]: {n_clicks: 5}, [cardOf(2)]: {n_clicks: 5}});
    const writes = createOwnWrites(page.dash);
    writes.record(perCard, cardOf(1), {n_clicks: 5});

    expect(writes.isOwn(perCard, changed(cardOf(2), "n_clicks", 5))).toBe(false);
    expect(writes.isOwn(perCard, changed(cardOf(1), "n_clicks", 5))).toBe(true);
  });

  it("does not stop an initial call, which has no trigger", () => {
    const page = fakePage({go: {n_clicks: 5}});
    const writes = createOwnWrites(page.dash);
    writes.record(entryOf(), "go", {n_clicks: 5});

    expect(writes.isOwn(entryOf(), {inputs_list: [], triggered: []})).toBe(false);
  });
});

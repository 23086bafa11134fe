import {describe, expect, it} from "vitest";
import {changed, entryOf, fakePage} from "./fakes.ts";
import type {Entry} from "../src/dash/types.ts";
import {inputsOf} from "../src/runs/instances.ts";
import {triggerOf} from "../src/runs/triggers.ts";
import {areInputsGone, watchCancels} from "../src/runs/cancellation.ts";

const cardOf = (index: unknown) => JSON.stringify({index, type: "card"});
const stopOf = (index: unknown) => JSON.stringify({index, type: "stop"});

type Cancels = Entry["flash_events"]["cancel"];

function watching(cancel: Cancels, layout: Parameters<typeof fakePage>[0]) {
  const page = fakePage(layout);
  const trigger = triggerOf(entryOf({cancel}), changed("go", "n_clicks", 1));
  return {page, watch: watchCancels(page.dash, trigger.entry.flash_events.cancel, trigger.match)};
}

describe("a cancel Input", () => {
  const stop = [{id: "stop", property: "n_clicks"}];

  it("cancels when it changes, once per change", () => {
    const {page, watch} = watching(stop, {stop: {n_clicks: 1}});
    expect(watch.hasChanged()).toBe(false);

    page.change("stop", {n_clicks: 2});
    expect(watch.hasChanged()).toBe(true);
    expect(watch.hasChanged()).toBe(false);
  });

  it("cancels at its first click, before which it has no value", () => {
    const {page, watch} = watching(stop, {stop: {}});
    expect(watch.hasChanged()).toBe(false);

    page.change("stop", {n_clicks: 1});
    expect(watch.hasChanged()).toBe(true);
  });

  it("cancels when its value is removed", () => {
    const {page, watch} = watching(stop, {stop: {n_clicks: 1}});
    page.change("stop", {n_clicks: null});

    expect(watch.hasChanged()).toBe(true);
  });

  it("does not cancel when its value is set again, or copied", () => {
    const {page, watch} = watching([{id: "stop", property: "data"}], {stop: {data: {a: 1}}});
    page.change("stop", {data: {a: 1}});
    expect(watch.hasChanged()).toBe(false);

    page.change("stop", {data: {a: 2}});
    expect(watch.hasChanged()).toBe(true);
  });

  it("does not cancel when another prop of its component changes", () => {
    const {page, watch} = watching(stop, {stop: {n_clicks: 1}});
    page.change("stop", {children: "Stop!"});

    expect(watch.hasChanged()).toBe(false);
  });

  it("does not cancel when it appears, only on a later change", () => {
    const {page, watch} = watching(stop, {});
    page.insert("stop", {n_clicks: 7});
    expect(watch.hasChanged()).toBe(false);

    page.change("stop", {n_clicks: 8});
    expect(watch.hasChanged()).toBe(true);
  });

  it("P4: does not cancel when it is redrawn with another value, only on a later change", () => {
    const {page, watch} = watching(stop, {stop: {n_clicks: 3}});
    page.insert("stop", {n_clicks: 0});
    expect(watch.hasChanged()).toBe(false);

    page.change("stop", {n_clicks: 1});
    expect(watch.hasChanged()).toBe(true);
  });

  it("does not cancel when it leaves the page", () => {
    const {page, watch} = watching(stop, {stop: {n_clicks: 1}});
    page.remove("stop");

    expect(watch.hasChanged()).toBe(false);
  });

  it("cancels only on a value other than the allowed one", () => {
    const cancel = [{id: "url", property: "pathname", allowed: "/live"}];
    const {page, watch} = watching(cancel, {url: {pathname: "/"}});
    page.change("url", {pathname: "/live"});
    expect(watch.hasChanged()).toBe(false);

    page.change("url", {pathname: "/other"});
    expect(watch.hasChanged()).toBe(true);
  });

  it("may have None as its allowed value", () => {
    const cancel = [{id: "store", property: "data", allowed: null}];
    const {page, watch} = watching(cancel, {store: {data: 1}});
    page.change("store", {data: null});
    expect(watch.hasChanged()).toBe(false);

    page.change("store", {data: 0});
    expect(watch.hasChanged()).toBe(true);
  });

  it("with ALL cancels when any of its components changes", () => {
    const cancel = [{id: stopOf(["ALL"]), property: "n_clicks"}];
    const {page, watch} = watching(cancel, {[stopOf(1)]: {}, [stopOf(2)]: {}});
    page.change(stopOf(2), {n_clicks: 1});

    expect(watch.hasChanged()).toBe(true);
  });

  it("with MATCH is the one that belongs to the trigger", () => {
    const page = fakePage({[stopOf(1)]: {}, [stopOf(2)]: {}});
    const entry = entryOf(
      {cancel: [{id: stopOf(["MATCH"]), property: "n_clicks"}]},
      {inputs: [{id: cardOf(["MATCH"]), property: "n_clicks"}]},
    );
    const {match} = triggerOf(entry, changed(cardOf(1), "n_clicks", 1));
    const watch = watchCancels(page.dash, entry.flash_events.cancel, match);
    page.change(stopOf(2), {n_clicks: 1});
    expect(watch.hasChanged()).toBe(false);

    page.change(stopOf(1), {n_clicks: 1});
    expect(watch.hasChanged()).toBe(true);
  });

  it("is checked completely, so that two changes at once cancel once", () => {
    const cancel = [...stop, {id: "url", property: "pathname"}];
    const {page, watch} = watching(cancel, {stop: {n_clicks: 1}, url: {pathname: "/"}});
    page.change("stop", {n_clicks: 2});
    page.change("url", {pathname: "/a"});

    expect(watch.hasChanged()).toBe(true);
    expect(watch.hasChanged()).toBe(false);
  });

  it("does not cancel on writes of the callback's own runs, only on later changes", () => {
    const {page, watch} = watching(stop, {stop: {n_clicks: 1}});
    page.change("stop", {n_clicks: 2});
    watch.accept("stop", {n_clicks: 2});
    expect(watch.hasChanged()).toBe(false);

    page.change("stop", {n_clicks: 3});
    expect(watch.hasChanged()).toBe(true);
  });

  it("still cancels when the callback's own runs write another prop of its component", () => {
    const {page, watch} = watching(stop, {stop: {n_clicks: 1}});
    page.change("stop", {n_clicks: 2, children: "x"});
    watch.accept("stop", {children: "x"});

    expect(watch.hasChanged()).toBe(true);
  });
});

describe("the Inputs of a run", () => {
  const inputs = [{id: "go", property: "n_clicks"}, {id: "tick", property: "n_intervals"}];
  /** Starts a run; the function returns whether its Inputs are gone since. */
  const running = (entry: Entry, page: ReturnType<typeof fakePage>, id = "go") => {
    const trigger = triggerOf(entry, changed(id, "n_clicks", 1));
    const known = new Set(inputsOf(page.dash, entry, trigger.match));
    return () => areInputsGone(page.dash, trigger, known);
  };

  it("are gone when none of their components is on the page", () => {
    const page = fakePage({go: {}, tick: {}, out: {}});
    const left = running(entryOf({}, {inputs}), page);
    expect(left()).toBe(false);
    page.remove("go");
    expect(left()).toBe(false);
    page.remove("tick");

    expect(left()).toBe(true);
  });

  it("P4: are gone when others have drawn components with the same ids", () => {
    const page = fakePage({go: {}, tick: {}});
    const left = running(entryOf({}, {inputs}), page);
    page.insert("go", {});
    expect(left()).toBe(false);
    page.insert("tick", {});

    expect(left()).toBe(true);
  });

  it("P4: are not gone when a run of their callback has redrawn them", () => {
    const page = fakePage({go: {}});
    const left = running(entryOf(), page);
    page.insert("go", {});
    page.dash.instance("go")!.drawnBy = "cb";

    expect(left()).toBe(false);
  });

  it("are never gone under keep_alive", () => {
    const page = fakePage({go: {}, tick: {}});
    const left = running(entryOf({keepAlive: true}, {inputs}), page);
    page.remove("go");
    page.remove("tick");

    expect(left()).toBe(false);
  });

  it("with MATCH are gone when the run's own component is", () => {
    const entry = entryOf({}, {inputs: [{id: cardOf(["MATCH"]), property: "n_clicks"}]});
    const page = fakePage({[cardOf(1)]: {}, [cardOf(2)]: {}});
    const first = running(entry, page, cardOf(1));
    const second = running(entry, page, cardOf(2));
    page.remove(cardOf(1));

    expect(first()).toBe(true);
    expect(second()).toBe(false);
  });

  it("with ALL are gone when the last component of the start is", () => {
    const entry = entryOf({}, {inputs: [{id: cardOf(["ALL"]), property: "n_clicks"}]});
    const page = fakePage({[cardOf(1)]: {}, [cardOf(2)]: {}});
    const left = running(entry, page, cardOf(1));
    page.insert(cardOf(3), {});
    page.remove(cardOf(1));
    expect(left()).toBe(false);
    page.remove(cardOf(2));

    expect(left()).toBe(true);
  });
});

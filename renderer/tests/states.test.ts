import {expect, test} from "vitest";
import {createStates} from "../src/runs/states.ts";
import type {Trigger} from "../src/runs/triggers.ts";
import type {RunState} from "../src/runs/subscribers.ts";

function triggerFor(output: string, match: object) {
  return {entry: {output}, match, key: output, body: {}} as Trigger;
}

function setup() {
  const clock = {now: 1000};
  const states = createStates(() => clock.now);
  const run = (id: string, state: RunState, match: object = {}, callback = "cb") =>
    states.accept({type: "run", run: id, trigger: triggerFor(callback, match), state});
  return {states, run, clock};
}

test("a callback that has never run is idle", () => {
  expect(setup().states.ofRuns("cb", "state")).toBe("idle");
});

test.each(["done", "cancelled", "error", "lost"] as const)("a run that ends as %s says so", (end) => {
  const {states, run} = setup();
  run("1", "queued");
  expect(states.ofRuns("cb", "state")).toBe("queued");
  run("1", "running");
  expect(states.ofRuns("cb", "state")).toBe("running");
  run("1", end);
  expect(states.ofRuns("cb", "state")).toBe(end);
});

test("a run that is replaced does not show as cancelled", () => {
  const {states, run} = setup();
  run("1", "running");
  run("2", "queued");
  run("1", "cancelled");
  expect(states.ofRuns("cb", "state")).toBe("queued");
});

test("one running run among queued ones makes the state running", () => {
  const {states, run} = setup();
  run("1", "running");
  run("2", "queued");
  expect(states.ofRuns("cb", "state")).toBe("running");
  run("1", "done");
  expect(states.ofRuns("cb", "state")).toBe("queued");
});

test("an id with MATCH values selects those runs, any other id all of them", () => {
  const {states, run} = setup();
  run("1", "running", {index: "a"});
  run("2", "running", {index: "b"});
  run("2", "error", {index: "b"});
  expect(states.ofRuns("cb", '{"index":"a","type":"state"}')).toBe("running");
  expect(states.ofRuns("cb", '{"index":"b","type":"state"}')).toBe("error");
  expect(states.ofRuns("cb", '{"index":"c","type":"state"}')).toBe("idle");
  expect(states.ofRuns("cb", "state")).toBe("running");
  run("1", "done", {index: "a"});
  expect(states.ofRuns("cb", "state")).toBe("done");
});

test("another callback's runs are ignored", () => {
  const {states, run} = setup();
  run("1", "running", {}, "other");
  expect(states.ofRuns("cb", "state")).toBe("idle");
});

test("a listener is called on each change until it unsubscribes", () => {
  const {states, run} = setup();
  let told = 0;
  const stop = states.subscribe(() => told++);
  run("1", "queued");
  states.accept({type: "connection", state: "open"});
  expect(told).toBe(2);
  stop();
  run("1", "done");
  expect(told).toBe(2);
});

test("a connection that is cut has the time of its retry", () => {
  const {states} = setup();
  expect(states.ofConnection()).toEqual({state: "idle", retryAt: undefined});
  states.accept({type: "connection", state: "reconnecting", retryMs: 500});
  expect(states.ofConnection()).toEqual({state: "reconnecting", retryAt: 1500});
  states.accept({type: "connection", state: "open"});
  expect(states.ofConnection()).toEqual({state: "open", retryAt: undefined});
});

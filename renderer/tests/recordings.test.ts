import {expect, test} from "vitest";
import type {RunEvent} from "../src/protocol.ts";
import {collapsed, createRecordings} from "../src/tools/recordings.ts";
import type {Trigger} from "../src/runs/triggers.ts";
import type {RunState} from "../src/runs/subscribers.ts";

function setup() {
  const clock = {now: 5000};
  const records = createRecordings(() => clock.now);
  const run = (id: string, state: RunState) => {
    const body = {changedPropIds: ["go.n_clicks"]};
    const trigger = {entry: {output: "cb"}, match: {}, key: "cb", body} as unknown as Trigger;
    records.accept({type: "run", run: id, trigger, state});
  };
  const event = (one: RunEvent) => records.accept({type: "event", event: one, bytes: 10});
  const update = (id: string, n: number, props: object) =>
    event({type: "update", run: id, n, set: [["out", {...props}]]});
  const applied = (id: string, props: object) =>
    records.accept({type: "applied", id: "out", run: id, props: {...props}});
  return {records, run, event, update, applied, clock};
}

test("a run is listed with its counts, the latest first", () => {
  const {records, run, update, applied, clock} = setup();
  run("1", "queued");
  run("2", "queued");
  run("1", "running");
  clock.now = 5250;
  update("1", 1, {children: 1});
  update("1", 2, {children: 2});
  applied("1", {children: 2});
  const [second, first] = records.list();
  expect(second?.run).toBe("2");
  expect(first).toMatchObject({
    run: "1",
    callback: "cb",
    triggered: ["go.n_clicks"],
    state: "running",
    updates: 2,
    bytes: 20,
    lastAt: 5250,
  });
  expect(first && collapsed(first)).toBe(1);
});

test("runs are numbered in the order of their starts, and a snapshot counts for all updates before it", () => {
  const {records, run, event} = setup();
  for (const id of ["1", "2", "3"]) run(id, "queued");
  run("1", "done");
  event({type: "update", run: "2", n: 40, snapshot: true, set: [["out", {children: 40}]]});
  const byNumber = records.list().sort((a, b) => a.number - b.number);
  expect(byNumber.map((one) => [one.run, one.updates])).toEqual([["1", 0], ["2", 40], ["3", 0]]);
});

test("a recording contains the events with their times", () => {
  const {records, run, event, update, clock} = setup();
  run("1", "queued");
  clock.now = 5100;
  update("1", 1, {children: 1});
  clock.now = 5200;
  event({type: "end", run: "1", n: 1, reason: "done"});
  run("1", "done");
  expect(JSON.parse(records.recording({cb: "app.live"}))).toEqual({
    flash_events: 1,
    runs: [
      {
        callback: "app.live",
        triggered: ["go.n_clicks"],
        state: "done",
        is_cut: false,
        events: [
          {ms: 100, event: {type: "update", run: "1", n: 1, set: [["out", {children: 1}]]}},
          {ms: 200, event: {type: "end", run: "1", n: 1, reason: "done"}},
        ],
      },
    ],
  });
});

test("the recording of an endless run is cut at a limit, and its counts continue", () => {
  const {records, run, update} = setup();
  run("1", "running");
  for (let n = 1; n <= 10_001; n++) update("1", n, {children: n});
  const [first] = records.list();
  expect(first).toMatchObject({updates: 10_001, isCut: true});
  expect(first?.events.length).toBe(10_000);
});

test("the limit of ended runs is fifty, and the oldest are dropped", () => {
  const {records, run} = setup();
  run("alive", "running");
  for (let n = 1; n <= 60; n++) run(`${n}`, "done");
  const kept = records.list().map((one) => one.run);
  expect(kept.length).toBe(51);
  expect(kept).toContain("alive");
  expect(kept).not.toContain("10");
});

test("clearing keeps live runs", () => {
  const {records, run} = setup();
  run("alive", "running");
  run("over", "done");
  records.clear();
  expect(records.list().map((one) => one.run)).toEqual(["alive"]);
});

test("reconnects are counted", () => {
  const {records} = setup();
  records.accept({type: "connection", state: "open"});
  records.accept({type: "connection", state: "reconnecting", retryMs: 10});
  expect(records.connection).toEqual({state: "reconnecting", reconnects: 1});
});

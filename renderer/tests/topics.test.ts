import {expect, test} from "vitest";
import type {Message} from "../src/protocol.ts";
import type {RunState} from "../src/runs/subscribers.ts";
import type {Trigger} from "../src/runs/triggers.ts";
import {createRecordings} from "../src/tools/recordings.ts";
import {createTopics} from "../src/tools/topics.ts";

function setup() {
  const clock = {now: 1_000_000};
  const topics = createTopics(() => clock.now);
  const recordings = createRecordings(() => clock.now);
  const run = (id: string, run: string, state: RunState, name = "news", params = {}) => {
    const body = {inputs: [{id, property: "topic", value: {name, params}}]};
    const entry = {output: `flash_events.subscription:${encodeURIComponent(id)}`};
    const trigger = {entry, match: {}, key: id, body} as unknown as Trigger;
    for (const one of [topics, recordings]) one.accept({type: "run", run, trigger, state});
  };
  const news = (run: string, ...messages: Message[]) => {
    const event = {type: "update", run, n: 1, set: [], news: {nonce: "x", messages}} as const;
    topics.accept({type: "event", event, bytes: 10});
  };
  return {clock, topics, recordings, run, news};
}

test("each Subscription is listed with its messages, and is no run", () => {
  const {topics, recordings, run, news} = setup();
  run("plain", "1", "queued");
  run('{"index":"a","type":"sub"}', "2", "queued", "room/{room}/{an other}", {room: "42"});
  run("plain", "1", "running");
  news("1", [7, 0, 0, 0, "a"], [10, 0, 2, 0, "b"]);
  news("2", [3, 0, null, 8]);
  news("of a run", [1, 0, 0, 0, "c"]);
  expect(topics.list()).toMatchObject([
    {id: "plain", topic: "news", state: "live", offset: 10, missed: 2, messages: 2},
    {
      id: '{"index":"a","type":"sub"}',
      topic: "room/42/{an other}",
      state: "connecting",
      offset: 3,
      missed: 1,
      messages: 1,
    },
  ]);
  expect(recordings.list()).toEqual([]);
});

test("a Subscription goes on counting in its next run", () => {
  const {topics, run, news} = setup();
  for (const [number, end] of [["1", "lost"], ["2", "cancelled"], ["3", "error"]] as const) {
    run("a", number, "queued");
    run("a", number, "running");
    news(number, [Number(number), 0, 0, 0, "x"]);
    run("a", number, end);
    news(number, [99, 0, 0, 0, "too late"]);
  }
  expect(topics.list()).toMatchObject([{id: "a", state: "refused", offset: 3, messages: 3}]);
});

test("another topic begins anew, and the end of the replaced run is ignored", () => {
  const {topics, run, news} = setup();
  run("a", "1", "queued");
  news("1", [5, 0, 0, 0, "x"]);
  run("a", "2", "queued", "other");
  run("a", "1", "cancelled");
  expect(topics.list()).toMatchObject([{topic: "other", state: "connecting", offset: 0}]);
});

test("messages per second are those of the last seconds", () => {
  const {clock, topics, run, news} = setup();
  run("a", "1", "running");
  run("a", "1", "queued");
  for (let second = 0; second < 10; second++) {
    clock.now += 1000;
    news("1", ...Array.from({length: 20}, (_, i): Message => [second * 20 + i + 1, 0, 0, 0, i]));
  }
  expect(topics.list()[0]?.rate).toBe(20);
  clock.now += 10_000;
  expect(topics.list()[0]?.rate).toBe(0);
});

test("those that have left are forgotten when the list is cleared or too long", () => {
  const {topics, run} = setup();
  for (let n = 0; n < 300; n++) {
    run(`s${n}`, `${n}`, "queued");
    if (n !== 0) run(`s${n}`, `${n}`, "cancelled");
  }
  expect(topics.list().length).toBe(200);
  expect(topics.list()[0]?.id).toBe("s0");
  topics.clear();
  expect(topics.list().map(({id}) => id)).toEqual(["s0"]);
});

import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {createFlow, MAX_UNAPPLIED_BYTES} from "../src/transport/flow.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setup() {
  const stuck: string[] = [];
  const flow = createFlow((tab) => stuck.push(tab));
  for (const tab of ["a", "b"]) flow.begin(tab);
  /** Returns a function that returns whether the wait has ended. */
  const reading = () => {
    let isOn = true;
    const drained = flow.drained();
    if (drained) {
      isOn = false;
      void drained.then(() => (isOn = true));
    }
    return () => isOn;
  };
  return {flow, stuck, reading};
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

it("allows reading while every tab is below the limit", () => {
  const {flow} = setup();
  flow.sent("a", MAX_UNAPPLIED_BYTES);
  flow.sent("b", MAX_UNAPPLIED_BYTES);

  expect(flow.drained()).toBeUndefined();
});

it("waits for a tab over the limit until it has applied enough", async () => {
  const {flow, stuck, reading} = setup();
  flow.sent("a", MAX_UNAPPLIED_BYTES + 10);
  const isReading = reading();
  flow.applied("a", 5);
  await pass(0);
  expect(isReading()).toBe(false);
  flow.applied("a", 10);
  await pass(0);

  expect(isReading()).toBe(true);
  await pass(10_000);
  expect(stuck).toEqual([]);
});

describe("a tab over the limit", () => {
  it("that applies nothing for two seconds times out, and the others continue", async () => {
    const {flow, stuck, reading} = setup();
    flow.sent("a", MAX_UNAPPLIED_BYTES + 1);
    const isReading = reading();
    await pass(1999);
    expect([stuck, isReading()]).toEqual([[], false]);
    await pass(1);

    expect([stuck, isReading()]).toEqual([["a"], true]);
  });

  it("that makes progress is waited for", async () => {
    const {flow, stuck, reading} = setup();
    flow.sent("a", 2 * MAX_UNAPPLIED_BYTES);
    const isReading = reading();
    for (let applied = 1; applied < 10; applied++) {
      await pass(1900);
      flow.applied("a", applied);
    }

    expect([stuck, isReading()]).toEqual([[], false]);
  });

  it("that has timed out is reported again when it is sent more", async () => {
    const {flow, stuck} = setup();
    flow.sent("a", MAX_UNAPPLIED_BYTES + 1);
    await pass(2000);
    flow.sent("a", 1);
    await pass(2000);

    expect(stuck).toEqual(["a", "a"]);
  });

  it("that has timed out and makes progress is waited for again", async () => {
    const {flow} = setup();
    flow.sent("a", 2 * MAX_UNAPPLIED_BYTES);
    await pass(2000);
    expect(flow.drained()).toBeUndefined();
    flow.applied("a", 1);

    expect(flow.drained()).toBeDefined();
  });

  it("that leaves is no longer waited for", async () => {
    const {flow, stuck, reading} = setup();
    flow.sent("a", MAX_UNAPPLIED_BYTES + 1);
    const isReading = reading();
    flow.forget("a");
    await pass(5000);

    expect([stuck, isReading()]).toEqual([[], true]);
  });
});

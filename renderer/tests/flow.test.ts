import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {createFlow, MAX_UNAPPLIED_BYTES} from "../src/transport/flow.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setup() {
  const stuck: string[] = [];
  const flow = createFlow((tab) => stuck.push(tab));
  for (const tab of ["a", "b"]) flow.begin(tab);
  /** Whether reading goes on; asked now, answered later. */
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

it("lets read on while every tab is within its limit", () => {
  const {flow} = setup();
  flow.sent("a", MAX_UNAPPLIED_BYTES);
  flow.sent("b", MAX_UNAPPLIED_BYTES);

  expect(flow.drained()).toBeUndefined();
});

it("waits for a tab that is over the limit, until it has applied enough", async () => {
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
  it("that applies nothing for two seconds is stuck, and nobody waits for it any more", async () => {
    const {flow, stuck, reading} = setup();
    flow.sent("a", MAX_UNAPPLIED_BYTES + 1);
    const isReading = reading();
    await pass(1999);
    expect([stuck, isReading()]).toEqual([[], false]);
    await pass(1);

    expect([stuck, isReading()]).toEqual([["a"], true]);
  });

  it("that goes on, however slowly, is waited for", async () => {
    const {flow, stuck, reading} = setup();
    flow.sent("a", 2 * MAX_UNAPPLIED_BYTES);
    const isReading = reading();
    for (let applied = 1; applied < 10; applied++) {
      await pass(1900);
      flow.applied("a", applied);
    }

    expect([stuck, isReading()]).toEqual([[], false]);
  });

  it("that was stuck is told again when it is sent more", async () => {
    const {flow, stuck} = setup();
    flow.sent("a", MAX_UNAPPLIED_BYTES + 1);
    await pass(2000);
    flow.sent("a", 1);
    await pass(2000);

    expect(stuck).toEqual(["a", "a"]);
  });

  it("that was stuck and goes on is waited for again", async () => {
    const {flow} = setup();
    flow.sent("a", 2 * MAX_UNAPPLIED_BYTES);
    await pass(2000);
    expect(flow.drained()).toBeUndefined();
    flow.applied("a", 1);

    expect(flow.drained()).toBeDefined();
  });

  it("that goes away is waited for no more", async () => {
    const {flow, stuck, reading} = setup();
    flow.sent("a", MAX_UNAPPLIED_BYTES + 1);
    const isReading = reading();
    flow.forget("a");
    await pass(5000);

    expect([stuck, isReading()]).toEqual([[], true]);
  });
});

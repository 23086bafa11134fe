import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {onGraphChange, unpackTraces} from "../src/graph.ts";

type Listener = () => void;

/** A drawn graph with these traces; `draw` tells its listeners. */
function documentWith(data: object[]) {
  const listeners = new Set<Listener>();
  const plot = {
    data,
    on: (_: string, listener: Listener) => listeners.add(listener),
    removeListener: (_: string, listener: Listener) => listeners.delete(listener),
  };
  vi.stubGlobal("document", {
    getElementById: (id: string) => (id === "graph" ? {querySelector: () => plot} : null),
  });
  return {listeners, draw: () => listeners.forEach((listener) => listener())};
}

const base64 = (bytes: Iterable<number>) => btoa(String.fromCharCode(...bytes));

beforeEach(() => void vi.useFakeTimers());

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("arrays that Python's Plotly has packed", () => {
  it.each([
    ["f8", new Float64Array([1.5, -2])],
    ["f4", new Float32Array([0.5, 2])],
    ["i4", new Int32Array([-1, 70000])],
    ["u2", new Uint16Array([1, 65535])],
    ["i1", new Int8Array([-1, 1])],
  ])("are unpacked into plain arrays (%s)", (dtype, array) => {
    const trace = {y: {dtype, bdata: base64(new Uint8Array(array.buffer))}, x: ["a"], name: "n"};
    documentWith([trace]);
    unpackTraces("graph");
    expect(trace).toEqual({y: Array.from(array), x: ["a"], name: "n"});
  });

  it("of two dimensions are left as they are", () => {
    const z = {dtype: "i1", bdata: base64([1, 2]), shape: "1, 2"};
    const trace = {z};
    documentWith([trace]);
    unpackTraces("graph");
    expect(trace.z).toBe(z);
  });

  it("are not looked for on a graph that is not there", () => {
    documentWith([]);
    expect(() => unpackTraces("nowhere")).not.toThrow();
  });
});

describe("a graph that changes", () => {
  it("is looked at once after it has drawn, and leaves no listener behind", async () => {
    const {listeners, draw} = documentWith([]);
    const look = vi.fn();
    onGraphChange("graph", look);
    draw();
    draw();
    await vi.advanceTimersByTimeAsync(1000);
    expect(look).toHaveBeenCalledOnce();
    expect(listeners.size).toBe(0);
  });

  it("is looked at soon when it does not draw, and leaves no listener behind", async () => {
    const {listeners} = documentWith([]);
    const look = vi.fn();
    onGraphChange("graph", look);
    await vi.advanceTimersByTimeAsync(60);
    expect(look).toHaveBeenCalledOnce();
    expect(listeners.size).toBe(0);
  });
});

import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import {fakeGraph} from "./fakes.ts";
import {recoverGraph, onGraphDone, unpackTraces, watchTraces} from "../src/apply/graph.ts";

/** A document with a drawn graph with these traces. */
function documentWith(data: object[]) {
  const graph = fakeGraph({data});
  vi.stubGlobal("document", {
    getElementById: (id: string) => (id === "graph" ? graph.element : null),
  });
  return graph;
}

const base64 = (bytes: Iterable<number>) => btoa(String.fromCharCode(...bytes));

const packed = (dtype: string, array: ArrayLike<number> & {buffer: ArrayBufferLike}, shape?: string) => ({
  dtype,
  bdata: base64(new Uint8Array(array.buffer)),
  ...(shape === undefined ? {} : {shape}),
});

beforeEach(() => void vi.useFakeTimers());

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("arrays that Python's Plotly has encoded", () => {
  it.each([
    ["f8", new Float64Array([1.5, -2])],
    ["f4", new Float32Array([0.5, 2])],
    ["i4", new Int32Array([-1, 70000])],
    ["u2", new Uint16Array([1, 65535])],
    ["i1", new Int8Array([-1, 1])],
  ])("are unpacked into plain arrays when they are extended (%s)", (dtype, array) => {
    const x = packed(dtype, array);
    const trace = {y: packed(dtype, array), x, name: "n"};
    documentWith([trace]);
    unpackTraces("graph", [{y: [[1]]}, [0]]);
    expect(trace).toEqual({y: Array.from(array), x, name: "n"});
  });

  it("P16: are unpacked deep in a trace", () => {
    const one = packed("i1", new Int8Array([1, 2]));
    const trace = {marker: {color: one, size: one}, error_y: {array: one}, dimensions: [{values: one}]};
    documentWith([{}, trace]);
    const extension = {"marker.color": [[3]], "error_y.array": [[3]], "dimensions[0].values": [[3]]};
    unpackTraces("graph", [extension, [-1]]);
    expect(trace).toEqual({
      marker: {color: [1, 2], size: one},
      error_y: {array: [1, 2]},
      dimensions: [{values: [1, 2]}],
    });
  });

  it.each([
    ["2, 3", [[1, 2, 3], [4, 5, 6]]],
    ["3,1,2", [[[1, 2]], [[3, 4]], [[5, 6]]]],
    ["6", [1, 2, 3, 4, 5, 6]],
  ])("P16: keep their dimensions (%s)", (shape, z) => {
    const trace = {z: packed("u1", new Uint8Array([1, 2, 3, 4, 5, 6]), shape)};
    documentWith([trace]);
    unpackTraces("graph", {z: [[[7]]]});
    expect(trace.z).toEqual(z);
  });

  it.each([
    ["that is missing", "nowhere", {y: [[1]]}],
    ["without the trace", "graph", [{y: [[1]]}, [7]]],
    ["without the attribute", "graph", [{"marker.color": [[1]]}, [0]]],
    ["with a null value", "graph", null],
    ["with an invalid value", "graph", "abc"],
  ])("are ignored on a graph %s", (_, id, value) => {
    const trace = {y: [1]};
    documentWith([trace]);
    expect(() => unpackTraces(id, value)).not.toThrow();
    expect(trace).toEqual({y: [1]});
  });
});

describe("a graph with a pending value", () => {
  it("calls back after it has drawn, with an empty queue", async () => {
    const graph = documentWith([]);
    const done = vi.fn();
    graph.receive("points");
    onGraphDone("graph", done);
    await vi.advanceTimersByTimeAsync(1000);
    expect(done).not.toHaveBeenCalled();

    graph.draw();
    await vi.advanceTimersByTimeAsync(1);

    expect(done).toHaveBeenCalledExactlyOnceWith(undefined);
  });

  it("P15: reports Plotly's error, and continues with later values", async () => {
    const graph = documentWith([]);
    const done = vi.fn();
    graph.receive("points", () => "no such trace");
    onGraphDone("graph", done);
    await vi.advanceTimersByTimeAsync(1);
    graph.receive("more");
    graph.draw();
    await vi.advanceTimersByTimeAsync(1);

    expect(done).toHaveBeenCalledExactlyOnceWith(new Error("no such trace"));
    expect(graph.applied).toEqual(["more"]);
  });

  it("P15: is recovered after an error from elsewhere", async () => {
    const graph = documentWith([]);
    graph.inner._queue = Promise.reject(new Error("not ours"));
    recoverGraph("graph");
    graph.receive("points");
    await vi.advanceTimersByTimeAsync(1);
    expect(graph.applied).toEqual(["points"]);
  });

  it("is polled if its promise chain is unknown", async () => {
    documentWith([]);
    const done = vi.fn();
    onGraphDone("nowhere", done);
    await vi.advanceTimersByTimeAsync(60);
    expect(done).toHaveBeenCalledOnce();
  });

  it("P6: has the value in its figure after Plotly has replaced the array", () => {
    const trace = {marker: {size: [1]}};
    documentWith([trace]);
    const isInFigure = watchTraces("graph", [{"marker.size": [[2]]}, [0]]);
    expect(isInFigure()).toBe(false);
    trace.marker.size = [1, 2];
    expect(isInFigure()).toBe(true);
    expect(watchTraces("nowhere", {y: [[1]]})()).toBe(false);
  });
});

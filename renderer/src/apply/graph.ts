/**
 * The internal queue of a dcc.Graph for extendData and prependData.
 *
 * The component applies its whole queue on every change, and empties it only after Plotly has
 * drawn: a value that is set before that is applied twice. The component runs its tasks in one
 * promise chain; an error of Plotly breaks the chain and all later tasks, even a new `figure`.
 *
 * Queue and chain are private to the component. They are found here through the DOM node.
 */

import type {WireId} from "../ids.ts";

interface Fiber {
  readonly return: Fiber | null;
  readonly stateNode: Partial<Inner & Outer> | null;
}

/** The inner component, which draws; each of its tasks starts when the one before has ended. */
interface Inner {
  _queue: Promise<unknown>;
  readonly props: {clearState?(prop: string): void};
}

/** The outer component, which holds the values that are not drawn yet. */
interface Outer {
  readonly state: {readonly extendData?: unknown; readonly prependData?: unknown};
}

interface PlotDiv extends HTMLElement {
  readonly data?: readonly Record<string, unknown>[];
}

/** Poll interval for a graph whose promise chain is unknown (not loaded yet, say), in ms. */
const POLL_MS = 50;

function fibersOf(id: WireId): Fiber[] {
  const element = document.getElementById(id);
  const key = element && Object.keys(element).find((one) => one.startsWith("__reactFiber$"));
  const fibers: Fiber[] = [];
  let fiber = key ? (element as unknown as Record<string, Fiber>)[key] : undefined;
  for (; fiber; fiber = fiber.return ?? undefined) {
    fibers.push(fiber);
    if (Array.isArray(fiber.stateNode?.state?.extendData)) break; // outer components of other graphs are further up
  }
  return fibers;
}

function innerOf(id: WireId): Inner | undefined {
  const fiber = fibersOf(id).find(({stateNode}) => stateNode?._queue instanceof Promise);
  return fiber?.stateNode as Inner | undefined;
}

function queueOf(id: WireId): unknown[] | undefined {
  const {extendData, prependData} = fibersOf(id).at(-1)?.stateNode?.state ?? {};
  if (!Array.isArray(extendData) || !Array.isArray(prependData)) return undefined;
  return [...(extendData as unknown[]), ...(prependData as unknown[])];
}

function plotOf(id: WireId): PlotDiv | null {
  return document.getElementById(id)?.querySelector<PlotDiv>(".js-plotly-plot") ?? null;
}

export function countTraces(id: WireId): number {
  return plotOf(id)?.data?.length ?? 0;
}

/** Returns whether the graph is drawn and its queue is empty, or the component is no dcc.Graph. */
export function isGraphIdle(id: WireId): boolean {
  const element = document.getElementById(id);
  if (element && !element.classList.contains("dash-graph")) return true;
  return plotOf(id) !== null && queueOf(id)?.length === 0;
}

/**
 * Calls back when a graph has finished its tasks, with the error if Plotly raised one; after
 * `POLL_MS` if that cannot be known. The error does not block later tasks.
 */
export function onGraphDone(id: WireId, callback: (error?: unknown) => void): void {
  const inner = innerOf(id);
  // The graph empties its queue after its chain has ended: check after a macrotask.
  const later = (error?: unknown) => void setTimeout(() => callback(error), 0);
  if (!inner) {
    setTimeout(callback, POLL_MS);
    return;
  }
  inner._queue = inner._queue.then(
    () => later(),
    (error: unknown) => {
      for (const prop of ["extendData", "prependData"]) inner.props.clearState?.(prop);
      later(error);
    },
  );
}

/** Recovers a graph's promise chain after a failed task, so that later tasks run. */
export function recoverGraph(id: WireId): void {
  const inner = innerOf(id);
  if (inner) inner._queue = inner._queue.catch(() => undefined);
}

/** Splits `[data, traces?, maxPoints?]` or plain data as dcc.Graph does. */
function partsOf(value: unknown): {data: Record<string, unknown>; traces: readonly number[]} {
  const isTuple = Array.isArray(value) && typeof value[0] === "object";
  const [data, given] = (isTuple ? value : [value]) as [object | null, unknown];
  const columns = (data ?? {}) as Record<string, unknown>;
  const [first] = Object.values(columns);
  const all = Array.isArray(first) ? first.map((_, i) => i) : [];
  return {data: columns, traces: given ? ([given].flat() as number[]) : all};
}

/** Returns the indexes of the traces that a value extends. */
export function tracesOf(value: unknown): readonly number[] {
  return partsOf(value).traces;
}

/**
 * Returns the object that holds a trace's attribute, such as `marker.color` or
 * `dimensions[0].values`.
 */
function placeOf(trace: object | undefined, attribute: string) {
  const steps = attribute.split(/[.[\]]+/).filter(Boolean);
  const name = steps.pop() ?? "";
  let holder: unknown = trace;
  for (const step of steps) holder = (holder as Record<string, unknown> | undefined)?.[step];
  return {holder: holder as Record<string, unknown> | null | undefined, name};
}

function tracesWith(id: WireId, value: unknown) {
  const {data, traces} = partsOf(value);
  const all = plotOf(id)?.data ?? [];
  return traces.flatMap((index) => {
    const trace = all.at(index);
    return Object.keys(data).map((attribute) => placeOf(trace, attribute));
  });
}

/**
 * Returns a function that returns whether a value has reached the figure since. Plotly replaces
 * each array that it extends by a new one, and does so for all arrays or for none.
 */
export function watchTraces(id: WireId, value: unknown): () => boolean {
  const first = tracesWith(id, value)[0];
  const before = first?.holder?.[first.name];
  return () => first?.holder !== undefined && first.holder?.[first.name] !== before;
}

const ARRAYS: Readonly<Record<string, new (buffer: ArrayBuffer) => ArrayLike<number>>> = {
  i1: Int8Array,
  u1: Uint8Array,
  i2: Int16Array,
  u2: Uint16Array,
  i4: Int32Array,
  u4: Uint32Array,
  f4: Float32Array,
  f8: Float64Array,
};

/**
 * Unpacks the arrays that a value extends, so that Plotly can extend them.
 *
 * Python's Plotly sends numpy columns (all of plotly.express) as base64, `{dtype, bdata, shape?}`,
 * anywhere in a trace. Plotly's extendTraces rejects those.
 */
export function unpackTraces(id: WireId, value: unknown): void {
  for (const {holder, name} of tracesWith(id, value)) {
    const unpacked = unpack(holder?.[name]);
    if (holder && unpacked) holder[name] = unpacked;
  }
}

function unpack(packed: unknown): unknown[] | undefined {
  const {dtype, bdata, shape} = (packed ?? {}) as Record<string, unknown>;
  const array = ARRAYS[String(dtype)];
  if (!array || typeof bdata !== "string") return undefined;
  const bytes = Uint8Array.from(atob(bdata), (char) => char.charCodeAt(0));
  let items: unknown[] = Array.from(new array(bytes.buffer));
  const lengths = shape === undefined ? [] : String(shape).split(",").map(Number);
  for (const length of lengths.slice(1).reverse()) items = inRows(items, length);
  return items;
}

function inRows(items: readonly unknown[], length: number): unknown[] {
  if (!(length > 0)) return [];
  const count = Math.ceil(items.length / length);
  return Array.from({length: count}, (_, row) => items.slice(row * length, (row + 1) * length));
}

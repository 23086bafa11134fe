/**
 * Whether a dcc.Graph has taken its extendData and prependData.
 *
 * The component keeps them in a queue, applies the whole queue on every change and empties it only
 * when Plotly has drawn: what is set before that is applied twice. Its queue is React state, read
 * here through the DOM node; `plotly_afterplot` tells when to look again.
 */

import type {WireId} from "./ids.ts";

interface Fiber {
  readonly return: Fiber | null;
  readonly stateNode: {readonly state?: Readonly<Record<string, unknown>>} | null;
}

interface PlotDiv extends HTMLElement {
  readonly data?: readonly Record<string, unknown>[];
  on?(event: string, listener: () => void): void;
  removeListener?(event: string, listener: () => void): void;
}

function queueOf(id: WireId): unknown[] | undefined {
  const element = document.getElementById(id);
  const key = element && Object.keys(element).find((one) => one.startsWith("__reactFiber$"));
  let fiber = key ? (element as unknown as Record<string, Fiber>)[key] : undefined;
  for (; fiber; fiber = fiber.return ?? undefined) {
    const {extendData, prependData} = fiber.stateNode?.state ?? {};
    if (Array.isArray(extendData) && Array.isArray(prependData)) {
      return [...extendData, ...prependData];
    }
  }
  return undefined;
}

function plotOf(id: WireId): PlotDiv | null {
  return document.getElementById(id)?.querySelector<PlotDiv>(".js-plotly-plot") ?? null;
}

/** Whether the graph is drawn and its queue is empty, or the component is no dcc.Graph. */
export function isGraphIdle(id: WireId): boolean {
  const element = document.getElementById(id);
  if (element && !element.classList.contains("dash-graph")) return true;
  return plotOf(id) !== null && queueOf(id)?.length === 0;
}

/** Calls back at the graph's next drawing, or soon, whichever is first. */
export function onGraphChange(id: WireId, callback: () => void): void {
  const plot = plotOf(id);
  const once = () => {
    clearTimeout(timer);
    plot?.removeListener?.("plotly_afterplot", once);
    // The queue is emptied in a promise that follows the drawing: look after a macrotask.
    setTimeout(callback, 0);
  };
  const timer = setTimeout(once, 50);
  plot?.on?.("plotly_afterplot", once);
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
 * Makes a figure's arrays such that Plotly can extend them.
 *
 * Python's Plotly sends numpy columns (all of plotly.express) as base64, `{dtype, bdata}`, and
 * Plotly's extendTraces refuses those.
 */
export function unpackTraces(id: WireId): void {
  for (const trace of plotOf(id)?.data ?? []) {
    for (const [key, value] of Object.entries(trace)) {
      const {dtype, bdata, shape} = (value ?? {}) as Record<string, unknown>;
      const array = ARRAYS[String(dtype)];
      if (!array || typeof bdata !== "string" || shape !== undefined) continue;
      const bytes = Uint8Array.from(atob(bdata), (char) => char.charCodeAt(0));
      trace[key] = Array.from(new array(bytes.buffer));
    }
  }
}

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
  once?(event: string, listener: () => void): void;
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
  let isOver = false;
  const once = () => {
    if (isOver) return;
    isOver = true;
    // The queue is emptied in a promise that follows the drawing: look after a macrotask.
    setTimeout(callback, 0);
  };
  plotOf(id)?.once?.("plotly_afterplot", once);
  setTimeout(once, 50);
}

/**
 * Command props: setting one *does* something, so no value may be lost or applied twice.
 *
 * React batches renders, so of two values set in one tick the first is lost. Where the meaning is
 * known, values are merged; otherwise each waits until its component has taken the one before.
 */

import {unpackTraces} from "./graph.ts";
import type {WireId} from "./ids.ts";

interface Grid {
  flushAsyncTransactions?(): void;
}

/** AgGrid gathers transactions for 50 ms; what is set of it after them must find them applied. */
function flushGrid(id: WireId): void {
  const {dash_ag_grid: grids} = globalThis as {dash_ag_grid?: {getApi?(id: WireId): Grid | null}};
  grids?.getApi?.(id)?.flushAsyncTransactions?.();
}

/** How a component shows that it has taken a value. */
export type Taken =
  /** It sets the prop to something else (AgGrid to null, NotificationContainer to []). */
  | "cleared"
  /** dcc.Graph keeps a queue of its own, see graph.ts. */
  | "graph"
  /** Nothing shows it; a commit of its own must do. */
  | "commit";

export interface Command {
  readonly taken: Taken;
  /** Makes one value of as many of these, from the first on, as do the same in one. */
  join(values: readonly unknown[]): Joined;
  /** Called before a value is set. */
  readonly prepare?: (id: WireId) => void;
  /** Called before something else of the component is set, if it is shown. */
  readonly finish?: (id: WireId) => void;
}

export interface Joined {
  readonly value: unknown;
  readonly count: number;
}

const joinNone = (values: readonly unknown[]): Joined => ({value: values[0], count: 1});

const known = new Map<string, Command>(
  Object.entries({
    extendData: {
      taken: "graph",
      join: (values) => joinTraces(values, "after"),
      prepare: unpackTraces,
    },
    prependData: {
      taken: "graph",
      join: (values) => joinTraces(values, "before"),
      prepare: unpackTraces,
    },
    rowTransaction: {taken: "cleared", join: joinTransactions, finish: flushGrid},
    rowTransactionAsync: {taken: "commit", join: joinNone},
    sendNotifications: {taken: "cleared", join: joinLists},
  } satisfies Record<string, Command>),
);

export function commandOf(prop: string): Command | undefined {
  return known.get(prop);
}

/** Makes props of which no value may collapse into the next; from the server's settings. */
export function addCommands(props: readonly string[]): void {
  for (const prop of props) {
    if (!known.has(prop)) known.set(prop, {taken: "commit", join: joinNone});
  }
}

interface Extension {
  readonly data: Readonly<Record<string, readonly (readonly unknown[])[]>>;
  readonly traces: readonly number[];
  readonly maxPoints: number | undefined;
}

/**
 * Joins extensions with the same keys and `maxPoints` per trace: those of different traces do not
 * touch each other.
 */
function joinTraces(values: readonly unknown[], where: "after" | "before"): Joined {
  const first = parseExtension(values[0]);
  if (!first) return joinNone(values);
  const keys = Object.keys(first.data);
  const columns = new Map<number, unknown[][]>();
  let count = 0;
  for (const value of values) {
    const one = parseExtension(value);
    if (!one || one.maxPoints !== first.maxPoints || !isSameKeys(one, keys)) break;
    one.traces.forEach((trace, i) => {
      const column = columns.get(trace) ?? keys.map(() => []);
      columns.set(trace, column);
      keys.forEach((key, k) => {
        const points = one.data[key]?.[i] ?? [];
        if (where === "after") for (const point of points) column[k]?.push(point);
        else column[k] = [...points, ...(column[k] ?? [])];
      });
    });
    count++;
  }
  const traces = [...columns.keys()];
  const data = Object.fromEntries(keys.map((key, k) => [key, traces.map((t) => columns.get(t)?.[k])]));
  return {value: first.maxPoints === undefined ? [data, traces] : [data, traces, first.maxPoints], count};
}

function isSameKeys(one: Extension, keys: readonly string[]): boolean {
  return Object.keys(one.data).length === keys.length && keys.every((key) => key in one.data);
}

/** Reads `[data, traces?, maxPoints?]` or plain data, as dcc.Graph does; else undefined. */
function parseExtension(value: unknown): Extension | undefined {
  const isTuple = Array.isArray(value) && typeof value[0] === "object";
  const [data, given, maxPoints] = (isTuple ? value : [value]) as [
    Extension["data"] | null,
    number[]?,
    unknown?,
  ];
  const columns = Object.values(data ?? {});
  if (!columns.length || !columns.every((one) => Array.isArray(one) && one.every(Array.isArray))) {
    return undefined;
  }
  const traces = given ?? columns[0]?.map((_, i) => i) ?? [];
  const isPlain =
    Array.isArray(traces) &&
    new Set(traces).size === traces.length &&
    traces.every((trace) => trace >= 0) &&
    columns.every((column) => column.length === traces.length);
  const limit = maxPoints ?? undefined;
  if (!data || !isPlain || (limit !== undefined && typeof limit !== "number")) return undefined;
  return {data, traces, maxPoints: limit};
}

/** AG Grid applies remove, update, add in this order, so only like and like may be joined. */
function joinTransactions(values: readonly unknown[]): Joined {
  const first = values[0] as Record<string, unknown> | null;
  const kind = ["add", "update"].find((one) => isOnly(first, one));
  if (!first || !kind) return joinNone(values);
  const rows: unknown[] = [];
  let count = 0;
  for (const value of values as Record<string, unknown>[]) {
    if (!isOnly(value, kind) || value["async"] !== first["async"]) break;
    for (const row of value[kind] as unknown[]) rows.push(row);
    count++;
  }
  return {value: {...first, [kind]: rows}, count};
}

function isOnly(transaction: Record<string, unknown> | null, kind: string): boolean {
  return (
    transaction !== null &&
    Array.isArray(transaction[kind]) &&
    Object.keys(transaction).every((key) => key === kind || key === "async")
  );
}

function joinLists(values: readonly unknown[]): Joined {
  if (!Array.isArray(values[0])) return joinNone(values);
  const end = values.findIndex((value) => !Array.isArray(value));
  const count = end < 0 ? values.length : end;
  return {value: values.slice(0, count).flat(), count};
}

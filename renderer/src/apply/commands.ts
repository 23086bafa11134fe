/**
 * Command props: setting one has an effect, so no value may be lost or applied twice.
 *
 * React batches renders, so of two values set in one tick the first is lost. Values are joined
 * where the component's semantics allow it; otherwise each waits until its component has
 * acknowledged the one before.
 *
 * Some names are commands on any component, others only on one type: `data` is a command of
 * dcc.Download, but not of dcc.Store. `KNOWN` lists both.
 */

import {unpackTraces} from "./graph.ts";
import type {WireId} from "../ids.ts";

/** How a component acknowledges that it has processed a value. */
export type Acknowledgement =
  /** It sets the prop to another value (AgGrid to null, NotificationContainer to []). */
  | "cleared"
  /** dcc.Graph has an internal queue, see graph.ts. */
  | "graph"
  /** It does not acknowledge; each value gets a commit of its own. */
  | "commit";

export interface Command {
  readonly acknowledgedBy: Acknowledgement;
  /** Joins as many values as have the same effect as one, from the first on. */
  join(values: readonly unknown[]): Joined;
  /** Called before a value is set. */
  readonly prepare?: (id: WireId, value: unknown) => void;
  /** Its effect must happen once (a download, a navigation), so snapshots leave it out. */
  readonly isOnce?: boolean;
  /** It changes only its own component, so a redraw of that component need not wait for it. */
  readonly isLocal?: boolean;
  /** Batching window after a value, in ms: later values are gathered if all can be joined. */
  readonly gatherMs?: number;
  /**
   * It reads other props of its component: state props in the same dict are set together with it.
   */
  readonly readsProps?: boolean;
}

export interface Joined {
  readonly value: unknown;
  readonly count: number;
}

const joinNone = (values: readonly unknown[]): Joined => ({value: values[0], count: 1});

const ONCE = {join: joinNone, isOnce: true} as const;
const CLEARED = {...ONCE, acknowledgedBy: "cleared"} as const;
const GRID_COMMAND = {...CLEARED, isLocal: true} as const;
const COMMIT_WITH_PROPS = {...ONCE, acknowledgedBy: "commit", readsProps: true} as const;
const CLEARED_WITH_PROPS = {...CLEARED, readsProps: true} as const;

const [DCC, GRID, DMC] = ["dash_core_components", "dash_ag_grid", "dash_mantine_components"];

/** Commands by prop name, or by namespace, type and prop name. */
const KNOWN: Readonly<Record<string, Command>> = {
  extendData: {
    acknowledgedBy: "graph",
    join: (values) => joinTraces(values, "after"),
    prepare: unpackTraces,
    isLocal: true,
  },
  prependData: {
    acknowledgedBy: "graph",
    join: (values) => joinTraces(values, "before"),
    prepare: unpackTraces,
    isLocal: true,
  },
  // The grid scans all rows after each transaction; AG Grid itself batches for 50 ms.
  rowTransaction: {acknowledgedBy: "cleared", join: joinTransactions, isLocal: true, gatherMs: 50},
  rowTransactionAsync: {acknowledgedBy: "commit", join: joinNone, isLocal: true},
  sendNotifications: {acknowledgedBy: "cleared", join: joinLists, isOnce: true},
  [`${DMC}.NotificationContainer.hideNotifications`]: CLEARED,
  [`${DMC}.NotificationContainer.clean`]: CLEARED,
  [`${DMC}.NotificationContainer.cleanQueue`]: CLEARED,
  [`${DCC}.Download.data`]: COMMIT_WITH_PROPS,
  [`${DCC}.Clipboard.n_clicks`]: COMMIT_WITH_PROPS,
  [`${DCC}.Location.href`]: COMMIT_WITH_PROPS,
  [`${DCC}.Location.pathname`]: COMMIT_WITH_PROPS,
  [`${DCC}.Location.search`]: COMMIT_WITH_PROPS,
  [`${DCC}.Location.hash`]: COMMIT_WITH_PROPS,
  [`${DCC}.ConfirmDialog.displayed`]: CLEARED_WITH_PROPS,
  [`${DCC}.ConfirmDialogProvider.displayed`]: CLEARED_WITH_PROPS,
  [`${DCC}.Geolocation.update_now`]: CLEARED_WITH_PROPS,
  [`${DCC}.Store.clear_data`]: CLEARED,
  [`${GRID}.AgGrid.exportDataAsCsv`]: CLEARED_WITH_PROPS,
  [`${GRID}.AgGrid.scrollTo`]: GRID_COMMAND,
  [`${GRID}.AgGrid.paginationGoTo`]: GRID_COMMAND,
  [`${GRID}.AgGrid.selectAll`]: GRID_COMMAND,
  [`${GRID}.AgGrid.deselectAll`]: GRID_COMMAND,
  [`${GRID}.AgGrid.deleteSelectedRows`]: GRID_COMMAND,
  [`${GRID}.AgGrid.resetColumnState`]: GRID_COMMAND,
  [`${GRID}.AgGrid.updateColumnState`]: GRID_COMMAND,
};

const known = new Map(Object.entries(KNOWN));
/** Names of props that are commands on at least one component type. */
const typed = new Set([...known.keys()].map(nameOf));

function nameOf(key: string): string {
  return key.slice(key.lastIndexOf(".") + 1);
}

/** Returns whether a prop of this name is a command on at least one component type. */
export function mayBeCommand(prop: string): boolean {
  return typed.has(prop);
}

/** Returns the command of a prop, or undefined; `type` includes the namespace. */
export function commandOf(prop: string, type?: string): Command | undefined {
  if (!typed.has(prop)) return undefined;
  return known.get(`${type}.${prop}`) ?? known.get(prop);
}

/** Registers the app's own command props (`command_props=`), written as in `KNOWN`. */
export function addCommands(props: readonly string[]): void {
  for (const prop of props) {
    if (!known.has(prop)) known.set(prop, {acknowledgedBy: "commit", join: joinNone});
    typed.add(nameOf(prop));
  }
}

interface Extension {
  readonly data: Readonly<Record<string, readonly (readonly unknown[])[]>>;
  readonly traces: readonly number[];
  readonly maxPoints: number | undefined;
}

/**
 * Joins extensions with the same keys and `maxPoints` per trace; different traces are independent.
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

/**
 * Parses `[data, traces?, maxPoints?]` or plain data, as dcc.Graph does. Returns undefined if
 * invalid.
 */
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

/**
 * Joins transactions of the same kind: AG Grid applies remove, update, add in this order.
 *
 * AG Grid batches asynchronous transactions for 50 ms. It loses them when it is unmounted
 * meanwhile, and applies them after a later synchronous one. So all are made synchronous, and
 * batched here.
 */
function joinTransactions(values: readonly unknown[]): Joined {
  const first = values[0] as Record<string, unknown> | null;
  if (typeof first !== "object" || first === null) return joinNone(values);
  const kind = ["add", "update"].find((one) => isOnly(first, one));
  if (!kind) return {value: {...first, async: false}, count: 1};
  const rows: unknown[] = [];
  let count = 0;
  for (const value of values as Record<string, unknown>[]) {
    if (!isOnly(value, kind)) break;
    for (const row of value[kind] as unknown[]) rows.push(row);
    count++;
  }
  return {value: {[kind]: rows, async: false}, count};
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

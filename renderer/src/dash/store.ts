/** Dash's store (`window.dash_stores`), which is private: its shape, and where a component is in it. */

import type {CallbackContext, Entry} from "./types.ts";
import {isDictId, parseId, type DictId, type WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";

export type Path = readonly (string | number)[];

interface Candidate {
  readonly values: readonly unknown[];
  readonly path: Path;
}

/** What a page gives to `DashRenderer`, as far as it is about requests. */
interface RendererHooks {
  readonly request_pre?: ((payload: object) => void) | null;
  readonly request_post?: ((payload: object, response: object) => void) | null;
  /** Dash has it called once for each token that has expired. */
  readonly request_refresh_jwt?: ((expired: string | null) => unknown) | null;
}

/** A callback that Dash is to call, with what its wildcards mean. */
export interface Resolved {
  readonly callback: {readonly output: string};
  readonly changedPropIds: Readonly<Record<string, unknown>>;
  getInputs(paths: unknown): readonly (readonly ResolvedDependency[])[];
  getOutputs(paths: unknown): readonly (readonly ResolvedDependency[])[];
}

export const PROGRESS = [
  "requested",
  "prioritized",
  "blocked",
  "executing",
  "watched",
  "executed",
] as const;

type Progress = (typeof PROGRESS)[number];

interface ResolvedDependency {
  readonly id: string | DictId;
  readonly property: string;
}

interface State {
  readonly appLifecycle?: string;
  readonly layout: unknown;
  readonly paths?: {
    readonly strs: Readonly<Record<string, Path>>;
    readonly objs: Readonly<Record<string, readonly Candidate[]>>;
  };
  /** How often each component was changed, by its path, and how the last time. */
  readonly layoutHashes?: Record<string, {hash: number; changedProps: Props; renderType: string}>;
  /** The callbacks that listen, by id and prop; those with wildcards by keys and prop. */
  readonly graphs?: {
    readonly inputMap?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly inputPatterns?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly outputMap?: Readonly<Record<string, unknown>>;
    readonly outputPatterns?: Readonly<Record<string, unknown>>;
  };
  readonly hooks?: RendererHooks;
  readonly dependenciesRequest?: {readonly content?: readonly Entry[]};
  readonly callbacks?: Readonly<Partial<Record<Progress, readonly Resolved[]>>>;
  readonly config?: {
    readonly suppress_callback_exceptions?: boolean;
    /** The layout that callbacks are checked against, where it is not the page's. */
    readonly validation_layout?: unknown;
    readonly dev_tools?: readonly {readonly namespace: string; readonly props: unknown}[];
    readonly requests_pathname_prefix?: string;
    readonly url_base_pathname?: string;
    readonly csrf_token_name?: string;
    readonly csrf_header_name?: string;
    readonly fetch?: {readonly headers?: Readonly<Record<string, string>>};
  };
}

export interface Store {
  getState(): State;
  dispatch(action: object): void;
  subscribe(listener: () => void): () => void;
}

interface DashWindow {
  dash_stores?: Store[];
  /** Props besides `children` that hold components, by namespace and type. */
  __dashprivate_childrenProps?: Readonly<
    Record<string, Readonly<Record<string, readonly string[] | null>>>
  >;
  dash_clientside?: {
    set_props?(id: string | DictId, props: Props): void;
    callback_context?: CallbackContext;
    [namespace: string]: unknown;
  };
  ReactDOM?: {
    flushSync?(work: () => void): void;
    unstable_batchedUpdates?(work: () => void): void;
  };
}

export const page = globalThis as unknown as DashWindow;

export function clientside(): NonNullable<DashWindow["dash_clientside"]> {
  return (page.dash_clientside ??= {});
}

export function store(): Store | undefined {
  return page.dash_stores?.[0];
}

export function state(): State | undefined {
  return store()?.getState();
}

/** What a record says of a name, and not what every object has: an id may be `__proto__`. */
export function own<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record && Object.hasOwn(record, name) ? record[name] : undefined;
}

/** Our key in the nodes of the layout; see instances.ts. */
export const MARK = "_flash_events";

export interface Node {
  [MARK]?: unknown;
  props: Props & {readonly id?: string | DictId};
  readonly namespace?: string;
  readonly type?: string;
}

export function nodeAt(path: Path): Node | undefined {
  let node = state()?.layout;
  for (const step of path) node = (node as Record<string | number, unknown> | null | undefined)?.[step];
  return node as Node | undefined;
}

/** Dash makes paths anew when they change; to find one by a dict id takes long. */
const known = new WeakMap<object, Map<WireId, Path | undefined>>();
const indexes = new WeakMap<readonly Candidate[], Map<string, Path>>();

export function pathOf(id: WireId): Path | undefined {
  const paths = state()?.paths;
  if (!paths) return undefined;
  if (!isDictId(id)) return own(paths.strs, id);
  let found = known.get(paths);
  if (!found) known.set(paths, (found = new Map()));
  if (!found.has(id)) {
    const {values, candidates} = patternOf(id);
    found.set(id, indexOf(candidates).get(JSON.stringify(values)));
  }
  return found.get(id);
}

/** Of the components whose ids have the same keys; a page may have thousands of them. */
function indexOf(candidates: readonly Candidate[]): Map<string, Path> {
  let index = indexes.get(candidates);
  if (!index) {
    index = new Map(candidates.map(({values, path}) => [JSON.stringify(values), path]));
    indexes.set(candidates, index);
  }
  return index;
}

export function patternOf(id: WireId) {
  const parsed = parseId(id);
  const keys = Object.keys(parsed).sort();
  const candidates = own(state()?.paths?.objs, keys.join(",")) ?? [];
  return {keys, values: keys.map((key) => parsed[key]), candidates};
}

/** Dash's private store (`window.dash_stores`): its shape, and the lookup of components in it. */

import type {CallbackContext, Entry} from "./types.ts";
import {isDictId, parseId, type DictId, type WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";

export type Path = readonly (string | number)[];

interface Candidate {
  readonly values: readonly unknown[];
  readonly path: Path;
}

/** Request hooks that a page passes to `DashRenderer`. */
interface RendererHooks {
  readonly request_pre?: ((payload: object) => void) | null;
  readonly request_post?: ((payload: object, response: object) => void) | null;
  /** Called once for each expired token. */
  readonly request_refresh_jwt?: ((expired: string | null) => unknown) | null;
}

/** A callback that Dash will call, with its wildcards resolved. */
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
  /** Change counter and last change of each component, by its path. */
  readonly layoutHashes?: Record<string, {hash: number; changedProps: Props; renderType: string}>;
  /** Listening callbacks by id and prop; those with wildcards by keys and prop. */
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
    /** Layout that callbacks are checked against, if it is not the page's. */
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

/** Returns an own property of a record: an id may be called `__proto__`. */
export function own<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record && Object.hasOwn(record, name) ? record[name] : undefined;
}

/** Key of our mark in layout nodes; see instance.ts. */
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

/** Cache of paths by id. Dash replaces `paths` on a change; a lookup by a dict id is slow. */
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

/** Index of the components whose ids have the same keys; a page may have thousands of them. */
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

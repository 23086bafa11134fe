/**
 * Dash's renderer as we use it: the only file that touches its private state.
 *
 * `dash_clientside.set_props` is public; the store (`window.dash_stores`), its `paths`, its
 * `dependenciesRequest` and the `ON_ERROR` action are not, and are read with care.
 */

import {isDictId, isWildcard, parseId, stringifyId, type DictId, type WireId} from "./ids.ts";
import type {Props} from "./protocol.ts";

export interface Dependency {
  readonly id: WireId;
  readonly property: string;
  readonly allow_optional?: boolean;
}

/** A dependency with its value, as Dash hands it to callbacks and posts it. */
export interface Valued {
  readonly id: string | DictId;
  readonly property: string;
  readonly value?: unknown;
}

/** One item of `inputs_list` or `states_list`: a list where the id has a wildcard. */
export type ValuedItem = Valued | readonly Valued[];

export interface CallbackContext {
  readonly inputs_list: readonly ValuedItem[];
  readonly states_list?: readonly ValuedItem[];
  readonly triggered: readonly {readonly prop_id: string; readonly value?: unknown}[];
}

/** What travels with the page for each event callback. */
export interface Entry {
  readonly output: string;
  readonly inputs: readonly Dependency[];
  readonly state: readonly Dependency[];
  readonly prevent_initial_call: boolean;
  readonly flash_events: {
    readonly overlap: "restart" | "skip" | "queue" | "parallel";
    readonly keepAlive: boolean;
    /** Whether a run is cancelled when its page goes away, or goes on without a viewer. */
    readonly onDisconnect: "cancel" | "finish";
    readonly cancel: readonly (Dependency & {readonly allowed?: unknown})[];
    readonly reset: readonly (readonly [WireId, Props])[];
    readonly running: readonly (readonly [WireId, string, unknown, unknown])[];
  };
}

type Path = readonly (string | number)[];

interface State {
  readonly appLifecycle?: string;
  readonly layout: unknown;
  readonly paths?: {
    readonly strs: Readonly<Record<string, Path>>;
    readonly objs: Readonly<Record<string, readonly {values: unknown[]; path: Path}[]>>;
  };
  readonly dependenciesRequest?: {readonly content?: readonly Entry[]};
  readonly config?: {
    readonly requests_pathname_prefix?: string;
    readonly url_base_pathname?: string;
    readonly csrf_token_name?: string;
    readonly csrf_header_name?: string;
    readonly fetch?: {readonly headers?: Readonly<Record<string, string>>};
  };
}

interface Store {
  getState(): State;
  dispatch(action: object): void;
  subscribe(listener: () => void): () => void;
}

interface DashWindow {
  dash_stores?: Store[];
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

const page = globalThis as unknown as DashWindow;

export function clientside(): NonNullable<DashWindow["dash_clientside"]> {
  return (page.dash_clientside ??= {});
}

function store(): Store | undefined {
  return page.dash_stores?.[0];
}

function state(): State | undefined {
  return store()?.getState();
}

/** What a record says of a name, and not what every object has: an id may be `__proto__`. */
function own<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record && Object.hasOwn(record, name) ? record[name] : undefined;
}

export type Dash = ReturnType<typeof connectDash>;

export function connectDash() {
  function pathOf(id: WireId): Path | undefined {
    if (!isDictId(id)) return own(state()?.paths?.strs, id);
    const {values, candidates} = patternOf(id);
    return candidates.find((one) => one.values.every((value, i) => value === values[i]))?.path;
  }

  function patternOf(id: WireId) {
    const parsed = parseId(id);
    const keys = Object.keys(parsed).sort();
    const candidates = own(state()?.paths?.objs, keys.join(",")) ?? [];
    return {keys, values: keys.map((key) => parsed[key]), candidates};
  }

  /** The props of a component; Dash keeps the path of one that a callback replaced by nothing. */
  function propsOf(id: WireId): Props | undefined {
    let node = state()?.layout;
    const path = pathOf(id);
    if (!path) return undefined;
    for (const step of [...path, "props"]) {
      node = (node as Record<string | number, unknown> | null | undefined)?.[step];
    }
    const props = node as (Props & {readonly id?: string | DictId}) | undefined;
    return props?.id !== undefined && stringifyId(props.id) === id ? props : undefined;
  }

  return {
    isReady: () => state()?.appLifecycle === "HYDRATED",
    entry: (id: string) => state()?.dependenciesRequest?.content?.find((one) => one.output === id),
    entries: () => (state()?.dependenciesRequest?.content ?? []).filter((one) => one.flash_events),
    has: (id: WireId) => propsOf(id) !== undefined,
    isMounted: (id: WireId) => document.getElementById(id) !== null,
    get: (id: WireId, property: string) => propsOf(id)?.[property],

    /** The ids on the page that a pattern means; the id itself where it is none. */
    expand(id: WireId): WireId[] {
      if (!isDictId(id)) return [id];
      const {keys, values, candidates} = patternOf(id);
      if (!values.some((value) => isWildcard(value))) return [id];
      return candidates
        .filter((one) => one.values.every((v, i) => isWildcard(values[i]) || v === values[i]))
        .map((one) => stringifyId(Object.fromEntries(keys.map((key, i) => [key, one.values[i]]))));
    },

    set(id: WireId, props: Props): void {
      clientside().set_props?.(isDictId(id) ? parseId(id) : id, props);
    },

    /** Does all that `work` sets in one React commit, which is done when this returns. */
    commit(work: () => void): void {
      const react = page.ReactDOM;
      const batched = () =>
        react?.unstable_batchedUpdates ? react.unstable_batchedUpdates(work) : work();
      if (react?.flushSync) react.flushSync(batched);
      else batched();
    },

    /** Calls back, once per turn of the event loop, after the page's state has changed. */
    subscribe(listener: () => void): void {
      let isScheduled = false;
      const changed = () => {
        if (isScheduled) return;
        isScheduled = true;
        queueMicrotask(() => {
          isScheduled = false;
          listener();
        });
      };
      const wait = () => {
        const found = store();
        if (found) {
          found.subscribe(changed);
          changed();
        } else setTimeout(wait, 20);
      };
      wait();
    },

    /** Shows an error in Dash's dev tools; without them nothing shows. */
    showError(message: string, details: string): void {
      store()?.dispatch({
        type: "ON_ERROR",
        payload: {type: "backEnd", error: {message, html: details}},
      });
    },

    url(action: string): string {
      const config = state()?.config;
      const base = config?.requests_pathname_prefix ?? config?.url_base_pathname ?? "/";
      return `${base.replace(/\/?$/, "/")}_dash-flash-events/${action}`;
    },

    /** Headers that Dash itself would send: those of the app's fetch config, and its CSRF token. */
    headers(): Record<string, string> {
      const config = state()?.config;
      const name = config?.csrf_token_name ?? "_csrf_token";
      const cookie = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
      const token = cookie && decodeURIComponent(cookie.slice(name.length + 1));
      return {
        ...config?.fetch?.headers,
        ...(token ? {[config?.csrf_header_name ?? "X-CSRFToken"]: token} : {}),
        "Content-Type": "application/json",
      };
    },
  };
}

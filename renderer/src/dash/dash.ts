/**
 * Dash's renderer as we use it. What of it is private is touched here, in plain.ts and in store.ts,
 * and for debug mode in debugging.ts.
 *
 * `dash_clientside.set_props` is public; the store, its `dependenciesRequest` and the `ON_ERROR`
 * action are not, and are read with care.
 */

import {draws} from "./drawing.ts";
import {isDictId, isWildcard, parseId, stringifyId, type WireId} from "../ids.ts";
import {insert} from "./inserts.ts";
import {Instance} from "./instance.ts";
import {connectPlain} from "./plain.ts";
import type {Props} from "../protocol.ts";
import {
  clientside,
  MARK,
  nodeAt,
  page,
  pathOf,
  patternOf,
  PROGRESS,
  state,
  store,
  type Node,
} from "./store.ts";
import type {Pending} from "./types.ts";

/** What a worker has cloned, and the server returned, is a mark no more. */
const markOf = (node: Node) => (node[MARK] instanceof Instance ? node[MARK] : undefined);

const isFresh = (node: Node | undefined) => node !== undefined && (markOf(node)?.isNew ?? true);

export type Dash = ReturnType<typeof connectDash>;

export function connectDash() {
  const plain = connectPlain();

  /** A component; Dash keeps the path of one that a callback replaced by nothing. */
  function nodeOf(id: WireId): Node | undefined {
    const path = pathOf(id);
    const node = path && nodeAt(path);
    const known = node?.props?.id;
    return known !== undefined && stringifyId(known) === id ? node : undefined;
  }

  function idsOf(id: WireId, isMeant?: (node: Node | undefined) => boolean): WireId[] {
    if (!isDictId(id)) return [id];
    const {keys, values, candidates} = patternOf(id);
    if (!values.some((value) => isWildcard(value))) return [id];
    return candidates
      .filter((one) => one.values.every((v, i) => isWildcard(values[i]) || v === values[i]))
      .filter(({path}) => !isMeant || isMeant(nodeAt(path)))
      .map((one) => stringifyId(Object.fromEntries(keys.map((key, i) => [key, one.values[i]]))));
  }

  return {
    isReady: () => state()?.appLifecycle === "HYDRATED",
    entry: (id: string) => state()?.dependenciesRequest?.content?.find((one) => one.output === id),
    entries: () => (state()?.dependenciesRequest?.content ?? []).filter((one) => one.flash_events),
    has: (id: WireId) => nodeOf(id) !== undefined,
    isMounted: (id: WireId) => document.getElementById(id) !== null,
    elementOf: (id: WireId): Element | null => document.getElementById(id),
    get: (id: WireId, property: string) => nodeOf(id)?.props[property],

    /** The component that has this id now. */
    instance(id: WireId): Instance | undefined {
      const node = nodeOf(id);
      if (!node) return undefined;
      const mark = markOf(node) ?? new Instance();
      node[MARK] = mark;
      return mark;
    },

    /** Another object whenever components have come or moved; not whenever one has gone. */
    layout: (): unknown => state()?.paths,

    pending(): Pending[] {
      return PROGRESS.flatMap((name) => state()?.callbacks?.[name] ?? [])
        .map(({callback, changedPropIds, getOutputs}) => ({
          callback: callback.output,
          isInitial: Object.keys(changedPropIds).length === 0,
          outputs: getOutputs(state()?.paths)
            .flat()
            .map(({id, property}) => `${stringifyId(id)}.${property}`),
        }));
    },

    /** The ids on the page that a pattern means; the id itself where it is none. */
    expand: (id: WireId) => idsOf(id),

    /** Those of them whose components are new; a page may have thousands that are not. */
    fresh: (id: WireId) => idsOf(id, isFresh).filter((one) => isFresh(nodeOf(one))),

    /** The type of a component, with its namespace. */
    typeOf(id: WireId): string | undefined {
      const node = nodeOf(id);
      return node && `${node.namespace}.${node.type}`;
    },

    /** Whether a value draws components, or takes some away. */
    draws: (id: WireId, prop: string, value: unknown) => draws(() => nodeOf(id), prop, value),

    /** Whether a component is one, or in one, by its id. */
    isInside(id: WireId, container: WireId): boolean {
      const [path, outer] = [pathOf(id), pathOf(container)];
      return path !== undefined && outer !== undefined && outer.every((step, i) => path[i] === step);
    },

    /** Takes a prop that its component has received out of the state, see plain.ts. */
    take: plain.take,

    /** Within `commit`; elsewhere it may not show. */
    set(id: WireId, props: Props): void {
      if (plain.put(id, props)) return;
      plain.show(); // before what this sets moves or removes it
      const set = (some: Props) => clientside().set_props?.(isDictId(id) ? parseId(id) : id, some);
      if (!insert(id, props, set)) set(props);
    },

    /** Does all that `work` sets in one React commit, which is done when this returns. */
    commit(work: () => void): void {
      const react = page.ReactDOM;
      const all = () => {
        work();
        plain.show();
      };
      const batched = () =>
        react?.unstable_batchedUpdates ? react.unstable_batchedUpdates(all) : all();
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

    /** Calls the page's hook as Dash does before its own requests; it may change the body. */
    beforeRequest(body: object): void {
      state()?.hooks?.request_pre?.(body);
    },

    /** Calls the page's hook as Dash does when a callback without Output was answered. */
    afterRequest(body: object): void {
      try {
        state()?.hooks?.request_post?.(body, {});
      } catch (error) {
        reportError(error); // the run goes on
      }
    },

    /** Has the page's hook refresh an expired token, as Dash does; returns whether it did. */
    async refreshToken(expired: Readonly<Record<string, string>>): Promise<boolean> {
      const refresh = state()?.hooks?.request_refresh_jwt;
      if (!refresh) return false;
      try {
        const token = await refresh(expired["Authorization"]?.slice("Bearer ".length) ?? null);
        if (!token) return false;
        const headers = {Authorization: `Bearer ${String(token)}`};
        store()?.dispatch({type: "ADD_HTTP_HEADERS", payload: headers});
        return true;
      } catch (error) {
        reportError(error);
        return false;
      }
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

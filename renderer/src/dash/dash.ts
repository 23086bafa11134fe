/**
 * The parts of Dash's renderer that this package uses. Its private parts are accessed only here, in
 * fast_path.ts and store.ts, and for debug mode in debugging.ts.
 *
 * `dash_clientside.set_props` is public; the store, its `dependenciesRequest` and the `ON_ERROR`
 * action are private, and may be missing or differ.
 */

import {draws} from "./drawing.ts";
import {isDictId, isWildcard, parseId, stringifyId, type WireId} from "../ids.ts";
import {insert} from "./inserts.ts";
import {Instance} from "./instance.ts";
import {createFastPath} from "./fast_path.ts";
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

/** Returns a node's mark; a clone or a mark that the server returned does not count. */
const markOf = (node: Node) => (node[MARK] instanceof Instance ? node[MARK] : undefined);

const isFresh = (node: Node | undefined) => node !== undefined && (markOf(node)?.isNew ?? true);

export type Dash = ReturnType<typeof connectDash>;

export function connectDash() {
  const fastPath = createFastPath();

  /**
   * Returns a component's node; Dash keeps the path of a component that was replaced by nothing.
   */
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

    /** Returns the instance of the component that has this id now. */
    instance(id: WireId): Instance | undefined {
      const node = nodeOf(id);
      if (!node) return undefined;
      const mark = markOf(node) ?? new Instance();
      node[MARK] = mark;
      return mark;
    },

    /** Identity of the layout: changes whenever components appear or move, not when one leaves. */
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

    /** Returns the ids on the page that a pattern matches; a fastPath id is returned as it is. */
    expand: (id: WireId) => idsOf(id),

    /**
     * Returns those of `expand` whose components are new; a page may have thousands that are not.
     */
    fresh: (id: WireId) => idsOf(id, isFresh).filter((one) => isFresh(nodeOf(one))),

    /** Returns a component's type with its namespace. */
    typeOf(id: WireId): string | undefined {
      const node = nodeOf(id);
      return node && `${node.namespace}.${node.type}`;
    },

    /** Returns whether a prop's new value adds or removes components. */
    draws: (id: WireId, prop: string, value: unknown) => draws(() => nodeOf(id), prop, value),

    /** Returns whether a component is the container or inside it. */
    isInside(id: WireId, container: WireId): boolean {
      const [path, outer] = [pathOf(id), pathOf(container)];
      return path !== undefined && outer !== undefined && outer.every((step, i) => path[i] === step);
    },

    /** Removes a prop that its component has received from the state, see fast_path.ts. */
    removeProp: fastPath.removeProp,

    /** Sets props. Call it within `commit`; otherwise the page may not show them. */
    set(id: WireId, props: Props): void {
      if (fastPath.put(id, props)) return;
      fastPath.show(); // before set_props moves or removes the component
      const set = (some: Props) => clientside().set_props?.(isDictId(id) ? parseId(id) : id, some);
      if (!insert(id, props, set)) set(props);
    },

    /** Runs `work` and applies its settings in one React commit, which is done on return. */
    commit(work: () => void): void {
      const react = page.ReactDOM;
      const all = () => {
        work();
        fastPath.show();
      };
      const batched = () =>
        react?.unstable_batchedUpdates ? react.unstable_batchedUpdates(all) : all();
      if (react?.flushSync) react.flushSync(batched);
      else batched();
    },

    /** Calls back after the page's state has changed, once per turn of the event loop. */
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

    /** Shows an error in Dash's dev tools, if the app has them. */
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

    /**
     * Calls the page's `request_pre` hook as Dash does before a request; it may change the body.
     */
    beforeRequest(body: object): void {
      state()?.hooks?.request_pre?.(body);
    },

    /** Calls the page's `request_post` hook as Dash does after a callback without Output. */
    afterRequest(body: object): void {
      try {
        state()?.hooks?.request_post?.(body, {});
      } catch (error) {
        reportError(error); // the run continues
      }
    },

    /** Calls the page's hook to refresh an expired token; returns whether there is a new one. */
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

    /** Returns the headers of Dash's own requests: the app's fetch config and its CSRF token. */
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

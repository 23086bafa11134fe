/** The private parts of Dash's renderer that the checks of debug mode use. */

import type {Entry} from "./types.ts";
import {stringifyId, type DictId, type WireId} from "../ids.ts";
import {nodeAt, pathOf, state, store} from "./store.ts";

/** Names of event callbacks, by id, as the server sends them to the dev tools. */
export interface CallbackNames {
  readonly names?: Readonly<Record<string, string>>;
  /** Source of each callback's function, as `file:line`. */
  readonly places?: Readonly<Record<string, string>>;
}

/** Component types with their namespaces, by id. */
export type Types = ReadonlyMap<WireId, string>;

export type Debugging = ReturnType<typeof connectDebugging>;

export function connectDebugging() {
  const config = () => state()?.config;
  let validated: Types | undefined;

  return {
    entries: (): readonly Entry[] =>
      (state()?.dependenciesRequest?.content ?? []).filter((one) => one.flash_events),

    callbackNames: (): CallbackNames =>
      (config()?.dev_tools?.find((one) => one.namespace === "flash_events")?.props ?? {}) as CallbackNames,

    /** Returns whether the app sets `suppress_callback_exceptions`. */
    isLenient: () => Boolean(config()?.suppress_callback_exceptions),

    /**
     * Returns the components of the validation layout; undefined if callbacks are checked against
     * the page.
     */
    validated(): Types | undefined {
      const layout = config()?.validation_layout;
      if (layout && !validated) validated = typesIn(layout);
      return validated;
    },

    onPage: (): Types => typesIn(state()?.layout),

    /** Identity of the layout: changes whenever components appear or move. */
    paths: (): unknown => state()?.paths,

    idsOnPage(): WireId[] {
      const {strs = {}, objs = {}} = state()?.paths ?? {};
      const dicts = Object.entries(objs).flatMap(([keys, candidates]) =>
        candidates.map(({values}) =>
          stringifyId(Object.fromEntries(keys.split(",").map((key, i) => [key, values[i]]))),
        ),
      );
      return [...Object.keys(strs), ...dicts];
    },

    typeOf(id: WireId): string | undefined {
      const path = pathOf(id);
      const node = path && nodeAt(path);
      return node && `${node.namespace}.${node.type}`;
    },

    /** Returns the props that a component's script declares; undefined if it declares none. */
    propTypes(type: string): readonly string[] | undefined {
      const [namespace = "", name = ""] = type.split(".");
      const library = (globalThis as unknown as Record<string, unknown>)[namespace];
      const found = (library as Record<string, {propTypes?: object} | undefined> | undefined)?.[name];
      return found?.propTypes && Object.keys(found.propTypes);
    },

    showError(message: string, lines: readonly string[]): void {
      const error = {message, html: lines.join("\n")};
      store()?.dispatch({type: "ON_ERROR", payload: {type: "backEnd", error}});
    },
  };
}

/** Collects the components of a layout from all props. */
function typesIn(layout: unknown, found = new Map<WireId, string>()): Map<WireId, string> {
  if (typeof layout !== "object" || layout === null || ArrayBuffer.isView(layout)) return found;
  const {props, namespace, type} = layout as {props?: unknown; namespace?: unknown; type?: unknown};
  if (typeof props === "object" && typeof namespace === "string" && typeof type === "string") {
    const id = (props as {id?: string | DictId} | null)?.id;
    if (id !== undefined) found.set(stringifyId(id), `${namespace}.${type}`);
    typesIn(props, found);
  } else for (const part of Object.values(layout)) typesIn(part, found);
  return found;
}

/** Dash's renderer as the checks of debug mode use it, all of which is private. */

import type {Entry} from "./types.ts";
import {stringifyId, type DictId, type WireId} from "../ids.ts";
import {nodeAt, pathOf, state, store} from "./store.ts";

/** What the server tells the dev tools of event callbacks, by id. */
export interface Told {
  readonly names?: Readonly<Record<string, string>>;
  /** Where each function is written, as `file:line`. */
  readonly places?: Readonly<Record<string, string>>;
}

/** The types of components, with their namespaces, by id. */
export type Types = ReadonlyMap<WireId, string>;

export type Debugging = ReturnType<typeof connectDebugging>;

export function connectDebugging() {
  const config = () => state()?.config;
  let validated: Types | undefined;

  return {
    entries: (): readonly Entry[] =>
      (state()?.dependenciesRequest?.content ?? []).filter((one) => one.flash_events),

    told: (): Told =>
      (config()?.dev_tools?.find((one) => one.namespace === "flash_events")?.props ?? {}) as Told,

    /** Whether the app has said that ids may be unknown. */
    isLenient: () => Boolean(config()?.suppress_callback_exceptions),

    /** Components of the layout that callbacks are checked against; undefined if it is the page. */
    validated(): Types | undefined {
      const layout = config()?.validation_layout;
      if (layout && !validated) validated = typesIn(layout);
      return validated;
    },

    onPage: (): Types => typesIn(state()?.layout),

    /** Another object whenever components have come or moved. */
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

    /** The props that a component's own script names; undefined where it names none. */
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

/** Finds the components in a layout, wherever their props hold them. */
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

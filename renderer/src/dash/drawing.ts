/**
 * Decides whether a value draws components, which changes the ids on the page.
 *
 * Only `children` and the props that a component's author declares can hold components. Replacing
 * text by text draws nothing. Values are not searched: in a prop that can hold components, every
 * value but text counts, and so does the value that a text replaces.
 */

import type {Props} from "../protocol.ts";
import {isPatch, type Patch} from "./patch.ts";
import {page, type Node} from "./store.ts";

type Named = NonNullable<typeof page.__dashprivate_childrenProps>;

const APPENDING = new Set(["Append", "Extend"]);

let known: Named | undefined;
let names = new Set<string>();

/** Returns whether a prop of this name holds components in some component type. */
function isNamed(prop: string): boolean {
  const named = page.__dashprivate_childrenProps;
  if (named && named !== known) {
    known = named;
    const all = Object.values(named).flatMap((types) => Object.values(types));
    names = new Set(all.flatMap((props) => props ?? []).map(firstOf));
  }
  return names.has(prop);
}

/** Returns the prop's name; Dash writes such props as `prop`, `prop[].a` or `prop{}`. */
function firstOf(written: string): string {
  return written.split(/[.[{]/)[0] ?? written;
}

export function mayHoldComponents({namespace, type}: Node, prop: string): boolean {
  if (prop === "children") return true;
  const named = page.__dashprivate_childrenProps?.[namespace ?? ""]?.[type ?? ""] ?? [];
  return named.some((one) => firstOf(one) === prop);
}

/** Returns whether a prop's new value adds or removes components. */
export function draws(node: () => Node | undefined, prop: string, value: unknown): boolean {
  if (prop !== "children" && !isNamed(prop)) return false;
  const found = node();
  if (!found || !mayHoldComponents(found, prop)) return false;
  if (isPatch(value)) return !appendsText(value);
  return !(isText(value) && isText((found.props as Props | undefined)?.[prop]));
}

function appendsText({operations}: Patch): boolean {
  return (operations as {operation: string; location: unknown[]; params: {value: unknown}}[]).every(
    ({operation, location, params}) =>
      APPENDING.has(operation) && !location.length && isText(params.value),
  );
}

/** Returns whether a value is null, a text, a number, or a list of them. */
export function isText(value: unknown): boolean {
  return isNoObject(value) || (Array.isArray(value) && value.every(isNoObject));
}

function isNoObject(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}

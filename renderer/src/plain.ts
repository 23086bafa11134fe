/**
 * Sets plain values without `set_props`: many components at the price of one.
 *
 * `set_props` computes the paths of all ids of the page anew, and has every component of the page
 * look at its props, each time. Neither is needed for values that hold no components and that no
 * callback listens to. So these are written into Dash's state where its own action would write
 * them, and that action is dispatched once, for the last of them, which has all look once.
 *
 * All this is private to Dash. Where its state does not look as expected, nothing is put here.
 */

import {isDictId, type WireId} from "./ids.ts";
import type {Props} from "./protocol.ts";
import {isPatch} from "./steps.ts";
import {nodeAt, own, page, pathOf, patternOf, state, store, type Node, type Path} from "./store.ts";

const RENDER_TYPE = "clientsideApi"; // as set_props has it

export function connectPlain() {
  let last: {readonly itempath: Path; readonly props: Props} | undefined;

  /** Writes props into the state if they are plain; says whether it did. They wait for `show`. */
  function put(id: WireId, props: Props): boolean {
    const hashes = state()?.layoutHashes;
    const itempath = pathOf(id);
    const node = itempath && nodeAt(itempath);
    if (!hashes || !itempath || !node?.props || page.dash_stores?.length !== 1) return false;
    if (node.props["persistence"]) return false;
    for (const [prop, value] of Object.entries(props)) {
      if (isHeard(id, prop) || isPatch(value)) return false;
      if (mayHoldComponents(node, prop) && !(isText(value) && isText(node.props[prop]))) return false;
    }
    node.props = {...node.props, ...props};
    const key = itempath.join(",");
    const hash = (hashes[key]?.hash ?? 0) + 1;
    hashes[key] = {hash, changedProps: props, renderType: RENDER_TYPE};
    last = {itempath, props};
    return true;
  }

  function show(): void {
    if (!last) return;
    const payload = {...last, renderType: RENDER_TYPE, source: "response"};
    last = undefined;
    try {
      store()?.dispatch({type: "ON_PROP_CHANGE", payload});
    } catch (error) {
      reportError(error); // of one who listens to the store; the rest of the page goes on
    }
  }

  return {put, show};
}

/** Whether a callback listens to a prop, or may. */
function isHeard(id: WireId, prop: string): boolean {
  const {inputMap, inputPatterns} = state()?.graphs ?? {};
  if (!inputMap || !inputPatterns) return true;
  const listeners = isDictId(id)
    ? own(inputPatterns, patternOf(id).keys.join(","))
    : own(inputMap, id);
  return own(listeners, prop) !== undefined;
}

/** Some components take others in more props than `children`: written `prop`, `prop[].a`, `prop{}`. */
function mayHoldComponents({namespace, type}: Node, prop: string): boolean {
  if (prop === "children") return true;
  const named = page.__dashprivate_childrenProps?.[namespace ?? ""]?.[type ?? ""] ?? [];
  return named.some((one) => one.split(/[.[{]/)[0] === prop);
}

/** Nothing, a text or number, or a list of them. */
function isText(value: unknown): boolean {
  return typeof value !== "object" || value === null || (Array.isArray(value) && value.every(isNoObject));
}

function isNoObject(value: unknown): boolean {
  return typeof value !== "object" || value === null;
}

/**
 * Fast path for plain values: sets many components at the price of one `set_props`.
 *
 * Each `set_props` recomputes the paths of all ids and makes every component of the page compare
 * its props. Neither is needed for values that hold no components and that no callback listens to.
 * So these are written into Dash's state where its own action would write them, and that action is
 * dispatched once, for the last of them, so that all components compare once.
 *
 * This is private to Dash: if its state does not look as expected, `put` does nothing and returns
 * false.
 */

import {isText, mayHoldComponents} from "./drawing.ts";
import {isDictId, type WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";
import {isPatch} from "./patch.ts";
import {nodeAt, own, page, pathOf, patternOf, state, store, type Path} from "./store.ts";

const RENDER_TYPE = "clientsideApi"; // the same as set_props

export function createFastPath() {
  let last: {readonly itempath: Path; readonly props: Props} | undefined;

  /**
   * Writes props into the state if they are plain, until `show` displays them; returns whether it
   * did.
   */
  function put(id: WireId, props: Props): boolean {
    const hashes = state()?.layoutHashes;
    const itempath = pathOf(id);
    const node = itempath && nodeAt(itempath);
    if (!hashes || !itempath || !node?.props || page.dash_stores?.length !== 1) return false;
    if (node.props["persistence"]) return false;
    for (const [prop, value] of Object.entries(props)) {
      if (hasListener(id, prop) || isPatch(value)) return false;
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
      reportError(error); // from a listener of the store; the rest of the page continues
    }
  }

  /**
   * Removes a prop from the state after its component has received it, so that a remounted
   * component does not process it again. Keeps it if a callback listens, which will read it.
   */
  function removeProp(id: WireId, prop: string): void {
    const itempath = pathOf(id);
    const node = itempath && nodeAt(itempath);
    if (!node?.props || !(prop in node.props) || hasListener(id, prop)) return;
    const {[prop]: _, ...rest} = node.props;
    node.props = rest;
  }

  return {put, show, removeProp};
}

/** Returns whether a callback listens to a prop, or may. */
function hasListener(id: WireId, prop: string): boolean {
  const {inputMap, inputPatterns} = state()?.graphs ?? {};
  if (!inputMap || !inputPatterns) return true;
  const listeners = isDictId(id)
    ? own(inputPatterns, patternOf(id).keys.join(","))
    : own(inputMap, id);
  return own(listeners, prop) !== undefined;
}

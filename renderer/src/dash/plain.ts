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

import {isText, mayHoldComponents} from "./drawing.ts";
import {isDictId, type WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";
import {isPatch} from "./patch.ts";
import {nodeAt, own, page, pathOf, patternOf, state, store, type Path} from "./store.ts";

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

  /**
   * Takes a prop out of the state, once its component has it, so that the component does not find
   * it again when it is mounted anew. Not where a callback listens, which will ask for it.
   */
  function take(id: WireId, prop: string): void {
    const itempath = pathOf(id);
    const node = itempath && nodeAt(itempath);
    if (!node?.props || !(prop in node.props) || isHeard(id, prop)) return;
    const {[prop]: _, ...rest} = node.props;
    node.props = rest;
  }

  return {put, show, take};
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

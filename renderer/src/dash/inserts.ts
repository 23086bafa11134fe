/**
 * Inserts components as a callback's Output would.
 *
 * `set_props` triggers no initial calls of ordinary callbacks for inserted components, and no ALL
 * callbacks for removed ones; nor does it restore user input of components with `persistence`. An
 * Output does all of it. So such props are handed to Dash as the result of an executed callback.
 * This is private to Dash: if its state does not look as expected, `insert` does nothing and
 * returns false.
 */

import {stringifyId, type WireId} from "../ids.ts";
import {mayHoldComponents} from "./drawing.ts";
import type {Props} from "../protocol.ts";
import {isPatch} from "./patch.ts";
import {nodeAt, own, pathOf, state, store, type Node, type Resolved} from "./store.ts";

/** Sets props as an Output would if that has more effects than `set`; returns whether it did. */
export function insert(id: WireId, props: Props, set: (props: Props) => void): boolean {
  const path = pathOf(id);
  const node = path && nodeAt(path);
  const {graphs, callbacks} = state() ?? {};
  if (!node?.props || !graphs?.outputMap || !graphs.inputMap || !callbacks?.requested) return false;
  const drawn = Object.keys(props).filter((prop) => mayHoldComponents(node, prop));
  if (!drawn.length) return false;
  const before = affectedIds(drawn.map((prop) => node.props[prop]));
  const patched = Object.entries(props).filter(([, value]) => isPatch(value));
  if (!patched.length) {
    if (!before.size && !affectedIds(drawn.map((prop) => props[prop])).size) return false;
    execute(id, props);
    return true;
  }
  set(props); // `set` applies the Patch
  const now = (path && nodeAt(path)?.props) ?? {};
  const added = [...affectedIds(drawn.map((prop) => now[prop]))].filter((one) => !before.has(one));
  if (added.length) {
    execute(id, Object.fromEntries(patched.map(([prop]) => [prop, now[prop]])), new Set(added));
  }
  return true;
}

/**
 * Hands props to Dash as a callback's result. With `added`, keeps only the requested callbacks that
 * use one of these components.
 */
function execute(id: WireId, props: Props, added?: ReadonlySet<WireId>): void {
  const before = new Set(state()?.callbacks?.requested);
  const executed = {
    callback: {output: "", inputs: [], outputs: [], state: []},
    changedPropIds: {},
    getInputs: () => [],
    getOutputs: () => [],
    getState: () => [],
    executionResult: {data: {[id]: props}, payload: null},
  };
  store()?.dispatch({type: "Callbacks.AddExecuted", payload: [executed]});
  if (!added) return;
  const paths = state()?.paths;
  const isAdded = (one: Resolved) =>
    [...one.getInputs(paths), ...one.getOutputs(paths)]
      .flat()
      .some((dependency) => added.has(stringifyId(dependency.id)));
  const others = (state()?.callbacks?.requested ?? []).filter(
    (one) => !before.has(one) && !isAdded(one),
  );
  if (others.length) store()?.dispatch({type: "Callbacks.RemoveRequested", payload: others});
}

/** Returns the ids in a component tree that callbacks or `persistence` depend on. */
function affectedIds(tree: unknown): Set<WireId> {
  const ids = new Set<WireId>();
  const {graphs} = state() ?? {};
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if (!isComponent(value)) {
      for (const one of Object.values(value)) visit(one);
      return;
    }
    const {id} = value.props;
    const keys = typeof id === "object" && id !== null ? Object.keys(id).sort().join(",") : undefined;
    const hasListener =
      keys === undefined
        ? own(graphs?.inputMap, id as string) ?? own(graphs?.outputMap, id as string)
        : own(graphs?.inputPatterns, keys) ?? own(graphs?.outputPatterns, keys);
    if (id && (hasListener || value.props["persistence"])) ids.add(stringifyId(id));
    for (const [prop, one] of Object.entries(value.props)) {
      if (mayHoldComponents(value, prop)) visit(one);
    }
  };
  visit(tree);
  return ids;
}

function isComponent(value: object): value is Node {
  return "props" in value && "type" in value && "namespace" in value;
}

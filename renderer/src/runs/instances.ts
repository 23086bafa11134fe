/** Instances of Input components, and initial calls for components that appear later. */

import type {CallbackContext, Dependency, Entry, Valued, ValuedItem} from "../dash/types.ts";
import type {Dash} from "../dash/dash.ts";
import {
  anyOf,
  isDictId,
  isPattern,
  isWildcard,
  matchedBy,
  parseId,
  resolveMatch,
  type Match,
  type WireId,
} from "../ids.ts";
import type {Instance} from "../dash/instance.ts";

type Page = Pick<
  Dash,
  | "isReady"
  | "entries"
  | "has"
  | "get"
  | "expand"
  | "instance"
  | "fresh"
  | "layout"
  | "pending"
>;

/** Yields the mounted components of a callback's Inputs, for one set of MATCH values. */
export function* inputsOf(
  dash: Pick<Dash, "expand" | "instance">,
  entry: Entry,
  match: Match,
): Generator<Instance> {
  for (const {id} of entry.inputs) {
    for (const one of dash.expand(resolveMatch(id, match))) {
      const instance = dash.instance(one);
      if (instance) yield instance;
    }
  }
}

export type Instances = ReturnType<typeof createInstances>;

/**
 * Detects new components and returns the initial calls that are due for them.
 *
 * Dash makes no initial call for a component that is inserted later, and for MATCH only if there is
 * exactly one. `others` returns further ids to watch besides those of Inputs.
 */
export function createInstances(dash: Page, others: () => readonly WireId[] = () => []) {
  let looked: unknown;
  /** Initial calls that new components need, by callback and MATCH. */
  const asked = new Map<string, {readonly entry: Entry; readonly match: Match}>();

  return {
    /**
     * Marks the components that have appeared since the last call as drawn by a callback's run, or
     * by others. With `isAgain`, a run's values are shown in them again.
     */
    look(drawnBy?: string, isAgain = false): void {
      if (!dash.isReady() || looked === dash.layout()) return;
      looked = dash.layout();
      const appeared = new Map<WireId, readonly WireId[]>();
      const see = (id: WireId) => {
        if (!appeared.has(id)) appeared.set(id, dash.fresh(id));
        return appeared.get(id) as readonly WireId[];
      };
      for (const entry of dash.entries()) {
        for (const input of entry.inputs) {
          const ids = see(anyOf(input.id));
          if (ids.length && !entry.prevent_initial_call) ask(entry, input, ids);
        }
      }
      for (const id of others()) see(id);
      for (const id of [...appeared.values()].flat()) {
        const one = dash.instance(id);
        if (!one) continue;
        one.isNew = false;
        if (drawnBy === undefined) continue;
        one.called.add(drawnBy);
        if (!isAgain) one.drawnBy = drawnBy;
      }
    },

    /** Records that a run has started for these components, so that no initial call is due. */
    claim(entry: Entry, match: Match): void {
      for (const one of inputsOf(dash, entry, match)) one.called.add(entry.output);
    },

    /** Returns the initial calls that are due, with the current values. */
    due(): [Entry, CallbackContext][] {
      const due: [Entry, CallbackContext][] = [];
      for (const [key, {entry, match}] of asked) {
        const isAsked = isNew(entry, match);
        if (isAsked && (!isComplete(entry, match) || isExpected(entry, match))) continue;
        asked.delete(key);
        if (isAsked) due.push([entry, contextOf(entry, match)]);
      }
      return due;
    },
  };

  function ask(entry: Entry, {id}: Dependency, appeared: readonly WireId[]): void {
    const matches = hasMatch(id)
      ? appeared.map((one) => matchedBy(id, parseId(one)))
      : groupsOf(entry);
    for (const match of matches) asked.set(entry.output + JSON.stringify(match), {entry, match});
  }

  /** Returns all sets of MATCH values; one empty set if the Inputs have no MATCH. */
  function groupsOf(entry: Entry): Match[] {
    const pattern = entry.inputs.find(({id}) => hasMatch(id));
    if (!pattern) return [{}];
    return dash.expand(anyOf(pattern.id)).map((id) => matchedBy(pattern.id, parseId(id)));
  }

  function isNew(entry: Entry, match: Match): boolean {
    for (const one of inputsOf(dash, entry, match)) if (!one.called.has(entry.output)) return true;
    return false;
  }

  function isComplete(entry: Entry, match: Match): boolean {
    return [...entry.inputs, ...entry.state].every((one) => {
      const id = resolveMatch(one.id, match);
      return isPattern(id) || dash.has(id) || one.allow_optional;
    });
  }

  /** Returns whether Dash will call the callback itself, or change its Inputs or States first. */
  function isExpected(entry: Entry, match: Match): boolean {
    const read = new Set(
      [...entry.inputs, ...entry.state].flatMap(({id, property}) =>
        dash.expand(resolveMatch(id, match)).map((one) => `${one}.${property}`),
      ),
    );
    return dash
      .pending()
      .some(({callback, isInitial, outputs}) =>
        callback === entry.output
          ? !(isInitial && isMatched(entry))
          : outputs.some((one) => read.has(one)),
      );
  }

  function contextOf(entry: Entry, match: Match): CallbackContext {
    const itemOf = ({id, property}: Dependency): ValuedItem => {
      const resolved = resolveMatch(id, match);
      return isPattern(resolved)
        ? dash.expand(resolved).map((one) => valueOf(one, property))
        : valueOf(resolved, property);
    };
    return {
      inputs_list: entry.inputs.map(itemOf),
      states_list: entry.state.map(itemOf),
      triggered: [],
    };
  }

  function valueOf(id: WireId, property: string): Valued {
    return {id: isDictId(id) ? parseId(id) : id, property, value: dash.get(id, property)};
  }
}

function hasMatch(id: WireId): boolean {
  return isDictId(id) && Object.values(parseId(id)).some((value) => isWildcard(value, "MATCH"));
}

/**
 * Returns whether a callback has MATCH in its Inputs; Dash's own initial calls of it are ignored.
 */
export function isMatched(entry: Entry): boolean {
  return entry.inputs.some(({id}) => hasMatch(id));
}

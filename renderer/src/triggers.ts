/** What starts a run: a change of an Input, or an Input's component that appears. */

import type {CallbackContext, Dash, Dependency, Entry, Valued, ValuedItem} from "./dash.ts";
import {
  isDictId,
  isPattern,
  isWildcard,
  parseId,
  stringifyId,
  type DictId,
  type Match,
  type WireId,
} from "./ids.ts";
import type {Props} from "./protocol.ts";

export interface Trigger {
  readonly entry: Entry;
  readonly match: Match;
  /** Runs of the same callback and MATCH values overlap; others do not disturb each other. */
  readonly key: string;
  /** What Dash itself would post. */
  readonly body: object;
}

export function triggerOf(entry: Entry, context: CallbackContext): Trigger {
  const match = matchOf(entry, context.inputs_list);
  const changed = context.triggered.map((one) => one.prop_id);
  return {
    entry,
    match,
    key: entry.output + JSON.stringify(Object.entries(match).sort()),
    body: {
      output: entry.output,
      outputs: [],
      inputs: context.inputs_list,
      state: context.states_list ?? [],
      changedPropIds: changed,
      parsedChangedPropsIds: changed.map((one) =>
        isDictId(one) ? parseId(one.slice(0, one.lastIndexOf("}") + 1)) : one,
      ),
    },
  };
}

/** The triggering components' values of the keys that are MATCH in the callback's Inputs. */
function matchOf(entry: Entry, inputs: readonly ValuedItem[]): Match {
  const match: Record<string, unknown> = {};
  entry.inputs.forEach((input, i) => {
    const found = [inputs[i] ?? []].flat()[0] as Valued | undefined;
    if (!isDictId(input.id) || typeof found?.id !== "object") return;
    for (const [key, value] of Object.entries(parseId(input.id))) {
      if (isWildcard(value, "MATCH")) match[key] ??= found.id[key];
    }
  });
  return match;
}

export function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}

/** What a callback's runs write to its own Inputs, which must not trigger it. */
export function createOwnWrites(dash: Pick<Dash, "expand" | "get">) {
  const writesOf = new Map<string, Map<string, unknown>>();
  return {
    record(entry: Entry, id: WireId, props: Props): void {
      for (const input of entry.inputs) {
        if (!(input.property in props)) continue;
        if (!dash.expand(anyOf(input.id)).includes(id)) continue;
        const writes = writesOf.get(entry.output) ?? new Map<string, unknown>();
        writesOf.set(entry.output, writes);
        writes.set(`${id}.${input.property}`, dash.get(id, input.property));
      }
    },
    /** Whether what triggers is what a run has written; asked once per write. */
    isOwn(entry: Entry, {triggered}: CallbackContext): boolean {
      const writes = writesOf.get(entry.output);
      if (!writes || !triggered.length) return false;
      const isOwn = triggered.map(({prop_id, value}) => {
        const isKnown = writes.has(prop_id) && isSame(value, writes.get(prop_id));
        writes.delete(prop_id);
        return isKnown;
      });
      return isOwn.every(Boolean);
    },
  };
}

/** The id with ALL in the place of MATCH: every component that it may mean. */
function anyOf(id: WireId): WireId {
  if (!isDictId(id)) return id;
  const entries = Object.entries(parseId(id)).map(([key, value]) =>
    isWildcard(value) ? [key, ["ALL"]] : [key, value],
  );
  return stringifyId(Object.fromEntries(entries) as DictId);
}

/**
 * Dash makes no initial call of a callback whose Input is inserted later; this finds them.
 *
 * Only string ids: for pattern ids Dash's own rule holds.
 */
export function createInsertions(dash: Pick<Dash, "entries" | "has" | "get" | "expand">) {
  const present = new Map<string, boolean>();
  return {
    /** The callbacks, with their contexts, that are due since the last call. */
    due(): [Entry, CallbackContext][] {
      return dash
        .entries()
        .filter((entry) => !entry.prevent_initial_call && wasInserted(entry) && isComplete(entry))
        .map((entry) => [entry, contextOf(entry)]);
    },
  };

  function wasInserted(entry: Entry): boolean {
    let isInserted = false;
    for (const {id} of entry.inputs) {
      if (isDictId(id)) continue;
      const key = `${entry.output} ${id}`;
      isInserted ||= present.get(key) === false && dash.has(id);
      present.set(key, dash.has(id));
    }
    return isInserted;
  }

  function isComplete(entry: Entry): boolean {
    return [...entry.inputs, ...entry.state].every(
      (one) => isPattern(one.id) || dash.has(one.id) || one.allow_optional,
    );
  }

  function contextOf(entry: Entry): CallbackContext {
    return {
      inputs_list: entry.inputs.map(itemOf),
      states_list: entry.state.map(itemOf),
      triggered: [],
    };
  }

  function itemOf({id, property}: Dependency): ValuedItem {
    return isPattern(id)
      ? dash.expand(id).map((one) => valueOf(one, property))
      : valueOf(id, property);
  }

  function valueOf(id: WireId, property: string): Valued {
    return {id: isDictId(id) ? parseId(id) : id, property, value: dash.get(id, property)};
  }
}

/**
 * Triggers of runs: the stored part of Dash's call, and the detection of calls that a run caused
 * itself.
 */

import type {CallbackContext, Entry, Valued, ValuedItem} from "../dash/types.ts";
import type {Dash} from "../dash/dash.ts";
import {anyOf, isDictId, matchedBy, parseId, type Match, type WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";

export interface Trigger {
  readonly entry: Entry;
  readonly match: Match;
  /** Callback and MATCH values; only runs with the same key overlap. */
  readonly key: string;
  /** Request body as Dash itself would post it. */
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

/** Returns the triggering components' values of the keys that are MATCH in the Inputs. */
export function matchOf(entry: Entry, inputs: readonly ValuedItem[]): Match {
  const match: Record<string, unknown> = {};
  entry.inputs.forEach((input, i) => {
    const found = [inputs[i] ?? []].flat()[0] as Valued | undefined;
    if (!isDictId(input.id) || typeof found?.id !== "object") return;
    for (const [key, value] of Object.entries(matchedBy(input.id, found.id))) match[key] ??= value;
  });
  return match;
}

export function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}

/** Tracks what runs write to their callback's own Inputs, which must not trigger it. */
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
    /** Returns whether a call was triggered by a run's own write; counts each write once. */
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

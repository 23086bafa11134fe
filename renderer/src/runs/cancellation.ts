/** Detects what ends a run in the page: a changed cancel Input, or triggers that have left. */

import type {Dash} from "../dash/dash.ts";
import type {Entry} from "../dash/types.ts";
import {inputsOf} from "./instances.ts";
import type {Instance} from "../dash/instance.ts";
import {resolveMatch, type Match, type WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";
import {isSame, type Trigger} from "./triggers.ts";

type Page = Pick<Dash, "expand" | "instance" | "get">;

export type CancelWatch = ReturnType<typeof watchCancels>;

export type Cancels = Entry["flash_events"]["cancel"];

/**
 * Watches cancel Inputs from their current values on. Only changes of a mounted component count; a
 * component that is drawn again with another value has not changed.
 *
 * `isFirst` returns whether the first value of a prop that had none is no change.
 */
export function watchCancels(
  dash: Page,
  cancels: Cancels,
  match: Match = {},
  isFirst: (value: unknown) => boolean = () => false,
) {
  const seen = new Map<string, {readonly instance: Instance; readonly value: unknown}>();
  hasChanged();

  /**
   * Returns whether a cancel Input has changed since the last call, except to its allowed value.
   */
  function hasChanged(): boolean {
    let isCancelled = false;
    for (const dependency of cancels) {
      for (const id of dash.expand(resolveMatch(dependency.id, match))) {
        const instance = dash.instance(id);
        if (!instance) continue;
        const key = `${id}.${dependency.property}`;
        const value = dash.get(id, dependency.property) ?? null;
        const before = seen.get(key);
        const isSet =
          before?.instance === instance && !(before.value === null && isFirst(value));
        if (isSet && value !== before.value && !isSame(value, before.value)) {
          isCancelled ||= !("allowed" in dependency && isSame(value, dependency.allowed));
        }
        seen.set(key, {instance, value});
      }
    }
    return isCancelled;
  }

  return {
    hasChanged,
    /** Ignores changes that the callback's own runs have written. */
    accept(id: WireId, props: Props): void {
      for (const property of Object.keys(props)) {
        const key = `${id}.${property}`;
        const instance = dash.instance(id);
        if (instance && seen.has(key)) {
          seen.set(key, {instance, value: dash.get(id, property) ?? null});
        }
      }
    },
  };
}

/** Returns whether a component that could trigger the run is on the page, in any instance. */
export function isShown(dash: Page, {entry, match}: Trigger): boolean {
  return !inputsOf(dash, entry, match).next().done;
}

/**
 * Returns whether all components that were the run's Inputs have left the page. Components that its
 * own callback has drawn in their place count as present.
 */
export function areInputsGone(dash: Page, trigger: Trigger, known: ReadonlySet<Instance>): boolean {
  const {entry, match} = trigger;
  if (entry.flash_events.keepAlive) return false;
  for (const one of inputsOf(dash, entry, match)) {
    if (known.has(one) || one.drawnBy === entry.output) return false;
  }
  return true;
}

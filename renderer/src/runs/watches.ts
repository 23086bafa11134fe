/** What ends a run in the page: a change of a cancel Input, or that its triggers have left. */

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
 * Remembers the cancel Inputs' values as of now; only changes of a mounted component count, and
 * none is that it is drawn anew with another value.
 *
 * `isFirst` says which first values of a prop that had none are no change.
 */
export function watchCancels(
  dash: Page,
  cancels: Cancels,
  match: Match = {},
  isFirst: (value: unknown) => boolean = () => false,
) {
  const seen = new Map<string, {readonly instance: Instance; readonly value: unknown}>();
  look();

  /** Whether a cancel Input has changed, to something other than its allowed value, since. */
  function look(): boolean {
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
    look,
    /** Takes what the callback's own runs have written as seen. */
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

/** Whether a component that could trigger the run is on the page, whichever instance it is. */
export function isShown(dash: Page, {entry, match}: Trigger): boolean {
  return !inputsOf(dash, entry, match).next().done;
}

/**
 * Whether none of the components that were the run's Inputs is on the page any more; what its
 * callback has drawn in their place is as good as they were.
 */
export function hasLeft(dash: Page, trigger: Trigger, known: ReadonlySet<Instance>): boolean {
  const {entry, match} = trigger;
  if (entry.flash_events.keepAlive) return false;
  for (const one of inputsOf(dash, entry, match)) {
    if (known.has(one) || one.drawnBy === entry.output) return false;
  }
  return true;
}

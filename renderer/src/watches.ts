/** What ends a run in the page: a change of a cancel Input, or that its triggers have left. */

import type {Dash, Entry} from "./dash.ts";
import {resolveMatch, type Match, type WireId} from "./ids.ts";
import type {Props} from "./protocol.ts";
import {isSame, type Trigger} from "./triggers.ts";

type Page = Pick<Dash, "expand" | "has" | "get">;

export type CancelWatch = ReturnType<typeof watchCancels>;

export type Cancels = Entry["flash_events"]["cancel"];

/**
 * Remembers the cancel Inputs' values as of now; only changes count.
 *
 * `isFirst` says which first values of a prop that had none are no change.
 */
export function watchCancels(
  dash: Page,
  cancels: Cancels,
  match: Match = {},
  isFirst: (value: unknown) => boolean = () => false,
) {
  const seen = new Map<string, unknown>();
  look();

  /** Whether a cancel Input has changed, to something other than its allowed value, since. */
  function look(): boolean {
    let isCancelled = false;
    for (const dependency of cancels) {
      for (const id of dash.expand(resolveMatch(dependency.id, match))) {
        if (!dash.has(id)) continue;
        const key = `${id}.${dependency.property}`;
        const value = dash.get(id, dependency.property) ?? null;
        const before = seen.get(key);
        const isSet = seen.has(key) && !(before === null && isFirst(value));
        if (isSet && value !== before && !isSame(value, before)) {
          isCancelled ||= !("allowed" in dependency && isSame(value, dependency.allowed));
        }
        seen.set(key, value);
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
        if (seen.has(key)) seen.set(key, dash.get(id, property) ?? null);
      }
    },
  };
}

/** Whether no component that could trigger the run is on the page any more. */
export function hasLeft(dash: Page, {entry, match}: Trigger): boolean {
  return (
    !entry.flash_events.keepAlive &&
    !entry.inputs.some((input) => dash.expand(resolveMatch(input.id, match)).some(dash.has))
  );
}

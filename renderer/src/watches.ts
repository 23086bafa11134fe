/** What ends a run in the page: a change of a cancel Input, or that its triggers have left. */

import type {Dash} from "./dash.ts";
import {resolveMatch, type WireId} from "./ids.ts";
import type {Props} from "./protocol.ts";
import {isSame, type Trigger} from "./triggers.ts";

type Page = Pick<Dash, "expand" | "has" | "get">;

export type CancelWatch = ReturnType<typeof watchCancels>;

/** Remembers the cancel Inputs' values as of now; only changes count. */
export function watchCancels(dash: Page, {entry, match}: Trigger) {
  const seen = new Map<string, unknown>();
  look();

  /** Whether a cancel Input has changed, to something other than its allowed value, since. */
  function look(): boolean {
    let isCancelled = false;
    for (const dependency of entry.flash_events.cancel) {
      for (const id of dash.expand(resolveMatch(dependency.id, match))) {
        if (!dash.has(id)) continue;
        const key = `${id}.${dependency.property}`;
        const value = dash.get(id, dependency.property) ?? null;
        const before = seen.get(key);
        if (seen.has(key) && value !== before && !isSame(value, before)) {
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

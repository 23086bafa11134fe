/** What an event callback's targets mean for one of its runs. */

import {isDictId, resolveMatch} from "./ids.ts";
import type {Target} from "./protocol.ts";
import type {Trigger} from "./triggers.ts";

/** MATCH in their ids stands for what the trigger's id has there. */
export function targetsFor(targets: readonly Target[], {match}: Trigger): readonly Target[] {
  return targets.map((target) =>
    isDictId(target[0]) ? [resolveMatch(target[0], match), target[1]] : target,
  );
}

/**
 * `running` as targets; `side` is the index of the value: 2 while running, 3 afterwards.
 *
 * A prop is left alone where the value is `dash.no_update`.
 */
export function runningTargets({entry, match}: Trigger, side: 2 | 3): Target[] {
  return entry.flash_events.running
    .filter((one) => !isNoUpdate(one[side]))
    .map((one) => [resolveMatch(one[0], match), {[one[1]]: one[side]}]);
}

function isNoUpdate(value: unknown): boolean {
  return typeof value === "object" && value !== null && "_dash_no_update" in value;
}

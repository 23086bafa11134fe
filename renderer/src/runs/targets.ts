/** Resolves an event callback's targets for one of its runs. */

import type {Dash} from "../dash/dash.ts";
import {isDictId, resolveMatch, type WireId} from "../ids.ts";
import type {Instance} from "../dash/instance.ts";
import type {Target} from "../protocol.ts";
import type {Trigger} from "./triggers.ts";

/** Resolves MATCH in the targets' ids to the trigger's values. */
export function targetsFor(targets: readonly Target[], {match}: Trigger): readonly Target[] {
  return targets.map((target) =>
    isDictId(target[0]) ? [resolveMatch(target[0], match), target[1]] : target,
  );
}

/**
 * Returns `running` as targets; `side` is the index of the value: 2 while running, 3 afterwards.
 *
 * A prop whose value is `dash.no_update` is left out.
 */
export function runningTargets({entry, match}: Trigger, side: 2 | 3): Target[] {
  return entry.flash_events.running
    .filter((one) => !isNoUpdate(one[side]))
    .map((one) => [resolveMatch(one[0], match), {[one[1]]: one[side]}]);
}

function isNoUpdate(value: unknown): boolean {
  return typeof value === "object" && value !== null && "_dash_no_update" in value;
}

export type RunTargets = ReturnType<typeof createRunTargets>;

/** Tracks the components of a run's resets and running values, from its start on. */
export function createRunTargets(dash: Pick<Dash, "expand" | "instance">, trigger: Trigger) {
  const known = new Map<WireId, Instance>();
  const {output, flash_events} = trigger.entry;
  const running = runningTargets(trigger, 2);
  for (const [target] of [...targetsFor(flash_events.reset, trigger), ...running]) {
    for (const id of dash.expand(target)) remember(id);
  }

  function remember(id: WireId): Instance | undefined {
    const now = dash.instance(id);
    if (now) known.set(id, now);
    return now;
  }

  return {
    has: (id: WireId) => known.has(id),
    ids: () => known.keys(),

    /**
     * Returns the targets to reset after the run's triggers have left: components that others have
     * drawn since are left out. An id that was never on the page stays, so that it is reported.
     */
    remaining: (targets: readonly Target[]): Target[] =>
      targets.flatMap(([target, props]) =>
        dash
          .expand(target)
          .filter((id) => {
            const now = dash.instance(id);
            return now ? now === known.get(id) || now.drawnBy === output : !known.has(id);
          })
          .map((id): Target => [id, props]),
      ),

    /** Returns the running values for components that others have drawn since the last call. */
    redrawn(): Target[] {
      return running.flatMap(([target, props]) =>
        dash.expand(target).flatMap((id): Target[] => {
          const before = known.get(id);
          const now = remember(id);
          return !now || now === before || now.drawnBy === output ? [] : [[id, props]];
        }),
      );
    },
  };
}

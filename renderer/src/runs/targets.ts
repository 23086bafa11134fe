/** What an event callback's targets mean for one of its runs. */

import type {Dash} from "../dash/dash.ts";
import {isDictId, resolveMatch, type WireId} from "../ids.ts";
import type {Instance} from "../dash/instance.ts";
import type {Target} from "../protocol.ts";
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

export type Aims = ReturnType<typeof createAims>;

/** The components that a run's resets and running values are meant for, from its beginning on. */
export function createAims(dash: Pick<Dash, "expand" | "instance">, trigger: Trigger) {
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
     * What of targets is left when the run's triggers have left: what others have drawn in the
     * place of its components is not touched. An id that never was on the page stays, to be told.
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

    /** The running values of components that others have drawn since the last call. */
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

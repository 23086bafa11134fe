/** Which tab owns which run. */

import type {Claim} from "./messages.ts";

interface Owner {
  readonly tab: string;
  readonly survives: boolean;
}

export function createOwners(onChange: () => void) {
  const owners = new Map<string, Owner>();
  /** Runs that were stopped because their tab did not take them; it may still come and ask. */
  const stopped = new Set<string>();

  return {
    tabOf: (run: string) => owners.get(run)?.tab,
    wasStopped: (run: string) => stopped.has(run),

    claimsOf(tab: string): Claim[] {
      return [...owners].flatMap(([run, owner]) =>
        owner.tab === tab ? [{run, survives: owner.survives}] : [],
      );
    },

    /** A tab asks for these runs: what was before does not count. */
    begin(tab: string, claims: readonly Claim[]): void {
      for (const {run} of claims) stopped.delete(run);
      this.claim(tab, claims);
    },

    claim(tab: string, claims: readonly Claim[]): void {
      for (const {run, survives} of claims) {
        if (!stopped.has(run)) owners.set(run, {tab, survives});
      }
      onChange();
    },

    /** A run has ended; one that survives may be attached to, and then its end comes again. */
    end(run: string): void {
      if (owners.get(run)?.survives) return;
      owners.delete(run);
      onChange();
    },

    remove(runs: readonly Claim[]): void {
      for (const {run} of runs) owners.delete(run);
      onChange();
    },

    stop(runs: readonly Claim[]): void {
      for (const {run} of runs) stopped.add(run);
    },
  };
}

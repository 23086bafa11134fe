/** Owners of runs: which tab each run belongs to. */

import type {Claim} from "./messages.ts";

interface Owner {
  readonly tab: string;
  readonly survives: boolean;
}

export function createOwners(onChange: () => void) {
  const owners = new Map<string, Owner>();
  /**
   * Runs that were stopped because their tab was away for too long; it may still return and claim
   * them.
   */
  const stopped = new Set<string>();

  return {
    tabOf: (run: string) => owners.get(run)?.tab,
    wasStopped: (run: string) => stopped.has(run),

    claimsOf(tab: string): Claim[] {
      return [...owners].flatMap(([run, owner]) =>
        owner.tab === tab ? [{run, survives: owner.survives}] : [],
      );
    },

    /**
     * Makes a tab the owner of runs that it starts or attaches to; an earlier stop is forgotten.
     */
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

    /** Removes an ended run; a surviving one is kept, since an attach sends its end again. */
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

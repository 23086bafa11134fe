/** Current states of the page's runs and connection, from the events of subscribers.ts. */

import {isDictId, parseId, type Match, type WireId} from "../ids.ts";
import type {ConnectionState} from "../transport/host.ts";
import type {PageEvent, RunState} from "./subscribers.ts";

interface Known {
  readonly callback: string;
  readonly match: Match;
  readonly state: RunState;
}

export interface Shown {
  readonly state: ConnectionState;
  /** Time of the next retry, on the clock of `now`; set while `reconnecting`. */
  readonly retryAt: number | undefined;
}

export type States = ReturnType<typeof createStates>;

export function createStates(now: () => number) {
  const alive = new Map<string, Known>();
  /** Ended runs by callback and MATCH values, the latest last. */
  const ended = new Map<string, Known>();
  const listeners = new Set<() => void>();
  let connection: Shown = {state: "idle", retryAt: undefined};

  function accept(pageEvent: PageEvent): void {
    if (pageEvent.type === "connection") {
      const {state, retryMs} = pageEvent;
      connection = {state, retryAt: retryMs === undefined ? undefined : now() + retryMs};
    } else if (pageEvent.type === "run") {
      const {run, trigger, state} = pageEvent;
      const {match} = trigger;
      const callback = trigger.entry.output;
      const isAlive = state === "queued" || state === "running";
      const key = callback + JSON.stringify(Object.entries(match).sort());
      if (isAlive) alive.set(run, {callback, match, state});
      else {
        alive.delete(run);
        ended.delete(key);
        ended.set(key, {callback, match, state});
      }
    } else return;
    for (const listener of listeners) listener();
  }

  /**
   * Returns the state of an event callback's runs; a dict id selects those with its MATCH values.
   */
  function ofRuns(callback: string, id: WireId): RunState | "idle" {
    const meant = isDictId(id) ? parseId(id) : {};
    const isMeant = (one: Known) =>
      one.callback === callback &&
      Object.entries(one.match).every(([key, value]) => !(key in meant) || meant[key] === value);
    const living = [...alive.values()].filter(isMeant);
    if (living.length) return living.some((one) => one.state === "running") ? "running" : "queued";
    return [...ended.values()].filter(isMeant).at(-1)?.state ?? "idle";
  }

  return {
    accept,
    ofRuns,
    ofConnection: () => connection,
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

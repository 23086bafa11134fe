/** What the dev tools' panel knows of runs: counts, the last updates, and recordings. */

import type {RunEvent, Target} from "../protocol.ts";
import type {ConnectionState} from "../transport/host.ts";
import type {News, RunState} from "../runs/watchers.ts";

/** Of runs that have ended, so many are kept. */
const MAX_ENDED = 50;
/** Of one run, so many events and bytes are recorded. */
const MAX_EVENTS = 10_000;
const MAX_BYTES = 2 * 1024 * 1024;
/** Of one run, so many updates are shown. */
export const SHOWN_UPDATES = 200;

export interface Recorded {
  /** Since the run began. */
  readonly ms: number;
  readonly event: RunEvent;
}

export interface RunRecord {
  readonly run: string;
  readonly callback: string;
  readonly triggered: readonly string[];
  readonly startedAt: number;
  /** Counts the page's runs, in the order of their starts. */
  readonly number: number;
  state: RunState;
  updates: number;
  bytes: number;
  /** Values that were streamed, and those that were set: the others have collapsed. */
  streamed: number;
  applied: number;
  lastAt: number | undefined;
  readonly events: Recorded[];
  isCut: boolean;
}

export type Records = ReturnType<typeof createRecords>;

export function createRecords(now: () => number) {
  const runs = new Map<string, RunRecord>();
  const connection = {state: "idle" as ConnectionState, reconnects: 0};
  const listeners = new Set<() => void>();
  let version = 0;
  let started = 0;

  function accept(news: News): void {
    switch (news.type) {
      case "connection":
        if (news.state === "reconnecting") connection.reconnects++;
        connection.state = news.state;
        break;
      case "run": {
        const {run, state, trigger} = news;
        const {changedPropIds} = trigger.body as {changedPropIds?: string[]};
        const known = runs.get(run) ?? recordOf(run, trigger.entry.output, changedPropIds ?? []);
        known.state = state;
        if (!isAlive(known)) runs.delete(run); // what has ended last is forgotten last
        runs.set(run, known);
        forget();
        break;
      }
      case "event": {
        const known = runs.get(news.event.run);
        if (known) record(known, news.event, news.bytes);
        break;
      }
      case "applied": {
        const known = runs.get(news.run);
        if (known) known.applied += Object.keys(news.props).length;
      }
    }
    version++;
    for (const listener of listeners) listener();
  }

  function recordOf(run: string, callback: string, triggered: readonly string[]): RunRecord {
    return {
      run,
      callback,
      triggered,
      startedAt: now(),
      number: ++started,
      state: "queued",
      updates: 0,
      bytes: 0,
      streamed: 0,
      applied: 0,
      lastAt: undefined,
      events: [],
      isCut: false,
    };
  }

  function record(known: RunRecord, event: RunEvent, bytes: number): void {
    if (event.type === "update") {
      known.updates = event.n; // a snapshot stands for all before it
      known.bytes += bytes;
      known.streamed += valuesOf(event.set);
      known.lastAt = now();
    }
    if (known.events.length < MAX_EVENTS && known.bytes < MAX_BYTES) known.events.push({ms: now() - known.startedAt, event});
    else known.isCut = true;
  }

  function forget(): void {
    const ended = [...runs.values()].filter((one) => !isAlive(one));
    for (const one of ended.slice(0, -MAX_ENDED)) runs.delete(one.run);
  }

  return {
    accept,
    connection,
    /** The latest first. */
    list: () => [...runs.values()].reverse(),
    /** Changes with whatever there is to see. */
    version: () => version,
    clear(): void {
      for (const one of [...runs.values()]) if (!isAlive(one)) runs.delete(one.run);
      version++;
      for (const listener of listeners) listener();
    },
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** What `flash_events.testing.recordings` reads. */
    recording(names: Readonly<Record<string, string>>): string {
      const recorded = [...runs.values()].map((one) => recordingOf(one, names));
      return JSON.stringify({flash_events: 1, runs: recorded}, undefined, 1);
    },
  };
}

export function recordingOf(record: RunRecord, names: Readonly<Record<string, string>> = {}) {
  return {
    callback: names[record.callback] ?? record.callback,
    triggered: record.triggered,
    state: record.state,
    is_cut: record.isCut,
    events: record.events,
  };
}

export function isAlive({state}: RunRecord): boolean {
  return state === "queued" || state === "running";
}

/** How many values were replaced by later ones before the page showed them. */
export function collapsed(record: RunRecord): number {
  return Math.max(0, record.streamed - record.applied);
}

function valuesOf(set: readonly Target[]): number {
  return set.reduce((sum, [, props]) => sum + Object.keys(props).length, 0);
}

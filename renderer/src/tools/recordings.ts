/** Recordings of runs for the dev tools' panel: counts, recent updates, and the saved file. */

import type {RunEvent, Target} from "../protocol.ts";
import type {ConnectionState} from "../transport/host.ts";
import type {PageEvent, RunState} from "../runs/subscribers.ts";
import {isSubscription} from "./topics.ts";

/** Maximum number of ended runs that are kept. */
const MAX_ENDED = 50;
/** Maximum number of events and bytes that are recorded of a run. */
const MAX_EVENTS = 10_000;
const MAX_BYTES = 2 * 1024 * 1024;
/** Maximum number of updates that are shown of a run. */
export const SHOWN_UPDATES = 200;

export interface RecordedEvent {
  /** Time since the run's start, in ms. */
  readonly ms: number;
  readonly event: RunEvent;
}

export interface RecordedRun {
  readonly run: string;
  readonly callback: string;
  readonly triggered: readonly string[];
  readonly startedAt: number;
  /** Number of the run in its page, in the order of starts. */
  readonly number: number;
  state: RunState;
  updates: number;
  bytes: number;
  /** Numbers of values streamed and values set; the difference has collapsed. */
  streamed: number;
  applied: number;
  lastAt: number | undefined;
  readonly events: RecordedEvent[];
  isCut: boolean;
}

export type Recordings = ReturnType<typeof createRecordings>;

export function createRecordings(now: () => number) {
  const runs = new Map<string, RecordedRun>();
  const connection = {state: "idle" as ConnectionState, reconnects: 0};
  const listeners = new Set<() => void>();
  let started = 0;

  function accept(pageEvent: PageEvent): void {
    switch (pageEvent.type) {
      case "connection":
        if (pageEvent.state === "reconnecting") connection.reconnects++;
        connection.state = pageEvent.state;
        break;
      case "run": {
        const {run, state, trigger} = pageEvent;
        if (isSubscription(trigger)) break; // see topics.ts
        const {changedPropIds} = trigger.body as {changedPropIds?: string[]};
        const known = runs.get(run) ?? newRecordedRun(run, trigger.entry.output, changedPropIds ?? []);
        known.state = state;
        if (!isAlive(known)) runs.delete(run); // so that runs are dropped in the order of their ends
        runs.set(run, known);
        forget();
        break;
      }
      case "event": {
        const known = runs.get(pageEvent.event.run);
        if (known) record(known, pageEvent.event, pageEvent.bytes);
        break;
      }
      case "applied": {
        const known = runs.get(pageEvent.run);
        if (known) known.applied += Object.keys(pageEvent.props).length;
      }
    }
    for (const listener of listeners) listener();
  }

  function newRecordedRun(run: string, callback: string, triggered: readonly string[]): RecordedRun {
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

  function record(known: RecordedRun, event: RunEvent, bytes: number): void {
    if (event.type === "update") {
      known.updates = event.n; // a snapshot replaces all updates before it
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
    /** Returns the runs, the latest first. */
    list: () => [...runs.values()].reverse(),
    clear(): void {
      for (const one of [...runs.values()]) if (!isAlive(one)) runs.delete(one.run);
      for (const listener of listeners) listener();
    },
    subscribe(listener: () => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** Returns the recording as JSON, for `flash_events.testing.recordings`. */
    recording(names: Readonly<Record<string, string>>): string {
      const recorded = [...runs.values()].map((one) => recordingOf(one, names));
      return JSON.stringify({flash_events: 1, runs: recorded}, undefined, 1);
    },
  };
}

export function recordingOf(record: RecordedRun, names: Readonly<Record<string, string>> = {}) {
  return {
    callback: names[record.callback] ?? record.callback,
    triggered: record.triggered,
    state: record.state,
    is_cut: record.isCut,
    events: record.events,
  };
}

export function isAlive({state}: RecordedRun): boolean {
  return state === "queued" || state === "running";
}

/** Returns the number of values that were replaced before the page showed them. */
export function collapsed(record: RecordedRun): number {
  return Math.max(0, record.streamed - record.applied);
}

function valuesOf(set: readonly Target[]): number {
  return set.reduce((sum, [, props]) => sum + Object.keys(props).length, 0);
}

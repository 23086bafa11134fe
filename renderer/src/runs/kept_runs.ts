/**
 * Kept runs (`on_disconnect="finish"`), which survive their page: a stored list to attach to
 * them after a reload, and cancel Inputs that stop them from pages that do not show them.
 */

import type {Dash} from "../dash/dash.ts";
import type {Entry} from "../dash/types.ts";
import {isPattern, type Match, type WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";
import type {Trigger} from "./triggers.ts";
import {isShown, watchCancels, type CancelWatch} from "./cancellation.ts";

/** The tab's session storage; an embedded page may have none. */
export interface PageStorage {
  read(key: string): string | null;
  write(key: string, text: string): void;
}

interface StoredRun {
  readonly run: string;
  readonly callback: string;
  readonly match: Match;
  readonly key: string;
}

export interface RestoredRun {
  readonly id: string;
  /** Undefined if the app no longer has the callback. */
  readonly trigger: Trigger | undefined;
}

export const survives = (entry: Entry) => entry.flash_events.onDisconnect === "finish";

export type StoredRuns = ReturnType<typeof createStoredRuns>;

/**
 * Stores a page's kept runs. The key contains the page id: a duplicated tab copies the storage,
 * but owns none of the runs.
 */
export function createStoredRuns(dash: Dash, storage: PageStorage, page: Promise<string>) {
  const stored = new Map<string, StoredRun>();
  let waiting: readonly StoredRun[] = [];
  let key: string | undefined;
  void page.then((id) => {
    key = `flash_events.runs ${id}`;
    waiting = JSON.parse(storage.read(key) ?? "[]") as StoredRun[];
    for (const one of waiting) stored.set(one.run, one);
  });

  function save(): void {
    if (key) storage.write(key, JSON.stringify([...stored.values()]));
  }

  return {
    add(run: string, {entry, match, key}: Trigger): void {
      stored.set(run, {run, callback: entry.output, match, key});
      save();
    },
    remove(run: string): void {
      if (stored.delete(run)) save();
    },
    /** Returns the runs from before a reload whose triggers are on the page again. */
    due(): RestoredRun[] {
      if (!waiting.length || !dash.isReady()) return [];
      const due: RestoredRun[] = [];
      waiting = waiting.filter((one) => {
        const entry = dash.entry(one.callback);
        const trigger = entry && {entry, match: one.match, key: one.key, body: {}};
        const isKept = entry?.flash_events.keepAlive;
        if (trigger && !isKept && !isShown(dash, trigger)) return true;
        due.push({id: one.run, trigger});
        return false;
      });
      return due;
    },
  };
}

/**
 * Returns whether a first value is no change: dcc.Location and others set their own props when they
 * appear. Counters (`n_clicks`) do change from nothing.
 */
const isFirst = (value: unknown) => typeof value !== "number";

export function createRemoteCancels(dash: Dash) {
  const watches = new Map<string, CancelWatch>();
  return {
    /**
     * Returns the callbacks with a changed cancel Input; patterns, whose MATCH is unknown, are not
     * watched.
     */
    due(): string[] {
      return dash.entries().filter(hasChanged).map((entry) => entry.output);
    },
    /** Ignores changes that the callback's own runs have written. */
    accept(entry: Entry, id: WireId, props: Props): void {
      watches.get(entry.output)?.accept(id, props);
    },
  };

  function hasChanged(entry: Entry): boolean {
    if (!survives(entry)) return false;
    const known = watches.get(entry.output);
    if (known) return known.hasChanged();
    const cancels = entry.flash_events.cancel.filter(({id}) => !isPattern(id));
    watches.set(entry.output, watchCancels(dash, cancels, {}, isFirst));
    return false;
  }
}

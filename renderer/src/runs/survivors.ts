/**
 * Runs that outlive their page: what a page notes of them, to find them again after a reload, and
 * the cancel Inputs that stop them from a page that does not show them.
 */

import type {Dash} from "../dash/dash.ts";
import type {Entry} from "../dash/types.ts";
import {isPattern, type Match, type WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";
import type {Trigger} from "./triggers.ts";
import {isShown, watchCancels, type CancelWatch} from "./watches.ts";

/** The tab's storage, or none: a page that is embedded may have no access to it. */
export interface Memory {
  read(key: string): string | null;
  write(key: string, text: string): void;
}

interface Note {
  readonly run: string;
  readonly callback: string;
  readonly match: Match;
  readonly key: string;
}

export interface Survivor {
  readonly id: string;
  /** Undefined where the app no longer has the callback. */
  readonly trigger: Trigger | undefined;
}

export const survives = (entry: Entry) => entry.flash_events.onDisconnect === "finish";

export type Notes = ReturnType<typeof createNotes>;

/** The page's id is part of the key: a duplicated tab copies the storage, but owns none of it. */
export function createNotes(dash: Dash, memory: Memory, page: Promise<string>) {
  const notes = new Map<string, Note>();
  let waiting: readonly Note[] = [];
  let key: string | undefined;
  void page.then((id) => {
    key = `flash_events.runs ${id}`;
    waiting = JSON.parse(memory.read(key) ?? "[]") as Note[];
    for (const note of waiting) notes.set(note.run, note);
  });

  function save(): void {
    if (key) memory.write(key, JSON.stringify([...notes.values()]));
  }

  return {
    add(run: string, {entry, match, key}: Trigger): void {
      notes.set(run, {run, callback: entry.output, match, key});
      save();
    },
    remove(run: string): void {
      if (notes.delete(run)) save();
    },
    /** Runs from before the reload that can be shown now: their triggers are on the page. */
    due(): Survivor[] {
      if (!waiting.length || !dash.isReady()) return [];
      const due: Survivor[] = [];
      waiting = waiting.filter((note) => {
        const entry = dash.entry(note.callback);
        const trigger = entry && {entry, match: note.match, key: note.key, body: {}};
        const isKept = entry?.flash_events.keepAlive;
        if (trigger && !isKept && !isShown(dash, trigger)) return true;
        due.push({id: note.run, trigger});
        return false;
      });
      return due;
    },
  };
}

/** Components such as dcc.Location set their own props when they appear; only counters begin. */
const isFirst = (value: unknown) => typeof value !== "number";

export function createRemoteStops(dash: Dash) {
  const watches = new Map<string, CancelWatch>();
  return {
    /** Callbacks of which a cancel Input that every page knows has changed. */
    due(): string[] {
      return dash.entries().filter(hasChanged).map((entry) => entry.output);
    },
    /** Takes what a callback's own runs have written as seen. */
    accept(entry: Entry, id: WireId, props: Props): void {
      watches.get(entry.output)?.accept(id, props);
    },
  };

  function hasChanged(entry: Entry): boolean {
    if (!survives(entry)) return false;
    const known = watches.get(entry.output);
    if (known) return known.look();
    const cancels = entry.flash_events.cancel.filter(({id}) => !isPattern(id));
    watches.set(entry.output, watchCancels(dash, cancels, {}, isFirst));
    return false;
  }
}

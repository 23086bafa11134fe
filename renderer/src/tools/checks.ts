/**
 * Reports wrong ids and props of event callbacks in Dash's dev tools; debug mode only.
 *
 * The rules are Dash's: an id that a callback depends on must be in the layout when the page has
 * loaded, or in the app's validation layout, unless the app sets `suppress_callback_exceptions`.
 */

import type {Debugging, Types} from "../dash/debugging.ts";
import {isDictId, isPattern, isWildcard, parseId, resolveMatch, type WireId} from "../ids.ts";
import type {Dependency, Entry} from "../dash/types.ts";
import type {Props, RunEvent} from "../protocol.ts";
import type {Trigger} from "../runs/triggers.ts";
import type {PageEvent} from "../runs/subscribers.ts";

/** Maximum number of remembered update sources; above it all are dropped. */
const MAX_PLACES = 1000;
/** Maximum number of remembered runs; the oldest are dropped. */
const MAX_RUNS = 1000;
/** Maximum number of reported errors, so that a faulty stream does not flood the dev tools. */
const MAX_ERRORS = 100;

interface Use {
  readonly callback: string;
  readonly id: WireId;
  readonly prop: string;
  /** Use of the prop by the event callback, as the middle of a sentence. */
  readonly how: string;
}

interface ChecksOptions {
  readonly dash: Debugging;
  /** Requests a component type's props from the server; undefined if it declares none. */
  askProps(type: string): Promise<readonly string[] | undefined>;
}

export function createChecks({dash, askProps}: ChecksOptions) {
  const runs = new Map<string, Trigger>();
  const reported = new Set<string>();
  const checked = new Set<string>();
  const asked = new Map<string, Promise<readonly string[] | undefined>>();
  /** Source of the last streamed value, by callback and prop, then by id or pattern. */
  const places = new Map<string, Map<WireId, string>>();
  const seen = new Set<WireId>();
  let seenPaths: unknown;
  let isDone = false;

  function accept(pageEvent: PageEvent): void {
    switch (pageEvent.type) {
      case "run": {
        runs.set(pageEvent.run, pageEvent.trigger);
        for (const run of runs.keys()) if (runs.size > MAX_RUNS) runs.delete(run);
        return;
      }
      case "event":
        note(pageEvent.event);
        return;
      case "missing":
        for (const use of usesOf(pageEvent)) missing(use);
        return;
      case "applied": {
        const type = dash.typeOf(pageEvent.id);
        if (type) for (const use of usesOf(pageEvent)) checkProp(use, type);
        return;
      }
      case "connection":
    }
  }

  function usesOf({run, id, props}: {run: string; id: WireId; props: Props}): Use[] {
    const trigger = runs.get(run);
    if (!trigger) return [];
    const {entry, match} = trigger;
    const callback = entry.output;
    const own = setsOf(entry).map((use) => ({...use, id: resolveMatch(use.id, match)}));
    return Object.keys(props).map((prop) => {
      const isStreamed = placeOfValue(callback, id, prop) !== undefined;
      const set = own.find((use) => use.prop === prop && means(use.id, id));
      return {callback, id, prop, how: (!isStreamed && set?.how) || "streams to"};
    });
  }

  function note(event: RunEvent): void {
    const run = runs.get(event.run);
    if (event.type !== "update" || !event.at || !run) return;
    for (const [target, props] of event.set) {
      const id = resolveMatch(target, run.match);
      for (const prop of Object.keys(props)) {
        const key = `${run.entry.output} ${prop}`;
        const byId = places.get(key) ?? new Map<WireId, string>();
        places.set(key, byId);
        if (byId.size >= MAX_PLACES) byId.clear();
        byId.set(id, event.at);
      }
    }
  }

  function placeOfValue(callback: string, id: WireId, prop: string): string | undefined {
    const byId = places.get(`${callback} ${prop}`);
    return byId?.get(id) ?? [...(byId ?? [])].find(([target]) => means(target, id))?.[1];
  }

  /**
   * Called when the page has changed: remembers its ids, and checks dependencies once it has
   * loaded.
   */
  function look(isReady: boolean): void {
    if (!isReady) return;
    const paths = dash.paths();
    if (paths !== seenPaths) {
      seenPaths = paths;
      for (const id of dash.idsOnPage()) seen.add(id);
    }
    if (isDone) return;
    isDone = true;
    const types = dash.validated() ?? dash.onPage();
    for (const entry of dash.entries()) for (const use of dependenciesOf(entry)) check(use, types);
  }

  function check(use: Use, types: Types): void {
    if (!isDictId(use.id)) {
      const type = types.get(use.id);
      if (type) checkProp(use, type);
      else missing(use);
      return;
    }
    const pattern = parseId(use.id);
    for (const [id, type] of types) if (fits(pattern, id)) checkProp({...use, id}, type);
  }

  function missing(use: Use): void {
    const {id, prop} = use;
    const validated = dash.validated();
    if (dash.isLenient() || seen.has(id) || validated?.has(id)) return;
    const known = [...new Set([...seen, ...(validated?.keys() ?? [])])];
    report(use, `No component with the id ${JSON.stringify(id)}`, [
      `Expected: a component with this id, for its prop "${prop}".`,
      `Got: no such component on the page. ${nearestOf(id, known, "ids")}`,
      "",
      "Write an id that the layout has. If the component comes later,",
      "name it in app.validation_layout, or create the app with",
      "suppress_callback_exceptions=True.",
    ]);
  }

  function checkProp(use: Use, type: string): void {
    const key = `${use.callback} ${type} ${use.prop}`;
    if (checked.has(key)) return;
    checked.add(key);
    const names = dash.propTypes(type);
    if (names) {
      checkName(use, type, names);
      return;
    }
    if (!asked.has(type)) asked.set(type, askProps(type));
    void asked.get(type)?.then((known) => known && checkName(use, type, known));
  }

  function checkName(use: Use, type: string, names: readonly string[]): void {
    const isKnown = names.some((name) =>
      name.endsWith("*") ? use.prop.startsWith(name.slice(0, -1)) : name === use.prop,
    );
    if (isKnown) return;
    const title = `No prop "${use.prop}" in ${type.split(".").at(-1)} ${JSON.stringify(use.id)}`;
    report(use, title, [
      `Expected: a prop that ${type} has.`,
      `Got: "${use.prop}". ${nearestOf(use.prop, names, "props")}`,
      "",
      "Write the name of a prop that the component has.",
    ]);
  }

  function report({callback, id, prop, how}: Use, title: string, lines: readonly string[]): void {
    const key = `${callback} ${id} ${prop}`;
    if (reported.has(key) || reported.size >= MAX_ERRORS) return;
    reported.add(key);
    const {names, places: written} = dash.callbackNames();
    const made = placeOfValue(callback, id, prop);
    dash.showError(title, [
      `The event callback ${names?.[callback] ?? callback} ${how} ${JSON.stringify(id)}.`,
      ...(written?.[callback] ? [`Written in ${placeOf(written[callback])}.`] : []),
      ...(made ? [`Streamed in ${placeOf(made)}.`] : []),
      "",
      ...lines,
    ]);
  }

  return {accept, look};
}

/** Returns all props that an event callback declares. */
function dependenciesOf(entry: Entry): Use[] {
  const {inputs, state} = entry;
  const uses = (how: string, dependencies: readonly Dependency[]) =>
    dependencies
      .filter((one) => !one.allow_optional)
      .map(({id, property}) => ({callback: entry.output, id, prop: property, how}));
  return [
    ...uses("has an Input of", inputs),
    ...uses("has a State of", state),
    ...uses("names in cancel", entry.flash_events.cancel),
    ...setsOf(entry),
  ];
}

/** Returns the props that are set for an event callback without being streamed. */
function setsOf({output: callback, flash_events: {reset, running}}: Entry): Use[] {
  const inReset = reset.flatMap(([id, props]) => Object.keys(props).map((prop) => [id, prop] as const));
  return [
    ...inReset.map(([id, prop]) => ({callback, id, prop, how: "names in reset_props"})),
    ...running.map(([id, prop]) => ({callback, id, prop, how: "names in running"})),
  ];
}

/** Whether an id, which may be a pattern, means a component. */
function means(target: WireId, id: WireId): boolean {
  return target === id || (isPattern(target) && fits(parseId(target), id));
}

function fits(pattern: Readonly<Record<string, unknown>>, id: WireId): boolean {
  if (!isDictId(id)) return false;
  const values = parseId(id);
  const keys = Object.keys(pattern);
  return (
    keys.length === Object.keys(values).length &&
    keys.every((key) => key in values && (isWildcard(pattern[key]) || pattern[key] === values[key]))
  );
}

/** Formats `file:line` as Python does. */
function placeOf(place: string): string {
  const end = place.lastIndexOf(":");
  return `"${place.slice(0, end)}", line ${place.slice(end + 1)}`;
}

function nearestOf(name: string, known: readonly string[], kind: string): string {
  let nearest = "";
  let least = Math.ceil(name.length / 3) + 1;
  for (const one of known) {
    const distance = Math.abs(one.length - name.length) < least ? distanceOf(name, one) : least;
    if (distance < least) [nearest, least] = [one, distance];
  }
  if (nearest) return `Did you mean ${JSON.stringify(nearest)}?`;
  const some = known.slice(0, 20).join(", ");
  return known.length ? `Some of the ${kind} that are known: ${some}.` : "";
}

/** Returns the edit distance of two names. */
function distanceOf(one: string, other: string): number {
  let row = Array.from({length: other.length + 1}, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = row[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, replaced));
    }
    row = next;
  }
  return row[other.length]!;
}

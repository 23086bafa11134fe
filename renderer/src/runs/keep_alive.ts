/**
 * Values that keep-alive runs have set, kept for components that leave the page and are drawn
 * again.
 *
 * State props only: a command has an effect on the component that it was sent to.
 */

import {commandOf} from "../apply/commands.ts";
import type {Dash} from "../dash/dash.ts";
import type {WireId} from "../ids.ts";
import type {Instance} from "../dash/instance.ts";
import type {Props, Target} from "../protocol.ts";
import {isPatch} from "../dash/patch.ts";
import type {Source} from "../apply/steps.ts";
import type {Trigger} from "./triggers.ts";

/** Maximum size of values kept for components that are not on the page; the oldest are dropped. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024;

/** A prop's value, a later Patch, or both. */
interface Values {
  readonly values: unknown[];
  /** Size that counts towards the limit; 0 while the component is on the page. */
  bytes: number;
}

/** A run's values for one component. */
interface Slot {
  /** The component that shows the values; undefined while it is not on the page. */
  instance: Instance | undefined;
  /** Whether the component was drawn by others and must be shown the values. */
  isDue: boolean;
  /** Whether the component was ever on the page. */
  wasShown: boolean;
  readonly props: Map<string, Values>;
}

export type Due = readonly [source: Source, target: Target];

/** A run whose values are kept, with a slot for each component that it has set. */
interface KeepAliveRun {
  readonly callback: string;
  readonly key: string;
  readonly slots: Map<WireId, Slot>;
  /** Whether the run has ended; values that were not shown yet are shown once. */
  isOver: boolean;
}

export function createKeepAlive(dash: Pick<Dash, "instance" | "get" | "typeOf">, warn: (message: string) => void) {
  const all = new Map<Source, KeepAliveRun>();
  let bytes = 0;

  const isState = (id: WireId, prop: string) => !commandOf(prop, dash.typeOf(id));

  function count(values: Values, size: number): void {
    bytes += size - values.bytes;
    values.bytes = size;
  }

  function clear({props}: Slot): void {
    for (const values of props.values()) count(values, 0);
    props.clear();
  }

  function forget(run: KeepAliveRun, id: WireId, slot: Slot): void {
    clear(slot);
    run.slots.delete(id);
  }

  function forgetAll(source: Source): void {
    const run = all.get(source);
    all.delete(source);
    for (const [id, slot] of run?.slots ?? []) forget(run as KeepAliveRun, id, slot);
  }

  function slotOf(run: KeepAliveRun, id: WireId): Slot {
    const known = run.slots.get(id);
    const instance = dash.instance(id);
    const slot = known ?? {instance, isDue: false, wasShown: false, props: new Map()};
    if (!known) run.slots.set(id, slot);
    if (instance === slot.instance) return slot;
    slot.instance = instance;
    const isOurs = instance?.drawnBy === run.callback;
    slot.isDue = instance !== undefined && !isOurs;
    if (isOurs) clear(slot); // the run has drawn it itself with the right values
    for (const one of slot.props.values()) count(one, instance ? 0 : sizeOf(one.values));
    return slot;
  }

  function enforceLimit(): void {
    for (const run of all.values()) {
      for (const [id, slot] of run.slots) {
        if (bytes <= MAX_KEPT_BYTES) return;
        if (slot.instance) continue;
        warn(`Updates of "${id}", which is not on the page, exceed the size limit and are dropped.`);
        forget(run, id, slot);
      }
    }
  }

  /**
   * Returns the values that a component must be shown now, and marks them as shown: first values,
   * then Patches.
   */
  function take(source: Source, run: KeepAliveRun, id: WireId): Due[] {
    const slot = slotOf(run, id);
    if (!slot.isDue) return [];
    slot.isDue = false;
    const first: Record<string, unknown> = {};
    const then: Record<string, unknown> = {};
    for (const [prop, {values}] of slot.props) {
      if (!isState(id, prop)) continue; // a command: the component's type was unknown before
      for (const value of values) {
        if (!isPatch(value)) first[prop] = value;
        else if (prop in first || dash.get(id, prop) !== undefined) then[prop] = value;
      }
    }
    if (run.isOver) forget(run, id, slot);
    if (run.isOver && !run.slots.size) all.delete(source);
    return [first, then]
      .filter((props) => Object.keys(props).length)
      .map((props) => [source, [id, props]]);
  }

  return {
    /** Starts to keep a run's values, and forgets an earlier, ended run with the same key. */
    begin(source: Source, {entry, key}: Trigger): void {
      for (const [old, run] of all) if (run.isOver && run.key === key) forgetAll(old);
      all.set(source, {callback: entry.output, key, slots: new Map(), isOver: false});
    },

    /** Ends a run: values for components that are away are shown once. */
    end(source: Source): void {
      const run = all.get(source);
      if (!run) return;
      run.isOver = true;
      for (const [id] of run.slots) {
        const slot = slotOf(run, id);
        if (slot.instance && !slot.isDue) forget(run, id, slot);
      }
      if (!run.slots.size) all.delete(source);
    },

    forget: forgetAll,

    /** Records props that a run has set on a component of the page. */
    applied(source: Source, id: WireId, props: Props): void {
      const run = all.get(source);
      if (!run || run.isOver) return;
      const slot = slotOf(run, id);
      slot.wasShown = true;
      for (const prop of Object.keys(props)) {
        if (isState(id, prop)) slot.props.set(prop, {values: [dash.get(id, prop)], bytes: 0});
      }
    },

    /**
     * Keeps an update of a component that is not on the page; returns whether it was there before.
     */
    missed(source: Source, id: WireId, props: Props): boolean {
      const run = all.get(source);
      if (!run) return false;
      const slot = slotOf(run, id);
      for (const [prop, value] of Object.entries(props)) {
        if (!isState(id, prop)) continue;
        const known = slot.props.get(prop);
        if (known && !isPatch(value)) count(known, 0);
        const kept = known && isPatch(value) ? known : {values: [], bytes: 0};
        const last = kept.values.at(-1);
        if (!isPatch(value)) kept.values.push(value);
        else if (isPatch(last)) last.operations.push(...value.operations);
        else kept.values.push({...value, operations: [...value.operations]});
        slot.props.set(prop, kept);
        count(kept, kept.bytes + sizeOf(value));
      }
      enforceLimit();
      return slot.wasShown;
    },

    /** Returns the ids whose new components must be detected. */
    ids: () => [...all.values()].flatMap(({slots}) => [...slots.keys()]),

    /** Returns the values that a component must be shown before anything else is set. */
    dueOf: (id: WireId): Due[] =>
      [...all].flatMap(([source, run]) =>
        run.slots.has(id) ? take(source, run, id) : [],
      ),

    /** Returns the values for all components that others have drawn since the last call. */
    due(): Due[] {
      const due = [...all].flatMap(([source, run]) =>
        [...run.slots.keys()].flatMap((id) => take(source, run, id)),
      );
      enforceLimit();
      return due;
    },
  };
}

function sizeOf(value: unknown): number {
  return JSON.stringify(value)?.length ?? 0;
}

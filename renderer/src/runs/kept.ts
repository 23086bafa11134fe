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
const LIMIT_BYTES = 4 * 1024 * 1024;

/** A prop's value, a later Patch, or both. */
interface Values {
  readonly values: unknown[];
  /** Size that counts towards the limit; 0 while the component is on the page. */
  bytes: number;
}

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

interface Keeping {
  readonly callback: string;
  readonly key: string;
  readonly slots: Map<WireId, Slot>;
  /** Whether the run has ended; values that were not shown yet are shown once. */
  isOver: boolean;
}

export function createKept(dash: Pick<Dash, "instance" | "get" | "typeOf">, warn: (message: string) => void) {
  const all = new Map<Source, Keeping>();
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

  function forget(keeping: Keeping, id: WireId, slot: Slot): void {
    clear(slot);
    keeping.slots.delete(id);
  }

  function forgetAll(source: Source): void {
    const keeping = all.get(source);
    all.delete(source);
    for (const [id, slot] of keeping?.slots ?? []) forget(keeping as Keeping, id, slot);
  }

  function slotOf(keeping: Keeping, id: WireId): Slot {
    const known = keeping.slots.get(id);
    const instance = dash.instance(id);
    const slot = known ?? {instance, isDue: false, wasShown: false, props: new Map()};
    if (!known) keeping.slots.set(id, slot);
    if (instance === slot.instance) return slot;
    slot.instance = instance;
    const isOurs = instance?.drawnBy === keeping.callback;
    slot.isDue = instance !== undefined && !isOurs;
    if (isOurs) clear(slot); // the run has drawn it itself with the right values
    for (const one of slot.props.values()) count(one, instance ? 0 : sizeOf(one.values));
    return slot;
  }

  function bound(): void {
    for (const keeping of all.values()) {
      for (const [id, slot] of keeping.slots) {
        if (bytes <= LIMIT_BYTES) return;
        if (slot.instance) continue;
        warn(`What a run has set on "${id}" while it was not on the page is too much to be kept.`);
        forget(keeping, id, slot);
      }
    }
  }

  /** Returns what a component must be shown, if anything: first values, then Patches. */
  function take(source: Source, keeping: Keeping, id: WireId): Due[] {
    const slot = slotOf(keeping, id);
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
    if (keeping.isOver) forget(keeping, id, slot);
    if (keeping.isOver && !keeping.slots.size) all.delete(source);
    return [first, then]
      .filter((props) => Object.keys(props).length)
      .map((props) => [source, [id, props]]);
  }

  return {
    /** Starts to keep a run's values, and forgets an earlier, ended run with the same key. */
    begin(source: Source, {entry, key}: Trigger): void {
      for (const [old, keeping] of all) if (keeping.isOver && keeping.key === key) forgetAll(old);
      all.set(source, {callback: entry.output, key, slots: new Map(), isOver: false});
    },

    /** Ends a run: values for components that are away are shown once. */
    end(source: Source): void {
      const keeping = all.get(source);
      if (!keeping) return;
      keeping.isOver = true;
      for (const [id] of keeping.slots) {
        const slot = slotOf(keeping, id);
        if (slot.instance && !slot.isDue) forget(keeping, id, slot);
      }
      if (!keeping.slots.size) all.delete(source);
    },

    forget: forgetAll,

    /** Records props that a run has set on a component of the page. */
    applied(source: Source, id: WireId, props: Props): void {
      const keeping = all.get(source);
      if (!keeping || keeping.isOver) return;
      const slot = slotOf(keeping, id);
      slot.wasShown = true;
      for (const prop of Object.keys(props)) {
        if (isState(id, prop)) slot.props.set(prop, {values: [dash.get(id, prop)], bytes: 0});
      }
    },

    /**
     * Keeps an update of a component that is not on the page; returns whether it was there before.
     */
    missed(source: Source, id: WireId, props: Props): boolean {
      const keeping = all.get(source);
      if (!keeping) return false;
      const slot = slotOf(keeping, id);
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
      bound();
      return slot.wasShown;
    },

    /** Returns the components to watch for. */
    ids: () => [...all.values()].flatMap(({slots}) => [...slots.keys()]),

    /** Returns the values that a component must be shown before anything else is set. */
    dueOf: (id: WireId): Due[] =>
      [...all].flatMap(([source, keeping]) =>
        keeping.slots.has(id) ? take(source, keeping, id) : [],
      ),

    /** Returns the values for all components that others have drawn since the last call. */
    due(): Due[] {
      const due = [...all].flatMap(([source, keeping]) =>
        [...keeping.slots.keys()].flatMap((id) => take(source, keeping, id)),
      );
      bound();
      return due;
    },
  };
}

function sizeOf(value: unknown): number {
  return JSON.stringify(value)?.length ?? 0;
}

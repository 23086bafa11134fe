/**
 * What kept-alive runs have set, for components that leave the page and are drawn anew.
 *
 * Only state props: a command does something to the component that it was meant for.
 */

import {commandOf} from "../apply/commands.ts";
import type {Dash} from "../dash/dash.ts";
import type {WireId} from "../ids.ts";
import type {Instance} from "../dash/instance.ts";
import type {Props, Target} from "../protocol.ts";
import {isPatch} from "../dash/patch.ts";
import type {Source} from "../apply/steps.ts";
import type {Trigger} from "./triggers.ts";

/** How much is kept for components that are not on the page; the oldest goes first. */
const LIMIT_BYTES = 4 * 1024 * 1024;

/** A value, a Patch that follows it, or both. */
interface Values {
  readonly values: unknown[];
  /** Counted while the component is not on the page. */
  bytes: number;
}

interface Slot {
  /** The component that shows it; undefined while there is none. */
  instance: Instance | undefined;
  /** Others have drawn that component, and it shows something else. */
  isDue: boolean;
  /** Whether there has been one. */
  wasShown: boolean;
  readonly props: Map<string, Values>;
}

export type Due = readonly [source: Source, target: Target];

interface Keeping {
  readonly callback: string;
  readonly key: string;
  readonly slots: Map<WireId, Slot>;
  /** The run has ended; what nobody has seen yet is shown once. */
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
    if (isOurs) clear(slot); // what a run draws itself looks as it shall look
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

  /** What a component is to be shown, if anything is due: values, then Patches. */
  function take(source: Source, keeping: Keeping, id: WireId): Due[] {
    const slot = slotOf(keeping, id);
    if (!slot.isDue) return [];
    slot.isDue = false;
    const first: Record<string, unknown> = {};
    const then: Record<string, unknown> = {};
    for (const [prop, {values}] of slot.props) {
      if (!isState(id, prop)) continue; // it was not known what component would come
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
    /** A run begins; what an earlier one of its kind has left to be shown is out of date. */
    begin(source: Source, {entry, key}: Trigger): void {
      for (const [old, keeping] of all) if (keeping.isOver && keeping.key === key) forgetAll(old);
      all.set(source, {callback: entry.output, key, slots: new Map(), isOver: false});
    },

    /** A run has ended: what it has set while its page was left is shown once. */
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

    /** A run has set props of a component on the page. */
    applied(source: Source, id: WireId, props: Props): void {
      const keeping = all.get(source);
      if (!keeping || keeping.isOver) return;
      const slot = slotOf(keeping, id);
      slot.wasShown = true;
      for (const prop of Object.keys(props)) {
        if (isState(id, prop)) slot.props.set(prop, {values: [dash.get(id, prop)], bytes: 0});
      }
    },

    /** A run's component is not on the page; returns whether it was there before. */
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

    /** The components whose coming matters. */
    ids: () => [...all.values()].flatMap(({slots}) => [...slots.keys()]),

    /** What a component is to be shown before anything else is set. */
    dueOf: (id: WireId): Due[] =>
      [...all].flatMap(([source, keeping]) =>
        keeping.slots.has(id) ? take(source, keeping, id) : [],
      ),

    /** What components are to be shown that others have drawn since the last call. */
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

/** Pending steps of updates, their order, and the rules that join several into one setting. */

import {commandOf, mayBeCommand, type Command, type Joined} from "./commands.ts";
import type {WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";
import {isPatch} from "../dash/patch.ts";

/**
 * Number of commands in the first attempt to join; eight times more as long as all can be joined.
 */
const FIRST_JOIN_SIZE = 64;

const FORBIDDEN = new Set(["__proto__", "constructor", "prototype"]);

/** Origin of an update, a run; compared by identity. */
export interface Source {
  readonly id: string;
}

/** One update as a run has yielded it. */
export interface Update {
  readonly source: Source;
  /** Never joined with another update. */
  readonly alone: boolean;
  /** Repeats earlier updates, for a page that attaches late. */
  readonly isSnapshot: boolean;
}

export interface Step {
  readonly update: Update;
  /** Component id; a pattern until it is looked up. */
  readonly id: WireId;
  readonly props: Props;
  /** The command of this step and its prop; undefined for state props. */
  readonly command: Command | undefined;
  readonly commandProp: string | undefined;
  /** Share of the received bytes. */
  readonly bytes: number;
}

/** Props to set together, and the last writer of each. */
export interface Setting {
  readonly props: Record<string, unknown>;
  readonly writers: Map<string, Source>;
}

/**
 * Splits a step into its commands and the state props before, between and after them, in the order
 * of the dict. A command with `readsProps` keeps its component's state props in one step.
 */
export function splitStep(
  step: Step,
  typeOf: (id: WireId) => string | undefined,
  refuse: (prop: string) => void,
): readonly Step[] {
  const names = Object.keys(step.props);
  if (!names.some((prop) => mayBeCommand(prop) || FORBIDDEN.has(prop))) return [step];
  const type = typeOf(step.id);
  const kept = names.filter((prop) => {
    if (FORBIDDEN.has(prop)) refuse(prop);
    else return !(step.update.isSnapshot && commandOf(prop, type)?.isOnce);
    return false;
  });
  const reader = kept.find((prop) => commandOf(prop, type)?.readsProps);
  const parts: Part[] = [];
  let together: Part | undefined;
  for (const prop of kept) {
    const command = commandOf(prop, type);
    let part = parts.at(-1);
    if (reader !== undefined && (!command || command.readsProps)) {
      part = together ??= startPart(parts, reader, commandOf(reader, type));
    } else if (command || !part || part.command) {
      part = startPart(parts, command && prop, command);
    }
    part.props[prop] = step.props[prop];
  }
  return parts.map((part, i) => ({...step, ...part, bytes: i ? 0 : step.bytes}));
}

interface Part {
  readonly command: Command | undefined;
  readonly commandProp: string | undefined;
  readonly props: Record<string, unknown>;
}

function startPart(parts: Part[], commandProp?: string, command?: Command): Part {
  const part = {command, commandProp, props: {}};
  parts.push(part);
  return part;
}

/** Returns how many of the first steps are state props that one commit may set together. */
export function countStates(steps: readonly Step[]): number {
  let count = 0;
  for (const {command, update} of steps) {
    if (command || (update.alone && count)) break;
    count++;
    if (update.alone) break;
  }
  return count;
}

/**
 * Folds state props: the last value of each wins, and Patches of one prop are joined. A Patch after
 * a value, or a value after a Patch, starts another setting.
 *
 * A generator, so that `canPatch` is called after the earlier settings were applied.
 */
export function* foldStates(
  steps: readonly Step[],
  canPatch: (prop: string) => boolean,
): Generator<Setting> {
  let setting: Setting = {props: {}, writers: new Map()};
  for (const {update, props: given} of steps) {
    for (const [prop, value] of Object.entries(given)) {
      let isPending = prop in setting.props;
      if (isPending && isPatch(value) !== isPatch(setting.props[prop])) {
        yield setting;
        setting = {props: {}, writers: new Map()};
        isPending = false;
      }
      const earlier = setting.props[prop];
      if (!isPatch(value)) setting.props[prop] = value;
      else if (isPending && isPatch(earlier)) {
        for (const operation of value.operations) earlier.operations.push(operation);
      } else if (canPatch(prop)) {
        // A copy, because other Patches are joined to it and other components get the same Patch.
        setting.props[prop] = {...value, operations: [...value.operations]};
      } else continue;
      setting.writers.set(prop, update.source);
    }
  }
  if (setting.writers.size) yield setting;
}

/** Joins as many commands of a prop as possible, from the first step on, into one value. */
export function joinFirst(
  steps: readonly Step[],
  prop: string,
  command: Command,
  maxJoined = Infinity,
): Joined {
  for (let size = Math.min(FIRST_JOIN_SIZE, maxJoined); ; size = Math.min(size * 8, maxJoined)) {
    const values: unknown[] = [];
    for (const step of steps.slice(0, steps[0]?.update.alone ? 1 : size)) {
      if (!(prop in step.props) || (values.length && step.update.alone)) break;
      values.push(step.props[prop]);
    }
    const joined = command.join(values);
    if (joined.count < size || size === maxJoined) return joined;
  }
}

/** What waits for one component: steps, in order, and how several become one setting. */

import {commandOf, type Command, type Joined} from "./commands.ts";
import type {Props} from "./protocol.ts";

/** How many commands are looked at first to be joined; more, as long as all could be. */
const JOIN_AT_ONCE = 64;

const FORBIDDEN = new Set(["__proto__", "constructor", "prototype"]);

/** Whose update it is; compared by identity. */
export interface Source {
  readonly id: string;
}

export interface Step {
  readonly source: Source;
  readonly props: Props;
  /** Set for a step that is a single command prop. */
  readonly command: Command | undefined;
  /** Never joined with another step. */
  readonly alone: boolean;
  /** Its share of what was received. */
  readonly bytes: number;
}

/** Props to set at once, and who was the last to write each. */
export interface Setting {
  readonly props: Record<string, unknown>;
  readonly writers: Map<string, Source>;
}

interface Patch {
  readonly __dash_patch_update: unknown;
  readonly operations: unknown[];
}

/** Splits a step into one of its state props and one for each of its commands. */
export function splitStep(step: Step, refuse: (prop: string) => void): readonly Step[] {
  const names = Object.keys(step.props);
  if (!names.some((prop) => commandOf(prop) || FORBIDDEN.has(prop))) return [step];
  const steps: Step[] = [];
  const push = (props: readonly string[], command?: Command) => {
    if (!props.length) return;
    const some = Object.fromEntries(props.map((prop) => [prop, step.props[prop]]));
    steps.push({...step, props: some, command, bytes: steps.length ? 0 : step.bytes});
  };
  push(names.filter((prop) => !commandOf(prop) && !FORBIDDEN.has(prop)));
  for (const prop of names) {
    if (commandOf(prop)) push([prop], commandOf(prop));
    if (FORBIDDEN.has(prop)) refuse(prop);
  }
  return steps;
}

/** How many steps from the first on are state props that may be set in one commit. */
export function countStates(steps: readonly Step[]): number {
  let count = 0;
  for (const {command, alone} of steps) {
    if (command || (alone && count)) break;
    count++;
    if (alone) break;
  }
  return count;
}

/**
 * Folds state props, of which the last value wins. Patches of one prop are joined; a Patch that
 * follows a value, or a value that follows a Patch, comes in a setting after it.
 *
 * A generator, so that `canPatch` is asked when what came before has been set.
 */
export function* foldStates(
  steps: readonly Step[],
  canPatch: (prop: string) => boolean,
): Generator<Setting> {
  let setting: Setting = {props: {}, writers: new Map()};
  for (const {source, props: given} of steps) {
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
        // A copy, as others are joined to it, and other components get the same Patch.
        setting.props[prop] = {...value, operations: [...value.operations]};
      } else continue;
      setting.writers.set(prop, source);
    }
  }
  if (setting.writers.size) yield setting;
}

/** One value for as many commands of a prop, from the first step on, as can be joined. */
export function joinFirst(steps: readonly Step[], prop: string, command: Command): Joined {
  for (let size = JOIN_AT_ONCE; ; size *= 8) {
    const values: unknown[] = [];
    for (const step of steps.slice(0, steps[0]?.alone ? 1 : size)) {
      if (!(prop in step.props) || (values.length && step.alone)) break;
      values.push(step.props[prop]);
    }
    const joined = command.join(values);
    if (joined.count < size) return joined;
  }
}

export function isPatch(value: unknown): value is Patch {
  return typeof value === "object" && value !== null && "__dash_patch_update" in value;
}

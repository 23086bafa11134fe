/**
 * Components that have commands to take: one after the other, each once, in order with what else
 * is set of the component.
 *
 * Such a component has a lane, in which its steps wait. It is *busy* from when a command is set
 * until it has taken it; then the next follows, joined with those behind it that mean the same. A
 * component without a lane takes what is set of it at once.
 *
 * A command is taken once, however often its component is unmounted: what a graph has taken is
 * removed from the page's state, where a graph that is mounted anew would find it again; what it
 * had not taken goes back to the head of the lane.
 */

import type {Command} from "./commands.ts";
import type {Dash} from "../dash/dash.ts";
import {countTraces, isGraphIdle, mendGraph, onGraphDone, tracesOf, watchTraces} from "./graph.ts";
import type {WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";
import {countStates, joinFirst, type Source, type Step} from "./steps.ts";

/** A command that is not taken by then is taken for done; the component may have failed. */
const PATIENCE_MS = 10_000;

interface Lane {
  steps: Step[];
  busy: Busy | undefined;
  isWatched: boolean;
  /** Until when what follows the last command may be gathered, and whether it is. */
  gatherEnd: number;
  isGathering: boolean;
  /** At most so many are joined: of more, one was refused, and it is not known which. */
  most: number;
}

/** A command that its component has not yet taken; without steps, one that cannot begin yet. */
interface Busy {
  /** When it was set, or when its component was last not shown (in another tab, say). */
  since: number;
  readonly prop: string;
  readonly value: unknown;
  readonly command: Command;
  readonly steps: readonly Step[];
  /** The component's element when it was set. */
  readonly element: Element | null;
  /** Whether a graph's figure has it, drawn or not. */
  readonly isInFigure: () => boolean;
  /** Whether a graph has said that it is done with it. */
  isDone: boolean;
}

export interface LanesOptions {
  readonly dash: Pick<
    Dash,
    "has" | "isMounted" | "elementOf" | "get" | "set" | "take" | "commit" | "isInside"
  >;
  /** Sets state props of one component, within a commit. */
  setStates(id: WireId, steps: readonly Step[]): void;
  /** Is told of each step that has left its lane to be set, or for good. */
  onTaken(step: Step): void;
  onApplied(source: Source, id: WireId, props: Props): void;
  isOnPage(id: WireId, steps: readonly Step[]): boolean;
  attempt(id: WireId, work: () => void): void;
  warn(message: string): void;
  /** As `warn`, and shows it in Dash's dev tools. */
  report(message: string): void;
  /** A lane may go on. */
  wake(): void;
  now(): number;
}

export type Lanes = ReturnType<typeof createLanes>;

export function createLanes(options: LanesOptions) {
  const {dash, setStates, onTaken, onApplied, isOnPage, attempt, warn, report, wake, now} = options;
  const lanes = new Map<WireId, Lane>();

  function add(id: WireId, step: Step): void {
    let lane = lanes.get(id);
    if (!lane) {
      lane = {
        steps: [],
        busy: undefined,
        isWatched: false,
        gatherEnd: -Infinity,
        isGathering: false,
        most: Infinity,
      };
      lanes.set(id, lane);
    }
    lane.steps.push(step);
  }

  function take(lane: Lane, count: number): readonly Step[] {
    const steps = lane.steps.splice(0, count);
    steps.forEach(onTaken);
    return steps;
  }

  /** The lanes that may go on; those that have nothing left are removed. */
  function ready(): [WireId, Lane][] {
    return [...lanes].filter(([id, lane]) => {
      if (isBusy(id, lane)) return false;
      if (!lane.steps.length) removeIdle(id, lane);
      return lane.steps.length > 0 && !(lane.isGathering && now() < lane.gatherEnd);
    });
  }

  /**
   * Sets the state props before each lane's next command, within a commit. Returns whether some
   * are alone, and nothing else may be set in this commit.
   */
  function commitStates(): boolean {
    let isAlone = false;
    for (const [id, lane] of ready()) {
      const steps = take(lane, countStates(lane.steps));
      if (steps.length) setStates(id, steps);
      isAlone ||= steps.some((step) => step.update.alone);
    }
    return isAlone;
  }

  /** Sets one command of each lane, each in a commit of its own. Returns whether it set any. */
  function commitCommands(): boolean {
    let isSet = false;
    for (const [id, lane] of ready()) {
      const [step] = lane.steps;
      if (step?.command) isSet = commitCommand(id, lane, step, step.command) || isSet;
    }
    return isSet;
  }

  function commitCommand(id: WireId, lane: Lane, first: Step, command: Command): boolean {
    if (!isOnPage(id, [first])) {
      take(lane, 1);
      return true;
    }
    const prop = first.commandProp ?? "";
    const busy = {since: now(), prop, command, element: dash.elementOf(id)};
    if (command.taken === "graph" && !isGraphIdle(id)) {
      lane.busy = {...busy, value: undefined, steps: [], isInFigure: () => false, isDone: true};
      watch(id, lane);
      return false;
    }
    const {value, count} = joinFirst(lane.steps, prop, command, lane.most);
    if (gathers(lane, count)) return false;
    const steps = take(lane, count);
    lane.gatherEnd = now() + (command.gatherMs ?? 0);
    const props = {...first.props, [prop]: value};
    attempt(id, () => command.prepare?.(id, value));
    if (command.taken === "graph") mendGraph(id);
    const isInFigure = command.taken === "graph" ? watchTraces(id, value) : () => false;
    dash.commit(() => attempt(id, () => dash.set(id, props)));
    if (command.taken === "graph") dash.take(id, prop);
    for (const source of new Set(steps.map((step) => step.update.source))) {
      onApplied(source, id, props);
    }
    lane.busy = {...busy, value, steps, isInFigure, isDone: false};
    if (command.taken === "graph") follow(id, lane, lane.busy);
    else watch(id, lane);
    return true;
  }

  /** Whether a lane waits for more that can be joined. Nothing waits behind what it has. */
  function gathers(lane: Lane, count: number): boolean {
    const restMs = lane.gatherEnd - now();
    lane.isGathering = count === lane.steps.length && restMs > 0;
    if (lane.isGathering) setTimeout(wake, restMs + 1);
    return lane.isGathering;
  }

  /** A graph says when it has taken a command, or that it refuses it. */
  function follow(id: WireId, lane: Lane, busy: Busy): void {
    onGraphDone(id, (error) => {
      if (lane.busy !== busy) return; // unmounted meanwhile
      busy.isDone = true;
      if (error === undefined) lane.most *= 2;
      else onRefused(id, lane, busy, error);
      poke();
    });
  }

  /** Looks again later; what a component changes of its props is seen through `poke`. */
  function watch(id: WireId, lane: Lane): void {
    if (lane.isWatched || !isBusy(id, lane)) return;
    lane.isWatched = true;
    const look = () => {
      lane.isWatched = false;
      poke();
    };
    if (lane.busy?.command.taken === "graph") onGraphDone(id, look);
    else setTimeout(look, PATIENCE_MS + 1);
  }

  /** Of joined commands those that are right must not be lost: half of them are tried first. */
  function onRefused(id: WireId, lane: Lane, busy: Busy, error: unknown): void {
    lane.busy = undefined;
    if (busy.steps.length > 1 && !busy.isInFigure()) {
      lane.most = Math.ceil(busy.steps.length / 2);
      restore(lane, busy.steps);
      return;
    }
    const traces = tracesOf(busy.value).join(", ");
    const has = `It has ${countTraces(id)} traces, counted from 0. Set its figure first: {"data": [{"x": [], "y": []}]}.`;
    report(`"${id}" has refused its ${busy.prop} of trace ${traces}: ${String(error)} ${has}`);
  }

  function restore(lane: Lane, steps: readonly Step[]): void {
    lane.steps.unshift(...steps.map((step) => ({...step, bytes: 0})));
  }

  function isBusy(id: WireId, lane: Lane): boolean {
    const {busy} = lane;
    if (!busy) return false;
    if (!dash.has(id)) lane.busy = undefined;
    else if (busy.command.taken === "graph" && dash.elementOf(id) !== busy.element) {
      lane.busy = undefined; // unmounted meanwhile
      if (!busy.isInFigure()) restore(lane, busy.steps);
    } else if (isTaken(id, busy)) lane.busy = undefined;
    else if (!dash.isMounted(id)) busy.since = now();
    else if (now() - busy.since > PATIENCE_MS) {
      const seconds = PATIENCE_MS / 1000;
      if (busy.steps.length) {
        warn(`"${id}" has not taken its ${busy.prop} for ${seconds} s; going on.`);
        lane.busy = undefined;
      } else warn(`"${id}" has not been ready for its ${busy.prop} for ${seconds} s; waiting on.`);
    }
    return lane.busy !== undefined;
  }

  function isTaken(id: WireId, {command, prop, value, isDone}: Busy): boolean {
    switch (command.taken) {
      case "commit":
        return true;
      case "cleared":
        return isNothing(value) || dash.get(id, prop) !== value;
      case "graph":
        return isDone && isGraphIdle(id);
    }
  }

  /** The page has changed: a component may have taken its command, come or gone. */
  function poke(): void {
    for (const [id, lane] of lanes) {
      if (lane.busy && isBusy(id, lane)) watch(id, lane);
      else if (lane.steps.length) wake();
      else removeIdle(id, lane);
    }
  }

  function removeIdle(id: WireId, lane: Lane): void {
    if (now() >= lane.gatherEnd) lanes.delete(id);
  }

  function drop(source: Source): void {
    for (const lane of lanes.values()) {
      const isKept = (step: Step) => step.update.source !== source;
      lane.steps.filter((step) => !isKept(step)).forEach(onTaken);
      lane.steps = lane.steps.filter(isKept);
    }
  }

  /** The components with lanes that a container holds, or is. */
  function inside(container: WireId): WireId[] {
    return [...lanes.keys()].filter((id) => dash.isInside(id, container));
  }

  /**
   * Whether a container must not be drawn anew yet: components in it have commands to take, which
   * they can, and which would be lost. With what replaces the container's components, their own
   * points and rows go anyhow.
   */
  function holds(container: WireId, isReplaced: boolean): boolean {
    return inside(container).some((id) => {
      const {steps, busy} = lanes.get(id) as Lane;
      const waiting = [...steps, ...(busy?.steps ?? [])].filter(({command}) => command);
      return waiting.some(
        ({command}) =>
          !(isReplaced && command?.isLocal) && (command?.taken === "commit" || dash.isMounted(id)),
      );
    });
  }

  /** The container's components are not those that the lanes were for any more. */
  function remove(ids: readonly WireId[]): void {
    for (const id of ids) {
      const lane = lanes.get(id);
      lanes.delete(id);
      lane?.steps.forEach(onTaken);
    }
  }

  return {
    add,
    /** Whether something waits for a component, so that what follows must wait behind it. */
    has(id: WireId): boolean {
      const lane = lanes.get(id);
      return lane !== undefined && (lane.steps.length > 0 || lane.busy !== undefined);
    },
    canGoOn: () => ready().length > 0,
    commitStates,
    commitCommands,
    inside,
    holds,
    remove,
    drop,
    poke,
  };
}

/** A value that asks for nothing is never cleared. */
function isNothing(value: unknown): boolean {
  return !value || (Array.isArray(value) && !value.length);
}

/**
 * Backlogs of components that receive commands: they run one after the other, each once, in order
 * with the component's other updates.
 *
 * A component's backlog holds its pending steps. It is *busy* from the time a command is set until
 * the component has acknowledged it. Then the next command follows, joined with later ones that
 * have the same effect. Updates of a component without a backlog are set at once.
 *
 * A command runs once, however often its component is unmounted. A command that a graph has
 * acknowledged is removed from the page's state, where a remounted graph would find it again; one
 * that it has not acknowledged returns to the head of the backlog.
 */

import type {Command} from "./commands.ts";
import type {Dash} from "../dash/dash.ts";
import {countTraces, isGraphIdle, mendGraph, onGraphDone, tracesOf, watchTraces} from "./graph.ts";
import type {WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";
import {countStates, joinFirst, type Source, type Step} from "./steps.ts";

/** Timeout for a component to acknowledge a command, in ms; then the next one follows. */
const PATIENCE_MS = 10_000;

interface Lane {
  steps: Step[];
  busy: Busy | undefined;
  isWatched: boolean;
  /** End of the batching window after the last command, and whether the backlog waits for it. */
  gatherEnd: number;
  isGathering: boolean;
  /**
   * Maximum number of joined commands; reduced after a rejection, to isolate the rejected command.
   */
  most: number;
}

/** A command without acknowledgement; without steps, one that cannot start yet. */
interface Busy {
  /** Time when it was set, or when its component was last unmounted (in another tab, say). */
  since: number;
  readonly prop: string;
  readonly value: unknown;
  readonly command: Command;
  readonly steps: readonly Step[];
  /** The component's element at the time of setting. */
  readonly element: Element | null;
  /** Returns whether the graph's figure contains the value, drawn or not. */
  readonly isInFigure: () => boolean;
  /** Whether the graph has finished the task. */
  isDone: boolean;
}

export interface LanesOptions {
  readonly dash: Pick<
    Dash,
    "has" | "isMounted" | "elementOf" | "get" | "set" | "take" | "commit" | "isInside"
  >;
  /** Sets state props of one component, within a commit. */
  setStates(id: WireId, steps: readonly Step[]): void;
  /** Called for each step that leaves its backlog, set or dropped. */
  onTaken(step: Step): void;
  onApplied(source: Source, id: WireId, props: Props): void;
  isOnPage(id: WireId, steps: readonly Step[]): boolean;
  attempt(id: WireId, work: () => void): void;
  warn(message: string): void;
  /** Warns, and shows the message in Dash's dev tools. */
  report(message: string): void;
  /** Called when a backlog may continue. */
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

  /** Returns the backlogs that may continue; removes those that are empty. */
  function ready(): [WireId, Lane][] {
    return [...lanes].filter(([id, lane]) => {
      if (isBusy(id, lane)) return false;
      if (!lane.steps.length) removeIdle(id, lane);
      return lane.steps.length > 0 && !(lane.isGathering && now() < lane.gatherEnd);
    });
  }

  /**
   * Sets the state props before each backlog's next command, within a commit. Returns whether an
   * update needs this commit for itself.
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

  /** Sets one command of each backlog in a commit of its own. Returns whether it set any. */
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

  /** Returns whether a backlog waits for more commands to join; no other step is behind these. */
  function gathers(lane: Lane, count: number): boolean {
    const restMs = lane.gatherEnd - now();
    lane.isGathering = count === lane.steps.length && restMs > 0;
    if (lane.isGathering) setTimeout(wake, restMs + 1);
    return lane.isGathering;
  }

  /** Waits until a graph has finished or rejected a command. */
  function follow(id: WireId, lane: Lane, busy: Busy): void {
    onGraphDone(id, (error) => {
      if (lane.busy !== busy) return; // unmounted meanwhile
      busy.isDone = true;
      if (error === undefined) lane.most *= 2;
      else onRefused(id, lane, busy, error);
      poke();
    });
  }

  /** Checks the busy command again later; changes of props are noticed through `poke`. */
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

  /** Retries half of a rejected join, so that valid commands are not lost; reports a single one. */
  function onRefused(id: WireId, lane: Lane, busy: Busy, error: unknown): void {
    lane.busy = undefined;
    if (busy.steps.length > 1 && !busy.isInFigure()) {
      lane.most = Math.ceil(busy.steps.length / 2);
      restore(lane, busy.steps);
      return;
    }
    const traces = tracesOf(busy.value).join(", ");
    const has = `It has ${countTraces(id)} traces, counted from 0.`;
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

  /**
   * Called when the page has changed: a component may have acknowledged a command, appeared or
   * left.
   */
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

  /** Returns the components with a backlog that a container holds, itself included. */
  function inside(container: WireId): WireId[] {
    return [...lanes.keys()].filter((id) => dash.isInside(id, container));
  }

  /**
   * Returns whether a redraw of a container must wait, because it would lose commands of components
   * inside it that they can process. If the container's components are replaced, their local
   * commands (points, rows) need not be awaited.
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

  /** Drops the backlogs of components that were replaced. */
  function remove(ids: readonly WireId[]): void {
    for (const id of ids) {
      const lane = lanes.get(id);
      lanes.delete(id);
      lane?.steps.forEach(onTaken);
    }
  }

  return {
    add,
    /**
     * Returns whether a component has pending steps or a busy command, so that later steps must
     * queue.
     */
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

/** Returns whether a value has no effect, so that the component never clears it. */
function isNothing(value: unknown): boolean {
  return !value || (Array.isArray(value) && !value.length);
}

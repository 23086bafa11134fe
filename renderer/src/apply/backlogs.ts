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
import {countTraces, isGraphIdle, recoverGraph, onGraphDone, tracesOf, watchTraces} from "./graph.ts";
import type {WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";
import {countStates, joinFirst, type Source, type Step} from "./steps.ts";

/** Timeout for a component to acknowledge a command, in ms; then the next one follows. */
const COMMAND_TIMEOUT_MS = 10_000;

interface Backlog {
  steps: Step[];
  busy: Busy | undefined;
  isWatched: boolean;
  /** End of the batching window after the last command, and whether the backlog waits for it. */
  gatherEnd: number;
  isGathering: boolean;
  /**
   * Maximum number of joined commands; reduced after a rejection, to isolate the rejected command.
   */
  maxJoined: number;
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

export interface BacklogsOptions {
  readonly dash: Pick<
    Dash,
    "has" | "isMounted" | "elementOf" | "get" | "set" | "removeProp" | "commit" | "isInside"
  >;
  /** Sets state props of one component, within a commit. */
  setStates(id: WireId, steps: readonly Step[]): void;
  /** Called for each step that leaves its backlog, set or dropped. */
  onDequeued(step: Step): void;
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

export type Backlogs = ReturnType<typeof createBacklogs>;

export function createBacklogs(options: BacklogsOptions) {
  const {dash, setStates, onDequeued, onApplied, isOnPage, attempt, warn, report, wake, now} = options;
  const backlogs = new Map<WireId, Backlog>();

  function add(id: WireId, step: Step): void {
    let backlog = backlogs.get(id);
    if (!backlog) {
      backlog = {
        steps: [],
        busy: undefined,
        isWatched: false,
        gatherEnd: -Infinity,
        isGathering: false,
        maxJoined: Infinity,
      };
      backlogs.set(id, backlog);
    }
    backlog.steps.push(step);
  }

  function dequeue(backlog: Backlog, count: number): readonly Step[] {
    const steps = backlog.steps.splice(0, count);
    steps.forEach(onDequeued);
    return steps;
  }

  /** Returns the backlogs that may continue; removes those that are empty. */
  function ready(): [WireId, Backlog][] {
    return [...backlogs].filter(([id, backlog]) => {
      if (isBusy(id, backlog)) return false;
      if (!backlog.steps.length) removeIdle(id, backlog);
      return backlog.steps.length > 0 && !(backlog.isGathering && now() < backlog.gatherEnd);
    });
  }

  /**
   * Sets the state props before each backlog's next command, within a commit. Returns whether an
   * update needs this commit for itself.
   */
  function commitStates(): boolean {
    let isAlone = false;
    for (const [id, backlog] of ready()) {
      const steps = dequeue(backlog, countStates(backlog.steps));
      if (steps.length) setStates(id, steps);
      isAlone ||= steps.some((step) => step.update.alone);
    }
    return isAlone;
  }

  /** Sets one command of each backlog in a commit of its own. Returns whether it set any. */
  function commitCommands(): boolean {
    let isSet = false;
    for (const [id, backlog] of ready()) {
      const [step] = backlog.steps;
      if (step?.command) isSet = commitCommand(id, backlog, step, step.command) || isSet;
    }
    return isSet;
  }

  function commitCommand(id: WireId, backlog: Backlog, first: Step, command: Command): boolean {
    if (!isOnPage(id, [first])) {
      dequeue(backlog, 1);
      return true;
    }
    const prop = first.commandProp ?? "";
    const busy = {since: now(), prop, command, element: dash.elementOf(id)};
    if (command.acknowledgedBy === "graph" && !isGraphIdle(id)) {
      backlog.busy = {...busy, value: undefined, steps: [], isInFigure: () => false, isDone: true};
      watch(id, backlog);
      return false;
    }
    const {value, count} = joinFirst(backlog.steps, prop, command, backlog.maxJoined);
    if (mustGather(backlog, count)) return false;
    const steps = dequeue(backlog, count);
    backlog.gatherEnd = now() + (command.gatherMs ?? 0);
    const props = {...first.props, [prop]: value};
    attempt(id, () => command.prepare?.(id, value));
    if (command.acknowledgedBy === "graph") recoverGraph(id);
    const isInFigure = command.acknowledgedBy === "graph" ? watchTraces(id, value) : () => false;
    dash.commit(() => attempt(id, () => dash.set(id, props)));
    if (command.acknowledgedBy === "graph") dash.removeProp(id, prop);
    for (const source of new Set(steps.map((step) => step.update.source))) {
      onApplied(source, id, props);
    }
    backlog.busy = {...busy, value, steps, isInFigure, isDone: false};
    if (command.acknowledgedBy === "graph") awaitGraph(id, backlog, backlog.busy);
    else watch(id, backlog);
    return true;
  }

  /** Returns whether a backlog waits for more commands to join; no other step is behind these. */
  function mustGather(backlog: Backlog, count: number): boolean {
    const restMs = backlog.gatherEnd - now();
    backlog.isGathering = count === backlog.steps.length && restMs > 0;
    if (backlog.isGathering) setTimeout(wake, restMs + 1);
    return backlog.isGathering;
  }

  /** Waits until a graph has finished or rejected a command. */
  function awaitGraph(id: WireId, backlog: Backlog, busy: Busy): void {
    onGraphDone(id, (error) => {
      if (backlog.busy !== busy) return; // unmounted meanwhile
      busy.isDone = true;
      if (error === undefined) backlog.maxJoined *= 2;
      else onRejected(id, backlog, busy, error);
      poke();
    });
  }

  /** Checks the busy command again later; changes of props are noticed through `poke`. */
  function watch(id: WireId, backlog: Backlog): void {
    if (backlog.isWatched || !isBusy(id, backlog)) return;
    backlog.isWatched = true;
    const look = () => {
      backlog.isWatched = false;
      poke();
    };
    if (backlog.busy?.command.acknowledgedBy === "graph") onGraphDone(id, look);
    else setTimeout(look, COMMAND_TIMEOUT_MS + 1);
  }

  /** Retries half of a rejected join, so that valid commands are not lost; reports a single one. */
  function onRejected(id: WireId, backlog: Backlog, busy: Busy, error: unknown): void {
    backlog.busy = undefined;
    if (busy.steps.length > 1 && !busy.isInFigure()) {
      backlog.maxJoined = Math.ceil(busy.steps.length / 2);
      restore(backlog, busy.steps);
      return;
    }
    const traces = tracesOf(busy.value).join(", ");
    const has = `It has ${countTraces(id)} traces, counted from 0. Set its figure first: {"data": [{"x": [], "y": []}]}.`;
    report(`"${id}" rejected its ${busy.prop} of trace ${traces}: ${String(error)} ${has}`);
  }

  function restore(backlog: Backlog, steps: readonly Step[]): void {
    backlog.steps.unshift(...steps.map((step) => ({...step, bytes: 0})));
  }

  function isBusy(id: WireId, backlog: Backlog): boolean {
    const {busy} = backlog;
    if (!busy) return false;
    if (!dash.has(id)) backlog.busy = undefined;
    else if (busy.command.acknowledgedBy === "graph" && dash.elementOf(id) !== busy.element) {
      backlog.busy = undefined; // unmounted meanwhile
      if (!busy.isInFigure()) restore(backlog, busy.steps);
    } else if (isAcknowledged(id, busy)) backlog.busy = undefined;
    else if (!dash.isMounted(id)) busy.since = now();
    else if (now() - busy.since > COMMAND_TIMEOUT_MS) {
      const seconds = COMMAND_TIMEOUT_MS / 1000;
      if (busy.steps.length) {
        warn(`"${id}" has not processed its ${busy.prop} within ${seconds} s; continuing.`);
        backlog.busy = undefined;
      } else warn(`"${id}" has not been ready for its ${busy.prop} for ${seconds} s; still waiting.`);
    }
    return backlog.busy !== undefined;
  }

  function isAcknowledged(id: WireId, {command, prop, value, isDone}: Busy): boolean {
    switch (command.acknowledgedBy) {
      case "commit":
        return true;
      case "cleared":
        return hasNoEffect(value) || dash.get(id, prop) !== value;
      case "graph":
        return isDone && isGraphIdle(id);
    }
  }

  /**
   * Called when the page has changed: a component may have acknowledged a command, appeared or
   * left.
   */
  function poke(): void {
    for (const [id, backlog] of backlogs) {
      if (backlog.busy && isBusy(id, backlog)) watch(id, backlog);
      else if (backlog.steps.length) wake();
      else removeIdle(id, backlog);
    }
  }

  function removeIdle(id: WireId, backlog: Backlog): void {
    if (now() >= backlog.gatherEnd) backlogs.delete(id);
  }

  function drop(source: Source): void {
    for (const backlog of backlogs.values()) {
      const isKept = (step: Step) => step.update.source !== source;
      backlog.steps.filter((step) => !isKept(step)).forEach(onDequeued);
      backlog.steps = backlog.steps.filter(isKept);
    }
  }

  /** Returns the components with a backlog that a container holds, itself included. */
  function idsInside(container: WireId): WireId[] {
    return [...backlogs.keys()].filter((id) => dash.isInside(id, container));
  }

  /**
   * Returns whether a redraw of a container must wait, because it would lose commands of components
   * inside it that they can process. If the container's components are replaced, their local
   * commands (points, rows) need not be awaited.
   */
  function delaysRedraw(container: WireId, isReplaced: boolean): boolean {
    return idsInside(container).some((id) => {
      const {steps, busy} = backlogs.get(id) as Backlog;
      const waiting = [...steps, ...(busy?.steps ?? [])].filter(({command}) => command);
      return waiting.some(
        ({command}) =>
          !(isReplaced && command?.isLocal) && (command?.acknowledgedBy === "commit" || dash.isMounted(id)),
      );
    });
  }

  /** Drops the backlogs of components that were replaced. */
  function remove(ids: readonly WireId[]): void {
    for (const id of ids) {
      const backlog = backlogs.get(id);
      backlogs.delete(id);
      backlog?.steps.forEach(onDequeued);
    }
  }

  return {
    add,
    /**
     * Returns whether a component has pending steps or a busy command, so that later steps must
     * queue.
     */
    has(id: WireId): boolean {
      const backlog = backlogs.get(id);
      return backlog !== undefined && (backlog.steps.length > 0 || backlog.busy !== undefined);
    },
    hasReady: () => ready().length > 0,
    commitStates,
    commitCommands,
    idsInside,
    delaysRedraw,
    remove,
    drop,
    poke,
  };
}

/** Returns whether a value has no effect, so that the component never clears it. */
function hasNoEffect(value: unknown): boolean {
  return !value || (Array.isArray(value) && !value.length);
}

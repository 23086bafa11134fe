/**
 * Applies updates to the page, frame by frame and without loss. The page ends as if each update had
 * been applied alone, in order.
 *
 * Updates are queued in one *inbox*. A frame takes as many as it can, in order, and sets them in
 * one React commit: a *batch* keeps only the last value of each state prop. Commands, which may not
 * be skipped, go to the backlog of their component (backlogs.ts) and get commits of their own.
 *
 * An update that draws components is a *barrier*, because an id or a pattern can refer to other
 * components before and after it. Earlier updates are set first; ids and patterns of later updates
 * are looked up after it has been set. This needs no commit of its own: the state that ids are
 * looked up in changes at once, and React draws only the result of the commit. Redrawing a
 * container is expensive, so a barrier is kept *open* and joined with later updates of the same
 * component until another update depends on it.
 *
 * A barrier waits up to a timeout for commands of components inside it, which it would undo.
 * Commands of other components do not delay it.
 */

import type {Dash} from "../dash/dash.ts";
import {isText} from "../dash/drawing.ts";
import {MAX_UNAPPLIED_BYTES} from "../transport/flow.ts";
import {recoverGraph} from "./graph.ts";
import {isPattern, type WireId} from "../ids.ts";
import {createBacklogs} from "./backlogs.ts";
import type {Props, Target} from "../protocol.ts";
import {foldStates, splitStep, type Source, type Step, type Update} from "./steps.ts";
import {isPatch} from "../dash/patch.ts";

/** Time budget of a frame, in ms; the remaining updates follow in the next frame. */
const FRAME_BUDGET_MS = 12;

/** Idle time, in ms, after which an update is applied at once instead of in the next frame. */
const IDLE_MS = 50;

/** Maximum time that a barrier waits for commands inside it, in ms. */
const MAX_HOLD_MS = 1000;

export interface ApplierOptions {
  readonly dash: Pick<
    Dash,
    | "has"
    | "isMounted"
    | "elementOf"
    | "get"
    | "set"
    | "removeProp"
    | "expand"
    | "commit"
    | "typeOf"
    | "draws"
    | "isInside"
    | "showError"
  >;
  /**
   * Called right after props of a component were set, with the source that set each of them last.
   */
  onApplied(source: Source, id: WireId, props: Props): void;
  /**
   * Called for an update of a component that is not on the page; returns whether it was there
   * before.
   */
  onMissing?(source: Source, id: WireId, props: Props): boolean;
  /** Called after a flush, when fewer bytes may be unapplied. */
  onFlushed?(): void;
  warn(message: string): void;
  isHidden(): boolean;
  nextFrame(callback: () => void): void;
  now(): number;
}

export type Applier = ReturnType<typeof createApplier>;

export function createApplier(options: ApplierOptions) {
  const {dash, onApplied, onMissing, onFlushed, warn, isHidden, nextFrame, now} = options;
  /**
   * Updates whose ids, which may be patterns, are not looked up yet. Those before `head` are done.
   */
  let inbox: Step[] = [];
  let head = 0;
  /** Steps of the inbox's head after the lookup of their components, in reverse order. */
  let found: Step[] = [];
  let split: Step[] = [];
  /** State props to set in this commit, by component. */
  const batch = new Map<WireId, Step[]>();
  /** Barriers to set after the batch, by component. None is inside another. */
  const open = new Map<WireId, Step[]>();
  let heldSince: number | undefined;
  const warned = new Set<string>();
  let isScheduled = false;
  let isFlushing = false;
  let flushedAt = now();
  let unapplied = 0;
  let drainWaiters: (() => void)[] = [];

  const backlogs = createBacklogs({
    dash,
    setStates,
    onDequeued: (step) => void (unapplied -= step.bytes),
    onApplied,
    isOnPage,
    attempt,
    warn: warnOnce,
    report: reportOnce,
    wake: schedule,
    now,
  });

  function warnOnce(message: string): boolean {
    if (warned.has(message)) return false;
    warned.add(message);
    warn(message);
    return true;
  }

  function reportOnce(message: string): void {
    if (warnOnce(message)) dash.showError("An update could not be applied", message);
  }

  /**
   * Queues props for components; they are set at `flush` or in the next frame.
   *
   * A snapshot repeats earlier updates, so commands that must run once are left out.
   */
  function add(
    source: Source,
    targets: readonly Target[],
    alone = false,
    bytes = 0,
    isSnapshot = false,
  ): void {
    const update = {source, alone, isSnapshot};
    const share = bytes / targets.length;
    for (const [id, props] of targets) {
      inbox.push({update, id, props, command: undefined, commandProp: undefined, bytes: share});
      unapplied += share;
    }
    schedule();
  }

  function refuse(prop: string): void {
    warnOnce(`The prop name "${prop}" is forbidden; the prop is skipped.`);
  }

  /** Drops the updates of a source that are queued and not yet applied. */
  function drop(source: Source): void {
    const isKept = (step: Step) => {
      if (step.update.source === source) unapplied -= step.bytes;
      return step.update.source !== source;
    };
    inbox = inbox.slice(head).filter(isKept);
    head = 0;
    found = found.filter(isKept);
    split = split.filter(isKept);
    heldSince = undefined;
    backlogs.drop(source);
    schedule(); // fewer unapplied bytes: reading may resume
  }

  /**
   * Runs `work` and returns whether it succeeded, so that one component's error does not affect
   * others.
   */
  function attempt(id: WireId, work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      warnOnce(`"${id}" could not be updated: ${String(error)}`);
      return false;
    }
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    const run = () => {
      isScheduled = false;
      flush();
    };
    // Hidden pages get no frames and late timers. A microtask runs after all events of one message.
    if (isHidden() || now() - flushedAt > IDLE_MS) queueMicrotask(run);
    else nextFrame(run);
  }

  /** Applies the updates that can be applied now. */
  function flush(): void {
    if (isFlushing) {
      schedule(); // requested from inside a flush
      return;
    }
    isFlushing = true;
    try {
      const deadline = now() + FRAME_BUDGET_MS;
      flushedAt = now();
      let goesOn = true;
      while (goesOn) {
        const isCut = commitStates();
        goesOn = (backlogs.commitCommands() || isCut) && now() < deadline;
      }
    } finally {
      isFlushing = false;
      flushedAt = now();
      inbox.splice(0, head);
      head = 0;
    }
    if ((hasNext() && heldSince === undefined) || backlogs.hasReady()) schedule();
    if (unapplied < MAX_UNAPPLIED_BYTES) {
      const waiting = drainWaiters;
      drainWaiters = [];
      for (const callback of waiting) callback();
    }
    onFlushed?.();
  }

  /** Sets as many updates as fit into one commit. Returns whether another commit can set more. */
  function commitStates(): boolean {
    let isCut = false;
    dash.commit(() => {
      isCut = backlogs.commitStates() || placeSteps();
      close();
    });
    return isCut;
  }

  /**
   * Takes steps from the inbox. Returns whether another commit can take more.
   *
   * The frame budget is ignored here: on a large page the commit takes longer than all settings.
   */
  function placeSteps(): boolean {
    /** The update that must have this commit for itself. */
    let alone: Update | undefined;
    for (let count = 1; ; count++) {
      const step = nextStep();
      if (!step) return false;
      if (!step.command) {
        if (alone && step.update !== alone) return true;
        if (step.update.alone && !alone) {
          if (count > 1) return true;
          alone = step.update;
        }
      }
      if (!place(step)) return false;
      split.pop();
    }
  }

  const hasNext = () => split.length > 0 || found.length > 0 || head < inbox.length;

  /** Returns the next step after its lookup; it stays in `split` until it is placed. */
  function nextStep(): Step | undefined {
    while (!split.length) {
      const isFound = found.length > 0;
      const step = isFound ? found.pop() : inbox[head++];
      if (!step) {
        inbox = [];
        head = 0;
        return undefined;
      }
      const isOk = attempt(step.id, () => (isFound ? lookUp(step) : expand(step)));
      if (!isOk) unapplied -= step.bytes;
    }
    return split.at(-1);
  }

  /** Looks up the components that a step's id or pattern refers to. */
  function expand(step: Step): void {
    if (!isPattern(step.id)) {
      lookUp(step);
      return;
    }
    if (open.size) close();
    const ids = dash.expand(step.id);
    if (!ids.length) unapplied -= step.bytes;
    found = ids.map((id, i) => ({...step, id, bytes: i ? 0 : step.bytes})).reverse();
  }

  /** Looks up which of a step's props are commands on its component. */
  function lookUp(step: Step): void {
    if (open.size && dependsOnOpen(step)) close();
    const steps = splitStep(step, dash.typeOf, refuse);
    if (!steps.length) unapplied -= step.bytes;
    split = steps.length > 1 ? [...steps].reverse() : [...steps];
  }

  /** Returns whether an open barrier may add, remove or change the step's component. */
  function dependsOnOpen({id}: Step): boolean {
    if (open.has(id)) return false;
    return !dash.has(id) || [...open.keys()].some((container) => dash.isInside(id, container));
  }

  /**
   * Puts a step into the batch, a barrier or a backlog. Returns false if it and all later steps
   * must wait.
   */
  function place(step: Step): boolean {
    const {id} = step;
    if (step.command) {
      if (open.has(id)) close();
      backlogs.add(id, step);
      return true;
    }
    const barrier = open.get(id);
    if (barrier) barrier.push(step);
    else if (draws(step)) return placeBarrier(step);
    else if (backlogs.has(id)) backlogs.add(id, step);
    else {
      const steps = batch.get(id);
      if (steps) steps.push(step);
      else batch.set(id, [step]);
    }
    return true;
  }

  function placeBarrier(step: Step): boolean {
    const {id} = step;
    if ([...open.keys()].some((one) => dash.isInside(one, id))) close();
    if (isHeld(id, isReplacing(step))) return false;
    if (backlogs.has(id)) backlogs.add(id, step);
    else open.set(id, [step]);
    return true;
  }

  /** Returns whether a barrier must wait for commands inside it; earlier updates have been set. */
  function isHeld(id: WireId, isReplaced: boolean): boolean {
    if (backlogs.delaysRedraw(id, isReplaced)) {
      heldSince ??= startHold();
      if (now() - heldSince < MAX_HOLD_MS) return true;
    }
    heldSince = undefined;
    return false;
  }

  function startHold(): number {
    setTimeout(schedule, MAX_HOLD_MS + 1);
    return now();
  }

  function draws({id, props}: Step): boolean {
    const pending = batch.get(id)?.at(-1)?.props;
    for (const prop of Object.keys(props)) {
      const value = props[prop];
      const isKnown = pending !== undefined && prop in pending && !isPatch(pending[prop]);
      if (!(isKnown && isText(value)) && dash.draws(id, prop, value)) return true;
    }
    return false;
  }

  /** Sets the pending steps of this commit: first the batch, then the barriers. */
  function close(): void {
    for (const [id, steps] of batch) apply(id, steps);
    batch.clear();
    for (const [id, steps] of open) {
      const gone = steps.some(isReplacing) ? backlogs.idsInside(id) : [];
      apply(id, steps);
      backlogs.remove(gone);
    }
    open.clear();
  }

  const isReplacing = ({id, props}: Step) =>
    Object.entries(props).some(([prop, value]) => !isPatch(value) && dash.draws(id, prop, value));

  function apply(id: WireId, steps: readonly Step[]): void {
    for (const step of steps) unapplied -= step.bytes;
    setStates(id, steps);
  }

  function setStates(id: WireId, steps: readonly Step[]): void {
    if (!isOnPage(id, steps)) return;
    const canPatch = (prop: string) => {
      const isSet = dash.get(id, prop) !== undefined;
      if (!isSet) warnOnce(`A Patch of "${prop}" of "${id}" is skipped: the prop is not set.`);
      return isSet;
    };
    for (const {props, writers} of foldStates(steps, canPatch)) {
      if ("figure" in props) recoverGraph(id);
      attempt(id, () => dash.set(id, props));
      for (const source of new Set(writers.values())) {
        const own = Object.entries(props).filter(([prop]) => writers.get(prop) === source);
        onApplied(source, id, Object.fromEntries(own));
      }
    }
  }

  function isOnPage(id: WireId, steps: readonly Step[]): boolean {
    if (dash.has(id)) return true;
    const skipped = steps.filter(({update, props}) => !onMissing?.(update.source, id, props));
    if (skipped.length) {
      warnOnce(`No component with id "${id}" is on the page; its updates are skipped.`);
    }
    return false;
  }

  /**
   * Called when the page has changed: a component may have acknowledged a command, appeared or
   * left.
   */
  function poke(): void {
    backlogs.poke();
    if (heldSince !== undefined) schedule();
  }

  return {
    add,
    drop,
    flush,
    poke,
    /** Number of received bytes that are not applied yet. */
    unapplied: () => unapplied,
    /** Waits until the unapplied bytes are below the limit; undefined if they are. */
    drained: () =>
      unapplied < MAX_UNAPPLIED_BYTES
        ? undefined
        : new Promise<void>((resolve) => drainWaiters.push(resolve)),
  };
}

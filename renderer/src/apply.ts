/**
 * Applies updates to the page: in order per component, frame by frame, lossless.
 *
 * Each component has a queue of steps. A frame takes from every queue as many state props as
 * stand before the next command and sets them all in one React commit; then come the commands,
 * each in a commit of its own, joined where their meaning is known. A component that is still busy
 * with a command keeps its queue until it has taken it.
 */

import type {Command} from "./commands.ts";
import type {Dash} from "./dash.ts";
import {UNAPPLIED_BYTES} from "./flow.ts";
import {isGraphIdle, onGraphChange} from "./graph.ts";
import type {WireId} from "./ids.ts";
import type {Props, Target} from "./protocol.ts";
import {countStates, foldStates, joinFirst, splitStep, type Source, type Step} from "./steps.ts";

/** A frame that took longer gives way to the browser; what is left follows in the next. */
const BUDGET_MS = 12;

/** What comes so long after the last flush is applied at once; what follows waits for the frame. */
const QUIET_MS = 50;

/** A command that is not taken by then is taken for done; the component may have failed. */
const PATIENCE_MS = 10_000;

interface Queue {
  steps: Step[];
  busy: Busy | undefined;
  /** The last command, while nothing else has been set since. */
  last: Command | undefined;
  isWatched: boolean;
}

/** A command that its component has not yet taken; without a value, one that cannot begin yet. */
interface Busy {
  /** When it was set, or when its component was last not shown (in another tab, say). */
  since: number;
  readonly prop: string;
  readonly value: unknown;
  readonly command: Command;
}

export interface ApplierOptions {
  readonly dash: Pick<Dash, "has" | "isMounted" | "get" | "set" | "expand" | "commit">;
  /** Told which props of a component a source was the last to set, right after. */
  onApplied(source: Source, id: WireId, props: Props): void;
  /** Less may wait now than before. */
  onFlushed?(): void;
  warn(message: string): void;
  isHidden(): boolean;
  nextFrame(callback: () => void): void;
  now(): number;
}

export type Applier = ReturnType<typeof createApplier>;

export function createApplier(options: ApplierOptions) {
  const {dash, onApplied, onFlushed, warn, isHidden, nextFrame, now} = options;
  const queues = new Map<WireId, Queue>();
  const warned = new Set<string>();
  let isScheduled = false;
  let flushed = now();
  let unapplied = 0;
  let whenDrained: (() => void)[] = [];

  function warnOnce(message: string): void {
    if (warned.has(message)) return;
    warned.add(message);
    warn(message);
  }

  /** Queues props for components; nothing is set before `flush` or the next frame. */
  function add(source: Source, targets: readonly Target[], alone = false, bytes = 0): void {
    for (const [target, props] of targets) {
      const share = bytes / targets.length;
      for (const id of dash.expand(target)) {
        let queue = queues.get(id);
        if (!queue) {
          queue = {steps: [], busy: undefined, last: undefined, isWatched: false};
          queues.set(id, queue);
        }
        const step = {source, props, command: undefined, alone, bytes: share};
        queue.steps.push(...splitStep(step, refuse));
        unapplied += share;
      }
    }
    schedule();
  }

  function refuse(prop: string): void {
    warnOnce(`A prop must not be called "${prop}"; it is skipped.`);
  }

  /** Forgets what a source has queued and not yet applied. */
  function drop(source: Source): void {
    for (const queue of queues.values()) {
      for (const step of queue.steps) if (step.source === source) unapplied -= step.bytes;
      queue.steps = queue.steps.filter((step) => step.source !== source);
    }
    schedule(); // the page may read on
  }

  function take(queue: Queue, count: number): readonly Step[] {
    const steps = queue.steps.splice(0, count);
    for (const step of steps) unapplied -= step.bytes;
    return steps;
  }

  /** What one component does not bear must not keep the others from what is theirs. */
  function attempt(id: WireId, work: () => void): void {
    try {
      work();
    } catch (error) {
      warnOnce(`"${id}" could not be updated: ${String(error)}`);
    }
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    const run = () => {
      isScheduled = false;
      flush();
    };
    // Hidden pages get no frames, and late timers. A microtask comes after all of one message.
    if (isHidden() || now() - flushed > QUIET_MS) queueMicrotask(run);
    else nextFrame(run);
  }

  /** Applies what can be applied now. */
  function flush(): void {
    const start = now();
    flushed = start;
    let isFirst = true;
    while (isFirst || now() - start < BUDGET_MS) {
      isFirst = false;
      const ready = [...queues].filter(([id, queue]) => queue.steps.length && !isBusy(id, queue));
      if (!ready.length) break;
      commitStates(ready);
      for (const [id, queue] of ready) commitCommand(id, queue);
    }
    flushed = now();
    for (const [id, queue] of queues) {
      const isOver = !queue.steps.length && !queue.busy;
      if (isOver && !(queue.last?.finish && dash.has(id))) queues.delete(id);
    }
    if ([...queues].some(([id, queue]) => queue.steps.length && !isBusy(id, queue))) schedule();
    if (unapplied < UNAPPLIED_BYTES) {
      const waiting = whenDrained;
      whenDrained = [];
      for (const callback of waiting) callback();
    }
    onFlushed?.();
  }

  function commitStates(ready: readonly (readonly [WireId, Queue])[]): void {
    dash.commit(() => {
      for (const [id, queue] of ready) {
        const count = countStates(queue.steps);
        if (!count) continue;
        const {last} = queue;
        queue.last = undefined;
        if (last?.finish && dash.isMounted(id)) attempt(id, () => last.finish?.(id));
        setStates(id, take(queue, count));
      }
    });
  }

  function setStates(id: WireId, steps: readonly Step[]): void {
    if (!isOnPage(id)) return;
    const canPatch = (prop: string) => {
      const isSet = dash.get(id, prop) !== undefined;
      if (!isSet) warnOnce(`A Patch of "${prop}" of "${id}" is skipped: the prop is not set.`);
      return isSet;
    };
    for (const {props, writers} of foldStates(steps, canPatch)) {
      attempt(id, () => dash.set(id, props));
      for (const source of new Set(writers.values())) {
        const own = Object.entries(props).filter(([prop]) => writers.get(prop) === source);
        onApplied(source, id, Object.fromEntries(own));
      }
    }
  }

  function isOnPage(id: WireId): boolean {
    if (dash.has(id)) return true;
    warnOnce(`No component with id "${id}" is on the page; its updates are skipped.`);
    return false;
  }

  function commitCommand(id: WireId, queue: Queue): void {
    const [first] = queue.steps;
    if (!first?.command) return;
    const command = first.command;
    const [prop] = Object.keys(first.props) as [string];
    if (!isOnPage(id)) {
      take(queue, 1);
      return;
    }
    if (command.taken === "graph" && !isGraphIdle(id)) {
      queue.busy = {since: now(), prop, value: undefined, command};
      watch(id, queue);
      return;
    }
    const {value, count} = joinFirst(queue.steps, prop, command);
    const steps = take(queue, count);
    attempt(id, () => command.prepare?.(id));
    dash.commit(() => attempt(id, () => dash.set(id, {[prop]: value})));
    queue.last = command;
    for (const source of new Set(steps.map((step) => step.source))) {
      onApplied(source, id, {[prop]: value});
    }
    queue.busy = {since: now(), prop, value, command};
    watch(id, queue);
  }

  /** Looks again when a graph draws; other components are seen through `poke`, or never. */
  function watch(id: WireId, queue: Queue): void {
    if (queue.isWatched || !isBusy(id, queue)) return;
    queue.isWatched = true;
    const look = () => {
      queue.isWatched = false;
      poke();
    };
    if (queue.busy?.command.taken === "graph") onGraphChange(id, look);
    else setTimeout(look, PATIENCE_MS + 1);
  }

  function isBusy(id: WireId, queue: Queue): boolean {
    const {busy} = queue;
    if (!busy) return false;
    if (!dash.has(id) || isTaken(id, busy)) queue.busy = undefined;
    else if (!dash.isMounted(id)) busy.since = now();
    else if (now() - busy.since > PATIENCE_MS) {
      const seconds = PATIENCE_MS / 1000;
      if (busy.value === undefined) {
        warnOnce(`"${id}" has not been ready for its ${busy.prop} for ${seconds} s; waiting on.`);
      } else {
        warnOnce(`"${id}" has not taken its ${busy.prop} for ${seconds} s; going on.`);
        queue.busy = undefined;
      }
    }
    return queue.busy !== undefined;
  }

  function isTaken(id: WireId, busy: Busy): boolean {
    switch (busy.command.taken) {
      case "commit":
        return true;
      case "cleared":
        return dash.get(id, busy.prop) !== busy.value;
      case "graph":
        return isGraphIdle(id);
    }
  }

  /** The page has changed: a component may have taken its command, come or gone. */
  function poke(): void {
    for (const [id, queue] of queues) {
      if (queue.busy && isBusy(id, queue)) watch(id, queue);
      else if (queue.steps.length) schedule();
    }
  }

  return {
    add,
    drop,
    flush,
    poke,
    /** How many bytes wait to be applied. */
    unapplied: () => unapplied,
    /** Resolves when so little waits that more may be read. */
    drained: () =>
      unapplied < UNAPPLIED_BYTES
        ? undefined
        : new Promise<void>((resolve) => whenDrained.push(resolve)),
  };
}

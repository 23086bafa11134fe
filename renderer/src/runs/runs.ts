/** The page's runs: overlap, running values, cancel, resets, and the server's events. */

import type {Applier} from "../apply/apply.ts";
import {StartFailed} from "../transport/responses.ts";
import type {CallbackContext, Entry} from "../dash/types.ts";
import type {Dash} from "../dash/dash.ts";
import type {Connections} from "../transport/host.ts";
import {newId, type WireId} from "../ids.ts";
import {createInstances, inputsOf, isMatched} from "./instances.ts";
import type {Instance} from "../dash/instance.ts";
import {createKeepAlive, type Due} from "./keep_alive.ts";
import {createLazyWaitlist} from "./lazy_waitlist.ts";
import type {Ended, Props, RunEvent, Target} from "../protocol.ts";
import type {Waitlist} from "./waitlist.ts";
import type {Source} from "../apply/steps.ts";
import {createRunTargets, runningTargets, targetsFor, type RunTargets} from "./targets.ts";
import {createStoredRuns, createRemoteCancels, survives, type PageStorage} from "./kept_runs.ts";
import {createOwnWrites, triggerOf, type Trigger} from "./triggers.ts";
import {areInputsGone, watchCancels, type CancelWatch} from "./cancellation.ts";
import type {RunState} from "./subscribers.ts";

/** Maximum number of triggers that wait under `overlap="queue"`. */
const QUEUE_LIMIT = 16;

const LOST = "A run was lost: its connection cannot be resumed, and later updates are missing.";

interface Run extends Source {
  readonly trigger: Trigger;
  readonly cancels: CancelWatch;
  /** Instances of its Inputs at its start. */
  readonly inputs: ReadonlySet<Instance>;
  readonly targets: RunTargets;
  /** Number of the last update received. */
  seen: number;
  connection: string | undefined;
  /** Cancelled or replaced; the server is asked to stop it once it has answered the start. */
  isCancelled: boolean;
  hasBegun: boolean;
  /** Waiting for the snapshot after an attach; earlier events may have gaps. */
  isStale: boolean;
}

export interface RunsOptions {
  readonly dash: Dash;
  readonly applier: Pick<Applier, "add" | "drop" | "flush">;
  readonly connections: Pick<Connections, "start" | "attach" | "stop" | "close">;
  readonly page: Promise<string>;
  readonly storage: PageStorage;
  /** Loads the waitlist; resolves with undefined if it cannot be loaded. */
  loadWaitlist(): Promise<Waitlist | undefined>;
  /** Called on every state change of a run. */
  onState(run: string, trigger: Trigger, state: RunState): void;
  warn(message: string): void;
}

export type Runs = ReturnType<typeof createRuns>;

export function createRuns(options: RunsOptions) {
  const {dash, applier, connections, page, storage, loadWaitlist, onState, warn} = options;
  const live = new Map<string, Run>();
  /**
   * Runs whose start is not answered, and the runs they replace: the server may know them or not.
   */
  const unanswered = new Set<Run>();
  const stored = createStoredRuns(dash, storage, page);
  const remoteCancels = createRemoteCancels(dash);
  let pageId = "";
  void page.then((id) => (pageId = id));
  const queued = new Map<string, Trigger[]>();
  const ownWrites = createOwnWrites(dash);
  const instances = createInstances(dash, () => [
    ...[...live.values()].flatMap((run) => [...run.targets.ids()]),
    ...keepAlive.ids(),
  ]);
  const keepAlive = createKeepAlive(dash, warn);
  const waitlist = createLazyWaitlist(loadWaitlist);

  /** Called by Dash when an Input has changed or the page has loaded. */
  function trigger(callback: string, context: CallbackContext): void {
    const entry = context.entry ?? dash.entry(callback);
    if (!entry || ownWrites.isOwn(entry, context)) return;
    if (!context.triggered.length && isMatched(entry)) return; // see `createInstances`
    begin(entry, context);
  }

  function begin(entry: Entry, context: CallbackContext): void {
    restore();
    const next = triggerOf(entry, context);
    instances.claim(entry, next.match);
    const alive = aliveOf(next.key);
    const {overlap} = entry.flash_events;
    if (alive.length && overlap === "skip") return;
    if (alive.length && overlap === "queue") enqueue(next);
    else void start(next, overlap === "restart" ? alive : []);
  }

  function enqueue(next: Trigger): void {
    const waiting = queued.get(next.key) ?? [];
    queued.set(next.key, waiting);
    if (waiting.length < QUEUE_LIMIT) waiting.push(next);
    else warn(`The limit of ${QUEUE_LIMIT} queued triggers is reached; this one is dropped.`);
  }

  async function start(
    trigger: Trigger,
    replaced: readonly Run[],
    isOn = aliveOf(trigger.key).length > 0,
  ): Promise<void> {
    const run = newRun(newId(), trigger);
    const replaces = replaced.map((one) => one.id);
    for (const old of replaced) {
      old.isCancelled = true;
      live.delete(old.id);
      stored.remove(old.id);
      keepAlive.forget(old);
      applier.drop(old);
      onState(old.id, old.trigger, "cancelled");
    }
    live.set(run.id, run);
    if (!isOn) {
      applier.add(run, runningTargets(trigger, 2));
      applier.flush();
    }
    const asking = [run, ...replaced];
    for (const one of asking) unanswered.add(one);
    const isSurviving = survives(trigger.entry);
    try {
      dash.beforeRequest(trigger.body);
      const body = JSON.stringify(trigger.body); // the same as Dash, which drops undefined values
      const fields = {run: run.id, page: await page, replaces, callback: trigger.entry.output};
      const ask = async () => {
        if (isSurviving && !run.isCancelled) stored.add(run.id, trigger);
        try {
          return await connections.start(body, fields, isSurviving);
        } catch (error) {
          stored.remove(run.id); // a waiting start ends with its page
          throw error;
        }
      };
      run.connection = await waitlist.enter({
        runs: [run.id],
        replaces,
        isNew: !replaces.length,
        ask,
        isWanted: () => live.has(run.id),
        onLimitReached: () => stop(replaced),
      });
      if (run.connection) dash.afterRequest(trigger.body);
      if (run.connection && run.isCancelled) stop([run]);
    } catch (error) {
      stop(asking); // the server may have received an unanswered start
      if (!live.has(run.id)) return;
      const {code, message, set} =
        error instanceof StartFailed ? error : new StartFailed("client", String(error));
      fail(run, `A run could not be started (${code}): ${message}`, code);
      trigger.entry.onFailure || dash.showError("An event callback could not be started", message);
      finish(run, "error", set);
    } finally {
      for (const one of asking) unanswered.delete(one);
    }
  }

  function newRun(id: string, trigger: Trigger): Run {
    const cancels = watchCancels(dash, trigger.entry.flash_events.cancel, trigger.match);
    onState(id, trigger, "queued");
    const flags = {isCancelled: false, hasBegun: false, isStale: false};
    const inputs = new Set(inputsOf(dash, trigger.entry, trigger.match));
    const targets = createRunTargets(dash, trigger);
    const run = {id, trigger, cancels, inputs, targets, seen: 0, connection: undefined, ...flags};
    if (trigger.entry.flash_events.keepAlive) keepAlive.begin(run, trigger);
    return run;
  }

  /** Restores the runs that this page started before a reload. */
  function restore(): void {
    const restored: Run[] = [];
    for (const {id, trigger} of stored.due()) {
      if (!trigger) {
        stored.remove(id);
        void connections.stop({page: pageId, runs: [id]});
        continue;
      }
      const run = newRun(id, trigger);
      if (!aliveOf(trigger.key).length) applier.add(run, runningTargets(trigger, 2));
      live.set(id, run);
      restored.push(run);
    }
    if (!restored.length) return;
    applier.flush();
    void attach(restored);
  }

  /** Attaches this page to runs that have continued without it. */
  async function attach(runs: readonly Run[]): Promise<void> {
    for (const run of runs) {
      run.connection = undefined;
      run.isStale = true;
    }
    try {
      const wanted = runs.map(({id, seen}) => ({run: id, seen}));
      const fields = {page: await page, runs: wanted};
      const connection = await waitlist.enter({
        runs: [],
        replaces: [],
        isNew: false,
        ask: () => connections.attach(fields),
        isWanted: () => runs.some((run) => live.has(run.id)),
      });
      for (const run of runs) run.connection = connection;
      stop(runs.filter((run) => run.isCancelled));
    } catch {
      stop(runs.filter((run) => run.isCancelled));
      for (const run of runs) if (live.has(run.id)) lose(run);
    }
  }

  function stop(runs: readonly Run[]): void {
    if (runs.length) void connections.stop({page: pageId, runs: runs.map((run) => run.id)});
  }

  /**
   * Handles an event of a run. Returns false if the run has ended here, or the event is a
   * duplicate.
   */
  function onEvent(event: RunEvent, bytes: number): boolean {
    const run = live.get(event.run);
    if (!run) return false;
    if (!run.hasBegun && event.type !== "end") {
      run.hasBegun = true;
      onState(run.id, run.trigger, "running");
    }
    switch (event.type) {
      case "start":
        return true;
      case "update":
        if (!event.snapshot) {
          if (event.n <= run.seen) return false; // a replayed duplicate
          if (event.n !== run.seen + 1) {
            if (!run.isStale) lose(run);
            return false;
          }
        }
        run.isStale = false;
        run.seen = event.n;
        applier.add(run, targetsFor(event.set, run.trigger), event.alone, bytes, event.snapshot);
        return true;
      case "end":
        if (isWhole(run, event)) onEnded(run, event);
        else if (!run.isStale) lose(run);
        return true;
    }
  }

  function onEnded(run: Run, event: Ended): void {
    const {error} = event;
    if (event.reason === "lost") fail(run, LOST);
    if (error) {
      fail(run, `A run failed (${error.code}, ref ${error.ref} in the server's log).`, error.code);
      if (error.trace) dash.showError(`Error in ${error.callback}`, error.trace);
    }
    finish(run, event.reason, event.set);
  }

  function lose(run: Run): void {
    stop([run]);
    fail(run, LOST);
    finish(run, "lost");
  }

  /** Reports why a run has failed: to the component that has started it, or in the console. */
  function fail({trigger: {entry}}: Run, message: string, code?: string): void {
    (entry.onFailure ?? warn)(message, code);
  }

  /** Ends the runs of a lost connection, or a single lost run; attaches to those that survive. */
  function onLost(id: string): void {
    const lost = [...live.values()].filter((run) => run.connection === id || run.id === id);
    const surviving = lost.filter((run) => survives(run.trigger.entry));
    for (const run of lost) if (!surviving.includes(run)) lose(run);
    if (surviving.length) void attach(surviving);
  }

  /** Cancels runs and their queued triggers. */
  function cancel(runs: readonly Run[], isLeaving = false): void {
    stop(runs.filter((run) => run.connection));
    for (const run of runs) {
      run.isCancelled = true;
      queued.delete(run.trigger.key);
      finish(run, "cancelled", [], isLeaving);
    }
  }

  /**
   * Ends a run, in one commit and in this order: resets, running's off values, updates of on_error.
   */
  function finish(
    run: Run,
    reason: Ended["reason"],
    set: readonly Target[] = [],
    isLeaving = false,
  ): void {
    const {entry, key} = run.trigger;
    live.delete(run.id);
    stored.remove(run.id);
    if (reason === "cancelled") applier.drop(run);
    const next = queued.get(key)?.shift();
    const isLast = !next && !aliveOf(key).length;
    const resets = [
      ...(reason === "done" ? [] : targetsFor(entry.flash_events.reset, run.trigger)),
      ...(isLast ? runningTargets(run.trigger, 3) : []),
    ];
    applier.add(run, [
      ...(isLeaving ? run.targets.remaining(resets) : resets),
      ...targetsFor(set, run.trigger),
    ]);
    applier.flush();
    keepAlive.end(run);
    onState(run.id, run.trigger, reason);
    waitlist.retryNow();
    if (next) void start(next, [], true);
    else queued.delete(key);
  }

  function aliveOf(key: string): Run[] {
    return [...live.values()].filter((run) => run.trigger.key === key);
  }

  /**
   * Called when the page has changed: checks cancel Inputs, triggers that have left, and new ones.
   */
  function check(): void {
    instances.look();
    stopRemotely();
    cancel([...live.values()].filter((run) => run.cancels.hasChanged()));
    if (!dash.isReady()) return;
    restore();
    cancel([...live.values()].filter((run) => areInputsGone(dash, run.trigger, run.inputs)), true);
    showAgain();
    for (const [entry, context] of instances.due()) begin(entry, context);
  }

  /** Shows the values of live and keep-alive runs in components that were drawn again. */
  function showAgain(): void {
    const redrawn = [...live.values()].flatMap((run) =>
      run.targets.redrawn().map((target): Due => [run, target]),
    );
    let due = [...redrawn, ...keepAlive.due()];
    while (due.length) {
      const again = due;
      dash.commit(() => again.forEach(setAgain)); // not through the applier, whose pending updates are newer
      due = keepAlive.due(); // values of components that this commit has drawn
    }
  }

  function setAgain([source, [id, props]]: Due): void {
    try {
      dash.set(id, props);
    } catch (error) {
      warn(`"${id}" could not be updated: ${String(error)}`);
      return;
    }
    instances.look((source as Run).trigger.entry.output, true);
    recordOwnWrite(source as Run, id, props);
  }

  /** Stops runs that other pages or none show, before runs of this page are cancelled. */
  function stopRemotely(): void {
    const shown = new Set([...live.values()].map((run) => run.trigger.entry.output));
    const callbacks = remoteCancels.due().filter((callback) => !shown.has(callback));
    if (callbacks.length) void connections.stop({page: pageId, runs: [], callbacks});
  }

  /** Called when the page leaves: stops its runs, except those that survive it. */
  function close(): void {
    const ending = [...new Set([...live.values(), ...unanswered])].filter(
      (run) => run.isCancelled || !survives(run.trigger.entry),
    );
    connections.close({page: pageId, runs: ending.map((run) => run.id)});
  }

  /**
   * Called before props of a component are set: components that have appeared were drawn by others.
   */
  function onSet(id: WireId): void {
    instances.look();
    keepAlive.dueOf(id).forEach(setAgain);
  }

  function onApplied(source: Source, id: WireId, props: Props): void {
    const run = source as Run;
    instances.look(run.trigger.entry.output);
    keepAlive.applied(run, id, props);
    recordOwnWrite(run, id, props);
  }

  /** Records a run's own writes, which neither trigger nor cancel its callback. */
  function recordOwnWrite({trigger: {entry}}: Run, id: WireId, props: Props): void {
    ownWrites.record(entry, id, props);
    remoteCancels.accept(entry, id, props);
    for (const run of live.values()) {
      if (run.trigger.entry.output === entry.output) run.cancels.accept(id, props);
    }
  }

  /**
   * Called for an update of a component that is not on the page; returns whether it was there
   * before.
   */
  function onMissing(source: Source, id: WireId, props: Props): boolean {
    return keepAlive.missed(source, id, props) || (source as Run).targets.has(id);
  }

  return {trigger, onEvent, onLost, onSet, onApplied, onMissing, check, close, size: () => live.size};
}

/**
 * Returns whether all updates of an ended run were received. The server drops the last updates of a
 * cancelled run, and those of a lost run are missing. The number is unknown (0) if the run's worker
 * has died.
 */
function isWhole(run: Run, {reason, n}: Ended): boolean {
  return reason === "cancelled" || reason === "lost" || !n || n === run.seen;
}

/** The page's runs: overlap, running, cancel, resets, and what the server tells of them. */

import type {Applier} from "./apply.ts";
import {StartFailed} from "./answers.ts";
import type {Connections} from "./connection.ts";
import type {CallbackContext, Dash, Entry} from "./dash.ts";
import {isDictId, newId, resolveMatch, type WireId} from "./ids.ts";
import type {Ended, Props, RunEvent, Target} from "./protocol.ts";
import type {Source} from "./steps.ts";
import {createInsertions, createOwnWrites, triggerOf, type Trigger} from "./triggers.ts";
import {hasLeft, watchCancels, type CancelWatch} from "./watches.ts";

const QUEUE_LIMIT = 16;

interface Run extends Source {
  readonly trigger: Trigger;
  readonly cancels: CancelWatch;
  /** The number of the last update that was received. */
  seen: number;
  connection: string | undefined;
  /** Cancelled or replaced; the server must hear of it once it has answered the start. */
  isGivenUp: boolean;
}

export interface RunsOptions {
  readonly dash: Dash;
  readonly applier: Pick<Applier, "add" | "drop" | "flush">;
  readonly connections: Pick<Connections, "start" | "stop">;
  readonly page: Promise<string>;
  warn(message: string): void;
}

export type Runs = ReturnType<typeof createRuns>;

export function createRuns({dash, applier, connections, page, warn}: RunsOptions) {
  const live = new Map<string, Run>();
  const queued = new Map<string, Trigger[]>();
  const ownWrites = createOwnWrites(dash);
  const insertions = createInsertions(dash);

  /** Dash calls the callback: an Input has changed, or the page has loaded. */
  function trigger(callback: string, context: CallbackContext): void {
    const entry = dash.entry(callback);
    if (entry && !ownWrites.isOwn(entry, context)) begin(entry, context);
  }

  function begin(entry: Entry, context: CallbackContext): void {
    const next = triggerOf(entry, context);
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
    else warn(`${QUEUE_LIMIT} triggers already wait for their turn; this one is dropped.`);
  }

  async function start(
    trigger: Trigger,
    replaced: readonly Run[],
    isOn = aliveOf(trigger.key).length > 0,
  ): Promise<void> {
    const run: Run = {
      id: newId(),
      trigger,
      cancels: watchCancels(dash, trigger),
      seen: 0,
      connection: undefined,
      isGivenUp: false,
    };
    const replaces = replaced.map((one) => one.id);
    for (const old of replaced) {
      old.isGivenUp = true;
      live.delete(old.id);
      applier.drop(old);
    }
    live.set(run.id, run);
    if (!isOn) {
      applier.add(run, runningTargets(trigger, 2));
      applier.flush();
    }
    try {
      const fields = {run: run.id, page: await page, replaces};
      run.connection = await connections.start(trigger.body, fields);
      if (run.isGivenUp) void connections.stop([run.id]);
    } catch (error) {
      void connections.stop([run.id, ...replaces]); // what was not answered may have been heard
      if (!live.has(run.id)) return;
      const {code, message} =
        error instanceof StartFailed ? error : new StartFailed("client", String(error));
      warn(`A run could not be started (${code}): ${message}`);
      dash.showError("An event callback could not be started", message);
      finish(run, "error");
    }
  }

  function onEvent(event: RunEvent, bytes: number): void {
    const run = live.get(event.run);
    if (!run) return; // ended here already, or replaced
    switch (event.type) {
      case "start":
        return;
      case "update":
        if (event.n <= run.seen) return; // replayed
        if (event.n !== run.seen + 1) return lose(run);
        run.seen = event.n;
        applier.add(run, resolveTargets(event.set, run), event.alone, bytes);
        return;
      case "end":
        if (event.reason !== "cancelled" && event.n !== run.seen) return lose(run);
        return onEnded(run, event);
    }
  }

  function onEnded(run: Run, event: Ended): void {
    const {error} = event;
    if (error) {
      warn(`A run failed (${error.code}, ref ${error.ref} in the server's log).`);
      if (error.message) dash.showError("Error in an event callback", error.message);
    }
    finish(run, event.reason, event.set);
  }

  function lose(run: Run): void {
    void connections.stop([run.id]);
    warn("The connection to a run was lost for good; what it had not sent is missing.");
    finish(run, "lost");
  }

  function onLost(connection: string): void {
    for (const run of [...live.values()]) if (run.connection === connection) lose(run);
  }

  /** Stops runs, and what is queued behind them. */
  function cancel(runs: readonly Run[]): void {
    const started = runs.filter((run) => run.connection).map((run) => run.id);
    if (started.length) void connections.stop(started);
    for (const run of runs) {
      run.isGivenUp = true;
      queued.delete(run.trigger.key);
      finish(run, "cancelled");
    }
  }

  /** In one commit, in this order: resets, running's off values, what on_error streams. */
  function finish(run: Run, reason: Ended["reason"], set: readonly Target[] = []): void {
    const {entry, key} = run.trigger;
    live.delete(run.id);
    if (reason === "cancelled") applier.drop(run);
    const next = queued.get(key)?.shift();
    const isLast = !next && !aliveOf(key).length;
    applier.add(run, [
      ...(reason === "done" ? [] : resolveTargets(entry.flash_events.reset, run)),
      ...(isLast ? runningTargets(run.trigger, 3) : []),
      ...resolveTargets(set, run),
    ]);
    applier.flush();
    if (next) void start(next, [], true);
    else queued.delete(key);
  }

  function aliveOf(key: string): Run[] {
    return [...live.values()].filter((run) => run.trigger.key === key);
  }

  /** The page has changed: looks for cancels, for triggers that have left, and for new ones. */
  function check(): void {
    cancel([...live.values()].filter((run) => run.cancels.look()));
    if (!dash.isReady()) return;
    cancel([...live.values()].filter((run) => hasLeft(dash, run.trigger)));
    for (const [entry, context] of insertions.due()) begin(entry, context);
  }

  /** A run's own writes neither trigger nor cancel its callback. */
  function onApplied(source: Source, id: WireId, props: Props): void {
    const {entry} = (source as Run).trigger;
    ownWrites.record(entry, id, props);
    for (const run of live.values()) {
      if (run.trigger.entry.output === entry.output) run.cancels.accept(id, props);
    }
  }

  return {trigger, onEvent, onLost, onApplied, check, size: () => live.size};
}

function resolveTargets(targets: readonly Target[], {trigger}: Run): readonly Target[] {
  return targets.map((target) =>
    isDictId(target[0]) ? [resolveMatch(target[0], trigger.match), target[1]] : target,
  );
}

/** `running` as targets; `side` is the index of the value: 2 while running, 3 afterwards. */
function runningTargets({entry, match}: Trigger, side: 2 | 3): Target[] {
  return entry.flash_events.running.map((one) => [
    resolveMatch(one[0], match),
    {[one[1]]: one[side]},
  ]);
}

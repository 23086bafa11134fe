/**
 * The page's `Subscription` components: the run of each, and the props that it shows.
 *
 * A run begins after the last message that its component has got, so nothing is lost if an earlier
 * run was. The messages stay known while the page lives, for a component that is drawn again.
 */

import type {Dash} from "../dash/dash.ts";
import type {CallbackContext, Entry} from "../dash/types.ts";
import {isDictId, parseId, type WireId} from "../ids.ts";
import {IS_CLEARED, IS_MINE, IS_SET, type Since, type Updated} from "../protocol.ts";
import {retryDelayMs} from "../transport/responses.ts";
import type {PageEvent, RunState} from "./subscribers.ts";

/** Maximum number of messages that wait for callbacks with `each`; the oldest are dropped. */
export const MAX_QUEUE = 10_000;
/** Number of subscriptions that are remembered; above it those that are not on the page are dropped. */
const MAX_KNOWN = 200;
/** Time after which a run counts as a success, so that the next retry comes soon again. */
const STABLE_MS = 30_000;

/** Codes of the server that make a retry pointless. */
const REFUSALS = new Set<string | undefined>(["unknown_topic", "refused"]);

/** A component, as its props describe it. */
export interface Subscribed {
  readonly id: WireId;
  readonly topic: {readonly name: string; readonly params: Readonly<Record<string, string>>};
  /** Number of kept messages that come first. */
  readonly last: number;
  /** Number of messages in the prop `messages`. */
  readonly window: number;
  readonly each: boolean;
  readonly overflow: string;
  /** Data of `message` before the first message; nothing for a topic. */
  readonly initial?: unknown;
}

export type SubscriptionState = "connecting" | "live" | "reconnecting" | "refused";

/** One item of the prop `messages`. */
export interface ShownMessage {
  readonly data: unknown;
  readonly offset: number;
  readonly missed: number | null;
  readonly time: number;
  readonly is_mine: boolean;
  readonly is_cleared?: true;
}

type Shown = "message" | "messages" | "offset" | "missed" | "state";

interface Subscription {
  component: Subscribed;
  readonly entry: Entry;
  run: string | undefined;
  retry: ReturnType<typeof setTimeout> | undefined;
  /** Number of runs that have ended since one was a success. */
  attempts: number;
  /** Time at which the run has begun. */
  liveAt: number | undefined;
  failure: {readonly code: string | undefined; readonly message: string} | undefined;
  since: Since | undefined;
  state: SubscriptionState;
  /** The message that `message` and `offset` show. */
  message: ShownMessage | undefined;
  messages: ShownMessage[];
  missed: number;
  /** With `each`: messages that callbacks have not been given yet. */
  queue: ShownMessage[];
  /** Whether the queue waits for callbacks that have not finished with `message`. */
  isAwaited: boolean;
  /** Props that have changed since they were set. */
  readonly due: Set<Shown>;
  /** Values that were set last; a component that was drawn again has others. */
  last: {readonly state: SubscriptionState; readonly offset: number};
}

export interface SubscriptionsOptions {
  readonly dash: Pick<Dash, "has" | "get" | "set" | "commit">;
  /** Returns whether a callback with this prop as an Input is requested or runs. */
  isAwaited(id: WireId, property: string): boolean;
  /** Starts a run, as Dash's call of an event callback does. */
  start(entry: Entry, context: CallbackContext): void;
  isHidden(): boolean;
  nextFrame(callback: () => void): void;
  now(): number;
  warn(message: string): void;
}

export type Subscriptions = ReturnType<typeof createSubscriptions>;

export function createSubscriptions(options: SubscriptionsOptions) {
  const {dash, isAwaited, start, isHidden, nextFrame, now, warn} = options;
  /** By id and topic; the one that was shown last is last. */
  const known = new Map<string, Subscription>();
  /** The subscription of each component, by id. */
  const shown = new Map<WireId, Subscription>();
  const byEntry = new WeakMap<Entry, Subscription>();
  const byRun = new Map<string, Subscription>();
  const changed = new Set<Subscription>();
  let isScheduled = false;

  /** Called when a component was drawn, or its props have changed. */
  function show(component: Subscribed): void {
    const {id, topic} = component;
    const key = id + JSON.stringify([topic.name, Object.entries(topic.params).sort()]);
    const found = known.get(key) ?? newSubscription(component);
    known.delete(key);
    known.set(key, found);
    forgetOthers();
    found.component = component;
    found.attempts = 0;
    const before = shown.get(id);
    shown.set(id, found);
    if (before && before !== found) release(before); // its run is replaced by the new one
    trim(found);
    if (found.run === undefined) schedule(found, 0);
    showAgain(found);
  }

  function newSubscription(component: Subscribed): Subscription {
    const entry = entryOf(component.id, (message, code) => {
      one.failure = {code, message};
    });
    const one: Subscription = {
      component,
      entry,
      run: undefined,
      retry: undefined,
      attempts: 0,
      liveAt: undefined,
      failure: undefined,
      since: undefined,
      state: "connecting",
      message: undefined,
      messages: [],
      missed: 0,
      queue: [],
      isAwaited: false,
      due: new Set(),
      last: {state: "connecting", offset: 0},
    };
    byEntry.set(entry, one);
    return one;
  }

  function forgetOthers(): void {
    for (const [key, one] of known) {
      if (known.size <= MAX_KNOWN) return;
      const {id} = one.component;
      if (one.run !== undefined || isOnPage(one)) continue;
      release(one);
      known.delete(key);
      if (shown.get(id) === one) shown.delete(id);
    }
  }

  function release(one: Subscription): void {
    clearTimeout(one.retry);
    if (one.run !== undefined) byRun.delete(one.run);
    one.run = undefined;
    one.state = "connecting";
  }

  /** Begins a run after a while, unless the component has left the page by then. */
  function schedule(one: Subscription, ms: number): void {
    clearTimeout(one.retry);
    one.retry = setTimeout(() => {
      if (one.run === undefined && isOnPage(one)) begin(one);
    }, ms);
  }

  function begin(one: Subscription): void {
    const {id, topic, last, overflow} = one.component;
    const value = {...topic, last, since: one.since ?? null, overflow};
    one.failure = undefined;
    start(one.entry, {
      entry: one.entry,
      inputs_list: [{id: isDictId(id) ? parseId(id) : id, property: "topic", value}],
      states_list: [],
      triggered: [],
    });
    showAgain(one);
  }

  /** Sets all props of a component that was drawn again. */
  function showAgain(one: Subscription): void {
    const {id, each} = one.component;
    const {state, offset} = one.last;
    if (dash.get(id, "state") !== state || dash.get(id, "offset") !== offset) {
      for (const prop of ["messages", "offset", "missed", "state"] as const) one.due.add(prop);
      if (!each) one.due.add("message"); // otherwise a callback would get it twice
    }
    touch(one);
  }

  function accept(pageEvent: PageEvent): void {
    if (pageEvent.type === "run") {
      const one = byEntry.get(pageEvent.trigger.entry);
      if (one) onRun(one, pageEvent.run, pageEvent.state);
    } else if (pageEvent.type === "event" && pageEvent.event.type === "update") {
      const one = byRun.get(pageEvent.event.run);
      if (one) take(one, pageEvent.event);
    }
  }

  function onRun(one: Subscription, run: string, state: RunState): void {
    if (state === "queued") {
      if (shown.get(one.component.id) !== one) return;
      one.run = run;
      one.liveAt = undefined;
      byRun.set(run, one);
    } else if (one.run !== run) return;
    else if (state === "running") {
      one.liveAt = now();
      setState(one, "live");
    } else {
      byRun.delete(run);
      one.run = undefined;
      onEnd(one, state);
    }
  }

  function onEnd(one: Subscription, reason: RunState): void {
    const {failure, liveAt} = one;
    if (failure && REFUSALS.has(failure.code)) {
      warn(`The Subscription ${JSON.stringify(one.component.id)} was refused. ${failure.message}`);
      setState(one, "refused");
      return;
    }
    if (liveAt !== undefined && now() - liveAt > STABLE_MS) one.attempts = 0;
    // The page cancels a run when its component has left, or was drawn again.
    const isDrawn = reason === "cancelled";
    if (isDrawn) one.state = "connecting";
    else setState(one, "reconnecting");
    schedule(one, isDrawn && !one.attempts ? 0 : retryDelayMs(one.attempts + 1));
    one.attempts++;
  }

  function setState(one: Subscription, state: SubscriptionState): void {
    one.state = state;
    one.due.add("state");
    touch(one);
  }

  function take(one: Subscription, {news, set}: Updated): void {
    if (!news?.messages.length) return;
    one.attempts = 0;
    for (const [offset, time, missed, flags, data] of news.messages) {
      const message: ShownMessage = {
        data: flags & IS_SET ? {set} : data,
        offset,
        missed,
        time,
        is_mine: (flags & IS_MINE) > 0,
        ...(flags & IS_CLEARED ? {is_cleared: true} : {}),
      };
      one.messages.push(message);
      one.missed += missed ?? 1;
      one.since = {offset, nonce: news.nonce};
      if (one.component.each) one.queue.push(message);
      else one.message = message;
    }
    trim(one);
    one.due.add("messages").add("missed");
    if (!one.component.each) one.due.add("message").add("offset");
    touch(one);
  }

  function trim(one: Subscription): void {
    one.messages.splice(0, one.messages.length - one.component.window);
    one.missed += one.queue.splice(0, one.queue.length - MAX_QUEUE).length;
  }

  /** Sets what has changed at the next frame, or at once if the page is hidden. */
  function touch(one: Subscription): void {
    changed.add(one);
    if (isScheduled) return;
    isScheduled = true;
    if (isHidden()) queueMicrotask(flush);
    else nextFrame(flush);
  }

  function flush(): void {
    isScheduled = false;
    const all = [...changed].filter(isOnPage);
    changed.clear();
    if (all.length) dash.commit(() => all.forEach(set));
    for (const one of all) {
      if (!one.queue.length) continue;
      one.isAwaited = isAwaited(one.component.id, "message");
      if (!one.isAwaited) nextFrame(() => touch(one)); // no callback wants it
    }
  }

  function set(one: Subscription): void {
    const {id} = one.component;
    if (one.queue.length && !isAwaited(id, "message")) {
      one.message = one.queue.shift();
      one.due.add("message").add("offset");
    }
    if (!one.due.size) return;
    const values = {
      message: (one.message ? one.message.data : one.component.initial) ?? null,
      messages: [...one.messages],
      offset: one.message?.offset ?? 0,
      missed: one.missed,
      state: one.state,
    };
    one.last = values;
    const props = Object.fromEntries([...one.due].map((prop) => [prop, values[prop]]));
    one.due.clear();
    dash.set(id, props);
  }

  function isOnPage(one: Subscription): boolean {
    const {id} = one.component;
    return shown.get(id) === one && dash.has(id);
  }

  /** Called when the page has changed: callbacks may have finished with a message. */
  function handOut(): void {
    const ready = [...shown.values()].filter(
      (one) => one.isAwaited && !isAwaited(one.component.id, "message"),
    );
    for (const one of ready) {
      one.isAwaited = false;
      changed.add(one);
    }
    if (ready.length) flush();
  }

  return {show, accept, flush, handOut};
}

function entryOf(id: WireId, onFailure: Entry["onFailure"] & object): Entry {
  return {
    output: `flash_events.subscription:${encodeURIComponent(id)}`,
    inputs: [{id, property: "topic"}],
    state: [],
    prevent_initial_call: true,
    flash_events: {
      overlap: "restart",
      keepAlive: false,
      onDisconnect: "cancel",
      cancel: [],
      reset: [],
      running: [],
    },
    onFailure,
  };
}

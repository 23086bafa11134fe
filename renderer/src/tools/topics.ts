/** Counts the messages of the page's `Subscription` components, for the dev tools' panel. */

import type {Message} from "../protocol.ts";
import type {PageEvent, RunState} from "../runs/subscribers.ts";
import type {Trigger} from "../runs/triggers.ts";

/** Start of the output of the entries of Subscriptions; the component's id follows. */
const SUBSCRIPTION = "flash_events.subscription:";
/** Time over which messages per second are counted, in ms. */
const RATE_MS = 5_000;
/** Maximum number of Subscriptions that are listed; those that have left the page go first. */
const MAX_LISTED = 200;

type ListedState = "connecting" | "live" | "reconnecting" | "refused" | "left";

/** State of a Subscription, by that of its run; a new run begins after one was lost. */
const STATES: Readonly<Record<RunState, ListedState>> = {
  queued: "connecting",
  running: "live",
  done: "reconnecting",
  lost: "reconnecting",
  error: "refused",
  cancelled: "left",
};

export interface ListedSubscription {
  /** The component's id. */
  readonly id: string;
  /** Name of the topic, with the values of its parameters. */
  readonly topic: string;
  state: ListedState;
  /** Offset of the last message. */
  offset: number;
  missed: number;
  messages: number;
}

interface Counted extends ListedSubscription {
  run: string;
  /** Times of recent messages, with their number. */
  recent: {readonly at: number; readonly count: number}[];
}

export type Topics = ReturnType<typeof createTopics>;

export function isSubscription({entry}: Trigger): boolean {
  return entry.output.startsWith(SUBSCRIPTION);
}

export function createTopics(now: () => number) {
  /** By id; the one whose run began last is last. */
  const byId = new Map<string, Counted>();
  const byRun = new Map<string, Counted>();

  function accept(pageEvent: PageEvent): void {
    if (pageEvent.type === "run" && isSubscription(pageEvent.trigger)) {
      onRun(pageEvent.trigger, pageEvent.run, pageEvent.state);
    } else if (pageEvent.type === "event" && pageEvent.event.type === "update") {
      const counted = byRun.get(pageEvent.event.run);
      const messages = pageEvent.event.news?.messages ?? [];
      if (counted && messages.length) count(counted, messages);
    }
  }

  function onRun(trigger: Trigger, run: string, state: RunState): void {
    if (state === "queued") begin(trigger, run);
    const counted = byRun.get(run);
    if (!counted) return;
    counted.state = STATES[state];
    if (state !== "queued" && state !== "running") byRun.delete(run);
  }

  function begin(trigger: Trigger, run: string): void {
    const id = decodeURIComponent(trigger.entry.output.slice(SUBSCRIPTION.length));
    const topic = topicOf(trigger);
    const known = byId.get(id);
    const counted: Counted =
      known?.topic === topic
        ? known
        : {id, topic, run, state: "connecting", offset: 0, missed: 0, messages: 0, recent: []};
    if (known) byRun.delete(known.run);
    counted.run = run;
    byId.delete(id);
    byId.set(id, counted);
    byRun.set(run, counted);
    for (const one of byId.values()) {
      if (byId.size <= MAX_LISTED) break;
      if (one.state === "left") byId.delete(one.id);
    }
  }

  function count(counted: Counted, messages: readonly Message[]): void {
    for (const [offset, , missed] of messages) {
      counted.offset = offset;
      counted.missed += missed ?? 1; // null: nobody knows how many, but at least one
    }
    counted.messages += messages.length;
    counted.recent.push({at: now(), count: messages.length});
    forget(counted);
  }

  function forget(counted: Counted): void {
    const after = now() - RATE_MS;
    const first = counted.recent.findIndex(({at}) => at > after);
    counted.recent.splice(0, first < 0 ? counted.recent.length : first);
  }

  function rateOf(counted: Counted): number {
    forget(counted);
    return counted.recent.reduce((sum, {count}) => sum + count, 0) / (RATE_MS / 1000);
  }

  return {
    accept,
    /** Returns the Subscriptions with their messages per second of late. */
    list: (): (ListedSubscription & {readonly rate: number})[] =>
      [...byId.values()].map((one) => ({...one, rate: rateOf(one)})),
    /** Forgets those that have left the page. */
    clear(): void {
      for (const one of [...byId.values()]) if (one.state === "left") byId.delete(one.id);
    },
  };
}

function topicOf({body}: Trigger): string {
  const {inputs} = body as {inputs?: readonly {value?: Partial<TopicValue>}[]};
  const {name = "", params = {}} = inputs?.[0]?.value ?? {};
  return name.replace(/\{([^{}]*)\}/g, (whole, parameter: string) => params[parameter] ?? whole);
}

interface TopicValue {
  readonly name: string;
  readonly params: Readonly<Record<string, string>>;
}

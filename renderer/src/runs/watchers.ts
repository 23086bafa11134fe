/**
 * Publishes the page's events to subscribers: the state components, the dev tools' panel.
 *
 * Subscribers are separate scripts, loaded before or after this one, and add themselves to a global
 * list.
 */

import type {WireId} from "../ids.ts";
import type {Props, RunEvent} from "../protocol.ts";
import {clientside} from "../dash/store.ts";
import type {Trigger} from "./triggers.ts";
import type {ConnectionState} from "../transport/host.ts";

export type RunState = "queued" | "running" | "done" | "cancelled" | "error" | "lost";

export type News =
  | {
      readonly type: "run";
      readonly run: string;
      readonly trigger: Trigger;
      readonly state: RunState;
    }
  | {readonly type: "event"; readonly event: RunEvent; readonly bytes: number}
  /** Props that were set for a run, after collapsing. */
  | {
      readonly type: "applied";
      readonly run: string;
      readonly id: WireId;
      readonly props: Props;
    }
  /** Props for a component that is not on the page, and was not there before. */
  | {
      readonly type: "missing";
      readonly run: string;
      readonly id: WireId;
      readonly props: Props;
    }
  | {
      readonly type: "connection";
      readonly state: ConnectionState;
      /** Time until the next retry; set while `reconnecting`. */
      readonly retryMs?: number | undefined;
    };

export type Watcher = (news: News) => void;

/**
 * Subscribes to the events from now on. With several connections, the state is that of the one that
 * changed last.
 */
export function watch(watcher: Watcher): void {
  watchers().push(watcher);
}

export function tell(news: News): void {
  for (const watcher of watchers()) watcher(news);
}

function watchers(): Watcher[] {
  return (clientside()["flash_events_watchers"] ??= []) as Watcher[];
}

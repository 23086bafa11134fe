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

export type PageEvent =
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

export type Subscriber = (event: PageEvent) => void;

/**
 * Subscribes to the events from now on. With several connections, the state is that of the one that
 * changed last.
 */
export function subscribe(subscriber: Subscriber): void {
  subscribers().push(subscriber);
}

export function publish(event: PageEvent): void {
  for (const subscriber of subscribers()) subscriber(event);
}

function subscribers(): Subscriber[] {
  return (clientside()["flash_events_subscribers"] ??= []) as Subscriber[];
}

/**
 * What happens in the page, told to whoever has asked: the state components, the dev tools' panel.
 *
 * They come in scripts of their own, before or after this one, and put themselves into a list.
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
  /** What was set for a run, after collapsing. */
  | {
      readonly type: "applied";
      readonly run: string;
      readonly id: WireId;
      readonly props: Props;
    }
  /** What was to be set on a component that is not on the page, and was not there before. */
  | {
      readonly type: "missing";
      readonly run: string;
      readonly id: WireId;
      readonly props: Props;
    }
  | {
      readonly type: "connection";
      readonly state: ConnectionState;
      /** With `reconnecting`: when it is tried again. */
      readonly retryMs?: number | undefined;
    };

export type Watcher = (news: News) => void;

/** Is told from now on; several connections are told of by the one that has changed last. */
export function watch(watcher: Watcher): void {
  watchers().push(watcher);
}

export function tell(news: News): void {
  for (const watcher of watchers()) watcher(news);
}

function watchers(): Watcher[] {
  return (clientside()["flash_events_watchers"] ??= []) as Watcher[];
}

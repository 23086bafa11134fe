/** The events of the protocol (docs/protocol.md). Unknown events are ignored. */

import type {WireId} from "./ids.ts";

export const VERSION = 1;

export type Props = Readonly<Record<string, unknown>>;
export type Target = readonly [id: WireId, props: Props];
export type Reason = "done" | "cancelled" | "error" | "lost";

/** Error of a run; all fields but `code` and `ref` are sent in debug mode only. */
export interface Failure {
  readonly code: string;
  readonly ref?: string;
  readonly message?: string;
  /** Name of the callback's function. */
  readonly callback?: string;
  readonly trace?: string;
}

export interface Started {
  readonly type: "start";
  readonly run: string;
}

export interface Updated {
  readonly type: "update";
  readonly run: string;
  /** Number of this update in its run, from 1 and without gaps. */
  readonly n: number;
  readonly set: readonly Target[];
  readonly alone?: boolean;
  /** Replaces all updates up to `n`, received or not. */
  readonly snapshot?: boolean;
  /** Source of the update as `file:line`; only in debug mode. */
  readonly at?: string;
}

export interface Ended {
  readonly type: "end";
  readonly run: string;
  /** Number of updates that the run sent. */
  readonly n: number;
  readonly reason: Reason;
  readonly error?: Failure;
  /** Updates that `on_error` streamed. */
  readonly set?: readonly Target[];
  readonly alone?: boolean;
}

export type RunEvent = Started | Updated | Ended;

export type ConnectionEvent =
  | {
      readonly type: "open";
      readonly version: number;
      readonly connection: string;
      readonly commands?: readonly string[];
      /** Maximum time between two heartbeats. */
      readonly heartbeat_seconds?: number;
    }
  | {readonly type: "drain"}
  | {readonly type: "close"};

export function parseEvent(
  name: string | undefined,
  data: string,
): RunEvent | ConnectionEvent | undefined {
  switch (name) {
    case "start":
    case "update":
    case "end":
    case "open":
    case "drain":
    case "close":
      return {...(JSON.parse(data) as object), type: name} as RunEvent | ConnectionEvent;
    default:
      return undefined;
  }
}

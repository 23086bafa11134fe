/** The wire, as docs/protocol.md describes it. Unknown events are ignored. */

import type {WireId} from "./ids.ts";

export const VERSION = 1;

export type Props = Readonly<Record<string, unknown>>;
export type Target = readonly [id: WireId, props: Props];
export type Reason = "done" | "cancelled" | "error" | "lost";

/** What the server tells of an error; all but `code` and `ref` only in debug mode. */
export interface Failure {
  readonly code: string;
  readonly ref?: string;
  readonly message?: string;
  /** The name of the function. */
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
  /** Counts the run's updates from 1, without a hole. */
  readonly n: number;
  readonly set: readonly Target[];
  readonly alone?: boolean;
  /** Stands for all updates up to `n`, whatever of them was received. */
  readonly snapshot?: boolean;
  /** The file and the line that have made it, as `file:line`; only in debug mode. */
  readonly at?: string;
}

export interface Ended {
  readonly type: "end";
  readonly run: string;
  /** How many updates the run sent. */
  readonly n: number;
  readonly reason: Reason;
  readonly error?: Failure;
  /** What `on_error` streams. */
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
      /** Time between two heartbeats, at most. */
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

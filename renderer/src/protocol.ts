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
  /** Messages of a topic, in the run of a `Subscription`. */
  readonly news?: News;
}

export interface News {
  /** Nonce of the last message, see `Since`. */
  readonly nonce: string;
  readonly messages: readonly Message[];
}

export type Message = readonly [
  offset: number,
  /** Unix time in seconds. */
  time: number,
  /** Messages lost right before this one; null if the store has lost its memory. */
  missed: number | null,
  flags: number,
  /** Left out if the message is the event's own `set`. */
  data?: unknown,
];

/** Bits of a message's flags. */
export const IS_MINE = 1;
export const IS_CLEARED = 4;
export const IS_SET = 8;

/** The last message that a page has received. */
export interface Since {
  readonly offset: number;
  readonly nonce: string;
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

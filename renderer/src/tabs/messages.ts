/** What a tab and the worker that it shares with other tabs tell each other. */

import type {Full} from "../transport/answers.ts";
import type {
  AttachFields,
  ConnectionState,
  Endpoint,
  Position,
  StartFields,
} from "../transport/host.ts";
import type {RunEvent, Target} from "../protocol.ts";

/** A run that a tab says is its own. */
export interface Claim {
  readonly run: string;
  /** It is not stopped when its tab goes away. */
  readonly survives: boolean;
}

/** Another tab and its runs: told to all, so that they are stopped even if the worker dies too. */
export interface Peer {
  readonly tab: string;
  readonly page: string;
  readonly claims: readonly Claim[];
}

/** A position, and when the tab was there: the worker goes on from the latest. */
export interface Offer extends Position {
  readonly at: number;
}

export interface Hello {
  readonly type: "hello";
  /** Of this load of the page; a reload has another one. */
  readonly tab: string;
  readonly page: string;
  readonly endpoint: Endpoint;
  /** The rest is empty, unless the worker that knew it has died or the tab was put aside. */
  readonly claims: readonly Claim[];
  readonly positions: readonly Offer[];
  readonly peers: readonly Peer[];
}

/** What a tab wants an answer to. */
export type Question = {
  readonly type: "ask";
  readonly ask: number;
  readonly claims: readonly Claim[];
} & (
  | {readonly action: "start"; readonly body: string; readonly fields: StartFields}
  | {readonly action: "attach"; readonly fields: AttachFields}
);

export type Ask = Question & {readonly endpoint: Endpoint};

export type ToWorker =
  | Hello
  | Ask
  /** How much of what it was sent the tab has applied, since its hello. */
  | {readonly type: "applied"; readonly bytes: number}
  /**
   * The tab is put into the back/forward cache; it says hello when it is back. What was on the way
   * after the messages that it has `heard` since its hello has not reached it.
   */
  | {readonly type: "suspend"; readonly heard: number}
  /** The network is back. */
  | {readonly type: "wake"}
  /** The answer to `renew`; undefined where the tab has nothing fresher. */
  | {readonly type: "renewed"; readonly ask: number; readonly endpoint: Endpoint | undefined}
  | {readonly type: "bye"};

export interface Delivery {
  readonly event: RunEvent;
  readonly bytes: number;
  readonly position: Position;
}

export type ToTab =
  | {readonly type: "welcome"; readonly worker: string; readonly commands: readonly string[]}
  | {readonly type: "answer"; readonly ask: number; readonly position: Position}
  | {
      readonly type: "refusal";
      readonly ask: number;
      readonly code: string;
      readonly message: string;
      readonly full: Full | undefined;
      readonly set: readonly Target[] | undefined;
    }
  /** Deliveries as JSON: to clone one text is several times faster than to clone many objects. */
  | {readonly type: "events"; readonly json: string}
  /** A connection, or a single run, is gone for good. */
  | {readonly type: "lost"; readonly id: string}
  | {readonly type: "commands"; readonly props: readonly string[]}
  | {readonly type: "peers"; readonly peers: readonly Peer[]}
  | {
      readonly type: "state";
      readonly state: ConnectionState;
      readonly retryMs: number | undefined;
    }
  /** A request with these headers was refused; `isExpired` says that its token has expired. */
  | {
      readonly type: "renew";
      readonly ask: number;
      readonly refused: Endpoint;
      readonly isExpired: boolean;
    }
  | {readonly type: "warn"; readonly message: string};

/** The Web Lock that a tab holds as long as it lives. */
export const tabLock = (tab: string) => `flash_events tab ${tab}`;

/** The Web Lock that a worker holds as long as it lives. */
export const workerLock = (worker: string) => `flash_events worker ${worker}`;

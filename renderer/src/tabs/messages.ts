/** Messages between a tab and the SharedWorker. */

import type {LimitReached} from "../transport/responses.ts";
import type {
  AttachFields,
  ConnectionState,
  Endpoint,
  Position,
  StartFields,
} from "../transport/host.ts";
import type {RunEvent, Target} from "../protocol.ts";

/** A run that a tab owns. */
export interface Claim {
  readonly run: string;
  /** Whether it continues when its tab closes. */
  readonly survives: boolean;
}

/**
 * Another tab and its runs, sent to all tabs so that the runs are stopped even if the worker dies
 * with their tab.
 */
export interface Peer {
  readonly tab: string;
  readonly page: string;
  readonly claims: readonly Claim[];
}

/** A position and its time; a new worker resumes from the latest. */
export interface Offer extends Position {
  readonly at: number;
}

export interface Hello {
  readonly type: "hello";
  /** Id of this load of the page; a reload gets another. */
  readonly tab: string;
  readonly page: string;
  readonly endpoint: Endpoint;
  /** The lists are empty unless a worker has died or the tab was suspended. */
  readonly claims: readonly Claim[];
  readonly positions: readonly Offer[];
  readonly peers: readonly Peer[];
}

/** A request of a tab that the worker answers. */
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
  /** Bytes of events that the tab has applied since its hello. */
  | {readonly type: "applied"; readonly bytes: number}
  /**
   * The tab enters the back/forward cache, and sends a hello on its return. It has received `heard`
   * messages since its hello; later ones are lost and must be sent again.
   */
  | {readonly type: "suspend"; readonly heard: number}
  /** The network is back: reconnect at once. */
  | {readonly type: "wake"}
  /** Answer to `renew`; undefined if the tab has no fresher headers. */
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
      readonly full: LimitReached | undefined;
      readonly set: readonly Target[] | undefined;
    }
  /** Deliveries as JSON: cloning one text is several times faster than cloning many objects. */
  | {readonly type: "events"; readonly json: string}
  /** A connection or a single run is lost. */
  | {readonly type: "lost"; readonly id: string}
  | {readonly type: "commands"; readonly props: readonly string[]}
  | {readonly type: "peers"; readonly peers: readonly Peer[]}
  | {
      readonly type: "state";
      readonly state: ConnectionState;
      readonly retryMs: number | undefined;
    }
  /** A request with these headers was refused; `isExpired` if its token has expired. */
  | {
      readonly type: "renew";
      readonly ask: number;
      readonly refused: Endpoint;
      readonly isExpired: boolean;
    }
  | {readonly type: "warn"; readonly message: string};

/** Name of the Web Lock that a tab holds until it ends. */
export const tabLock = (tab: string) => `flash_events tab ${tab}`;

/** Name of the Web Lock that a worker holds until it ends. */
export const workerLock = (worker: string) => `flash_events worker ${worker}`;

/** What connections need of the page or worker they run in, and what they offer to it. */

import type {RunEvent} from "../protocol.ts";

export type ConnectionState = "idle" | "connecting" | "open" | "reconnecting" | "lost";

/** Where to post, and as whom; a worker can read neither the document's cookies nor Dash's config. */
export interface Endpoint {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
  /** Lets the request outlive the page. */
  readonly keepalive?: boolean;
  /** JSON of an object that is posted, too: what Dash itself would post. */
  readonly body?: string;
  /** Added to those that the page sends. */
  readonly headers?: Readonly<Record<string, string>>;
}

export type Action = "ask" | "start" | "attach" | "resume" | "alive" | "stop";

/** What a start and an attach say besides what Dash would post. */
export interface StartFields {
  readonly page: string;
  readonly run: string;
  readonly replaces: readonly string[];
  /** The event callback's id. */
  readonly callback: string;
}

export interface AttachFields {
  readonly page: string;
  /** With the number of the last update that the page has received of each. */
  readonly runs: readonly {readonly run: string; readonly seen: number}[];
}

export interface StopFields {
  readonly page: string;
  readonly runs: readonly string[];
  /** Callbacks of which all runs without a viewer stop, if they are this page's owner's. */
  readonly callbacks?: readonly string[];
}

/** Where a connection can be resumed. */
export interface Position {
  readonly connection: string;
  readonly lastEventId: string;
}

export interface Host {
  /** Posts our fields to the endpoint's action. */
  post(action: Action, fields: object, options: RequestOptions): Promise<Response>;
  /** Takes an event of a run, its size and its place. */
  onEvent(event: RunEvent, bytes: number, position: Position): void;
  /** More data waits to be applied than may; awaited before more is read. */
  drained(): Promise<void> | undefined;
  /** Props that the server names as commands. */
  onCommands(props: readonly string[]): void;
  /** A connection is over; whatever run of it has not ended is lost. */
  onLost(connection: string): void;
  /** What the connection does that has changed last; `retryMs` is until it reconnects. */
  onState(state: ConnectionState, retryMs?: number): void;
  warn(message: string): void;
}

/** Connections as a page uses them, whether it owns them or shares them with other tabs. */
export interface Connections {
  /**
   * Posts a start: JSON of what Dash would post, and our fields. Resolves with the id of the
   * connection that carries the run.
   *
   * `survives` says that the run is not to be stopped when its page goes away.
   */
  start(body: string, fields: StartFields, survives: boolean): Promise<string>;
  /** Has runs that this page has lost carried on; resolves as `start` does. */
  attach(fields: AttachFields): Promise<string>;
  /** Asks the server to stop runs, until it has heard it. */
  stop(fields: StopFields): Promise<void>;
  /** The page goes away: its runs stop. */
  close(fields: StopFields): void;
  /** The page is put aside (back/forward cache), where an open request may not be. */
  suspend(): void;
  /** The page is back, or the network: reconnects at once. */
  wake(): void;
}

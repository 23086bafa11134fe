/** Interfaces of connections and of the page or worker that hosts them. */

import type {RunEvent} from "../protocol.ts";

export type ConnectionState = "idle" | "connecting" | "open" | "reconnecting" | "lost";

/**
 * URL and headers of requests; a worker can read neither the document's cookies nor Dash's config.
 */
export interface Endpoint {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
  /** Lets the request continue after the page has closed. */
  readonly keepalive?: boolean;
  /** JSON object to post besides our fields, in Dash's own format. */
  readonly body?: string;
  /** Additional headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

export type Action = "ask" | "start" | "attach" | "resume" | "alive" | "stop";

/** Fields of a start, besides those that Dash would post. */
export interface StartFields {
  readonly page: string;
  readonly run: string;
  readonly replaces: readonly string[];
  /** Id of the event callback. */
  readonly callback: string;
}

export interface AttachFields {
  readonly page: string;
  /** Runs, with the number of the last update that the page has received. */
  readonly runs: readonly {readonly run: string; readonly seen: number}[];
}

export interface StopFields {
  readonly page: string;
  readonly runs: readonly string[];
  /** Callbacks whose kept runs stop too, if they belong to the page's owner. */
  readonly callbacks?: readonly string[];
}

/** Position from which a connection can be resumed. */
export interface Position {
  readonly connection: string;
  readonly lastEventId: string;
}

export interface Host {
  /** Posts our fields to the endpoint's action. */
  post(action: Action, fields: object, options: RequestOptions): Promise<Response>;
  /** Called for each event of a run, with its size and position. */
  onEvent(event: RunEvent, bytes: number, position: Position): void;
  /** Waits until the unapplied data is below the limit, before more is read; undefined if it is. */
  drained(): Promise<void> | undefined;
  /** Called with the props that the server registers as commands. */
  onCommands(props: readonly string[]): void;
  /** Called when a connection has ended; its unfinished runs are lost. */
  onLost(connection: string): void;
  /** Called on a change of a connection's state; `retryMs` is the time until it reconnects. */
  onState(state: ConnectionState, retryMs?: number): void;
  warn(message: string): void;
}

/** Connections as a page uses them, its own or shared with other tabs. */
export interface Connections {
  /**
   * Posts a start: Dash's JSON body and our fields. Resolves with the id of the connection that
   * carries the run.
   *
   * `survives`: the run is not stopped when its page closes.
   */
  start(body: string, fields: StartFields, survives: boolean): Promise<string>;
  /** Attaches this page to runs; resolves as `start` does. */
  attach(fields: AttachFields): Promise<string>;
  /** Asks the server to stop runs; retries until it is reached. */
  stop(fields: StopFields): Promise<void>;
  /** Stops the page's runs, because the page closes. */
  close(fields: StopFields): void;
  /** Aborts open requests, which would keep the page out of the back/forward cache. */
  suspend(): void;
  /** Reconnects at once: the page or the network is back. */
  wake(): void;
}

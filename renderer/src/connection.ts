/**
 * The page's connections: usually one, opened by the answer to the first start, carrying all runs.
 *
 * Touches no DOM; what it needs of the page comes in through `Host`.
 */

import {createParser} from "eventsource-parser";
import {failureOf, isFinal, isStream, jitter, pause, StartFailed} from "./answers.ts";
import {newId} from "./ids.ts";
import {parseEvent, VERSION, type RunEvent} from "./protocol.ts";

const START_TRIES = 4;
/** The server sends a heartbeat every 15 s. */
const SILENCE_MS = 40_000;

export interface RequestOptions {
  readonly signal?: AbortSignal;
  /** Lets the request outlive the page. */
  readonly keepalive?: boolean;
}

export interface Host {
  /** Posts JSON to the endpoint's action. */
  post(action: "start" | "resume" | "stop", body: object, options: RequestOptions): Promise<Response>;
  /** Takes an event of a run and its size; what it returns is awaited before more is read. */
  onEvent(event: RunEvent, bytes: number): void;
  /** More data waits to be applied than may; awaited before more is read. */
  drained(): Promise<void> | undefined;
  /** Props that the server names as commands. */
  onCommands(props: readonly string[]): void;
  /** A connection is gone for good; what it carried has a hole. */
  onLost(connection: string): void;
  warn(message: string): void;
}

interface Connection {
  id: string;
  lastEventId: string;
  tries: number;
  isClosed: boolean;
  /** Ends the current request. */
  abort: AbortController;
  /** Wakes a connection that waits to reconnect. */
  wake: (() => void) | undefined;
}

export type Connections = ReturnType<typeof createConnections>;

export function createConnections(host: Host) {
  const open = new Set<Connection>();
  /** Of starts that are not answered yet. */
  const fresh = new Set<Connection>();
  let opening: Promise<unknown> | undefined;
  let isSuspended = false;

  /**
   * Posts a start. Resolves with the id of the connection that carries the run.
   *
   * While no connection is open, starts wait for the first one's answer, which opens it.
   */
  async function start(body: object, fields: object): Promise<string> {
    while (!open.size && opening) await opening;
    const started = postStart(body, fields);
    if (open.size) return started;
    const answered = started.catch(() => undefined).finally(() => {
      if (opening === answered) opening = undefined;
    });
    opening = answered;
    return started;
  }

  async function postStart(body: object, fields: object): Promise<string> {
    const connection = connectionOf(newId());
    fresh.add(connection);
    try {
      return await openOrJoin(connection, body, fields);
    } finally {
      fresh.delete(connection);
    }
  }

  async function openOrJoin(connection: Connection, body: object, fields: object): Promise<string> {
    const connections = [...open].map((one) => one.id);
    const envelope = {version: VERSION, connection: connection.id, connections, ...fields};
    for (let attempt = 1; ; attempt++) {
      const response = await host
        .post("start", {...body, flash_events: envelope}, {signal: connection.abort.signal})
        .catch(() => undefined);
      if (response?.status === 202) {
        const joined = ((await response.json()) as {connection: string}).connection;
        if ([...open].some((one) => one.id === joined)) return joined;
        throw new StartFailed("lost", "The connection was lost while the run was started.");
      }
      if (response && isStream(response)) {
        open.add(connection);
        return await new Promise<string>((resolve, reject) => {
          void keepReading(connection, response, resolve).finally(() =>
            reject(new StartFailed("network", "The server did not answer.")),
          );
        });
      }
      if ((!response || response.status >= 502) && attempt < START_TRIES) {
        await pause(jitter(attempt));
        continue;
      }
      throw await failureOf(response);
    }
  }

  /** Asks the server to stop runs, until it has heard it. */
  async function stop(runs: readonly string[]): Promise<void> {
    for (let attempt = 1; attempt <= START_TRIES; attempt++) {
      const fields = {version: VERSION, runs};
      const response = await host.post("stop", {flash_events: fields}, {}).catch(() => undefined);
      if (response && (response.ok || isFinal(response))) return;
      await pause(jitter(attempt));
    }
    host.warn("The server could not be asked to stop a run.");
  }

  /** The page goes away: its runs stop. */
  function close(): void {
    const connections = [...open, ...fresh].map((one) => one.id);
    for (const one of open) end(one);
    if (!connections.length) return;
    const fields = {version: VERSION, connections};
    host.post("stop", {flash_events: fields}, {keepalive: true}).catch(() => undefined);
  }

  /** The page is put aside (back/forward cache), where an open request may not be. */
  function suspend(): void {
    isSuspended = true;
    for (const one of open) one.abort.abort();
  }

  /** The page is back, or the network: reconnects at once. */
  function wake(): void {
    isSuspended = false;
    for (const one of open) one.wake?.();
  }

  async function keepReading(
    connection: Connection,
    first: Response,
    onOpen: (id: string) => void,
  ): Promise<void> {
    let response: Response | undefined = first;
    while (!connection.isClosed) {
      if (response) await read(connection, response, onOpen).catch(warnOfBug);
      if (connection.isClosed) return;
      await waitToReconnect(connection);
      if (connection.isClosed) return;
      connection.abort = new AbortController();
      const fields = {
        version: VERSION,
        connection: connection.id,
        lastEventId: connection.lastEventId,
      };
      response = await host
        .post("resume", {flash_events: fields}, {signal: connection.abort.signal})
        .catch(() => undefined);
      if (response && isFinal(response)) {
        lose(connection);
        return;
      }
      if (!response?.ok) response = undefined;
    }
  }

  async function read(
    connection: Connection,
    response: Response,
    onOpen: (id: string) => void,
  ): Promise<void> {
    const {abort} = connection;
    const reader = response.body?.getReader();
    if (!reader) return;
    const decoder = new TextDecoder();
    const parser = createParser({
      onEvent({id, event: name, data}) {
        const event = readEvent(connection, name, data);
        switch (event?.type) {
          case "open":
            connection.id = event.connection;
            connection.tries = 0;
            if (event.commands) host.onCommands(event.commands);
            onOpen(event.connection);
            break;
          case "close":
            end(connection);
            break;
          case "start":
          case "update":
          case "end":
            host.onEvent(event, data.length);
            break;
          case "drain":
          case undefined:
        }
        // After the event: what threw is not received.
        if (id !== undefined) connection.lastEventId = id;
      },
    });
    let watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      for (;;) {
        const {done, value} = await reader.read();
        clearTimeout(watchdog);
        if (done || abort.signal.aborted) return;
        parser.feed(decoder.decode(value, {stream: true}));
        await host.drained();
        watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
      }
    } finally {
      clearTimeout(watchdog);
      abort.abort(); // in Firefox, cancelling the reader alone leaves the request open
    }
  }

  /** What cannot be read will not get better by being sent again. */
  function readEvent(connection: Connection, name: string | undefined, data: string) {
    try {
      return parseEvent(name, data);
    } catch (error) {
      host.warn(`An event could not be read: ${String(error)}`);
      lose(connection);
      return undefined;
    }
  }

  /** A cut is a TypeError or an AbortError; anything else went wrong in the page. */
  function warnOfBug(error: unknown): void {
    const {name} = error as {readonly name?: string};
    if (name !== "TypeError" && name !== "AbortError") host.warn(String(error));
  }

  function lose(connection: Connection): void {
    end(connection);
    host.onLost(connection.id);
  }

  function waitToReconnect(connection: Connection): Promise<void> {
    connection.tries++;
    return new Promise((resolve) => {
      const timer = isSuspended ? undefined : setTimeout(go, jitter(connection.tries));
      function go() {
        clearTimeout(timer);
        connection.wake = undefined;
        resolve();
      }
      connection.wake = go;
    });
  }

  function end(connection: Connection): void {
    connection.isClosed = true;
    open.delete(connection);
    connection.wake?.();
    // The body ends by itself after `close`; an abort now would drop what the page still sends.
  }

  return {start, stop, close, suspend, wake, size: () => open.size};
}

function connectionOf(id: string): Connection {
  return {
    id,
    lastEventId: "",
    tries: 0,
    isClosed: false,
    abort: new AbortController(),
    wake: undefined,
  };
}

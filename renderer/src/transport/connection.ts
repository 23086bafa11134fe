/**
 * Event stream connections: usually one, opened by the response to the first start and used by all
 * runs.
 *
 * Uses no DOM, so that it can run in a page or in the SharedWorker; `Host` provides the rest.
 */

import {createParser} from "eventsource-parser";
import {toStartFailed, isPermanent, isStream, retryDelayMs, pause, StartFailed, MAX_ATTEMPTS} from "./responses.ts";
import type {Action, AttachFields, Host, Position, StartFields, StopFields} from "./host.ts";
import {newId} from "../ids.ts";
import {parseEvent, VERSION} from "../protocol.ts";
import {createStops} from "./stops.ts";

/** Default time between heartbeats, until the server has sent it. */
const HEARTBEAT_SECONDS = 15;
/** Delay of a heartbeat that is tolerated: data may be in front of it. */
const HEARTBEAT_GRACE_MS = 5000;

/**
 * Body size above which the server is first asked for permission (`ask`): it does not read the body
 * of a refused start, and a browser may miss a response that arrives while it still sends.
 */
const LARGE_BODY_BYTES = 512 * 1024;

interface Connection {
  id: string;
  lastEventId: string;
  tries: number;
  isClosed: boolean;
  /** Aborts the current request. */
  abort: AbortController;
  /** Ends the wait before a reconnect. */
  wake: (() => void) | undefined;
}

export function createConnections(host: Host) {
  const stops = createStops(host);
  const open = new Set<Connection>();
  let opening: Promise<unknown> | undefined;
  let isSuspended = false;

  /**
   * Posts a start or an attach. If no connection is open, waits for the first request, which opens
   * one.
   */
  async function ask(action: "start" | "attach", body: string, fields: object): Promise<string> {
    while (!open.size && opening) await opening;
    const started = openOrJoin(action, body, fields);
    if (open.size) return started;
    host.onState("connecting");
    const answered = started.catch(onFailed).finally(() => {
      if (opening === answered) opening = undefined;
    });
    if (body.length <= LARGE_BODY_BYTES) opening = answered; // others do not wait for an upload
    return started;
  }

  async function openOrJoin(
    action: "start" | "attach",
    body: string,
    fields: object,
  ): Promise<string> {
    const connection = connectionOf(newId());
    const connections = [...open].map((one) => one.id);
    const {callback, ...others} = fields as Partial<StartFields>;
    const envelope = {version: VERSION, connection: connection.id, connections, ...others};
    const {signal} = connection.abort;
    for (let attempt = 1; ; attempt++) {
      const headers = callback ? {headers: headersOf(callback, attempt)} : {};
      const post = (what: Action, body: string, more = {}) =>
        host.post(what, {...envelope, ...more}, {body, signal, ...headers}).catch(() => undefined);
      let response: Response | undefined;
      let sent: number | undefined;
      if (body.length > LARGE_BODY_BYTES) {
        const size = new Blob([body]).size;
        response = await post("ask", JSON.stringify({output: callback}), {size});
        if (response?.ok) sent = size;
      }
      if (body.length <= LARGE_BODY_BYTES || sent) response = await post(action, body);
      if (response?.status === 202) {
        return stillOpen(((await response.json()) as {connection: string}).connection);
      }
      if (response && isStream(response)) {
        open.add(connection);
        const opened = await new Promise<string>((resolve, reject) => {
          void keepReading(connection, response, resolve).finally(() =>
            reject(new StartFailed("network", "The server did not answerHeartbeat.")),
          );
        });
        return stillOpen(opened);
      }
      if ((!response || response.status >= 502) && attempt < MAX_ATTEMPTS) {
        await pause(retryDelayMs(attempt));
        continue;
      }
      throw await toStartFailed(response, sent);
    }
  }

  /**
   * Returns the id of a connection; raises StartFailed if it has ended meanwhile, since nothing
   * else would report it.
   */
  function stillOpen(id: string): string {
    if ([...open].some((one) => one.id === id)) return id;
    throw new StartFailed("lost", "The connection was lost while the run was started.");
  }

  function close(fields: StopFields): void {
    for (const one of open) end(one);
    if (fields.runs.length) stops.post(fields).catch(() => undefined);
  }

  function suspend(): void {
    isSuspended = true;
    for (const one of open) one.abort.abort();
  }

  function wake(): void {
    isSuspended = false;
    for (const one of open) one.wake?.();
  }

  /** Resumes a connection after the position that another worker has read to. */
  function adopt({connection: id, lastEventId}: Position): void {
    if ([...open].some((one) => one.id === id)) return;
    const connection = {...connectionOf(id), lastEventId};
    open.add(connection);
    void keepReading(connection, undefined, () => undefined);
    connection.wake?.();
  }

  async function keepReading(
    connection: Connection,
    first: Response | undefined,
    onOpen: (id: string) => void,
  ): Promise<void> {
    let response: Response | undefined = first;
    while (!connection.isClosed) {
      if (response) await read(connection, response, onOpen).catch(warnUnlessNetwork);
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
        .post("resume", fields, {signal: connection.abort.signal})
        .catch(() => undefined);
      if (response && isPermanent(response)) {
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
    let heartbeatMs = HEARTBEAT_SECONDS * 1000;
    const parser = createParser({
      onComment: answerHeartbeat,
      onEvent({id, event: name, data}) {
        const event = readEvent(connection, name, data);
        switch (event?.type) {
          case "open":
            connection.id = event.connection;
            connection.tries = 0;
            heartbeatMs = (event.heartbeat_seconds ?? HEARTBEAT_SECONDS) * 1000;
            answerLater();
            host.onState("open");
            if (event.commands) host.onCommands(event.commands);
            onOpen(event.connection);
            break;
          case "close":
            end(connection);
            host.onLost(connection.id); // no run should be left; any that is would wait forever
            break;
          case "start":
          case "update":
          case "end":
            host.onEvent(event, data.length, {
              connection: connection.id,
              lastEventId: id ?? connection.lastEventId,
            });
            break;
          case "drain":
          case undefined:
        }
        // Only after the event was handled: an event that raised an error was not received.
        if (id !== undefined) connection.lastEventId = id;
      },
    });
    let isAnswering = false;
    let answerer: ReturnType<typeof setTimeout> | undefined;
    answerLater();
    /** Answers a heartbeat: the server cannot see whether the client or only a proxy is alive. */
    function answerHeartbeat(): void {
      answerLater();
      if (isAnswering) return;
      isAnswering = true;
      const fields = {version: VERSION, connection: connection.id};
      host
        .post("alive", fields, {signal: abort.signal})
        .catch(() => undefined)
        .finally(() => (isAnswering = false));
    }
    function answerLater(): void {
      clearTimeout(answerer);
      answerer = setTimeout(answerHeartbeat, heartbeatMs + HEARTBEAT_GRACE_MS);
    }
    /** Starts the timeout for two missing heartbeats in a row, which aborts the connection. */
    const watch = () => setTimeout(() => abort.abort(), 2 * (heartbeatMs + HEARTBEAT_GRACE_MS));
    let watchdog = watch();
    try {
      for (;;) {
        const {done, value} = await reader.read();
        clearTimeout(watchdog);
        if (done || abort.signal.aborted) return;
        parser.feed(decoder.decode(value, {stream: true}));
        await host.drained();
        watchdog = watch();
      }
    } finally {
      clearTimeout(watchdog);
      clearTimeout(answerer);
      abort.abort(); // in Firefox, cancelling the reader alone leaves the request open
    }
  }

  /** Parses an event. One that cannot be parsed loses the connection; a retry would not help. */
  function readEvent(connection: Connection, name: string | undefined, data: string) {
    try {
      return parseEvent(name, data);
    } catch (error) {
      host.warn(`An event could not be read: ${String(error)}`);
      lose(connection);
      return undefined;
    }
  }

  /** Warns of errors other than a network failure (TypeError) or an abort (AbortError). */
  function warnUnlessNetwork(error: unknown): void {
    const {name} = error as {readonly name?: string};
    if (name !== "TypeError" && name !== "AbortError") host.warn(String(error));
  }

  function lose(connection: Connection): void {
    end(connection);
    host.onState("lost");
    host.onLost(connection.id);
  }

  function waitToReconnect(connection: Connection): Promise<void> {
    const ms = retryDelayMs(++connection.tries);
    host.onState("reconnecting", ms);
    return new Promise((resolve) => {
      const timer = isSuspended ? undefined : setTimeout(go, ms);
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
    onIdle();
    // No abort: the body ends by itself after `close`, and an abort would drop unsent requests.
  }

  function onFailed(error: unknown): void {
    const isUnreachable = error instanceof StartFailed && error.code === "network";
    if (isUnreachable && !open.size) host.onState("lost");
    else onIdle();
  }

  function onIdle(): void {
    if (!open.size) host.onState("idle");
  }

  return {
    start: (body: string, fields: object) => ask("start", body, fields),
    attach: (fields: AttachFields) => ask("attach", "{}", fields),
    stop: stops.stop,
    close,
    suspend,
    wake,
    adopt,
    size: () => open.size,
  };
}

/**
 * Headers that identify the callback whose `on_error` handles a refusal, even if the body is not
 * read.
 */
function headersOf(callback: string, attempt: number): Record<string, string> {
  const last = attempt === MAX_ATTEMPTS ? {"Flash-Events-Last-Try": "1"} : {};
  return {"Flash-Events-Callback": callback, ...last};
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

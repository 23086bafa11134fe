/**
 * Connections: usually one, opened by the answer to the first start, carrying all runs.
 *
 * Touches no DOM, and runs in a page or in the worker that the tabs share; what it needs of either
 * comes in through `Host`.
 */

import {createParser} from "eventsource-parser";
import {failureOf, isFinal, isStream, jitter, pause, StartFailed, TRIES} from "./answers.ts";
import type {Action, AttachFields, Host, Position, StartFields, StopFields} from "./host.ts";
import {newId} from "../ids.ts";
import {parseEvent, VERSION} from "../protocol.ts";
import {createStops} from "./stops.ts";

/** Time between heartbeats, until the server has said it. */
const HEARTBEAT_SECONDS = 15;
/** How much later than it is due a heartbeat is answered anyway: data may be in front of it. */
const LATE_MS = 5000;

/**
 * Before a longer body the server is asked whether it may come: it would not be read, and a browser
 * may not hear an answer that comes while it still sends.
 */
const LARGE = 512 * 1024;

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

export function createConnections(host: Host) {
  const stops = createStops(host);
  const open = new Set<Connection>();
  let opening: Promise<unknown> | undefined;
  let isSuspended = false;

  /** While no connection is open, all wait for the first one's answer, which opens it. */
  async function ask(action: "start" | "attach", body: string, fields: object): Promise<string> {
    while (!open.size && opening) await opening;
    const started = openOrJoin(action, body, fields);
    if (open.size) return started;
    host.onState("connecting");
    const answered = started.catch(onFailed).finally(() => {
      if (opening === answered) opening = undefined;
    });
    if (body.length <= LARGE) opening = answered; // nobody waits for an upload
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
      if (body.length > LARGE) {
        const size = new Blob([body]).size;
        response = await post("ask", JSON.stringify({output: callback}), {size});
        if (response?.ok) sent = size;
      }
      if (body.length <= LARGE || sent) response = await post(action, body);
      if (response?.status === 202) {
        return stillOpen(((await response.json()) as {connection: string}).connection);
      }
      if (response && isStream(response)) {
        open.add(connection);
        const opened = await new Promise<string>((resolve, reject) => {
          void keepReading(connection, response, resolve).finally(() =>
            reject(new StartFailed("network", "The server did not answer.")),
          );
        });
        return stillOpen(opened);
      }
      if ((!response || response.status >= 502) && attempt < TRIES) {
        await pause(jitter(attempt));
        continue;
      }
      throw await failureOf(response, sent);
    }
  }

  /** Returns the id of a connection; raises an error if it is over, as nobody would tell of it. */
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

  /** Goes on with a connection that another has read so far. */
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
        .post("resume", fields, {signal: connection.abort.signal})
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
    let heartbeatMs = HEARTBEAT_SECONDS * 1000;
    const parser = createParser({
      onComment: answer,
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
            host.onLost(connection.id); // no run should be left; one that is would wait for ever
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
        // After the event: what threw is not received.
        if (id !== undefined) connection.lastEventId = id;
      },
    });
    let isAnswering = false;
    let answerer: ReturnType<typeof setTimeout> | undefined;
    answerLater();
    /** Says that this client lives, which the server cannot know from what lies between. */
    function answer(): void {
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
      answerer = setTimeout(answer, heartbeatMs + LATE_MS);
    }
    /** Two heartbeats in a row are missing, each with some delay: the connection is cut. */
    const watch = () => setTimeout(() => abort.abort(), 2 * (heartbeatMs + LATE_MS));
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
    host.onState("lost");
    host.onLost(connection.id);
  }

  function waitToReconnect(connection: Connection): Promise<void> {
    const ms = jitter(++connection.tries);
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
    // The body ends by itself after `close`; an abort now would drop what the page still sends.
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

/** They say whose `on_error` shall hear of a refusal, also where the body is not read. */
function headersOf(callback: string, attempt: number): Record<string, string> {
  const last = attempt === TRIES ? {"Flash-Events-Last-Try": "1"} : {};
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

/**
 * The page's client of the SharedWorker, which owns the connections of all tabs.
 *
 * Without a worker, or if it does not answer, the page uses connections of its own. If the worker
 * dies, a new one gets the page's claims and positions, and resumes there.
 */

import {StartFailed} from "../transport/responses.ts";
import type {
  AttachFields,
  Connections,
  Endpoint,
  Host,
  Position,
  StartFields,
  StopFields,
} from "../transport/host.ts";
import {newId} from "../ids.ts";
import type {Renew} from "../transport/renewal.ts";
import {
  tabLock,
  workerLock,
  type Claim,
  type Delivery,
  type Offer,
  type Peer,
  type Question,
  type ToTab,
  type ToWorker,
} from "./messages.ts";

const WELCOME_TIMEOUT_MS = 2000;
/** Maximum number of worker deaths before the page uses its own connections. */
const MAX_WORKER_DEATHS = 5;
/** Minimum number of newly applied bytes to report to the worker. */
const REPORT_BYTES = 128 * 1024;

export interface TabPort {
  postMessage(message: ToWorker): void;
  close(): void;
}

export interface SharedOptions {
  /** Callbacks of the worker's connections, as of the page's own. */
  readonly host: Pick<Host, "onEvent" | "onCommands" | "onLost" | "onState" | "warn">;
  /** Connections to use without a worker. */
  readonly owned: Connections;
  readonly page: Promise<string>;
  endpoint(): Endpoint;
  readonly renew: Renew;
  /** Number of received bytes that are not applied yet. */
  unapplied(): number;
  /** Connects to the worker; undefined if SharedWorkers are not available. */
  open(onMessage: (message: ToTab) => void, onError: () => void): TabPort | undefined;
  /** Takes a lock; resolves with a function that releases it. */
  hold(name: string): Promise<(() => void) | undefined>;
  whenFree(name: string, signal: AbortSignal): Promise<void>;
}

interface Link {
  readonly port: TabPort;
  /** Ends the wait for the worker's death. */
  readonly abort: AbortController;
  /** Number of messages since the welcome. */
  heard: number;
  /** Number of received bytes of events. */
  received: number;
  reported: number;
}

interface Pending {
  readonly question: Question;
  /** Sends the request without a worker, if none can be reached. */
  readonly fallback: () => Promise<string>;
  readonly resolve: (connection: string) => void;
  readonly reject: (error: unknown) => void;
}

export type Shared = ReturnType<typeof createShared>;

export function createShared(options: SharedOptions) {
  const {host, owned, page, endpoint, renew, unapplied, open, hold, whenFree} = options;
  const tab = newId();
  const claims = new Map<string, Claim>();
  const positions = new Map<string, Offer>();
  const pending = new Map<number, Pending>();
  let peers: readonly Peer[] = [];
  let linking: Promise<Link | undefined> | undefined;
  let link: Link | undefined;
  let release: (() => void) | undefined;
  let isSuspended = false;
  let asked = 0;
  let deaths = 0;

  /** Returns the link to the worker, if any; connects on the first use. */
  function reach(): Promise<Link | undefined> {
    return (linking ??= connect().catch(() => undefined));
  }

  async function connect(): Promise<Link | undefined> {
    let settled!: (link: Link | undefined) => void;
    const welcomed = new Promise<Link | undefined>((resolve) => (settled = resolve));
    const fail = () => settled(undefined);
    let isOver = false;
    const port = open((message) => {
      if (message.type !== "welcome") return link?.port === port ? receive(message) : undefined;
      if (!port || isOver) return;
      link = {port, abort: new AbortController(), heard: 0, received: 0, reported: 0};
      host.onCommands(message.commands);
      whenFree(workerLock(message.worker), link.abort.signal).then(onDied, () => undefined);
      settled(link);
    }, fail);
    if (!port) return undefined;
    const timer = setTimeout(fail, WELCOME_TIMEOUT_MS);
    release ??= await hold(tabLock(tab));
    port.postMessage({
      type: "hello",
      tab,
      page: await page,
      endpoint: endpoint(),
      claims: [...claims.values()],
      positions: [...positions.values()],
      peers,
    });
    const found = await welcomed;
    clearTimeout(timer);
    isOver = true;
    if (found) return found;
    port.close();
    releaseWorker();
    return undefined;
  }

  function releaseWorker(): void {
    link?.abort.abort();
    link = undefined;
    release?.();
    release = undefined;
  }

  /**
   * Connects to a new worker and repeats the unanswered requests; falls back to own connections.
   */
  async function reconnect(): Promise<void> {
    link?.abort.abort();
    link?.port.close();
    link = undefined;
    linking = undefined;
    const unanswered = [...pending.values()];
    const found = deaths > MAX_WORKER_DEATHS ? undefined : await reach();
    if (found) {
      for (const {question} of unanswered) post(found, question);
      return;
    }
    linking = Promise.resolve(undefined);
    releaseWorker();
    for (const {question} of unanswered) for (const {run} of question.claims) claims.delete(run);
    const lost = [...claims.keys()];
    for (const known of [claims, positions, pending]) known.clear();
    host.onState(lost.length ? "lost" : "idle");
    for (const run of lost) host.onLost(run);
    for (const {fallback, resolve, reject} of unanswered) fallback().then(resolve, reject);
  }

  function onDied(): void {
    deaths++;
    void reconnect();
  }

  function post({port}: Link, question: Question): void {
    port.postMessage({...question, endpoint: endpoint()});
  }

  function setPosition({connection, lastEventId}: Position): void {
    positions.set(connection, {connection, lastEventId, at: Date.now()});
  }

  function receive(message: Exclude<ToTab, {type: "welcome"}>): void {
    if (link) link.heard++;
    switch (message.type) {
      case "answer":
        setPosition(message.position);
        return settle(message.ask)?.resolve(message.position.connection);
      case "refusal":
        return refuse(
          message.ask,
          new StartFailed(message.code, message.message, message.full, message.set),
        );
      case "events":
        for (const {event, bytes, position} of JSON.parse(message.json) as Delivery[]) {
          if (link) link.received += bytes;
          setPosition(position);
          if (event.type === "end") disclaim(event.run);
          host.onEvent(event, bytes, position);
        }
        return report();
      case "lost":
        claims.delete(message.id);
        positions.delete(message.id);
        return host.onLost(message.id);
      case "commands":
        return host.onCommands(message.props);
      case "peers":
        peers = message.peers;
        return;
      case "state":
        return host.onState(message.state, message.retryMs);
      case "renew":
        return void renewed(message.ask, message.refused, message.isExpired);
      case "warn":
        return host.warn(message.message);
    }
  }

  async function renewed(ask: number, refused: Endpoint, isExpired: boolean): Promise<void> {
    const at = link;
    const fresh = await renew(refused, isExpired);
    at?.port.postMessage({type: "renewed", ask, endpoint: fresh});
  }

  function settle(ask: number): Pending | undefined {
    const found = pending.get(ask);
    pending.delete(ask);
    return found;
  }

  function refuse(ask: number, failure: StartFailed): void {
    const found = settle(ask);
    for (const {run} of found?.question.claims ?? []) disclaim(run);
    found?.reject(failure);
  }

  function disclaim(run: string): void {
    claims.delete(run);
    if (!claims.size) positions.clear(); // no run to resume
  }

  /** Reports the applied bytes to the worker (flow control). */
  function report(): void {
    if (!link) return;
    const applied = link.received - unapplied();
    if (applied - link.reported < REPORT_BYTES) return;
    link.reported = applied;
    link.port.postMessage({type: "applied", bytes: applied});
  }

  async function ask(question: Question, fallback: () => Promise<string>): Promise<string> {
    const found = await reach();
    if (!found) return fallback();
    for (const claim of question.claims) claims.set(claim.run, claim);
    return new Promise((resolve, reject) => {
      pending.set(question.ask, {question, fallback, resolve, reject});
      post(found, question);
    });
  }

  return {
    start: (body: string, fields: StartFields, survives: boolean): Promise<string> =>
      ask(
        {
          type: "ask",
          ask: ++asked,
          action: "start",
          body,
          fields,
          claims: [{run: fields.run, survives}],
        },
        () => owned.start(body, fields, survives),
      ),

    attach: (fields: AttachFields): Promise<string> =>
      ask(
        {
          type: "ask",
          ask: ++asked,
          action: "attach",
          fields,
          claims: fields.runs.map(({run}) => ({run, survives: true})),
        },
        () => owned.attach(fields),
      ),

    /** Stops runs with a request of the page itself, because the worker may be dying. */
    stop(fields: StopFields): Promise<void> {
      for (const run of fields.runs) disclaim(run);
      return owned.stop(fields);
    },

    close(fields: StopFields): void {
      owned.close(fields); // a worker dies with its last tab
      link?.port.postMessage({type: "bye"});
    },

    suspend(): void {
      isSuspended = link !== undefined;
      link?.port.postMessage({type: "suspend", heard: link.heard});
      link?.port.close(); // a message from a SharedWorker evicts the page from the cache
      releaseWorker();
      owned.suspend();
    },

    /** Reconnects at once: the network is back. */
    wake(): void {
      link?.port.postMessage({type: "wake"});
      owned.wake();
    },

    /** Reconnects after a return from the back/forward cache. */
    restore(): void {
      if (isSuspended) void reconnect();
      isSuspended = false;
      owned.wake();
    },

    report,
  } satisfies Connections & {restore(): void; report(): void};
}

/**
 * Shares connections among the tabs of a browser: routes each run's events to the tab that owns it.
 *
 * A tab without a port is awaited: it was put aside, or another tab has named it after a worker
 * died. What comes for it meanwhile is kept, within bounds.
 */

import {StartFailed} from "../transport/answers.ts";
import type {createConnections} from "../transport/connection.ts";
import {createFlow} from "../transport/flow.ts";
import type {Endpoint, Host, Position} from "../transport/host.ts";
import {
  tabLock,
  type Ask,
  type Claim,
  type Hello,
  type Offer,
  type Peer,
  type ToTab,
  type ToWorker,
} from "./messages.ts";
import {createOutbox} from "./outbox.ts";
import {createOwners} from "./owners.ts";
import {postRenewed, type Post} from "../transport/renewal.ts";
import type {RunEvent} from "../protocol.ts";

/** Bounds of what is kept for a tab that is awaited. */
const KEPT_BYTES = 1024 * 1024;
const KEPT_MS = 30_000;

/** A last word comes another way than the release of the lock, and may come after it. */
const LAST_WORD_MS = 100;

export interface HubPort {
  postMessage(message: ToTab): void;
}

interface Tab {
  readonly id: string;
  readonly page: string;
  port: HubPort | undefined;
  readonly outbox: ReturnType<typeof createOutbox>;
  expiry: ReturnType<typeof setTimeout> | undefined;
  /** Whether the tab itself has asked to be awaited; it holds no lock then. */
  isSuspended: boolean;
  /** Counts hellos. */
  turn: number;
}

type Carrier = Pick<
  ReturnType<typeof createConnections>,
  "start" | "attach" | "stop" | "wake" | "adopt"
>;

export interface HubOptions {
  /** The worker's own id, whose lock it holds. */
  readonly id: string;
  connect(host: Host): Carrier;
  readonly post: Post;
  /** Resolves when nobody holds the lock. */
  whenFree(name: string): Promise<void>;
}

export function createHub({id: worker, connect, post, whenFree}: HubOptions) {
  const tabs = new Map<string, Tab>();
  const endpoints = new Map<string, Endpoint>();
  let lastEndpoint: Endpoint | undefined;
  /** Tabs that were asked for fresh headers. */
  const renewals = new Map<
    number,
    {readonly tab: string; readonly resolve: (fresh: Endpoint | undefined) => void}
  >();
  let renewing = 0;
  const owners = createOwners(tellPeers);
  const commands = new Set<string>();
  /** Where each connection is. */
  const places = new Map<string, string>();
  /** Connections of a worker that has died; the best offer is taken when all had time to say it. */
  const offers = new Map<string, Offer>();
  let lastState: Extract<ToTab, {type: "state"}> | undefined;
  let lastStateAt = 0;
  let telling: ReturnType<typeof setTimeout> | undefined;

  const flow = createFlow((tab) => {
    const claims = owners.claimsOf(tab);
    stop(tabs.get(tab)?.page, claims);
    owners.remove(claims);
    for (const {run} of claims) tell(tab, {type: "lost", id: run});
  });

  const connections = connect({
    post: postRenewed(post, endpointOf, renew),
    onEvent: deliver,
    drained() {
      for (const tab of tabs.values()) flush(tab);
      return flow.drained();
    },
    onCommands(props) {
      for (const prop of props) commands.add(prop);
      tellAll({type: "commands", props});
    },
    onLost(connection) {
      places.delete(connection);
      tellAll({type: "lost", id: connection});
    },
    onState(state, retryMs) {
      lastState = {type: "state", state, retryMs};
      lastStateAt = Date.now();
      tellAll(lastState);
    },
    warn: (message) => tellAll({type: "warn", message}),
  });

  function endpointOf(fields: object): Endpoint {
    const {page} = fields as {page?: string};
    const endpoint = (page && endpoints.get(page)) || lastEndpoint;
    if (!endpoint) throw new Error("No tab has said where to post.");
    return endpoint;
  }

  /**
   * Only a tab can read cookies and call its page's hook. What is asked for a page is asked as this
   * page only, as another tab may belong to another user.
   */
  async function renew(
    refused: Endpoint,
    isExpired: boolean,
    fields: object,
  ): Promise<Endpoint | undefined> {
    const {page} = fields as {page?: string};
    const asked = new Set<string>();
    for (;;) {
      const reachable = [...tabs.values()].filter((tab) => tab.port && !asked.has(tab.id));
      const whose = reachable.find((one) =>
        page ? one.page === page : endpoints.get(one.page) === refused,
      );
      const tab = whose ?? (page ? undefined : reachable.at(-1));
      if (!tab) {
        if (asked.size) return undefined;
        throw new Error("No tab is there to renew the headers."); // one may come back
      }
      asked.add(tab.id);
      const fresh = await askToRenew(tab, refused, isExpired);
      if (fresh) {
        hear(tab, fresh);
        return fresh;
      }
    }
  }

  function askToRenew(
    tab: Tab,
    refused: Endpoint,
    isExpired: boolean,
  ): Promise<Endpoint | undefined> {
    const ask = ++renewing;
    return new Promise((resolve) => {
      renewals.set(ask, {tab: tab.id, resolve});
      tell(tab.id, {type: "renew", ask, refused, isExpired});
    });
  }

  function renewed(ask: number, endpoint: Endpoint | undefined): void {
    renewals.get(ask)?.resolve(endpoint);
    renewals.delete(ask);
  }

  /** A tab that has left, or was put aside, does not answer. */
  function forgetRenewals(tab: Tab): void {
    for (const [ask, one] of renewals) if (one.tab === tab.id) renewed(ask, undefined);
  }

  /** Events wait for the end of their chunk; any other message comes after what waits. */
  function deliver(event: RunEvent, bytes: number, position: Position): void {
    places.set(position.connection, position.lastEventId);
    const tab = tabs.get(owners.tabOf(event.run) ?? "");
    if (!tab) return;
    if (event.type === "end") owners.end(event.run);
    tab.outbox.putEvent({event, bytes, position});
    if (tab.port) flow.sent(tab.id, bytes);
    else if (tab.outbox.bytes() > KEPT_BYTES) leave(tab);
  }

  function flush(tab: Tab): void {
    if (tab.port) tab.outbox.post(tab.port);
  }

  function tell(id: string, message: ToTab): void {
    const tab = tabs.get(id);
    if (!tab) return;
    tab.outbox.put(message);
    flush(tab);
  }

  function tellAll(message: ToTab): void {
    for (const tab of tabs.keys()) tell(tab, message);
  }

  function hello(port: HubPort, message: Hello): Tab {
    const {tab: id, page, endpoint, claims, positions, peers} = message;
    const tab = tabs.get(id) ?? newTab(id, page);
    tabs.set(id, tab);
    clearTimeout(tab.expiry);
    if (tab.port) tab.outbox.rewind(Infinity); // it counts anew
    tab.isSuspended = false;
    tab.port = port;
    hear(tab, endpoint);
    flow.begin(id);
    flow.sent(id, tab.outbox.bytes());
    port.postMessage({type: "welcome", worker, commands: [...commands]});
    flush(tab);
    if (lastState) {
      const {retryMs} = lastState;
      tell(id, {...lastState, retryMs: retryMs && retryMs - (Date.now() - lastStateAt)});
    }
    owners.claim(id, claims);
    for (const {run} of claims) if (owners.wasStopped(run)) tell(id, {type: "lost", id: run});
    for (const peer of peers) awaitPeer(peer);
    for (const offer of positions) consider(offer);
    void watch(tab);
    return tab;
  }

  function consider(offer: Offer): void {
    if (!offers.size) setTimeout(adopt, LAST_WORD_MS);
    const best = offers.get(offer.connection);
    if (!best || best.at < offer.at) offers.set(offer.connection, offer);
  }

  function adopt(): void {
    for (const offer of offers.values()) connections.adopt(offer);
    offers.clear();
  }

  /** Another tab knows of this one, which this worker does not: the worker before has died. */
  function awaitPeer({tab: id, page, claims}: Peer): void {
    if (tabs.has(id)) return;
    const tab = newTab(id, page);
    tabs.set(id, tab);
    owners.claim(id, claims);
    keep(tab);
    void watch(tab);
  }

  function suspend(tab: Tab, heard: number): void {
    tab.outbox.rewind(heard);
    tab.isSuspended = true;
    forgetRenewals(tab);
    flow.forget(tab.id);
    keep(tab);
  }

  function keep(tab: Tab): void {
    tab.port = undefined;
    tab.expiry = setTimeout(() => leave(tab), KEPT_MS);
  }

  /** Stops a tab's runs when it is gone, however it went. */
  async function watch(tab: Tab): Promise<void> {
    const turn = ++tab.turn;
    await whenFree(tabLock(tab.id));
    await new Promise((resolve) => setTimeout(resolve, LAST_WORD_MS));
    if (tab.turn === turn && !tab.isSuspended) leave(tab);
  }

  function leave(tab: Tab, mayComeBack = true): void {
    if (tabs.get(tab.id) !== tab) return;
    clearTimeout(tab.expiry);
    tabs.delete(tab.id);
    forgetRenewals(tab);
    flow.forget(tab.id);
    const claims = owners.claimsOf(tab.id);
    owners.remove(claims);
    if (mayComeBack) owners.stop(claims);
    stop(tab.page, claims.filter((one) => !one.survives));
    endpoints.delete(tab.page);
    lastEndpoint = [...endpoints.values()].at(-1) ?? lastEndpoint;
  }

  function stop(page: string | undefined, claims: readonly Claim[]): void {
    const runs = claims.map((one) => one.run);
    if (page !== undefined && runs.length) void connections.stop({page, runs});
  }

  function hear(tab: Tab, endpoint: Endpoint): void {
    endpoints.delete(tab.page); // the last one given is the last
    endpoints.set(tab.page, endpoint);
    lastEndpoint = endpoint;
  }

  async function ask(tab: Tab, message: Ask): Promise<void> {
    hear(tab, message.endpoint);
    const {ask, claims} = message;
    owners.begin(tab.id, claims);
    try {
      const connection =
        message.action === "start"
          ? await connections.start(message.body, message.fields)
          : await connections.attach(message.fields);
      const lastEventId = places.get(connection) ?? "";
      tell(tab.id, {type: "answer", ask, position: {connection, lastEventId}});
    } catch (error) {
      owners.remove(claims);
      const {code, message: text, full, set} =
        error instanceof StartFailed ? error : new StartFailed("client", String(error));
      tell(tab.id, {type: "refusal", ask, code, message: text, full, set});
    }
  }

  /** Once for all that changes in one turn; a tab in the back/forward cache must hear nothing. */
  function tellPeers(): void {
    telling ??= setTimeout(() => {
      telling = undefined;
      const peers = [...tabs.values()].map((tab) => ({
        tab: tab.id,
        page: tab.page,
        claims: owners.claimsOf(tab.id),
      }));
      for (const tab of tabs.values()) {
        const others = peers.filter((one) => one.tab !== tab.id && one.claims.length);
        if (tab.port) tell(tab.id, {type: "peers", peers: others});
      }
    });
  }

  return {
    /** A new port; returns what takes its messages. */
    connect(port: HubPort): (message: ToWorker) => void {
      let tab: Tab | undefined;
      return (message) => {
        if (message.type === "hello") tab = hello(port, message);
        if (!tab || tab.port !== port) return; // it has said hello on another one
        switch (message.type) {
          case "ask":
            return void ask(tab, message);
          case "applied":
            return flow.applied(tab.id, message.bytes);
          case "suspend":
            return suspend(tab, message.heard);
          case "wake":
            return connections.wake();
          case "renewed":
            return renewed(message.ask, message.endpoint);
          case "bye":
            return leave(tab, false);
          case "hello":
        }
      };
    },
  };
}

function newTab(id: string, page: string): Tab {
  return {
    id,
    page,
    port: undefined,
    outbox: createOutbox(),
    expiry: undefined,
    isSuspended: false,
    turn: 0,
  };
}

/**
 * Shares connections between the browser's tabs: routes each run's events to the tab that owns it.
 *
 * A tab without a port is expected to return: it was suspended, or another tab has reported it
 * after a worker died. Messages for it are buffered up to a size and a timeout.
 */

import {StartFailed} from "../transport/responses.ts";
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
import {postWithRenewal, type Post} from "../transport/renewal.ts";
import type {RunEvent} from "../protocol.ts";

/** Limits for a tab without a port: buffered bytes, and time until it counts as gone. */
const MAX_BUFFERED_BYTES = 1024 * 1024;
const RETURN_TIMEOUT_MS = 30_000;

/** Grace period for a tab's last message, which may arrive after its lock is released. */
const BYE_GRACE_MS = 100;

export interface HubPort {
  postMessage(message: ToTab): void;
}

interface Tab {
  readonly id: string;
  readonly page: string;
  port: HubPort | undefined;
  readonly outbox: ReturnType<typeof createOutbox>;
  expiry: ReturnType<typeof setTimeout> | undefined;
  /** Whether the tab has announced its absence; it holds no lock meanwhile. */
  isSuspended: boolean;
  /** Number of hellos; a newer one ends the wait for the tab's lock. */
  hellos: number;
}

type Carrier = Pick<
  ReturnType<typeof createConnections>,
  "start" | "attach" | "stop" | "wake" | "adopt"
>;

export interface HubOptions {
  /** The worker's id; it holds the lock of this name. */
  readonly id: string;
  connect(host: Host): Carrier;
  readonly post: Post;
  /** Waits until nobody holds the lock. */
  whenFree(name: string): Promise<void>;
}

export function createHub({id: worker, connect, post, whenFree}: HubOptions) {
  const tabs = new Map<string, Tab>();
  const endpoints = new Map<string, Endpoint>();
  let lastEndpoint: Endpoint | undefined;
  /** Requests to tabs for fresh headers that are not answered yet. */
  const renewals = new Map<
    number,
    {readonly tab: string; readonly resolve: (fresh: Endpoint | undefined) => void}
  >();
  let renewing = 0;
  const owners = createOwners(announcePeers);
  const commands = new Set<string>();
  /** Last event id of each connection. */
  const lastEventIds = new Map<string, string>();
  /** Positions in the connections of a dead worker; the latest is resumed after a grace period. */
  const offers = new Map<string, Offer>();
  let lastState: Extract<ToTab, {type: "state"}> | undefined;
  let lastStateAt = 0;
  let peersTimer: ReturnType<typeof setTimeout> | undefined;

  const flow = createFlow((tab) => {
    const claims = owners.claimsOf(tab);
    stop(tabs.get(tab)?.page, claims);
    owners.remove(claims);
    for (const {run} of claims) send(tab, {type: "lost", id: run});
  });

  const connections = connect({
    post: postWithRenewal(post, endpointOf, renew),
    onEvent: deliver,
    drained() {
      for (const tab of tabs.values()) flush(tab);
      return flow.drained();
    },
    onCommands(props) {
      for (const prop of props) commands.add(prop);
      broadcast({type: "commands", props});
    },
    onLost(connection) {
      lastEventIds.delete(connection);
      broadcast({type: "lost", id: connection});
    },
    onState(state, retryMs) {
      lastState = {type: "state", state, retryMs};
      lastStateAt = Date.now();
      broadcast(lastState);
    },
    warn: (message) => broadcast({type: "warn", message}),
  });

  function endpointOf(fields: object): Endpoint {
    const {page} = fields as {page?: string};
    const endpoint = (page && endpoints.get(page)) || lastEndpoint;
    if (!endpoint) throw new Error("No tab has sent an endpoint.");
    return endpoint;
  }

  /**
   * Asks a tab for fresh headers: only a tab can read cookies and call its page's hook. A request
   * for a page is renewed by this page only, because another tab may belong to another user.
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
        throw new Error("No tab can renew the headers."); // retried: a tab may return
      }
      asked.add(tab.id);
      const fresh = await askToRenew(tab, refused, isExpired);
      if (fresh) {
        setEndpoint(tab, fresh);
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
      send(tab.id, {type: "renew", ask, refused, isExpired});
    });
  }

  function renewed(ask: number, endpoint: Endpoint | undefined): void {
    renewals.get(ask)?.resolve(endpoint);
    renewals.delete(ask);
  }

  /** Ends the renewals of a tab that has left or is suspended; it will not answer. */
  function endRenewals(tab: Tab): void {
    for (const [ask, one] of renewals) if (one.tab === tab.id) renewed(ask, undefined);
  }

  /** Queues an event until the end of its chunk; any other message is posted after it, in order. */
  function deliver(event: RunEvent, bytes: number, position: Position): void {
    lastEventIds.set(position.connection, position.lastEventId);
    const tab = tabs.get(owners.tabOf(event.run) ?? "");
    if (!tab) return;
    if (event.type === "end") owners.end(event.run);
    tab.outbox.putEvent({event, bytes, position});
    if (tab.port) flow.sent(tab.id, bytes);
    else if (tab.outbox.bytes() > MAX_BUFFERED_BYTES) removeTab(tab);
  }

  function flush(tab: Tab): void {
    if (tab.port) tab.outbox.post(tab.port);
  }

  function send(id: string, message: ToTab): void {
    const tab = tabs.get(id);
    if (!tab) return;
    tab.outbox.put(message);
    flush(tab);
  }

  function broadcast(message: ToTab): void {
    for (const tab of tabs.keys()) send(tab, message);
  }

  function hello(port: HubPort, message: Hello): Tab {
    const {tab: id, page, endpoint, claims, positions, peers} = message;
    const tab = tabs.get(id) ?? newTab(id, page);
    tabs.set(id, tab);
    clearTimeout(tab.expiry);
    if (tab.port) tab.outbox.rewind(Infinity); // its message count restarts
    tab.isSuspended = false;
    tab.port = port;
    setEndpoint(tab, endpoint);
    flow.begin(id);
    flow.sent(id, tab.outbox.bytes());
    port.postMessage({type: "welcome", worker, commands: [...commands]});
    flush(tab);
    if (lastState) {
      const {retryMs} = lastState;
      send(id, {...lastState, retryMs: retryMs && retryMs - (Date.now() - lastStateAt)});
    }
    owners.claim(id, claims);
    for (const {run} of claims) if (owners.wasStopped(run)) send(id, {type: "lost", id: run});
    for (const peer of peers) awaitPeer(peer);
    for (const offer of positions) collectOffer(offer);
    void watch(tab);
    return tab;
  }

  function collectOffer(offer: Offer): void {
    if (!offers.size) setTimeout(adoptOffers, BYE_GRACE_MS);
    const best = offers.get(offer.connection);
    if (!best || best.at < offer.at) offers.set(offer.connection, offer);
  }

  function adoptOffers(): void {
    for (const offer of offers.values()) connections.adopt(offer);
    offers.clear();
  }

  /** Registers a tab that another tab has reported; only the dead worker knew it. */
  function awaitPeer({tab: id, page, claims}: Peer): void {
    if (tabs.has(id)) return;
    const tab = newTab(id, page);
    tabs.set(id, tab);
    owners.claim(id, claims);
    expectReturn(tab);
    void watch(tab);
  }

  function suspend(tab: Tab, heard: number): void {
    tab.outbox.rewind(heard);
    tab.isSuspended = true;
    endRenewals(tab);
    flow.forget(tab.id);
    expectReturn(tab);
  }

  function expectReturn(tab: Tab): void {
    tab.port = undefined;
    tab.expiry = setTimeout(() => removeTab(tab), RETURN_TIMEOUT_MS);
  }

  /**
   * Waits until a tab's lock is free, and then stops its runs: the tab was closed or has crashed.
   */
  async function watch(tab: Tab): Promise<void> {
    const hellos = ++tab.hellos;
    await whenFree(tabLock(tab.id));
    await new Promise((resolve) => setTimeout(resolve, BYE_GRACE_MS));
    if (tab.hellos === hellos && !tab.isSuspended) removeTab(tab);
  }

  function removeTab(tab: Tab, mayReturn = true): void {
    if (tabs.get(tab.id) !== tab) return;
    clearTimeout(tab.expiry);
    tabs.delete(tab.id);
    endRenewals(tab);
    flow.forget(tab.id);
    const claims = owners.claimsOf(tab.id);
    owners.remove(claims);
    if (mayReturn) owners.stop(claims);
    stop(tab.page, claims.filter((one) => !one.survives));
    endpoints.delete(tab.page);
    lastEndpoint = [...endpoints.values()].at(-1) ?? lastEndpoint;
  }

  function stop(page: string | undefined, claims: readonly Claim[]): void {
    const runs = claims.map((one) => one.run);
    if (page !== undefined && runs.length) void connections.stop({page, runs});
  }

  function setEndpoint(tab: Tab, endpoint: Endpoint): void {
    endpoints.delete(tab.page); // moves it to the end of the map
    endpoints.set(tab.page, endpoint);
    lastEndpoint = endpoint;
  }

  async function ask(tab: Tab, message: Ask): Promise<void> {
    setEndpoint(tab, message.endpoint);
    const {ask, claims} = message;
    owners.begin(tab.id, claims);
    try {
      const connection =
        message.action === "start"
          ? await connections.start(message.body, message.fields)
          : await connections.attach(message.fields);
      const lastEventId = lastEventIds.get(connection) ?? "";
      send(tab.id, {type: "answer", ask, position: {connection, lastEventId}});
    } catch (error) {
      owners.remove(claims);
      const {code, message: text, full, set} =
        error instanceof StartFailed ? error : new StartFailed("client", String(error));
      send(tab.id, {type: "refusal", ask, code, message: text, full, set});
    }
  }

  /**
   * Tells each tab of the others, once per turn; a tab in the back/forward cache must get no
   * message.
   */
  function announcePeers(): void {
    peersTimer ??= setTimeout(() => {
      peersTimer = undefined;
      const peers = [...tabs.values()].map((tab) => ({
        tab: tab.id,
        page: tab.page,
        claims: owners.claimsOf(tab.id),
      }));
      for (const tab of tabs.values()) {
        const others = peers.filter((one) => one.tab !== tab.id && one.claims.length);
        if (tab.port) send(tab.id, {type: "peers", peers: others});
      }
    });
  }

  return {
    /** Connects a tab's port; returns the handler of its messages. */
    connect(port: HubPort): (message: ToWorker) => void {
      let tab: Tab | undefined;
      return (message) => {
        if (message.type === "hello") tab = hello(port, message);
        if (!tab || tab.port !== port) return; // the tab has reconnected on another port
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
            return removeTab(tab, false);
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
    hellos: 0,
  };
}

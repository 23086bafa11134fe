/**
 * Entry point of the page: `dash_clientside.flash_events[id]` starts a run of the event callback
 * `id`.
 */

import {createApplier} from "./apply/apply.ts";
import {addCommands} from "./apply/commands.ts";
import {connectDash} from "./dash/dash.ts";
import {postTo} from "./transport/endpoint.ts";
import type {Host} from "./transport/host.ts";
import {nextFrame} from "./frames.ts";
import {newId} from "./ids.ts";
import {hold, whenFree} from "./tabs/locks.ts";
import type {ToTab} from "./tabs/messages.ts";
import {endpointOf, postWithRenewal, renewIn} from "./transport/renewal.ts";
import {createLazyConnections} from "./transport/lazy_connections.ts";
import type {createWaitlist} from "./runs/waitlist.ts";
import {createRuns} from "./runs/runs.ts";
import {createShared} from "./tabs/shared.ts";
import {clientside} from "./dash/store.ts";
import {publish} from "./runs/subscribers.ts";

/**
 * Versions of the scripts that are loaded on use, so that a deploy loads its own; set by build.mjs.
 */
declare const WORKER_VERSION: string;
declare const CONNECTIONS_VERSION: string;
declare const WAITLIST_VERSION: string;

const PAGE_KEY = "flash_events.page";

/** Tab storage. An embedded page may have none; then no run is restored after a reload. */
const storage = {
  read(key: string): string | null {
    try {
      return sessionStorage.getItem(key);
    } catch {
      return null;
    }
  },
  write(key: string, text: string): void {
    try {
      sessionStorage.setItem(key, text);
    } catch {
      // no storage: runs are not restored after a reload
    }
  },
};

/**
 * Returns the tab's id. It survives a reload; a duplicated tab, which copies the storage, gets its
 * own.
 */
async function pageId(): Promise<string> {
  const id = storage.read(PAGE_KEY) ?? newId();
  const own = (await holdPage(id)) ? id : newId();
  storage.write(PAGE_KEY, own);
  if (own !== id) await holdPage(own);
  return own;
}

/**
 * Takes the page id's lock. Returns false if another tab holds it, and true where there are no
 * locks (plain HTTP, an embedded page).
 */
async function holdPage(id: string): Promise<boolean> {
  if (!hasLocks()) return true;
  const release = await hold(`flash_events ${id}`, true).catch(() => () => undefined);
  // Released on `pagehide`: a held lock keeps a page out of the back/forward cache.
  if (release) addEventListener("pagehide", release, {once: true});
  return release !== undefined;
}

function hasLocks(): boolean {
  return "locks" in navigator;
}

function canShare(): boolean {
  return "SharedWorker" in globalThis && hasLocks();
}

/**
 * Loads a script on use. Resolves with the object that it exports in the namespace, or undefined.
 */
function load<T>(name: string, version: string): Promise<T | undefined> {
  return new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = `${dash.url(name)}?v=${version}`;
    script.onload = script.onerror = () => resolve(clientside()[`flash_events_${name}`] as T | undefined);
    document.head.append(script);
  });
}

function openWorker(
  onMessage: (message: ToTab) => void,
  onError: () => void,
): MessagePort | undefined {
  if (!canShare()) return undefined;
  const url = `${dash.url("worker")}?v=${WORKER_VERSION}`;
  const worker = new SharedWorker(url, {name: "flash_events"});
  worker.onerror = onError;
  worker.port.onmessage = ({data}: MessageEvent<ToTab>) => onMessage(data);
  return worker.port;
}

function warn(message: string): void {
  console.warn(`flash_events: ${message}`);
}

const dash = connectDash();
const endpoint = () => endpointOf(dash);
const renew = renewIn(dash);
const page = pageId();
const host: Host = {
  post: postWithRenewal(postTo, endpoint, renew),
  onEvent(event, bytes) {
    if (runs.onEvent(event, bytes)) publish({type: "event", event, bytes});
  },
  onLost: (id) => runs.onLost(id),
  onCommands: addCommands,
  onState: (state, retryMs) => publish({type: "connection", state, retryMs}),
  drained: () => applier.drained(),
  warn,
};
const owned = createLazyConnections(host, () => load("connections", CONNECTIONS_VERSION));
const connections = createShared({
  host,
  owned,
  page,
  endpoint,
  renew,
  unapplied: () => applier.unapplied(),
  open: openWorker,
  hold,
  whenFree,
});
const applier = createApplier({
  dash: {
    ...dash,
    set(id, props) {
      runs.onSet(id);
      dash.set(id, props);
    },
  },
  onApplied(source, id, props) {
    runs.onApplied(source, id, props);
    publish({type: "applied", run: source.id, id, props});
  },
  onMissing(source, id, props) {
    const isKnown = runs.onMissing(source, id, props);
    if (!isKnown) publish({type: "missing", run: source.id, id, props});
    return isKnown;
  },
  onFlushed: () => connections.report(),
  warn,
  isHidden: () => document.hidden,
  nextFrame,
  now: () => performance.now(),
});
const runs = createRuns({
  dash,
  applier,
  connections,
  page,
  storage,
  loadWaitlist: async () => (await load<typeof createWaitlist>("waitlist", WAITLIST_VERSION))?.(warn),
  onState: (run, trigger, state) => publish({type: "run", run, trigger, state}),
  warn,
});

clientside()["flash_events"] = new Proxy(
  {},
  {
    get: (_, callback) => () => {
      // Dash deletes the context right after the call. The stream's promise is not returned because
      // Dash has only twelve slots for running callbacks.
      const context = clientside().callback_context;
      if (context && typeof callback === "string") runs.trigger(callback, context);
    },
  },
);

let isPrepared = canShare();
dash.subscribe(() => {
  if (!isPrepared && dash.isReady()) {
    isPrepared = true;
    owned.prepare();
  }
  runs.check();
  applier.poke();
});
addEventListener("pagehide", (event) => (event.persisted ? connections.suspend() : runs.close()));
addEventListener("pageshow", (event) => event.persisted && connections.restore());
addEventListener("online", () => connections.wake());
document.addEventListener("visibilitychange", () => document.hidden && applier.flush());

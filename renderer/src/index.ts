/** Wires the page: `dash_clientside.flash_events[id]` starts a run of the event callback `id`. */

import {createApplier} from "./apply.ts";
import {addCommands} from "./commands.ts";
import {createConnections} from "./connection.ts";
import {clientside, connectDash} from "./dash.ts";
import {newId} from "./ids.ts";
import {createRuns} from "./runs.ts";

const PAGE_KEY = "flash_events.page";

/** A tab's id survives a reload; a duplicated tab, which copies the storage, gets its own. */
async function pageId(): Promise<string> {
  try {
    const id = sessionStorage.getItem(PAGE_KEY) ?? newId();
    const isOurs = await hold(`flash_events ${id}`);
    const own = isOurs ? id : newId();
    sessionStorage.setItem(PAGE_KEY, own);
    if (!isOurs) await hold(`flash_events ${own}`);
    return own;
  } catch {
    return newId(); // a page that is embedded may have neither storage nor locks
  }
}

/** Whether no other tab holds the name; always true where pages have no locks (plain HTTP). */
function hold(name: string): Promise<boolean> {
  const {locks} = navigator as {locks?: LockManager};
  if (!locks) return Promise.resolve(true);
  return new Promise((resolve, reject) => {
    const held = locks.request(name, {ifAvailable: true}, (lock) => {
      resolve(lock !== null);
      // Released on `pagehide`: a held lock keeps a page out of the back/forward cache.
      return lock && new Promise<void>((free) => addEventListener("pagehide", () => free()));
    });
    held.catch(reject);
  });
}

function warn(message: string): void {
  console.warn(`flash_events: ${message}`);
}

/** Frames stop while a window is covered; the timer goes on. */
function nextFrame(callback: () => void): void {
  let isCalled = false;
  const once = () => {
    if (isCalled) return;
    isCalled = true;
    clearTimeout(timer);
    callback();
  };
  const timer = setTimeout(once, 100);
  requestAnimationFrame(once);
}

const dash = connectDash();
const connections = createConnections({
  post: (action, body, options) =>
    fetch(dash.url(action), {
      method: "POST",
      credentials: "same-origin",
      cache: "no-store",
      headers: dash.headers(),
      body: JSON.stringify(body),
      ...options,
    }),
  onEvent: (event, bytes) => runs.onEvent(event, bytes),
  onLost: (connection) => runs.onLost(connection),
  onCommands: addCommands,
  drained: () => applier.drained(),
  warn,
});
const applier = createApplier({
  dash,
  onApplied: (source, id, props) => runs.onApplied(source, id, props),
  warn,
  isHidden: () => document.hidden,
  nextFrame,
  now: () => performance.now(),
});
const runs = createRuns({dash, applier, connections, page: pageId(), warn});

clientside()["flash_events"] = new Proxy(
  {},
  {
    get: (_, callback) => () => {
      // Dash deletes the context right after the call. The stream's promise is not returned: Dash
      // has twelve slots for running callbacks.
      const context = clientside().callback_context;
      if (context && typeof callback === "string") runs.trigger(callback, context);
    },
  },
);

dash.subscribe(() => {
  runs.check();
  applier.poke();
});
addEventListener("pagehide", (event) =>
  event.persisted ? connections.suspend() : connections.close(),
);
addEventListener("pageshow", (event) => event.persisted && connections.wake());
addEventListener("online", () => connections.wake());
document.addEventListener("visibilitychange", () => document.hidden && applier.flush());

/** The component `Subscription`, which shows nothing; see runs/subscriptions.ts. */

import {connectDash} from "../dash/dash.ts";
import {isAwaited} from "../dash/progress.ts";
import {clientside} from "../dash/store.ts";
import type {CallbackContext, Entry} from "../dash/types.ts";
import {nextFrame} from "../frames.ts";
import {subscribe} from "../runs/subscribers.ts";
import {createSubscriptions, type Subscribed} from "../runs/subscriptions.ts";
import {React} from "./react.ts";

const dash = connectDash();
const subscriptions = createSubscriptions({
  dash,
  isAwaited,
  start,
  isHidden: () => document.hidden,
  nextFrame,
  now: () => performance.now(),
  warn,
});
subscribe(subscriptions.accept);
dash.subscribe(subscriptions.handOut);
document.addEventListener("visibilitychange", () => document.hidden && subscriptions.flush());

function warn(message: string): void {
  console.warn(`flash_events: ${message}`);
}

/** Calls the page's script in the way that Dash calls it for an event callback. */
function start(entry: Entry, context: CallbackContext): void {
  const page = clientside();
  const runs = page["flash_events"] as Readonly<Record<string, () => void>> | undefined;
  if (!runs) {
    warn("A Subscription needs a topic of this app, on a server that streams (Quart or FastAPI).");
    return;
  }
  const before = page.callback_context;
  page.callback_context = context;
  try {
    runs[entry.output]?.();
  } finally {
    if (before) page.callback_context = before;
    else delete page.callback_context;
  }
}

export function Subscription(props: Subscribed): null {
  const {id, topic, last, window, each, overflow, initial} = props;
  React.useEffect(() => {
    subscriptions.show({id, topic, last, window, each, overflow, initial});
  }, [id, JSON.stringify(topic), last, window, each, overflow]);
  return null;
}

const PROPS = [
  ...["id", "topic", "last", "window", "each", "overflow", "initial"],
  ...["message", "messages", "offset", "missed", "state"],
];
/** Dash compares the names in callbacks with these in debug mode. */
Subscription.propTypes = Object.fromEntries(PROPS.map((name) => [name, () => null]));

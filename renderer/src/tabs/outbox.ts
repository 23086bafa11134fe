/** Messages to one tab: those not posted yet, and recent ones that may be lost. */

import type {Delivery, ToTab} from "./messages.ts";

/** Maximum time that a posted message may be in transit when its tab is suspended. */
const MAX_TRANSIT_MS = 1000;

export function createOutbox() {
  let waiting: (ToTab | Delivery[])[] = [];
  let waitingBytes = 0;
  let posted = 0;
  let recent: {readonly n: number; readonly at: number; readonly message: ToTab}[] = [];

  return {
    bytes: () => waitingBytes,

    put(message: ToTab): void {
      waiting.push(message);
    },

    /** Queues an event; consecutive events share one message. */
    putEvent(delivery: Delivery): void {
      waitingBytes += delivery.bytes;
      const last = waiting.at(-1);
      if (Array.isArray(last)) last.push(delivery);
      else waiting.push([delivery]);
    },

    post(port: {postMessage(message: ToTab): void}): void {
      const messages = waiting;
      const at = Date.now();
      waiting = [];
      waitingBytes = 0;
      for (const one of messages) {
        const message = Array.isArray(one) ? messageOf(one) : one;
        recent.push({n: ++posted, at, message});
        port.postMessage(message);
      }
      recent = recent.filter((one) => at - one.at < MAX_TRANSIT_MS);
    },

    /**
     * Queues the messages again that the tab has not received; it has received the first `heard`.
     */
    rewind(heard: number): void {
      waiting.unshift(...recent.filter(({n}) => n > heard).map((one) => one.message));
      recent = [];
      posted = 0;
    },
  };
}

function messageOf(deliveries: readonly Delivery[]): ToTab {
  return {type: "events", json: JSON.stringify(deliveries)};
}

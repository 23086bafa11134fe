/** Script of the SharedWorker: one per app and renderer version in a browser. */

import {createConnections} from "../transport/connection.ts";
import {postTo} from "../transport/endpoint.ts";
import {createHub} from "./hub.ts";
import {newId} from "../ids.ts";
import {hold, whenFree} from "./locks.ts";
import {workerLock, type ToWorker} from "./messages.ts";

const id = newId();
const hub = createHub({id, connect: createConnections, post: postTo, whenFree});
const held = hold(workerLock(id)); // never released: a waiter notices the worker's death

addEventListener("connect", (event) => {
  const [port] = (event as MessageEvent).ports;
  if (!port) return;
  // Welcome a tab only once it can detect the worker's death.
  void held.then(() => {
    const receive = hub.connect(port);
    port.onmessage = ({data}: MessageEvent<ToWorker>) => receive(data);
  });
});

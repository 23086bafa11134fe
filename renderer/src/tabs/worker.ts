/** The script of the SharedWorker: one for all tabs of this app and renderer in a browser. */

import {createConnections} from "../transport/connection.ts";
import {postTo} from "../transport/endpoint.ts";
import {createHub} from "./hub.ts";
import {newId} from "../ids.ts";
import {hold, whenFree} from "./locks.ts";
import {workerLock, type ToWorker} from "./messages.ts";

const id = newId();
const hub = createHub({id, connect: createConnections, post: postTo, whenFree});
const held = hold(workerLock(id)); // never released: who waits for it learns that the worker died

addEventListener("connect", (event) => {
  const [port] = (event as MessageEvent).ports;
  if (!port) return;
  // A tab is welcomed when it can see whether the worker lives.
  void held.then(() => {
    const receive = hub.connect(port);
    port.onmessage = ({data}: MessageEvent<ToWorker>) => receive(data);
  });
});

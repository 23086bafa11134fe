/** Requests to the server to stop runs, with retries. */

import {isPermanent, retryDelayMs, pause, MAX_ATTEMPTS} from "./responses.ts";
import type {Host, StopFields} from "./host.ts";
import {VERSION} from "../protocol.ts";

export function createStops({post: send, warn}: Pick<Host, "post" | "warn">) {
  /** `keepalive`: the page may close meanwhile, or the worker with its last tab. */
  function post(fields: StopFields): Promise<Response> {
    return send("stop", {version: VERSION, ...fields}, {keepalive: true});
  }

  async function stop(fields: StopFields): Promise<void> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const response = await post(fields).catch(() => undefined);
      if (response && (response.ok || isPermanent(response))) return;
      await pause(retryDelayMs(attempt));
    }
    warn("The server could not be reached to stop a run.");
  }

  return {post, stop};
}

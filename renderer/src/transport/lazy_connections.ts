/**
 * Connections of a page that shares none with other tabs.
 *
 * Their code is a separate script (connections_script.ts), loaded on use: most pages use the
 * SharedWorker, which contains the same code. A page may be older than the server that it loads the
 * script from, so the interfaces between the two (`Host`, `Connections`) change only with the
 * protocol's version.
 */

import {retryDelayMs, pause, StartFailed, MAX_ATTEMPTS} from "./responses.ts";
import type {Connections, Host} from "./host.ts";
import {createStops} from "./stops.ts";

export type CreateConnections = (host: Host) => Connections;

/** `load` resolves with undefined if the script cannot be loaded. */
export function createLazyConnections(host: Host, load: () => Promise<CreateConnections | undefined>) {
  const stops = createStops(host);
  let loading: Promise<Connections> | undefined;
  let loaded: Connections | undefined;

  function prepare(): Promise<Connections> {
    loading ??= loadWithRetries();
    loading.catch(() => (loading = undefined));
    return loading;
  }

  async function loadWithRetries(): Promise<Connections> {
    for (let attempt = 1; ; attempt++) {
      const create = await load();
      if (create) return (loaded = create(host));
      if (attempt === MAX_ATTEMPTS) break;
      await pause(retryDelayMs(attempt));
    }
    host.onState("lost");
    throw new StartFailed("network", "The server could not be reached.");
  }

  /** Converts errors of the script, which has its own class `StartFailed`, to the page's. */
  async function withPageErrors(ask: (own: Connections) => Promise<string>): Promise<string> {
    const own = await prepare();
    return ask(own).catch((error: unknown) => {
      const {code, message, full, set} = error as StartFailed;
      throw code ? new StartFailed(code, message, full, set) : error;
    });
  }

  return {
    /** Loads the script before the first start. */
    prepare: () => void prepare().catch(() => undefined),
    start: (...given) => withPageErrors((own) => own.start(...given)),
    attach: (...given) => withPageErrors((own) => own.attach(...given)),
    stop: stops.stop,
    close(fields) {
      if (loaded) loaded.close(fields);
      else if (fields.runs.length) stops.post(fields).catch(() => undefined);
    },
    suspend: () => loaded?.suspend(),
    wake: () => loaded?.wake(),
  } satisfies Connections & {prepare(): void};
}

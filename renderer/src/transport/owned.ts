/**
 * The connections of a page that shares none with other tabs.
 *
 * What opens and reads them is a script of its own (own_connections.ts), which is loaded when the
 * page needs it: most pages have a SharedWorker, which has the same code. A page may be older than
 * the server that it loads the script from, so what the two say to each other (`Host`,
 * `Connections`) changes only with the protocol's version.
 */

import {jitter, pause, StartFailed, TRIES} from "./answers.ts";
import type {Connections, Host} from "./host.ts";
import {createStops} from "./stops.ts";

export type CreateConnections = (host: Host) => Connections;

/** `load` resolves with undefined where the script could not be loaded. */
export function createOwned(host: Host, load: () => Promise<CreateConnections | undefined>) {
  const stops = createStops(host);
  let loading: Promise<Connections> | undefined;
  let loaded: Connections | undefined;

  function prepare(): Promise<Connections> {
    loading ??= loadOften();
    loading.catch(() => (loading = undefined));
    return loading;
  }

  async function loadOften(): Promise<Connections> {
    for (let attempt = 1; ; attempt++) {
      const create = await load();
      if (create) return (loaded = create(host));
      if (attempt === TRIES) break;
      await pause(jitter(attempt));
    }
    host.onState("lost");
    throw new StartFailed("network", "The server could not be reached.");
  }

  /** The script has a class `StartFailed` of its own, which the page does not know. */
  async function carried(ask: (own: Connections) => Promise<string>): Promise<string> {
    const own = await prepare();
    return ask(own).catch((error: unknown) => {
      const {code, message, full, set} = error as StartFailed;
      throw code ? new StartFailed(code, message, full, set) : error;
    });
  }

  return {
    /** Loads what a start will need, so that it need not wait for it. */
    prepare: () => void prepare().catch(() => undefined),
    start: (...given) => carried((own) => own.start(...given)),
    attach: (...given) => carried((own) => own.attach(...given)),
    stop: stops.stop,
    close(fields) {
      if (loaded) loaded.close(fields);
      else if (fields.runs.length) stops.post(fields).catch(() => undefined);
    },
    suspend: () => loaded?.suspend(),
    wake: () => loaded?.wake(),
  } satisfies Connections & {prepare(): void};
}

/** Sends starts at once, and loads the waitlist on the first one that a limit refuses (429). */

import type {StartFailed} from "../transport/responses.ts";
import type {Request, Waitlist} from "./waitlist.ts";

/** `load` resolves with undefined if the script cannot be loaded. */
export function createLazyWaitlist(load: () => Promise<Waitlist | undefined>) {
  let waitlist: Waitlist | undefined;
  let loading: Promise<Waitlist | undefined> | undefined;
  let entered = 0;

  async function loaded(): Promise<Waitlist | undefined> {
    waitlist = await (loading ??= load());
    if (!waitlist) loading = undefined; // the next request loads again
    return waitlist;
  }

  return {
    /** Resolves with the request's answer, or with undefined if the request was given up. */
    async enter(request: Request): Promise<string | undefined> {
      const order = ++entered;
      if (waitlist) return waitlist.enter(request, order);
      try {
        return await request.ask();
      } catch (error) {
        if (!(error as StartFailed).full) throw error;
        const found = await loaded();
        if (!found) throw error;
        // The first attempt in the waitlist gets the refusal that is known already.
        let isReported = false;
        const ask = () => {
          if (isReported) return request.ask();
          isReported = true;
          return Promise.reject(error);
        };
        return found.enter({...request, ask}, order);
      }
    },
    /** Retries now: a run of this page has ended, or a waiting one was given up. */
    retryNow: () => waitlist?.retryNow(),
  };
}

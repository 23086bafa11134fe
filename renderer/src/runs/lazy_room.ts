/** Sends starts at once, and loads the waitlist on the first one that a limit refuses (429). */

import type {StartFailed} from "../transport/answers.ts";
import type {Request, Room} from "./room.ts";

/** `load` resolves with undefined if the script cannot be loaded. */
export function createLazyRoom(load: () => Promise<Room | undefined>) {
  let room: Room | undefined;
  let loading: Promise<Room | undefined> | undefined;
  let entered = 0;

  async function loaded(): Promise<Room | undefined> {
    room = await (loading ??= load());
    if (!room) loading = undefined; // the next request loads again
    return room;
  }

  return {
    /** Resolves with the request's answer, or with undefined if the request was given up. */
    async enter(request: Request): Promise<string | undefined> {
      const order = ++entered;
      if (room) return room.enter(request, order);
      try {
        return await request.ask();
      } catch (error) {
        if (!(error as StartFailed).full) throw error;
        const found = await loaded();
        if (!found) throw error;
        let isTold = false;
        const ask = () => {
          if (isTold) return request.ask();
          isTold = true;
          return Promise.reject(error);
        };
        return found.enter({...request, ask}, order);
      }
    },
    /** Retries now: a run of this page has ended, or a waiting one was given up. */
    poke: () => room?.poke(),
  };
}

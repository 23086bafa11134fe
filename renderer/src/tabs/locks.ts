/** Web Locks tell who lives: whoever holds one is there, however it goes away. */

/** Takes a lock, or not, if it is not to wait for it; resolves with what releases it. */
export function hold(name: string, ifAvailable = false): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, {ifAvailable}, (lock) => {
        if (lock) return new Promise<void>((free) => resolve(() => free()));
        resolve(undefined);
        return undefined;
      })
      .catch(reject);
  });
}

/** Resolves when nobody holds the lock; rejects when the signal aborts the wait. */
export async function whenFree(name: string, signal?: AbortSignal): Promise<void> {
  await navigator.locks.request(name, {mode: "shared", ...(signal && {signal})}, () => undefined);
}

/** Web Locks as liveness checks: a tab or worker holds a lock until it ends, even by a crash. */

/**
 * Takes a lock; resolves with a function that releases it. With `ifAvailable`, resolves with
 * undefined instead of waiting.
 */
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

/** Waits until nobody holds the lock; rejects if the signal aborts. */
export async function whenFree(name: string, signal?: AbortSignal): Promise<void> {
  await navigator.locks.request(name, {mode: "shared", ...(signal && {signal})}, () => undefined);
}

/**
 * Waitlist of starts that the server has refused because of a limit (429): they wait in order and
 * are retried.
 *
 * One of them is retried on behalf of all that wait for the same limit: after the server's
 * `Retry-After`, or at once when a run of this page has ended.
 *
 * Few pages reach a limit, so this is a script of its own, loaded by lazy_waitlist.ts.
 */

import type {StartFailed} from "../transport/responses.ts";

/** Limits that apply to some starts only; other starts need not wait behind them. */
const PARTIAL_LIMITS = ["max_threads", "max_uploading_bytes"];

export interface Request {
  readonly runs: readonly string[];
  readonly replaces: readonly string[];
  /** Whether it adds a run; a restart and an attach do not. */
  readonly isNew: boolean;
  ask(): Promise<string>;
  /** Returns whether the answer is still wanted. */
  isWanted(): boolean;
  /** Called when the request starts to wait. */
  onLimitReached?(): void;
}

interface Waiter {
  readonly order: number;
  readonly request: Request;
  resolve(connection: string | undefined): void;
  reject(error: unknown): void;
}

/** The requests that wait for the same limit, in order; only the first one is retried. */
interface LimitList {
  readonly limit: string;
  waiting: Waiter[];
  timer: ReturnType<typeof setTimeout> | undefined;
  isRetrying: boolean;
  /** Whether a run has ended since the last retry. */
  mayRetry: boolean;
}

export interface Waitlist {
  /**
   * Sends a request and waits while a limit is reached. Resolves with the answer, or with undefined
   * if the request was given up.
   */
  enter(request: Request, order: number): Promise<string | undefined>;
  /** Retries now: a run of this page has ended, or a waiting request was given up. */
  retryNow(): void;
}

/** The error's class comes from another script, so `instanceof` fails. */
const fullOf = (error: unknown) => (error as Partial<StartFailed>).full;

export function createWaitlist(warn: (message: string) => void): Waitlist {
  const lists = new Map<string, LimitList>();
  const warned = new Set<string>();

  function enter(request: Request, order: number): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      const waiter = {order, request, resolve, reject};
      if (!replaceWaiting(waiter) && !joinWaiting(waiter)) void sendNow(waiter);
    });
  }

  async function sendNow(waiter: Waiter): Promise<void> {
    try {
      waiter.resolve(await waiter.request.ask());
    } catch (error) {
      const full = fullOf(error);
      if (!full) return waiter.reject(error);
      waiter.request.onLimitReached?.();
      const list = join(waiter, error as StartFailed);
      list.timer ??= schedule(list, full.retryMs);
    }
  }

  /**
   * Takes the place of a waiting request whose run this one replaces. Returns whether there was
   * one.
   */
  function replaceWaiting(waiter: Waiter): boolean {
    const {replaces} = waiter.request;
    for (const list of lists.values()) {
      const at = list.waiting.findIndex(({request}) =>
        request.runs.some((run) => replaces.includes(run)),
      );
      const before = list.waiting[at];
      if (!before || (at === 0 && list.isRetrying)) continue;
      list.waiting[at] = {...waiter, order: before.order};
      before.resolve(undefined);
      return true;
    }
    return false;
  }

  /** Waits behind others for a limit that applies to all starts. Returns whether there were any. */
  function joinWaiting(waiter: Waiter): boolean {
    if (!waiter.request.isNew) return false;
    const list = [...lists.values()].find((one) => !PARTIAL_LIMITS.includes(one.limit));
    list?.waiting.push(waiter);
    return list !== undefined;
  }

  function join(waiter: Waiter, {message, full}: StartFailed): LimitList {
    const limit = full?.limit ?? "";
    if (!warned.has(limit)) warn(`A run waits for a server limit and is retried: ${message}`);
    warned.add(limit);
    const list = lists.get(limit) ?? newList(limit);
    lists.set(limit, list);
    list.waiting = [...list.waiting, waiter].sort((a, b) => a.order - b.order);
    return list;
  }

  function schedule(list: LimitList, ms: number) {
    const jitter = 1 + Math.random(); // pages spread out
    return setTimeout(() => void retryNext(list), ms * jitter);
  }

  async function retryNext(list: LimitList): Promise<void> {
    list.mayRetry = true;
    if (list.isRetrying) return;
    list.isRetrying = true;
    while (list.mayRetry) {
      clearTimeout(list.timer);
      list.timer = undefined;
      const [first] = dropUnwanted(list);
      if (!first) {
        lists.delete(list.limit);
        break;
      }
      list.mayRetry = false;
      await retry(first, list);
    }
    list.isRetrying = false;
  }

  async function retry(first: Waiter, list: LimitList): Promise<void> {
    try {
      first.resolve(await first.request.ask());
    } catch (error) {
      const full = fullOf(error);
      if (full?.limit === list.limit) {
        list.timer = schedule(list, full.retryMs);
        return;
      }
      if (!full) first.reject(error);
      else {
        const other = join(first, error as StartFailed);
        other.timer ??= schedule(other, full.retryMs);
      }
    }
    list.waiting = list.waiting.filter((one) => one !== first);
    list.mayRetry = true; // the next one may succeed
  }

  function dropUnwanted(list: LimitList): Waiter[] {
    for (const one of list.waiting) if (!one.request.isWanted()) one.resolve(undefined);
    return (list.waiting = list.waiting.filter((one) => one.request.isWanted()));
  }

  return {
    enter,
    retryNow(): void {
      for (const list of lists.values()) void retryNext(list);
    },
  };
}

function newList(limit: string): LimitList {
  return {limit, waiting: [], timer: undefined, isRetrying: false, mayRetry: false};
}

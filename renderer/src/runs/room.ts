/**
 * Starts that the server has no room for wait here, in their order, until it has.
 *
 * One of them asks on behalf of all that wait for the same limit: after the time that the server
 * has named, or at once when a run of this page has ended.
 *
 * Few pages come to a limit: this is a script of its own, which lazy_room.ts loads.
 */

import type {StartFailed} from "../transport/answers.ts";

/** They count some starts only: to wait for them stands in the way of no others. */
const PARTIAL_LIMITS = ["max_threads", "max_uploading_bytes"];

export interface Request {
  readonly runs: readonly string[];
  readonly replaces: readonly string[];
  /** Whether it needs room for another run; a restart and an attach do not. */
  readonly isNew: boolean;
  ask(): Promise<string>;
  /** Whether anybody still wants the answer. */
  isWanted(): boolean;
  /** The request begins to wait. */
  onFull?(): void;
}

interface Waiting {
  readonly order: number;
  readonly request: Request;
  resolve(connection: string | undefined): void;
  reject(error: unknown): void;
}

interface Line {
  readonly limit: string;
  waiting: Waiting[];
  timer: ReturnType<typeof setTimeout> | undefined;
  isAsking: boolean;
  /** A run has ended since it was asked. */
  hasRoom: boolean;
}

export interface Room {
  /** Resolves as `ask` does, or with undefined if the request was given up. */
  enter(request: Request, order: number): Promise<string | undefined>;
  /** A run of this page has ended, or a waiting one is given up. */
  poke(): void;
}

/** The error's class is that of another script. */
const fullOf = (error: unknown) => (error as Partial<StartFailed>).full;

export function createRoom(warn: (message: string) => void): Room {
  const lines = new Map<string, Line>();
  const warned = new Set<string>();

  function enter(request: Request, order: number): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      const waiting = {order, request, resolve, reject};
      if (!takePlace(waiting) && !joinOthers(waiting)) void askAtOnce(waiting);
    });
  }

  async function askAtOnce(waiting: Waiting): Promise<void> {
    try {
      waiting.resolve(await waiting.request.ask());
    } catch (error) {
      const full = fullOf(error);
      if (!full) return waiting.reject(error);
      waiting.request.onFull?.();
      const line = join(waiting, error as StartFailed);
      line.timer ??= schedule(line, full.retryMs);
    }
  }

  /** The run that a start replaces may wait itself. */
  function takePlace(waiting: Waiting): boolean {
    const {replaces} = waiting.request;
    for (const line of lines.values()) {
      const at = line.waiting.findIndex(({request}) =>
        request.runs.some((run) => replaces.includes(run)),
      );
      const before = line.waiting[at];
      if (!before || (at === 0 && line.isAsking)) continue;
      line.waiting[at] = {...waiting, order: before.order};
      before.resolve(undefined);
      return true;
    }
    return false;
  }

  /** Others wait for the same room already. */
  function joinOthers(waiting: Waiting): boolean {
    if (!waiting.request.isNew) return false;
    const line = [...lines.values()].find((one) => !PARTIAL_LIMITS.includes(one.limit));
    line?.waiting.push(waiting);
    return line !== undefined;
  }

  function join(waiting: Waiting, {message, full}: StartFailed): Line {
    const limit = full?.limit ?? "";
    if (!warned.has(limit)) warn(`A run waits until the server has room for it: ${message}`);
    warned.add(limit);
    const line = lines.get(limit) ?? newLine(limit);
    lines.set(limit, line);
    line.waiting = [...line.waiting, waiting].sort((a, b) => a.order - b.order);
    return line;
  }

  function schedule(line: Line, ms: number) {
    return setTimeout(() => void askNext(line), ms * (1 + Math.random())); // not all pages at once
  }

  async function askNext(line: Line): Promise<void> {
    line.hasRoom = true;
    if (line.isAsking) return;
    line.isAsking = true;
    while (line.hasRoom) {
      clearTimeout(line.timer);
      line.timer = undefined;
      const [first] = forgetUnwanted(line);
      if (!first) {
        lines.delete(line.limit);
        break;
      }
      line.hasRoom = false;
      await askFor(first, line);
    }
    line.isAsking = false;
  }

  async function askFor(first: Waiting, line: Line): Promise<void> {
    try {
      first.resolve(await first.request.ask());
    } catch (error) {
      const full = fullOf(error);
      if (full?.limit === line.limit) {
        line.timer = schedule(line, full.retryMs);
        return;
      }
      if (!full) first.reject(error);
      else {
        const other = join(first, error as StartFailed);
        other.timer ??= schedule(other, full.retryMs);
      }
    }
    line.waiting = line.waiting.filter((one) => one !== first);
    line.hasRoom = true; // for the next, as far as it is known
  }

  function forgetUnwanted(line: Line): Waiting[] {
    for (const one of line.waiting) if (!one.request.isWanted()) one.resolve(undefined);
    return (line.waiting = line.waiting.filter((one) => one.request.isWanted()));
  }

  return {
    enter,
    poke(): void {
      for (const line of lines.values()) void askNext(line);
    },
  };
}

function newLine(limit: string): Line {
  return {limit, waiting: [], timer: undefined, isAsking: false, hasRoom: false};
}

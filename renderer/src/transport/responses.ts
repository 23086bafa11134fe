/** Interpretation of server responses, and retry delays with backoff. */

import type {Target} from "../protocol.ts";

const RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;
/** Maximum number of attempts before a request fails. */
export const MAX_ATTEMPTS = 4;

/** A limit of the server was reached (429). */
export interface LimitReached {
  /** Name of the limit's setting; "" if the server does not send it. */
  readonly limit: string;
  /** Time until a retry is allowed. */
  readonly retryMs: number;
}

/** Error of a start: the server has refused it, or could not be reached. */
export class StartFailed extends Error {
  readonly code: string;
  /** Set if the same start may be retried later. */
  readonly full: LimitReached | undefined;
  /** Updates that `on_error` streamed. */
  readonly set: readonly Target[] | undefined;

  constructor(code: string, message: string, full?: LimitReached, set?: readonly Target[]) {
    super(message);
    this.code = code;
    this.full = full;
    this.set = set;
  }
}

export function isStream(response: Response): boolean {
  const type = response.headers.get("Content-Type") ?? "";
  return response.ok && response.body !== null && type.startsWith("text/event-stream");
}

/**
 * Returns whether a retry is pointless: 4xx except 408 and 429, 204, and a page instead of a stream
 * (a login, say).
 */
export function isPermanent(response: Response): boolean {
  const {ok, status} = response;
  return ok ? !isStream(response) : status < 500 && status !== 408 && status !== 429;
}

/** Returns a retry delay: exponential backoff with full retryDelayMs, so that clients spread out. */
export function retryDelayMs(attempt: number): number {
  return Math.random() * Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** (attempt - 1));
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The members of a refusal; of any type, as a proxy may have answered. */
interface Refusal {
  readonly error: unknown;
  readonly message: unknown;
  readonly limit: unknown;
  readonly set: unknown;
}

/**
 * Converts a failed response to an error; `size` is that of a large request, which a proxy may
 * block.
 */
export async function toStartFailed(
  response: Response | undefined,
  size?: number,
): Promise<StartFailed> {
  const cure = size
    ? ` The request has ${size} bytes; a proxy may not let it pass (nginx: client_max_body_size).`
    : "";
  if (!response) return new StartFailed("network", `The server could not be reached.${cure}`);
  const {status} = response;
  // What has answered may be a proxy, or a gateway with JSON of its own.
  const told = ((await response.json().catch(() => undefined)) ?? {}) as Partial<Refusal>;
  const {error, message, limit, set} = told;
  const full = status === 429 ? {limit: textOr("", limit), retryMs: retryMsOf(response)} : undefined;
  const otherwise = `The server answered ${status}.${status === 413 ? cure : ""}`;
  return new StartFailed(
    textOr("http", error),
    textOr(otherwise, message),
    full,
    Array.isArray(set) ? (set as Target[]) : undefined,
  );
}

function textOr(otherwise: string, value: unknown): string {
  return typeof value === "string" ? value : otherwise;
}

/** Parses `Retry-After`, a number of seconds or a date. */
function retryMsOf(response: Response): number {
  const text = response.headers.get("Retry-After") ?? "";
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Math.max(RETRY_MS, ms || 0);
}

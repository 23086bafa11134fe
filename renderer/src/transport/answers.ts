/** What the server's answers mean, and when to ask again. */

import type {Target} from "../protocol.ts";

const RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;
/** So often a request is sent before its failure is told. */
export const TRIES = 4;

/** The server has no room at present. */
export interface Full {
  /** The setting that was reached; "" where the server does not say. */
  readonly limit: string;
  /** Until it may be asked again. */
  readonly retryMs: number;
}

/** The server has refused a start, or was not reached. */
export class StartFailed extends Error {
  readonly code: string;
  /** Set where the same start may be accepted later. */
  readonly full: Full | undefined;
  /** What `on_error` streams. */
  readonly set: readonly Target[] | undefined;

  constructor(code: string, message: string, full?: Full, set?: readonly Target[]) {
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

/** 4xx other than 408 and 429, 204, and a page that is no stream (a login?): do not come back. */
export function isFinal(response: Response): boolean {
  const {ok, status} = response;
  return ok ? !isStream(response) : status < 500 && status !== 408 && status !== 429;
}

/** Full jitter, so that clients that were cut together do not come back together. */
export function jitter(attempt: number): number {
  return Math.random() * Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** (attempt - 1));
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What our server says, each of any type where another has answered. */
interface Refusal {
  readonly error: unknown;
  readonly message: unknown;
  readonly limit: unknown;
  readonly set: unknown;
}

/** `size` is that of a large request, which something on the way may not let pass. */
export async function failureOf(
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
    textOr("refused", error),
    textOr(otherwise, message),
    full,
    Array.isArray(set) ? (set as Target[]) : undefined,
  );
}

function textOr(otherwise: string, value: unknown): string {
  return typeof value === "string" ? value : otherwise;
}

/** `Retry-After` is a number of seconds, or a date. */
function retryMsOf(response: Response): number {
  const text = response.headers.get("Retry-After") ?? "";
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Math.max(RETRY_MS, ms || 0);
}

/**
 * Posts JSON to the server in the format of Dash's own requests; the only file of the protocol that
 * fetches.
 */

import type {Action, Endpoint, RequestOptions} from "./host.ts";

export function postTo(
  {url, headers}: Endpoint,
  action: Action,
  fields: object,
  {body = "{}", headers: more, ...options}: RequestOptions,
): Promise<Response> {
  return fetch(url + action, {
    method: "POST",
    credentials: "same-origin",
    cache: "no-store",
    headers: {...headers, ...more},
    body: withFields(body, fields),
    ...options,
  });
}

/** Adds our fields to a JSON object without parsing it, since it may be large. */
export function withFields(body: string, fields: object): string {
  const open = body.slice(0, -1);
  return `${open}${open === "{" ? "" : ","}"flash_events":${JSON.stringify(fields)}}`;
}

/** The only file that fetches; what it sends is JSON that Dash's own transport would send. */

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

/** Adds our fields to JSON of an object, which may be large and is not parsed for it. */
export function withFields(body: string, fields: object): string {
  const open = body.slice(0, -1);
  return `${open}${open === "{" ? "" : ","}"flash_events":${JSON.stringify(fields)}}`;
}

/** The only file that fetches. */

import type {Action, RequestOptions} from "./host.ts";
import type {Endpoint} from "./messages.ts";

export function postTo(
  {url, headers}: Endpoint,
  action: Action,
  body: object,
  options: RequestOptions,
): Promise<Response> {
  return fetch(url + action, {
    method: "POST",
    credentials: "same-origin",
    cache: "no-store",
    headers,
    body: JSON.stringify(body),
    ...options,
  });
}

/** Retries requests whose headers are outdated, such as an expired token. */

import type {Dash} from "../dash/dash.ts";
import type {Action, Endpoint, Host, RequestOptions} from "./host.ts";

/** Statuses that may mean an expired token; some servers answer 400, since 401 means a login. */
const EXPIRED_STATUSES = [400, 401, 403];

/** Text that Dash's renderer looks for in the body of a 400 or a 401. */
const EXPIRED_TEXT = "JWT Expired";

/** Maximum number of renewals: first the page's current headers, then those of its hook. */
const MAX_RENEWALS = 2;

/** Returns fresher headers than those refused; undefined if there are none. */
export type Renew = (refused: Endpoint, isExpired: boolean) => Promise<Endpoint | undefined>;

export type Post = (
  endpoint: Endpoint,
  action: Action,
  fields: object,
  options: RequestOptions,
) => Promise<Response>;

/** Returns the page's URL and current headers. */
export function endpointOf(dash: Pick<Dash, "url" | "headers">): Endpoint {
  return {url: dash.url(""), headers: dash.headers()};
}

/** Returns a renewal like Dash's own; an ordinary callback may have renewed the token already. */
export function renewIn(dash: Pick<Dash, "url" | "headers" | "refreshToken">): Renew {
  return async (refused, isExpired) => {
    const isOld = JSON.stringify(dash.headers()) !== JSON.stringify(refused.headers);
    const isFresh = isOld || (isExpired && (await dash.refreshToken(refused.headers)));
    return isFresh ? endpointOf(dash) : undefined;
  };
}

/** Returns a `post` that retries a refused request while its headers can be renewed. */
export function postWithRenewal(
  post: Post,
  endpointOf: (fields: object) => Endpoint,
  renew: (...args: [...Parameters<Renew>, fields: object]) => ReturnType<Renew>,
): Host["post"] {
  return async (action, fields, options) => {
    let endpoint = endpointOf(fields);
    for (let renewals = 0; ; renewals++) {
      const response = await post(endpoint, action, fields, options);
      if (!EXPIRED_STATUSES.includes(response.status) || renewals === MAX_RENEWALS) return response;
      const isExpired = (await response.clone().text()).includes(EXPIRED_TEXT);
      const fresh = await renew(endpoint, isExpired, fields);
      if (!fresh) return response;
      endpoint = fresh;
    }
  };
}

/** Requests whose headers have become too old, such as a token that has expired, are repeated. */

import type {Dash} from "../dash/dash.ts";
import type {Action, Endpoint, Host, RequestOptions} from "./host.ts";

/** Some servers keep 401 for what the user must do, and answer 400 where a token has expired. */
const STATUSES = [400, 401, 403];

/** What Dash's renderer looks for in the body of a 400 or a 401. */
const EXPIRED = "JWT Expired";

/** The page may know fresher headers than those that were used; then it asks its hook for some. */
const MAX_RENEWALS = 2;

/** Returns headers fresher than those that were refused; undefined where there are none. */
export type Renew = (refused: Endpoint, isExpired: boolean) => Promise<Endpoint | undefined>;

export type Post = (
  endpoint: Endpoint,
  action: Action,
  fields: object,
  options: RequestOptions,
) => Promise<Response>;

/** Where a page posts, with the headers that it has by now. */
export function endpointOf(dash: Pick<Dash, "url" | "headers">): Endpoint {
  return {url: dash.url(""), headers: dash.headers()};
}

/** What Dash itself does when a token has expired; an ordinary callback may have done it already. */
export function renewIn(dash: Pick<Dash, "url" | "headers" | "refreshToken">): Renew {
  return async (refused, isExpired) => {
    const isOld = JSON.stringify(dash.headers()) !== JSON.stringify(refused.headers);
    const isFresh = isOld || (isExpired && (await dash.refreshToken(refused.headers)));
    return isFresh ? endpointOf(dash) : undefined;
  };
}

/** Posts to the endpoint that belongs to the fields, and repeats what is refused while it renews. */
export function postRenewed(
  post: Post,
  endpointOf: (fields: object) => Endpoint,
  renew: (...args: [...Parameters<Renew>, fields: object]) => ReturnType<Renew>,
): Host["post"] {
  return async (action, fields, options) => {
    let endpoint = endpointOf(fields);
    for (let renewals = 0; ; renewals++) {
      const response = await post(endpoint, action, fields, options);
      if (!STATUSES.includes(response.status) || renewals === MAX_RENEWALS) return response;
      const isExpired = (await response.clone().text()).includes(EXPIRED);
      const fresh = await renew(endpoint, isExpired, fields);
      if (!fresh) return response;
      endpoint = fresh;
    }
  };
}

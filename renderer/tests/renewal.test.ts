import {describe, expect, it} from "vitest";
import type {Endpoint} from "../src/transport/host.ts";
import {postWithRenewal, renewIn} from "../src/transport/renewal.ts";

const old: Endpoint = {url: "/", headers: {Authorization: "Bearer old"}};
const fresh: Endpoint = {url: "/", headers: {Authorization: "Bearer fresh"}};

/** A server with these responses in turn, and a page with these headers in turn. */
function setup(answers: readonly [number, string][], known: readonly (Endpoint | undefined)[]) {
  const posted: Endpoint[] = [];
  const asked: [Endpoint, boolean][] = [];
  const post = postWithRenewal(
    (endpoint) => {
      const [status, text] = answers[posted.push(endpoint) - 1] ?? [200, ""];
      return Promise.resolve(new Response(text, {status}));
    },
    () => old,
    (refused, isExpired) => Promise.resolve(known[asked.push([refused, isExpired]) - 1]),
  );
  return {posted, asked, ask: () => post("start", {}, {})};
}

describe("P21: a request", () => {
  it.each([400, 401])("that is answered %i because its token has expired is retried", async (status) => {
    const {posted, asked, ask} = setup([[status, "JWT Expired since noon"]], [fresh]);
    expect((await ask()).status).toBe(200);
    expect(posted).toEqual([old, fresh]);
    expect(asked).toEqual([[old, true]]);
  });

  it("that is refused otherwise is retried with the page's current headers", async () => {
    const {posted, asked, ask} = setup([[403, "CSRF"]], [fresh]);
    expect((await ask()).status).toBe(200);
    expect(posted).toEqual([old, fresh]);
    expect(asked).toEqual([[old, false]]);
  });

  it("returns its response if the page has no fresher headers", async () => {
    const {posted, ask} = setup([[401, "JWT Expired"]], [undefined]);
    const response = await ask();
    expect(response.status).toBe(401);
    expect(await response.text()).toBe("JWT Expired");
    expect(posted).toEqual([old]);
  });

  it("is retried twice at most", async () => {
    const {posted, ask} = setup(Array(9).fill([401, "JWT Expired"]), Array(9).fill(fresh));
    expect((await ask()).status).toBe(401);
    expect(posted).toHaveLength(3);
  });

  it.each([404, 409, 410, 413, 429, 500])("that is answered %i is not retried", async (status) => {
    const {posted, asked, ask} = setup([[status, "JWT Expired"]], [fresh]);
    expect((await ask()).status).toBe(status);
    expect([posted, asked]).toEqual([[old], []]);
  });
});

describe("P21: a page whose headers were refused", () => {
  function page(token: string, refreshed?: string) {
    let authorization = `Bearer ${token}`;
    const asked: string[] = [];
    const renew = renewIn({
      url: () => "/",
      headers: () => ({Authorization: authorization}),
      refreshToken: ({Authorization: expired}) => {
        asked.push(expired ?? "");
        if (refreshed) authorization = `Bearer ${refreshed}`;
        return Promise.resolve(refreshed !== undefined);
      },
    });
    return {renew, asked};
  }

  it("calls its hook to refresh an expired token", async () => {
    const {renew, asked} = page("old", "fresh");
    expect(await renew(old, true)).toEqual(fresh);
    expect(asked).toEqual(["Bearer old"]);
  });

  it("does not call its hook if its headers have changed", async () => {
    const {renew, asked} = page("fresh", "fresher");
    expect(await renew(old, true)).toEqual(fresh);
    expect(asked).toEqual([]);
  });

  it("does not call its hook if no token has expired", async () => {
    const {renew, asked} = page("old", "fresh");
    expect(await renew(old, false)).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it("has no fresher headers if its hook returns none", async () => {
    expect(await page("old").renew(old, true)).toBeUndefined();
  });
});

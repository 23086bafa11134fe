/** Component ids as the protocol writes them, their wildcards, and random ids. */

/** A string id, or a dict id as JSON with sorted keys, wildcards as `["MATCH"]` or `["ALL"]`. */
export type WireId = string;

export type DictId = Readonly<Record<string, unknown>>;

/** Values of the triggering component's id for the keys that are MATCH in the callback's Inputs. */
export type Match = Readonly<Record<string, unknown>>;

/** Returns 16 random bytes in base64url; `crypto.randomUUID` is missing on plain HTTP. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").slice(0, 22);
}

export function isDictId(id: WireId): boolean {
  return id.startsWith("{");
}

export function parseId(id: WireId): DictId {
  return JSON.parse(id) as DictId;
}

export function stringifyId(id: string | DictId): WireId {
  if (typeof id === "string") return id;
  const keys = Object.keys(id).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(id[key])}`).join(",")}}`;
}

export function isWildcard(value: unknown, name?: "MATCH" | "ALL"): boolean {
  if (!Array.isArray(value)) return false;
  return name === undefined || value[0] === name;
}

/** Replaces each MATCH in an id by the triggering component's value. */
export function resolveMatch(id: WireId, match: Match): WireId {
  if (!isDictId(id)) return id;
  const parsed = parseId(id);
  const resolved = Object.entries(parsed).map(([key, value]) =>
    isWildcard(value, "MATCH") && key in match ? [key, match[key]] : [key, value],
  );
  return stringifyId(Object.fromEntries(resolved) as DictId);
}

/** Returns the values that the MATCH keys of a pattern have in this id. */
export function matchedBy(pattern: WireId, id: DictId): Match {
  const keys = Object.entries(parseId(pattern)).filter(([, value]) => isWildcard(value, "MATCH"));
  return Object.fromEntries(keys.map(([key]) => [key, id[key]]));
}

/** Returns the id with ALL in place of MATCH, which covers every component it can refer to. */
export function anyOf(id: WireId): WireId {
  if (!isDictId(id)) return id;
  const entries = Object.entries(parseId(id)).map(([key, value]) =>
    isWildcard(value) ? [key, ["ALL"]] : [key, value],
  );
  return stringifyId(Object.fromEntries(entries) as DictId);
}

/** Returns whether an id, with MATCH already resolved, can refer to several components. */
export function isPattern(id: WireId): boolean {
  // Fast check: a wildcard needs a bracket, and most ids have none.
  if (!isDictId(id) || !id.includes("[")) return false;
  return Object.values(parseId(id)).some((value) => isWildcard(value));
}

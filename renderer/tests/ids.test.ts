import {afterEach, expect, it, vi} from "vitest";
import {
  isDictId,
  isPattern,
  isWildcard,
  newId,
  parseId,
  resolveMatch,
  stringifyId,
} from "../src/ids.ts";

afterEach(() => void vi.unstubAllGlobals());

it("creates unique ids of 22 base64url characters", () => {
  const ids = Array.from({length: 1000}, newId);

  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(new Set(ids).size).toBe(1000);
});

it("creates ids without randomUUID, which is missing on plain HTTP", () => {
  const fill = (bytes: Uint8Array) => bytes.fill(255);
  vi.stubGlobal("crypto", {getRandomValues: fill});

  expect(newId()).toBe("_____________________w");
});

it("writes dict ids with sorted keys and without spaces", () => {
  expect(stringifyId({type: "card", index: 3})).toBe('{"index":3,"type":"card"}');
  expect(stringifyId({type: "card", index: ["MATCH"]})).toBe('{"index":["MATCH"],"type":"card"}');
});

it("writes string ids as they are", () => {
  expect(stringifyId("out")).toBe("out");
});

it("parses the ids that it writes", () => {
  const id = {index: 'a"b', type: "käse", on: true};

  expect(parseId(stringifyId(id))).toEqual(id);
});

it("tells dict ids from string ids", () => {
  expect(isDictId('{"index":1}')).toBe(true);
  expect(isDictId("out")).toBe(false);
});

it("recognizes wildcards by their list", () => {
  expect(isWildcard(["ALL"])).toBe(true);
  expect(isWildcard(["ALL"], "ALL")).toBe(true);
  expect(isWildcard(["ALL"], "MATCH")).toBe(false);
  expect(isWildcard("ALL")).toBe(false);
  expect(isWildcard(3)).toBe(false);
});

it.each([
  ['{"index":["MATCH"],"type":"card"}', {index: 3}, '{"index":3,"type":"card"}'],
  ['{"index":["MATCH"],"type":"card"}', {index: "a"}, '{"index":"a","type":"card"}'],
  ['{"index":["ALL"],"type":"card"}', {index: 3}, '{"index":["ALL"],"type":"card"}'],
  ['{"a":["MATCH"],"b":["MATCH"]}', {a: 1, b: 2}, '{"a":1,"b":2}'],
  ['{"a":["MATCH"],"b":["MATCH"]}', {a: 1}, '{"a":1,"b":["MATCH"]}'],
  ['{"type":"card","index":3}', {index: 4}, '{"index":3,"type":"card"}'],
  ["out", {index: 3}, "out"],
])("replaces MATCH in %s by the trigger's values", (id, match, resolved) => {
  expect(resolveMatch(id, match)).toBe(resolved);
});

it.each([
  ['{"index":["ALL"],"type":"card"}', true],
  ['{"index":3,"type":"card"}', false],
  ["out", false],
])("returns whether %s can refer to several components", (id, isOne) => {
  expect(isPattern(id)).toBe(isOne);
});

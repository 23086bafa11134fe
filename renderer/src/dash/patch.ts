/** Dash's Patch in its JSON form: operations on a prop instead of a value. */

export interface Patch {
  readonly __dash_patch_update: unknown;
  readonly operations: unknown[];
}

export function isPatch(value: unknown): value is Patch {
  return typeof value === "object" && value !== null && "__dash_patch_update" in value;
}

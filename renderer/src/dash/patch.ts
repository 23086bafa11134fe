/** Dash's Patch, as it travels: a change of a prop in place of its value. */

export interface Patch {
  readonly __dash_patch_update: unknown;
  readonly operations: unknown[];
}

export function isPatch(value: unknown): value is Patch {
  return typeof value === "object" && value !== null && "__dash_patch_update" in value;
}

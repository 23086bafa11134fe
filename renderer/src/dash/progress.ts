/** Callbacks that Dash has not finished. */

import {stringifyId, type WireId} from "../ids.ts";
import {PROGRESS, state} from "./store.ts";

/** Returns whether a callback with this prop as an Input is requested or runs. */
export function isAwaited(id: WireId, property: string): boolean {
  const {callbacks, paths} = state() ?? {};
  return PROGRESS.flatMap((name) => callbacks?.[name] ?? []).some((one) =>
    one
      .getInputs(paths)
      .flat()
      .some((input) => input.property === property && stringifyId(input.id) === id),
  );
}

/** Callbacks as Dash describes them to the browser, and what ours have besides. */

import type {DictId, WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";

export interface Dependency {
  readonly id: WireId;
  readonly property: string;
  readonly allow_optional?: boolean;
}

/** A dependency with its value, as Dash hands it to callbacks and posts it. */
export interface Valued {
  readonly id: string | DictId;
  readonly property: string;
  readonly value?: unknown;
}

/** One item of `inputs_list` or `states_list`: a list where the id has a wildcard. */
export type ValuedItem = Valued | readonly Valued[];

export interface CallbackContext {
  readonly inputs_list: readonly ValuedItem[];
  readonly states_list?: readonly ValuedItem[];
  readonly triggered: readonly {readonly prop_id: string; readonly value?: unknown}[];
}

/** What travels with the page for each event callback. */
export interface Entry {
  readonly output: string;
  readonly inputs: readonly Dependency[];
  readonly state: readonly Dependency[];
  readonly prevent_initial_call: boolean;
  readonly flash_events: {
    readonly overlap: "restart" | "skip" | "queue" | "parallel";
    readonly keepAlive: boolean;
    /** Whether a run is cancelled when its page goes away, or goes on without a viewer. */
    readonly onDisconnect: "cancel" | "finish";
    readonly cancel: readonly (Dependency & {readonly allowed?: unknown})[];
    readonly reset: readonly (readonly [WireId, Props])[];
    readonly running: readonly (readonly [WireId, string, unknown, unknown])[];
  };
}

/** A callback that Dash has still to finish, and what it may set, as `id.property`. */
export interface Pending {
  readonly callback: string;
  readonly isInitial: boolean;
  readonly outputs: readonly string[];
}

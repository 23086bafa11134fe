/** Callbacks as Dash describes them to the browser, with our extra keys. */

import type {DictId, WireId} from "../ids.ts";
import type {Props} from "../protocol.ts";

export interface Dependency {
  readonly id: WireId;
  readonly property: string;
  readonly allow_optional?: boolean;
}

/** A dependency with its value, as Dash passes it to callbacks and posts it. */
export interface Valued {
  readonly id: string | DictId;
  readonly property: string;
  readonly value?: unknown;
}

/** One item of `inputs_list` or `states_list`: a list if the id has a wildcard. */
export type ValuedItem = Valued | readonly Valued[];

export interface CallbackContext {
  /** Entry of a component's own run, which is not in Dash's list. */
  readonly entry?: Entry;
  readonly inputs_list: readonly ValuedItem[];
  readonly states_list?: readonly ValuedItem[];
  readonly triggered: readonly {readonly prop_id: string; readonly value?: unknown}[];
}

/** An event callback as it is described in the page. */
export interface Entry {
  readonly output: string;
  readonly inputs: readonly Dependency[];
  readonly state: readonly Dependency[];
  readonly prevent_initial_call: boolean;
  readonly flash_events: {
    readonly overlap: "restart" | "skip" | "queue" | "parallel";
    readonly keepAlive: boolean;
    /** Whether a run is cancelled when its page leaves, or continues without a viewer. */
    readonly onDisconnect: "cancel" | "finish";
    readonly cancel: readonly (Dependency & {readonly allowed?: unknown})[];
    readonly reset: readonly (readonly [WireId, Props])[];
    readonly running: readonly (readonly [WireId, string, unknown, unknown])[];
  };
  /** Called in place of a warning when a run has failed; for runs that a component starts itself. */
  onFailure?(message: string, code?: string): void;
}

/** A callback that Dash has not finished, and its outputs as `id.property`. */
export interface Pending {
  readonly callback: string;
  readonly isInitial: boolean;
  readonly outputs: readonly string[];
}

/** The components of this package; only apps that use them load this script. */

import type {WireId} from "../ids.ts";
import {createStates, type Shown} from "../runs/states.ts";
import {subscribe, type RunState as State} from "../runs/subscribers.ts";
import {React} from "./react.ts";
import {Subscription} from "./subscription.ts";
import type {ConnectionState} from "../transport/host.ts";

interface RunStateProps {
  /** The id as Dash writes it; a dict id as JSON. */
  readonly id: WireId;
  readonly callback: string;
  readonly state?: State | "idle";
  setProps(props: object): void;
}

interface ConnectionStatusProps {
  readonly id?: string;
  readonly className?: string;
  readonly style?: object;
  readonly labels?: Readonly<Partial<Record<ConnectionState, string>>>;
  readonly state?: ConnectionState;
  readonly retry_seconds?: number | null;
  setProps(props: object): void;
}

const LABELS: Readonly<Record<ConnectionState, string>> = {
  idle: "Idle",
  connecting: "Connecting …",
  open: "Live",
  reconnecting: "Connection lost; trying again in {seconds} s",
  lost: "Not connected",
};

const COLORS: Readonly<Record<ConnectionState, string>> = {
  idle: "#868e96",
  connecting: "#f08c00",
  open: "#2f9e44",
  reconnecting: "#f08c00",
  lost: "#e03131",
};

const DOT = {
  display: "inline-block",
  width: "0.6em",
  height: "0.6em",
  marginRight: "0.4em",
  borderRadius: "50%",
};

const states = createStates(() => Date.now());
subscribe(states.accept);

/** Renders nothing; its prop `state` is the state of an event callback's runs. */
function RunState({id, callback, state, setProps}: RunStateProps): null {
  const now = React.useSyncExternalStore(states.subscribe, () => states.ofRuns(callback, id));
  React.useEffect(() => {
    if (now !== state) setProps({state: now});
  }, [now, state]);
  return null;
}

/** Renders a dot and a label; callbacks can read its props `state` and `retry_seconds`. */
function ConnectionStatus(props: ConnectionStatusProps): unknown {
  const {id, className, style, labels, state, retry_seconds: shownSeconds, setProps} = props;
  const shown: Shown = React.useSyncExternalStore(states.subscribe, states.ofConnection);
  const seconds = useSecondsUntil(shown.retryAt);
  React.useEffect(() => {
    if (shown.state !== state || seconds !== (shownSeconds ?? null)) {
      setProps({state: shown.state, retry_seconds: seconds});
    }
  }, [shown.state, state, seconds, shownSeconds]);
  const label = labels?.[shown.state] ?? LABELS[shown.state];
  return React.createElement(
    "span",
    {id, className, style, role: "status", "data-state": shown.state},
    React.createElement("span", {
      "aria-hidden": true,
      style: {...DOT, backgroundColor: COLORS[shown.state]},
    }),
    label.replace("{seconds}", String(seconds ?? 0)),
  );
}

/** Returns the remaining seconds, counting down; null without a time. */
function useSecondsUntil(time: number | undefined): number | null {
  const [, tick] = React.useState(0);
  React.useEffect(() => {
    if (time === undefined) return undefined;
    const timer = setInterval(() => tick(Date.now()), 500);
    return () => clearInterval(timer);
  }, [time]);
  return time === undefined ? null : Math.max(0, Math.ceil((time - Date.now()) / 1000));
}

Object.assign(((globalThis as unknown as {flash_events?: object}).flash_events ??= {}), {
  RunState,
  ConnectionStatus,
  Subscription,
});

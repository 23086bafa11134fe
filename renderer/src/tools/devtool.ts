/** Panel of streams in Dash's dev tools, and checks of ids and props; loaded in debug mode only. */

import {createChecks} from "./checks.ts";
import {connectDash} from "../dash/dash.ts";
import {connectDebugging} from "../dash/debugging.ts";
import {postTo} from "../transport/endpoint.ts";
import {VERSION} from "../protocol.ts";
import {collapsed, createRecordings, isAlive, SHOWN_UPDATES, type RecordedRun} from "./recordings.ts";
import {allowNumbers} from "./numbers.ts";
import {endpointOf, postWithRenewal, renewIn} from "../transport/renewal.ts";
import {createTopics} from "./topics.ts";
import {subscribe} from "../runs/subscribers.ts";

type Node = unknown;

interface ReactLike {
  createElement(type: unknown, props: object | null, ...children: Node[]): Node;
  useState<T>(initial: T): [T, (next: T) => void];
  useEffect(effect: () => void | (() => void), dependencies: readonly unknown[]): void;
}

const {React} = globalThis as unknown as {React: ReactLike};
const h = React.createElement;

/** Minimum time between two renders of the panel, in ms. */
const MIN_RENDER_MS = 250;
/** Time between two renders while messages per second are shown, in ms. */
const RATE_RENDER_MS = 1000;
const MAX_TEXT_CHARS = 300;

const PANEL = {
  position: "fixed",
  right: 16,
  bottom: 64,
  boxSizing: "border-box",
  width: "min(786px, calc(100vw - 32px))",
  maxHeight: "60vh",
  overflow: "auto",
  padding: 12,
  background: "#fff",
  color: "#212529",
  border: "1px solid #ced4da",
  borderRadius: 6,
  boxShadow: "0 6px 24px rgba(0, 0, 0, .2)",
  font: "12px/1.5 system-ui, sans-serif",
  textAlign: "left",
  zIndex: 10001,
};
const BUTTON = {
  padding: "1px 8px",
  border: "1px solid #ced4da",
  borderRadius: 4,
  background: "#f8f9fa",
  color: "inherit",
  font: "inherit",
  cursor: "pointer",
};
const CELL = {padding: "2px 8px 2px 0", verticalAlign: "top", whiteSpace: "nowrap"};
const NAME = {...CELL, whiteSpace: "normal", overflowWrap: "anywhere", minWidth: 90};
const CODE = {...CELL, whiteSpace: "pre-wrap", overflowWrap: "anywhere", fontFamily: "monospace"};

interface Page {
  readonly dash_html_components?: Parameters<typeof allowNumbers>[0];
}

// The scripts of the components load after this one.
addEventListener("DOMContentLoaded", () => allowNumbers((globalThis as Page).dash_html_components));

const recordings = createRecordings(() => Date.now());
const topics = createTopics(() => Date.now());
subscribe(topics.accept); // before those that draw
subscribe(recordings.accept);

const dash = connectDash();
const checks = createChecks({dash: connectDebugging(), askProps});
subscribe(checks.accept);
dash.subscribe(() => checks.look(dash.isReady()));

/** Requests the props of a component type that declares them in Python only. */
async function askProps(type: string): Promise<readonly string[] | undefined> {
  try {
    const answer = await fetch(`${dash.url("props")}?type=${encodeURIComponent(type)}`);
    return answer.ok ? ((await answer.json()) as string[] | null) ?? undefined : undefined;
  } catch {
    return undefined; // server not reachable: skip the check
  }
}

interface DevtoolProps {
  /** Names of the event callbacks, by id. */
  readonly names?: Readonly<Record<string, string>>;
}

function Devtool({names = {}}: DevtoolProps): Node {
  const [isOpen, setOpen] = React.useState(false);
  const [chosen, choose] = React.useState("");
  useDrawing();
  const runs = recordings.list();
  const subscriptions = topics.list();
  if (!Object.keys(names).length && !subscriptions.length) return null;
  const living = runs.filter(isAlive).length;
  return h(
    "div",
    {className: "flash-events-devtool"},
    h(
      "button",
      {
        type: "button",
        className: "dash-debug-menu__button",
        title: "Streams of this page",
        "aria-expanded": isOpen,
        onClick: () => setOpen(!isOpen),
      },
      `Streams (${living})`,
    ),
    isOpen && h("div", {style: PANEL, role: "dialog", "aria-label": "Streams"},
      h(Head, {names}),
      runs.length
        ? h(Runs, {runs, names, chosen, choose})
        : h("p", null, "No run yet. Trigger an event callback."),
      subscriptions.length > 0 && h(Topics, {subscriptions}),
    ),
  );
}

function Head({names}: {names: Readonly<Record<string, string>>}): Node {
  const {state, reconnects} = recordings.connection;
  return h(
    "div",
    {style: {display: "flex", gap: 8, alignItems: "center", marginBottom: 8}},
    h("strong", null, "flash_events"),
    h("span", {style: {flex: 1}}, `connection: ${state}, reconnects: ${reconnects}`),
    button("Save recording", () => save(names)),
    button("Clear", () => {
      topics.clear();
      recordings.clear();
    }),
  );
}

interface RunsProps {
  readonly runs: readonly RecordedRun[];
  readonly names: Readonly<Record<string, string>>;
  readonly chosen: string;
  choose(run: string): void;
}

const COLUMNS = ["callback", "trigger", "state", "updates", "KB", "collapsed", "last update", ""];

function Runs({runs, names, chosen, choose}: RunsProps): Node {
  const rows = runs.flatMap((one) => {
    const name = names[one.callback] ?? one.callback;
    const cells = [
      h("a", {href: "#", title: name, onClick: toggled}, name.split(".").at(-1)),
      one.triggered.join(", ") || "page load",
      one.state,
      one.updates.toLocaleString(),
      (one.bytes / 1000).toFixed(1),
      collapsed(one).toLocaleString(),
      one.lastAt === undefined ? "" : timeOf(one.lastAt),
      isAlive(one) && button("Stop", () => stop(one.run)),
    ];
    function toggled(event: Event): void {
      event.preventDefault();
      choose(chosen === one.run ? "" : one.run);
    }
    const row = h("tr", {key: one.run}, ...cells.map((cell) => h("td", {style: CELL}, cell)));
    return chosen === one.run ? [row, h(Updates, {key: `${one.run} updates`, run: one})] : [row];
  });
  return table(COLUMNS, rows);
}

const TOPIC_COLUMNS = ["Subscription", "topic", "state", "offset", "missed", "messages", "messages/s"];

function Topics({subscriptions}: {subscriptions: ReturnType<typeof topics.list>}): Node {
  const rows = subscriptions.map((one) => {
    const names = [one.id, one.topic];
    const numbers = [
      one.state,
      one.offset.toLocaleString(),
      one.missed.toLocaleString(),
      one.messages.toLocaleString(),
      one.rate.toFixed(1),
    ];
    return h(
      "tr",
      {key: one.id},
      ...names.map((name) => h("td", {style: NAME}, name)),
      ...numbers.map((number) => h("td", {style: CELL}, number)),
    );
  });
  const messages = subscriptions.reduce((sum, one) => sum + one.messages, 0);
  const rate = subscriptions.reduce((sum, one) => sum + one.rate, 0);
  const total = `${messages.toLocaleString()} messages, ${rate.toFixed(1)}/s`;
  return h(
    "section",
    {"aria-label": "Topics", style: {marginTop: 12}},
    h("strong", null, "Topics "),
    h("span", null, total),
    table(TOPIC_COLUMNS, rows),
  );
}

function table(columns: readonly string[], rows: readonly Node[]): Node {
  return h(
    "table",
    {style: {borderCollapse: "collapse", width: "100%"}},
    h("thead", null, h("tr", null, ...columns.map((name) => h("th", {style: CELL}, name)))),
    h("tbody", null, ...rows),
  );
}

function button(label: string, onClick: () => void): Node {
  return h("button", {type: "button", style: BUTTON, onClick}, label);
}

function Updates({run}: {run: RecordedRun}): Node {
  const updates = run.events.filter((one) => one.event.type === "update").slice(-SHOWN_UPDATES);
  const lines = updates.map(({ms, event}) => {
    const {n, set} = event as {n: number; set: unknown};
    return `${String(n).padStart(6)} ${(ms / 1000).toFixed(3).padStart(9)} s  ${shortened(set)}`;
  });
  return h("tr", null, h("td", {colSpan: COLUMNS.length, style: CODE}, lines.reverse().join("\n")));
}

function shortened(set: unknown): string {
  const text = JSON.stringify(set);
  return text.length > MAX_TEXT_CHARS ? `${text.slice(0, MAX_TEXT_CHARS)} … (${text.length})` : text;
}

function timeOf(time: number): string {
  return new Date(time).toISOString().slice(11, 23);
}

/** Renders again after an event, at most every MIN_RENDER_MS, and while messages per second change. */
function useDrawing(): void {
  const [, draw] = React.useState(0);
  React.useEffect(() => {
    let soon: ReturnType<typeof setTimeout> | undefined;
    let later: ReturnType<typeof setTimeout> | undefined;
    let drawn = 0;
    const stop = recordings.subscribe(() => (soon ??= setTimeout(drawNow, MIN_RENDER_MS)));
    function drawNow(): void {
      clearTimeout(later);
      soon = undefined;
      draw(++drawn);
      if (topics.list().some(({rate}) => rate > 0)) later = setTimeout(drawNow, RATE_RENDER_MS);
    }
    return () => {
      stop();
      clearTimeout(soon);
      clearTimeout(later);
    };
  }, []);
}

/** Asks the server to stop a run; the page gets its end as after a cancel. */
function stop(run: string): void {
  const page = sessionStorage.getItem("flash_events.page") ?? "";
  const post = postWithRenewal(postTo, () => endpointOf(dash), renewIn(dash));
  void post("stop", {version: VERSION, page, runs: [run]}, {});
}

function save(names: Readonly<Record<string, string>>): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([recordings.recording(names)], {type: "application/json"}));
  link.download = "streams.json";
  link.click();
  URL.revokeObjectURL(link.href);
}

Object.assign(((globalThis as unknown as {flash_events?: object}).flash_events ??= {}), {Devtool});

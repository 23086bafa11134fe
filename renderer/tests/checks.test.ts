import {expect, test} from "vitest";
import {createChecks} from "../src/tools/checks.ts";
import type {Entry} from "../src/dash/types.ts";
import type {Debugging} from "../src/dash/debugging.ts";
import type {Trigger} from "../src/runs/triggers.ts";

interface Page {
  readonly onPage: Record<string, string>;
  readonly validated?: Record<string, string>;
  readonly isLenient?: boolean;
  readonly entry?: Partial<Pick<Entry, "inputs" | "state">> & Partial<Entry["flash_events"]>;
  readonly props?: Record<string, readonly string[]>;
}

const DIV = {Div: ["id", "children", "data-*"]};

function setup({onPage, validated, isLenient = false, entry = {}, props = DIV}: Page) {
  const {inputs = [], state = [], cancel = [], reset = [], running = []} = entry;
  const one = {output: "cb", inputs, state, flash_events: {cancel, reset, running}};
  const errors: [string, string][] = [];
  const asked: string[] = [];
  let paths = {};
  const dash: Debugging = {
    entries: () => [one as unknown as Entry],
    callbackNames: () => ({names: {cb: "app.live"}, places: {cb: "C:\\app.py:3"}}),
    isLenient: () => isLenient,
    validated: () => validated && new Map(Object.entries(validated)),
    onPage: () => new Map(Object.entries(onPage)),
    paths: () => paths,
    idsOnPage: () => Object.keys(onPage),
    typeOf: (id) => onPage[id],
    propTypes: (type) => props[type],
    showError: (message, lines) => void errors.push([message, lines.join("\n")]),
  };
  const askProps = async (type: string) => {
    asked.push(type);
    return type === "Known" ? ["id", "size", "aria-*"] : undefined;
  };
  const checks = createChecks({dash, askProps});
  const trigger = {entry: one, match: {k: 1}} as unknown as Trigger;
  checks.accept({type: "run", run: "1", trigger, state: "running"});
  return {
    checks,
    asked,
    errors,
    titles: () => errors.map(([title]) => title),
    moved: () => {
      paths = {};
      checks.look(true);
    },
    missing: (id: string, ...names: string[]) =>
      checks.accept({type: "missing", run: "1", id, props: propsOf(names)}),
    applied: (id: string, ...names: string[]) =>
      checks.accept({type: "applied", run: "1", id, props: propsOf(names)}),
  };
}

const propsOf = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, 1]));

const none = (id: string) => `No component with the id "${id}"`;

const EVERYWHERE: Page["entry"] = {
  inputs: [{id: "in", property: "children"}],
  state: [{id: "st", property: "children"}],
  cancel: [{id: "ca", property: "children"}],
  reset: [["re", {children: 1}]],
  running: [["ru", "children", 1, 2]],
};

test("T2: dependency ids that are not in the layout are reported when the page is ready", () => {
  const {checks, titles, errors} = setup({onPage: {out: "Div"}, entry: EVERYWHERE});
  checks.look(false);
  expect(titles()).toEqual([]);
  checks.look(true);
  checks.look(true);
  expect(titles()).toEqual(["in", "st", "ca", "re", "ru"].map(none));
  const uses = ["has an Input of", "has a State of", "names in cancel"];
  uses.forEach((use, i) => expect(errors[i]?.[1]).toContain(`app.live ${use} "`));
  expect(errors[0]?.[1]).toContain('Written in "C:\\app.py", line 3.');
});

test("T2: an app that suppresses callback exceptions gets errors about props only", () => {
  const entry = {...EVERYWHERE, cancel: [{id: "out", property: "clicks"}]};
  const {checks, titles, missing} = setup({onPage: {out: "Div"}, entry, isLenient: true});
  checks.look(true);
  missing("nowhere", "children");
  expect(titles()).toEqual(['No prop "clicks" in Div "out"']);
});

test("T2: ids of the validation layout are accepted, and its components are checked", () => {
  const entry = {...EVERYWHERE, running: [["ru", "disabled", 1, 2]] as const};
  const validated = {in: "Div", st: "Div", ca: "Div", re: "Div", ru: "Div"};
  const {checks, titles, missing} = setup({onPage: {}, validated, entry});
  checks.look(true);
  missing("re", "children");
  missing("rex", "children");
  expect(titles()).toEqual(['No prop "disabled" in Div "ru"', none("rex")]);
});

test("T2: an optional dependency may be missing, and a pattern may match nothing", () => {
  const entry = {
    inputs: [{id: "in", property: "children", allow_optional: true}],
    state: [{id: '{"k":["ALL"]}', property: "children"}],
  };
  const {checks, titles} = setup({onPage: {}, entry});
  checks.look(true);
  expect(titles()).toEqual([]);
});

test("T2: props of all components that a pattern matches are checked", () => {
  const entry = {state: [{id: '{"k":["MATCH"],"t":"a"}', property: "value"}]};
  const onPage = {'{"k":1,"t":"a"}': "Div", '{"k":1,"t":"b"}': "Slider", '{"k":1}': "Input"};
  const {checks, titles} = setup({onPage, entry, props: {...DIV, Slider: [], Input: []}});
  checks.look(true);
  expect(titles()).toEqual(['No prop "value" in Div "{\\"k\\":1,\\"t\\":\\"a\\"}"']);
});

test("T2: a wrong target is reported once per callback, id and prop, with its source and the nearest id", () => {
  const {checks, errors, titles, missing} = setup({onPage: {out: "Div", other: "Div"}});
  checks.look(true);
  const set = [["outt", {children: 1}], ['{"k":["MATCH"]}', {children: 1}]] as const;
  checks.accept({
    type: "event",
    bytes: 1,
    event: {type: "update", run: "1", n: 1, set, at: "/app.py:7"},
  });
  missing("outt", "children");
  missing("outt", "children", "style");
  missing('{"k":1}', "children");
  expect(titles()).toEqual([none("outt"), none("outt"), none('{\\"k\\":1}')]);
  expect(errors[0]?.[1]).toContain('Did you mean "out"?');
  for (const index of [0, 2]) expect(errors[index]?.[1]).toContain('Streamed in "/app.py", line 7.');
});

test("T2: what is streamed to ALL names the line that streamed it", () => {
  const {checks, errors, applied} = setup({onPage: {'{"k":1,"t":"a"}': "Div"}});
  const set = [['{"k":["MATCH"],"t":["ALL"]}', {chidren: 1}]] as const;
  const event = {type: "update", run: "1", n: 1, set, at: "/app.py:7"} as const;
  checks.accept({type: "event", bytes: 1, event});
  applied('{"k":1,"t":"a"}', "chidren");
  expect(errors[0]?.[1]).toContain('app.live streams to "');
  expect(errors[0]?.[1]).toContain('Streamed in "/app.py", line 7.');
});

test("T2: a wrong id in running and reset_props with MATCH is not reported as streamed to", () => {
  const entry = {
    running: [['{"k":["MATCH"],"t":"ru"}', "disabled", true, false]] as const,
    reset: [['{"k":["MATCH"],"t":"re"}', {children: ""}]] as const,
  };
  const {checks, errors, missing} = setup({onPage: {out: "Div"}, entry});
  checks.look(true);
  missing('{"k":1,"t":"ru"}', "disabled");
  missing('{"k":1,"t":"re"}', "children");
  expect(errors[0]?.[1]).toContain('app.live names in running "');
  expect(errors[1]?.[1]).toContain('app.live names in reset_props "');
});

test("T2: the number of reported errors has a limit", () => {
  const {titles, missing} = setup({onPage: {}});
  for (let n = 0; n < 1000; n++) missing(`nowhere${n}`, "children");
  expect(titles().length).toBe(100);
});

test("P18: the id of a component that was on the page before is accepted", () => {
  const onPage: Record<string, string> = {};
  const {titles, missing, moved} = setup({onPage});
  moved();
  onPage["later"] = "Div";
  moved();
  delete onPage["later"];
  moved();
  missing("later", "children");
  expect(titles()).toEqual([]);
});

test("T2: streamed props are checked, and wildcard props are accepted", () => {
  const {titles, applied} = setup({onPage: {out: "Div", two: "Div"}});
  applied("out", "children", "data-x", "chidren");
  applied("two", "chidren");
  expect(titles()).toEqual(['No prop "chidren" in Div "out"']);
});

test("T2: props that only Python declares are requested once per type", async () => {
  const {titles, applied, asked} = setup({onPage: {a: "Known", b: "Unknown"}});
  applied("a", "size", "sise", "aria-label");
  applied("b", "anything");
  await Promise.resolve();
  await Promise.resolve();
  expect(asked).toEqual(["Known", "Unknown"]);
  expect(titles()).toEqual(['No prop "sise" in Known "a"']);
});

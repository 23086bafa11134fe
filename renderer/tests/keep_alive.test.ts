import {describe, expect, it} from "vitest";
import {changed, entryOf, fakePage, patch} from "./fakes.ts";
import {createKeepAlive} from "../src/runs/keep_alive.ts";
import {triggerOf} from "../src/runs/triggers.ts";

const run = {id: "run"};
const trigger = triggerOf(entryOf({keepAlive: true}), changed("go", "n_clicks", 1));

/** A run that has set the text of "out", which is on the page. */
function setup() {
  const page = fakePage({out: {children: "a"}});
  const warnings: string[] = [];
  const kept = createKeepAlive(page.dash, (message) => void warnings.push(message));
  kept.begin(run, trigger);
  kept.applied(run, "out", {children: "a"});
  return {page, kept, warnings};
}

describe("the values of a keep-alive run", () => {
  it("are shown once when their component is redrawn", () => {
    const {page, kept} = setup();
    expect(kept.due()).toEqual([]);
    page.insert("out", {children: "as the layout says"});

    expect(kept.due()).toEqual([[run, ["out", {children: "a"}]]]);
    expect(kept.due()).toEqual([]);
  });

  it("are the last ones, with later Patches", () => {
    const {page, kept} = setup();
    page.remove("out");
    expect(kept.missed(run, "out", {children: "b", title: "t"})).toBe(true);
    kept.missed(run, "out", {children: ["c"]});
    kept.missed(run, "out", {children: patch(1)});
    kept.missed(run, "out", {children: patch(2)});
    page.insert("out", {});

    expect(kept.due()).toEqual([
      [run, ["out", {children: ["c"], title: "t"}]],
      [run, ["out", {children: patch(1, 2)}]],
    ]);
  });

  it("leave out a Patch of a prop that is not set", () => {
    const {page, kept} = setup();
    page.remove("out");
    kept.missed(run, "out", {title: patch(1)});
    page.insert("out", {children: ""});

    expect(kept.due()).toEqual([[run, ["out", {children: "a"}]]]);
  });

  it("leave out commands", () => {
    const {page, kept} = setup();
    kept.applied(run, "out", {extendData: [1]});
    page.remove("out");
    kept.missed(run, "out", {extendData: [2]});
    page.insert("out", {});

    expect(kept.due()).toEqual([[run, ["out", {children: "a"}]]]);
  });

  it("are not shown if the run has redrawn the component itself", () => {
    const {page, kept} = setup();
    page.insert("out", {children: "as the run has drawn it"});
    page.dash.instance("out")!.drawnBy = "cb";

    expect(kept.due()).toEqual([]);
  });

  it("are shown before the next update", () => {
    const {page, kept} = setup();
    page.remove("out");
    kept.missed(run, "out", {children: ["b"]});
    page.insert("out", {});

    expect(kept.dueOf("other")).toEqual([]);
    expect(kept.dueOf("out")).toEqual([[run, ["out", {children: ["b"]}]]]);
    expect(kept.due()).toEqual([]);
  });

  it("are shown once after the run has ended, unless they were shown before", () => {
    const {page, kept} = setup();
    kept.applied(run, "out", {children: "a"});
    page.remove("out");
    kept.missed(run, "out", {children: "the result"});
    kept.end(run);
    page.insert("out", {});
    expect(kept.due()).toEqual([[run, ["out", {children: "the result"}]]]);
    page.insert("out", {});
    expect(kept.due()).toEqual([]);

    const seen = setup();
    seen.kept.end(run);
    seen.page.insert("out", {});
    expect(seen.kept.due()).toEqual([]);
  });

  it("are dropped when another run with the same key starts", () => {
    const {page, kept} = setup();
    page.remove("out");
    kept.missed(run, "out", {children: "the result"});
    kept.end(run);
    kept.begin({id: "next"}, trigger);
    page.insert("out", {});

    expect(kept.due()).toEqual([]);
  });

  it("are dropped above the limit of 4 MiB, the oldest first, with a warning", () => {
    const {page, kept, warnings} = setup();
    page.remove("out");
    const large = "x".repeat(1024 * 1024);
    kept.missed(run, "out", {children: large});
    kept.missed(run, "out", {children: large}); // replaces the value
    kept.missed(run, "b", {children: large});
    kept.missed(run, "c", {children: large});
    expect(warnings).toEqual([]);
    kept.missed(run, "d", {children: large});

    expect(warnings).toEqual([
      'Updates of "out", which is not on the page, exceed the size limit and are dropped.',
    ]);
    for (const id of ["out", "b", "c", "d"]) page.insert(id, {});
    expect(kept.due().map(([, [id]]) => id)).toEqual(["b", "c", "d"]);
  });

  it("are not kept without keep_alive", () => {
    const {page, kept} = setup();
    const other = {id: "other"};
    expect(kept.missed(other, "gone", {children: "b"})).toBe(false);
    kept.applied(other, "out", {children: "b"});
    page.insert("out", {});

    expect(kept.due()).toEqual([[run, ["out", {children: "a"}]]]);
  });
});

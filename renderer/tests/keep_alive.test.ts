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

describe("what a kept-alive run has set", () => {
  it("is due when its component is drawn anew, once", () => {
    const {page, kept} = setup();
    expect(kept.due()).toEqual([]);
    page.insert("out", {children: "as the layout says"});

    expect(kept.due()).toEqual([[run, ["out", {children: "a"}]]]);
    expect(kept.due()).toEqual([]);
  });

  it("is what came last, with the Patches that followed", () => {
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

  it("is no Patch of a prop that the component does not have", () => {
    const {page, kept} = setup();
    page.remove("out");
    kept.missed(run, "out", {title: patch(1)});
    page.insert("out", {children: ""});

    expect(kept.due()).toEqual([[run, ["out", {children: "a"}]]]);
  });

  it("is no command, which is done once", () => {
    const {page, kept} = setup();
    kept.applied(run, "out", {extendData: [1]});
    page.remove("out");
    kept.missed(run, "out", {extendData: [2]});
    page.insert("out", {});

    expect(kept.due()).toEqual([[run, ["out", {children: "a"}]]]);
  });

  it("is not due where the run has drawn the component itself", () => {
    const {page, kept} = setup();
    page.insert("out", {children: "as the run has drawn it"});
    page.dash.instance("out")!.drawnBy = "cb";

    expect(kept.due()).toEqual([]);
  });

  it("comes before what is set next", () => {
    const {page, kept} = setup();
    page.remove("out");
    kept.missed(run, "out", {children: ["b"]});
    page.insert("out", {});

    expect(kept.dueOf("other")).toEqual([]);
    expect(kept.dueOf("out")).toEqual([[run, ["out", {children: ["b"]}]]]);
    expect(kept.due()).toEqual([]);
  });

  it("is shown once more when the run has ended meanwhile, and not if it was seen", () => {
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

  it("is out of date when another run of its kind begins", () => {
    const {page, kept} = setup();
    page.remove("out");
    kept.missed(run, "out", {children: "the result"});
    kept.end(run);
    kept.begin({id: "next"}, trigger);
    page.insert("out", {});

    expect(kept.due()).toEqual([]);
  });

  it("is forgotten above 4 MiB, the oldest first, and told", () => {
    const {page, kept, warnings} = setup();
    page.remove("out");
    const large = "x".repeat(1024 * 1024);
    kept.missed(run, "out", {children: large});
    kept.missed(run, "out", {children: large}); // in its place
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

  it("of a run that is not kept alive is nothing", () => {
    const {page, kept} = setup();
    const other = {id: "other"};
    expect(kept.missed(other, "gone", {children: "b"})).toBe(false);
    kept.applied(other, "out", {children: "b"});
    page.insert("out", {});

    expect(kept.due()).toEqual([[run, ["out", {children: "a"}]]]);
  });
});

/** Runs in each page: how long it takes from a click until what it starts is in the DOM. */
(() => {
  const number = (text) => Number.parseInt(text, 10) || 0;
  const text = (id) => document.getElementById(id)?.textContent ?? "";

  /** How much of a work has arrived, where no `#end` says that all has. */
  const arrivals = {
    texts: () => number(text("text")),
    steady: () => number(text("text")),
    points: () => document.querySelector("#graph .js-plotly-plot")?.data?.[0]?.x?.length ?? 0,
    rows: () => globalThis.dash_ag_grid?.getApi("grid")?.getDisplayedRowCount() ?? 0,
    first: () => (text("text") === bench.before ? 0 : 1),
    ordinary: () => (text("answer") === bench.before ? 0 : 1),
    spots: () => finished("spot-"),
    few: () => finished("spot-"),
  };

  /** How many components show the last value; all are counted only once the last of them does. */
  const finished = (prefix) => {
    const { spots, last } = bench;
    if (text(`${prefix}${spots - 1}`) !== last) return 0;
    let count = 0;
    for (let i = 0; i < spots; i++) count += text(`${prefix}${i}`) === last;
    return count;
  };

  const arrivedNow = () =>
    bench.end ? Number(bench.end.textContent === bench.last) : arrivals[bench.work]();

  /** What has arrived up to now, which may be more than once was wanted. */
  const tell = () => {
    const { ms, steps, delays, done } = bench;
    const arrived = arrivedNow();
    console.log(`bench: ${JSON.stringify({ ms, steps, delays, done, arrived })}`);
    bench.work = "";
  };

  const look = () => {
    if (!bench.work || bench.clicked === null) return;
    const now = performance.now();
    const arrived = arrivedNow();
    if (arrived === bench.arrived) return;
    bench.arrived = arrived;
    bench.steps += 1;
    bench.ms = now - bench.clicked;
    if (bench.work === "steady") {
      const sent = Number(text("text").split(" ")[1]);
      bench.delays.push(performance.timeOrigin + now - sent);
    }
    if (arrived < bench.goal || bench.done) return;
    bench.done = true;
    clearTimeout(bench.limit);
    if (bench.settleMs) setTimeout(tell, bench.settleMs);
    else tell(); // before what is drawn next
  };

  const everyFrame = () => {
    look();
    if (bench.work && !bench.done) requestAnimationFrame(everyFrame);
  };

  const bench = {
    work: "",
    /** Watches for a work; the click on its button starts the clock. */
    begin(work, options) {
      Object.assign(bench, { arrived: 0, steps: 0, ms: 0, delays: [], done: false }, options);
      bench.clicked = null;
      bench.before = text(work === "ordinary" ? "answer" : "text");
      bench.work = work;
      bench.end = document.getElementById("end");
      new MutationObserver((_, observer) => {
        look();
        if (bench.done) observer.disconnect();
      }).observe(bench.end ?? document.body, { childList: true, characterData: true, subtree: true });
      document.getElementById(work).addEventListener(
        "click",
        (event) => {
          bench.clicked = event.timeStamp;
          bench.limit = setTimeout(tell, bench.limitMs);
        },
        { capture: true, once: true },
      );
      // Canvases, and data that no node shows. Where there is an end, only that is looked at, as
      // to look at more would be work of the page's, which is measured there.
      if (!bench.end) requestAnimationFrame(everyFrame);
    },
  };
  globalThis.bench = bench;
})();

/** Runs in each page: how long it takes from a click until what it starts is in the DOM. */
(() => {
  const number = (text) => Number.parseInt(text, 10) || 0;
  const text = (id) => document.getElementById(id)?.textContent ?? "";

  /** How much of a work has arrived. */
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

  /** What has arrived up to now, which may be more than once was wanted. */
  const tell = () => {
    const { ms, steps, delays, done, work } = bench;
    const arrived = arrivals[work]();
    console.log(`bench: ${JSON.stringify({ ms, steps, delays, done, arrived })}`);
    bench.work = "";
  };

  const look = () => {
    if (!bench.work || bench.clicked === null) return;
    const now = performance.now();
    const arrived = arrivals[bench.work]();
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
    setTimeout(tell, bench.settleMs);
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
      new MutationObserver((_, observer) => {
        look();
        if (bench.done) observer.disconnect();
      }).observe(document.body, { childList: true, characterData: true, subtree: true });
      document.getElementById(work).addEventListener(
        "click",
        (event) => {
          bench.clicked = event.timeStamp;
          bench.limit = setTimeout(tell, bench.limitMs);
        },
        { capture: true, once: true },
      );
      requestAnimationFrame(everyFrame); // canvases and data that no node shows
    },
  };
  globalThis.bench = bench;
})();

/** Runs programs in a page of tests/apps/programs.py, and tells what their places show. */
globalThis.programs = (() => {
  const COMMANDS = ["extendData", "prependData", "rowTransaction"];
  const DEADLINE_MS = 30_000;

  /** What of these components is compared elsewhere, or is set by themselves. */
  const KEPT = {
    Graph: ["id", "className", "style"],
    AgGrid: ["id", "className", "style", "columnDefs", "rowData"],
    Store: ["id", "data"],
  };

  /** The seed of the program of each place that is on the page. */
  let seeds = new Map();

  let changes = 0;
  let tokens = 0;
  let isWatching = false;

  const store = () => globalThis.dash_stores[0];
  const frame = () => new Promise(requestAnimationFrame);
  const at = (path) => path.reduce((node, step) => node?.[step], store().getState().layout);
  const pathOf = (place) => store().getState().paths.strs[`${place}-place`];
  const plotsOf = (place) => [
    ...document.getElementById(`${place}-place`).querySelectorAll(".dash-graph"),
  ];

  function* nodesIn(value) {
    if (Array.isArray(value)) for (const one of value) yield* nodesIn(one);
    else if (value && typeof value === "object") {
      if (value.type && value.props) yield value;
      for (const one of Object.values(value)) yield* nodesIn(one);
    }
  }

  const gridsOf = (place) => [...nodesIn(at(pathOf(place)))].filter((one) => one.type === "AgGrid");
  const gridOf = (node) => globalThis.dash_ag_grid?.getApi(node.props.id);

  /** A dcc.Graph keeps what it must still draw as React state of a component around it. */
  function isDrawn(element) {
    const plot = element.querySelector(".js-plotly-plot");
    if (!plot || element.querySelector(".dash-graph--pending")) return false;
    let fiber = element[Object.keys(element).find((one) => one.startsWith("__reactFiber$"))];
    for (; fiber; fiber = fiber.return) {
      const {extendData, prependData} = fiber.stateNode?.state ?? {};
      if (Array.isArray(extendData) && Array.isArray(prependData)) {
        return extendData.length + prependData.length === 0;
      }
    }
    return false;
  }

  function isTaken(node) {
    const grid = gridOf(node);
    if (!grid || grid.isDestroyed()) return false;
    if (node.props.rowTransaction) return false;
    grid.flushAsyncTransactions(); // AG Grid would do so within 50 ms
    return true;
  }

  /** Waits until a token shows, and until the places have stood still for some frames. */
  async function settle(tokenId, token, places) {
    const deadline = performance.now() + DEADLINE_MS;
    const isLate = () => performance.now() > deadline;
    while (document.getElementById(tokenId).textContent !== token) {
      if (isLate()) throw new Error(`${token} did not come`);
      await frame();
    }
    let quiet = 0;
    let seen = -1;
    for (;;) {
      const plots = places.flatMap(plotsOf);
      const grids = places.flatMap(gridsOf);
      const isIdle = changes === seen && plots.every(isDrawn) && grids.every(isTaken);
      quiet = isIdle ? quiet + 1 : 0;
      seen = changes;
      if (quiet >= (plots.length + grids.length ? 5 : 2)) return;
      if (isLate()) {
        const busy = places.filter((one) => !plotsOf(one).every(isDrawn) || !gridsOf(one).every(isTaken));
        const stuck = [...new Set(busy.map((place) => seeds.get(place)))];
        throw new Error(`After ${token}, the programs of these seeds did not settle: ${stuck}`);
      }
      await frame();
    }
  }

  async function ask(id, order, tokenId, settling) {
    const token = `${id} ${++tokens}`;
    globalThis.dash_clientside.set_props(id, {data: {...order, token}});
    await settle(tokenId, token, settling);
  }

  function cleaned(value) {
    if (Array.isArray(value)) return value.map(cleaned);
    if (!value || typeof value !== "object") return value;
    const isNode = value.type && value.props;
    if (isNode) {
      const names = Object.keys(value.props)
        .filter((name) => !COMMANDS.includes(name))
        .filter((name) => KEPT[value.type]?.includes(name) ?? true)
        .sort();
      const props = names.map((name) => [name, cleaned(value.props[name])]);
      return {type: value.type, props: Object.fromEntries(props)};
    }
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, cleaned(one)]));
  }

  /** Attributes stand in the order in which they were first set, which nobody sees. */
  function sortAttributes(element) {
    const attributes = [...element.attributes].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const one of attributes) {
      element.removeAttributeNode(one);
      element.setAttributeNode(one);
    }
  }

  function htmlOf(place) {
    const copy = document.getElementById(`${place}-place`).cloneNode(true);
    for (const one of copy.querySelectorAll(".dash-graph")) one.replaceChildren();
    for (const one of copy.querySelectorAll(".ag-root-wrapper")) one.remove();
    for (const one of copy.querySelectorAll("*")) sortAttributes(one);
    return copy.innerHTML.replaceAll("><", ">\n<").replaceAll(/mantine-[a-z0-9]{9}/g, "mantine-id");
  }

  /** Where Dash would find each component, of those that are there. */
  function pathsOf(place) {
    const root = pathOf(place);
    const {strs, objs} = store().getState().paths;
    const found = Object.entries(strs).filter(([id]) => id.startsWith(`${place}-`));
    for (const [keys, candidates] of Object.entries(objs)) {
      const names = keys.split(",");
      for (const {values, path} of candidates) {
        if (values[names.indexOf("in")] !== place) continue;
        found.push([JSON.stringify(Object.fromEntries(names.map((key, i) => [key, values[i]]))), path]);
      }
    }
    const idAt = (path) => {
      const id = at(path)?.props?.id;
      if (typeof id !== "object") return id;
      return JSON.stringify(Object.fromEntries(Object.entries(id).sort(([a], [b]) => (a < b ? -1 : 1))));
    };
    const lines = found
      .filter(([id, path]) => idAt(path) === id)
      .map(([id, path]) => `${id} at ${path.slice(root.length).join(".")}`);
    return lines.sort().join("\n");
  }

  function plotted({data, layout}) {
    const traces = data.map(({x, y}) => ({x: Array.from(x), y: Array.from(y)}));
    return JSON.stringify({traces, title: layout.title?.text});
  }

  function rowsOf(node) {
    const rows = [];
    gridOf(node).forEachNode((row) => rows.push(row.data));
    return rows.map((row) => JSON.stringify(row)).join("\n");
  }

  /** All that can be seen of a place, and what Dash holds of it, as lines. */
  function shown(place) {
    const text = [
      htmlOf(place),
      JSON.stringify(cleaned(at(pathOf(place))), null, 1),
      pathsOf(place),
      ...plotsOf(place).map((one) => plotted(one.querySelector(".js-plotly-plot"))),
      ...gridsOf(place).map(rowsOf),
    ];
    return text.join("\n\n").replaceAll(place, "@");
  }

  /**
   * Runs each program in two places: in the first in a burst, from front or back, or one by one;
   * in the second one by one. Returns what both places show.
   */
  async function run(orders, way) {
    const isSingle = way === "single";
    if (!isWatching) store().subscribe(() => changes++);
    isWatching = true;
    const first = orders.map(({name, seed, keep}) => [`${name}x`, seed, keep]);
    const second = orders.map(({name, seed, keep}) => [`${name}y`, seed, keep]);
    const all = [...first, ...second];
    const places = all.map(([place]) => place);
    seeds = new Map(all);
    await ask("draw", {programs: all}, "drawn", places);
    if (!isSingle) await ask("burst", {programs: first, way}, "done", places);
    const steps = Math.max(...orders.map((one) => one.steps));
    for (let step = 0; step < steps; step++) {
      await ask("step", {programs: isSingle ? all : second, step}, "done", places);
    }
    return orders.map(({name}) => [shown(`${name}x`), shown(`${name}y`)]);
  }

  return {run};
})();

// Keeps the samples that the service pushes, and draws them.
window.braid = (() => {
  const MOST = 900, EVENTS = 500, FRESH = 200, LEAST_MS = 60_000, SETTLED = 1_000, SOON_MS = 60_000;
  const state = { rows: [], events: [], fresh: [], tree: [], problems: [], charts: {}, names: [] };
  let shown = { tree: null };

  const number = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
  const fine = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });
  const at = (row, name) => (row ? row[state.names.indexOf(name)] : null);
  const colour = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim();

  // Options with the style sheet's colours in place of `$name`.
  function resolved(value) {
    if (typeof value === "string" && value[0] === "$") return colour(value.slice(1));
    if (value === "inherit") return getComputedStyle(document.body).fontFamily;
    if (Array.isArray(value)) return value.map(resolved);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, resolved(one)]));
    return value;
  }

  function chart(name) {
    const one = state.charts[name];
    const made = one && getElement(one.id)?.chart;
    if (made && one.made !== made) {
      one.made = made;
      made.setOption(resolved(one.options), { notMerge: true });
      made.setOption(formats(name, one));
    }
    return made;
  }

  const amount = (value, unit) =>
    value == null ? "-" : `${unit === "" ? value.toFixed(3) : fine.format(value)} ${unit}`.trim();
  const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

  function formats(name, one) {
    if (name === "tree")
      return {
        tooltip: { formatter: (p) => `${p.name}\n${about(p.data ?? {})}` },
        series: [{ label: { formatter: (p) => (p.data?.size > 1 ? `${p.name}\n${number.format(p.data.size)} labels` : p.name) } }],
      };
    if (name === "changes")
      return { tooltip: { formatter: (p) => `${clock(p.value[0])}  ${p.seriesName}\n${p.value[2]}` } };
    return {
      yAxis: { axisLabel: { formatter: (v) => (one.unit ? fine.format(v) : v.toFixed(2)) } },
      tooltip: {
        formatter: (points) =>
          [clock(at(points[0].data, "t"))]
            .concat(points.map((p) => `${p.seriesName}: ${amount(at(p.data, one.columns[p.seriesIndex]), one.unit)}`))
            .join("\n"),
      },
    };
  }

  const about = (node) =>
    [
      node.partition == null ? "" : `partition ${node.partition}`,
      node.size > 1 ? `${number.format(node.size)} labels` : "",
      node.a == null ? "accuracy not known yet" : `accuracy ${node.a.toFixed(2)}`,
    ].filter(Boolean).join(", ");

  function blank(name, is) {
    document.querySelector(`[data-plot="${name}"]`)?.classList.toggle("blank", is);
  }

  function span() {
    const last = at(state.rows.at(-1), "t") ?? Date.now();
    const first = at(state.rows[0], "t") ?? last;
    return { min: Math.min(first, last - LEAST_MS), max: last };
  }

  // Charts out of sight are drawn when they come into it.
  const inSight = new Set();
  const sight = new IntersectionObserver((found) => {
    for (const one of found)
      inSight[one.isIntersecting ? "add" : "delete"](one.target.dataset.plot);
    if (found.some((one) => one.isIntersecting)) draw();
  });

  function drawLines(force) {
    const x = span();
    for (const [name, one] of Object.entries(state.charts)) {
      if (!one.columns || !(force || inSight.has(name))) continue;
      const seen = state.rows.some((row) => one.columns.some((column) => (one.zero ? at(row, column) > 0 : at(row, column) != null)));
      blank(name, !seen);
      let most = one.least;
      for (const row of state.rows) for (const column of one.columns) most = Math.max(most, at(row, column) ?? 0);
      const end = one.most ?? (most > one.least ? null : one.least);
      const yAxis = { max: end, interval: end && end / (one.most ? 4 : 2) };
      chart(name)?.setOption({ dataset: { source: state.rows }, xAxis: x, yAxis });
    }
    if (!force && !inSight.has("changes")) return;
    const rows = [[], [], [], [], []];
    for (const [t, kind, text] of state.events) rows[kind].push([t, kind, text]);
    blank("changes", !state.events.length);
    chart("changes")?.setOption({ xAxis: x, series: rows.map((data) => ({ data })) });
  }

  function mix(a, b, share) {
    const parts = (hex) => [1, 3, 5].map((from) => parseInt(hex.slice(from, from + 2), 16));
    const [from, to] = [parts(a), parts(b)];
    return `rgb(${from.map((one, n) => Math.round(one + (to[n] - one) * share)).join(",")})`;
  }

  function shade(accuracy) {
    if (accuracy == null) return colour("none");
    const [low, mid, high] = ["low", "mid", "high"].map(colour);
    return accuracy < 0.5 ? mix(low, mid, accuracy * 2) : mix(mid, high, accuracy * 2 - 1);
  }

  function painted(node) {
    const children = node.children?.map(painted);
    return { ...node, children, itemStyle: { color: shade(node.a) } };
  }

  const zoomed = (made) => {
    const root = made.getModel().getSeriesByIndex(0)?.getViewRoot?.();
    return Boolean(root && root.parentNode);
  };

  function drawTree(force) {
    blank("tree", !state.tree.length);
    const made = chart("tree");
    // while somebody looks into a partition the picture stays as it is
    if (!made || zoomed(made)) return;
    if (!force && (!inSight.has("tree") || shown.tree === state.tree)) return;
    made.setOption({ series: [{ data: state.tree.map(painted) }] });
    shown.tree = state.tree;
  }

  function text(id, value) {
    const found = document.getElementById(id);
    if (found && found.textContent !== value) found.textContent = value;
  }

  function tiles() {
    const row = state.rows.at(-1);
    if (!row) return;
    const last = (name) => at(row, name);
    const sum = (name) => state.rows.slice(-60).reduce((all, one) => all + (at(one, name) ?? 0), 0);
    const mean = (name) => sum(name) / Math.min(60, state.rows.length);
    const recent = state.rows.slice(-5);
    text("v-rate", number.format(recent.reduce((all, one) => all + at(one, "learnt"), 0) / recent.length));
    text("m-rate", `${number.format(last("position"))} learnt in all`);
    text("v-p1", last("p1") == null ? "-" : last("p1").toFixed(3));
    text("m-p1", last("p5") == null ? "nothing scored yet" : `P@5 ${last("p5").toFixed(3)}`);
    text("v-lag", number.format(last("lag")));
    text("m-lag", last("lag") > 1000 ? "behind" : "keeping up");
    text("v-step", last("step99") == null ? "-" : number.format(last("step99")));
    text("m-step", last("http99") == null ? "no HTTP requests" : `HTTP ${number.format(last("http99"))} ms`);
    text("v-labels", number.format(last("labels")));
    text("m-labels", `in ${number.format(last("partitions"))} partitions`);
    text("v-dead", number.format(sum("dead")));
    const all = sum("dead") + sum("predicted");
    text("m-dead", all ? `${fine.format((100 * sum("dead")) / all)} % of records` : "no records yet");
    status(row, mean("refused"));
  }

  function status(row, refused) {
    const now = at(row, "t");
    const alarms = state.events.filter(([t, kind]) => kind < 2 && now - t < SOON_MS).length;
    const turned = state.rows.slice(-10).some((one) => at(one, "refused") > 0);
    const word = turned ? "overload" : alarms ? "drift" : at(row, "position") < SETTLED ? "starting" : "steady";
    const pill = document.getElementById("state");
    if (pill) pill.className = `pill ${word}`;
    const say = { overload: "overloaded", drift: `drift: ${alarms} alarm${alarms > 1 ? "s" : ""}` };
    text("state", say[word] ?? word);
    const lines = [...state.problems];
    if (turned) lines.unshift(`The endpoint refuses requests with 429: ${fine.format(refused)} a second over the last minute. The stream goes on.`);
    const notice = document.getElementById("notice");
    if (notice) notice.className = `notice ${turned ? "overload" : ""}`;
    text("notice", lines.join("\n"));
  }

  function ago(ms) {
    const seconds = Math.max(0, Math.round(ms / 1000));
    return seconds < 90 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
  }

  function fresh() {
    const list = document.getElementById("fresh");
    if (!list) return;
    const now = at(state.rows.at(-1), "t") ?? Date.now();
    const items = state.fresh.slice(-12).reverse().map(([t, name]) => {
      const item = document.createElement("li");
      for (const [kind, value] of [["what", name], ["ago", ago(now - t)]]) {
        const part = document.createElement("span");
        part.className = kind;
        part.textContent = value;
        item.append(part);
      }
      return item;
    });
    if (!items.length) {
      const item = document.createElement("li");
      item.className = "quiet";
      item.textContent = "No new label yet.";
      items.push(item);
    }
    list.replaceChildren(...items);
  }

  function draw(force = false) {
    if (document.hidden && !force) return;
    drawLines(force);
    drawTree(force);
    tiles();
    fresh();
  }

  function begin(spec) {
    state.names = spec.names;
    state.charts = spec.charts;
    // charts come when their library has been loaded
    const wait = setInterval(() => {
      if (!Object.keys(state.charts).every(chart)) return;
      clearInterval(wait);
      draw(true);
      document.querySelectorAll("[data-plot]").forEach((one) => sight.observe(one));
    }, 50);
    new MutationObserver(() => {
      for (const one of Object.values(state.charts)) one.made = null;
      draw(true);
    }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    document.addEventListener("visibilitychange", () => draw());
  }

  function push(news) {
    const keep = (kept, more, most) => kept.push(...more) > most && kept.splice(0, kept.length - most);
    keep(state.rows, news.rows, MOST);
    keep(state.events, news.events, EVENTS);
    keep(state.fresh, news.fresh, FRESH);
    state.problems = news.problems;
    draw();
  }

  function leaves(node) {
    const below = node.l.map((name) => ({ name, value: 1, a: node.a, size: 1 }));
    if (node.m) below.push({ name: `${number.format(node.m)} more labels`, value: node.m, a: node.a, size: node.m });
    return below;
  }

  function unpacked(node) {
    const children = node.c ? node.c.map(unpacked) : leaves(node);
    return { name: node.n, value: node.s, a: node.a, size: node.s, partition: node.p, children };
  }

  function tree(nodes) {
    state.tree = nodes.map(unpacked);
    draw();
  }

  return { begin, push, tree, draw, state };
})();

(async () => {
  "use strict";
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const place = (chart) => document.getElementById("chart-" + chart.key);
  const options = { displayModeBar: false, responsive: false, doubleClick: false };
  const PAPER = 690; // width of a printed page in CSS pixels

  const unpack = async () => {
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };

  // A colour is the name of a custom property of the style; the scheme in force decides.
  const coloured = (value, style) => {
    if (typeof value === "string") {
      return value.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    }
    if (Array.isArray(value)) return value.map((item) => coloured(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
    }
    return value;
  };

  const draw = (chart, width) => {
    const target = place(chart);
    const style = getComputedStyle(document.documentElement);
    const { data, layout } = coloured(chart.views[chart.view || 0], style);
    layout.width = width || target.clientWidth;
    layout.height = target.clientHeight;
    return window.Plotly.react(target, data, layout, options);
  };
  const drawAll = (width) => charts.map((chart) => draw(chart, width));

  // Arrow keys move the reading along the time axis of the chart in focus.
  const walk = (chart, key) => {
    const target = place(chart);
    const axis = chart.views[chart.view || 0].layout.xaxis;
    const [first, last] = (axis.type === "date" && axis.range) || [0, 0];
    if (!last) return false;
    const step = (last - first) / 100;
    const moves = { ArrowRight: step, ArrowLeft: -step, PageDown: 10 * step, PageUp: -10 * step };
    const at = chart.at === undefined ? last : chart.at;
    if (key === "Home") chart.at = first;
    else if (key === "End") chart.at = last;
    else if (key in moves) chart.at = Math.min(last, Math.max(first, at + moves[key]));
    else return false;
    window.Plotly.Fx.hover(target, { xval: chart.at, yval: 0 }, "xy");
    return true;
  };

  const listen = () => {
    for (const chart of charts) {
      const target = place(chart);
      target.addEventListener("keydown", (event) => {
        if (walk(chart, event.key)) event.preventDefault();
      });
      target.addEventListener("blur", () => window.Plotly.Fx.unhover(target));
    }
    for (const button of document.querySelectorAll("button[data-view]")) {
      button.addEventListener("click", () => {
        const chart = charts.find((known) => known.key === button.dataset.chart);
        chart.view = Number(button.dataset.view);
        for (const other of button.parentElement.children) other.setAttribute("aria-pressed", String(other === button));
        for (const legend of document.querySelectorAll(`#figure-${chart.key} .legend`)) {
          legend.hidden = legend.dataset.view !== button.dataset.view;
        }
        draw(chart);
      });
    }
    let width = innerWidth;
    let waiting = 0;
    addEventListener("resize", () => {
      if (innerWidth === width) return;
      width = innerWidth;
      clearTimeout(waiting);
      waiting = setTimeout(() => drawAll(), 80);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
    const printing = (now) => document.documentElement.classList.toggle("printing", now);
    addEventListener("beforeprint", () => { printing(true); drawAll(PAPER); });
    addEventListener("afterprint", () => { printing(false); drawAll(); });
  };

  const rank = () => {
    const chosen = document.getElementById("rank-by");
    const body = document.querySelector("#leaderboard tbody");
    if (!chosen || !body) return;
    chosen.addEventListener("change", () => {
      const sign = Number(chosen.selectedOptions[0].dataset.better);
      const value = (row) => {
        const text = row.querySelector(`[data-figure="${chosen.value}"]`).dataset.value;
        return text === "" ? -Infinity : sign * Number(text);
      };
      const rows = [...body.rows].sort((one, other) => value(other) - value(one));
      rows.forEach((row, index) => { row.cells[0].textContent = String(index + 1); });
      body.append(...rows);
      for (const cell of document.querySelectorAll("#leaderboard [data-figure]")) {
        cell.classList.toggle("chosen", cell.dataset.figure === chosen.value);
      }
    });
  };

  // A definition that would leave the window to the right moves to the left.
  for (const term of document.querySelectorAll(".term")) {
    const tip = term.querySelector(".tip");
    const fit = () => {
      tip.style.left = "0";
      const over = tip.getBoundingClientRect().right - document.documentElement.clientWidth + 8;
      if (over > 0) tip.style.left = `${-over}px`;
    };
    term.addEventListener("mouseenter", fit);
    term.addEventListener("focusin", fit);
  }

  rank();
  try {
    await unpack();
    listen();
    for (const chart of charts) {
      await draw(chart);
      await new Promise((resolve) => setTimeout(resolve)); // the reader may scroll meanwhile
    }
  } catch (error) {
    for (const chart of charts) {
      place(chart).classList.add("still");
      place(chart).textContent = "This browser cannot draw the chart; the tables hold its figures.";
    }
    console.error(error);
  }
  document.documentElement.dataset.drawn = "yes";
})();

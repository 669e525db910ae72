(async () => {
  "use strict";
  const charts = JSON.parse(document.getElementById("charts")?.textContent ?? "[]");
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

  // A colour is the name of a custom property of the style; the current scheme sets its value.
  const coloured = (figure, style) =>
    JSON.parse(JSON.stringify(figure).replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim()));

  const draw = (chart, width) => {
    const target = place(chart);
    const { data, layout } = coloured(chart.figure, getComputedStyle(document.documentElement));
    layout.width = width || target.clientWidth;
    layout.height = target.clientHeight;
    return window.Plotly.react(target, data, layout, options);
  };
  const drawAll = (width) => charts.map((chart) => draw(chart, width));

  // A printed page cannot scroll: a wider table is printed smaller.
  const tables = document.querySelectorAll("main table");
  const grow = () => tables.forEach((table) => { table.style.zoom = ""; });
  const shrink = () => tables.forEach((table) => {
    table.style.width = "min-content";
    const ratio = PAPER / Math.max(table.offsetWidth, 1);
    table.style.width = "";
    if (ratio < 1) table.style.zoom = ratio;
  });

  const listen = () => {
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
    addEventListener("beforeprint", () => { printing(true); shrink(); drawAll(PAPER); });
    addEventListener("afterprint", () => { printing(false); grow(); drawAll(); });
  };

  // A definition appears below its name, inside the window, whatever scrolls around it.
  for (const term of document.querySelectorAll(".term")) {
    const tip = term.querySelector(".tip");
    const fit = () => {
      const name = term.getBoundingClientRect();
      tip.style.left = `${Math.max(0, Math.min(name.left, document.documentElement.clientWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${name.bottom + 5}px`;
    };
    term.addEventListener("mouseenter", fit);
    term.addEventListener("focusin", fit);
  }

  try {
    if (charts.length) await unpack();
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

(() => {
  "use strict";
  const live = (name) => document.querySelector(`[data-live="${name}"]`);
  const status = document.getElementById("live");
  const filters = document.getElementById("filters");

  const query = () => {
    const given = new URLSearchParams(new FormData(filters));
    return new URLSearchParams([...given].filter(([, value]) => value)).toString();
  };

  // Colours in figures are names of CSS custom properties, which the current scheme defines.
  const coloured = (text) => {
    const style = getComputedStyle(document.documentElement);
    return JSON.parse(text.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim()));
  };

  // The chart library is large, so a page without charts does not load it.
  let library;
  const plotly = () => library ||= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: "/static/plotly.js", onload: resolve, onerror: reject });
    document.head.append(script);
  });

  const draw = async () => {
    const targets = document.querySelectorAll("[data-figure]");
    if (targets.length) await plotly();
    for (const target of targets) {
      const { data, layout } = coloured(target.dataset.figure);
      layout.width = target.clientWidth;
      layout.height = target.clientHeight;
      window.Plotly.react(target, data, layout, { displayModeBar: false });
    }
  };

  // Opened details and the focus are kept when a part is replaced.
  const put = (name, html) => {
    const place = live(name);
    const opened = [...place.querySelectorAll("details")].map((part) => part.open);
    const held = place.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
    place.innerHTML = html;
    place.querySelectorAll("details").forEach((part, at) => { part.open = opened[at] ?? part.open; });
    if (held) place.querySelector(`[aria-label="${CSS.escape(held)}"]`)?.focus();
    if (name === "latency") draw();
  };

  const refresh = async (name) => {
    const answer = await fetch(`/sections/${name}${name === "events" ? `?${query()}` : ""}`);
    const text = await answer.text();
    if (answer.ok) put(name, text);
    else if (name === "events") live(name).textContent = JSON.parse(text).message;
  };

  const waiting = new Set();
  let timer = 0;
  const refreshSoon = (...names) => {
    names.forEach((name) => waiting.add(name));
    timer ||= setTimeout(() => {
      timer = 0;
      const now = [...waiting];
      waiting.clear();
      now.forEach((name) => refresh(name).catch(() => {}));
    }, 400);
  };

  const showStatus = (word, level) => { status.textContent = word; status.className = `stamp ${level}`; };
  const stream = new EventSource("/events/stream");
  stream.onopen = () => {
    showStatus("live", "good");
    refreshSoon("control", "services", "accounts", "backtests", "gates", "events");
    if (!live("latency").querySelector("[data-figure]")) refreshSoon("latency");
  };
  stream.onerror = () => showStatus("not connected", "warn");
  stream.addEventListener("snapshot", () => refreshSoon("services", "accounts", "gates", "latency", "backtests"));
  stream.addEventListener("log", () => refreshSoon("events", "accounts", "backtests", "control"));
  addEventListener("pagehide", () => stream.close());

  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    refresh("events");
  });

  const CONFIRMATIONS = {
    halt: ["Halt work?", "Backtests are blocked, and no runs are requested, until somebody resumes work."],
    shutdown: ["Shut everything down?", "Ingestion and reports stop too; only gates and health continue."],
    resume: ["Resume work?", "Every open breach is accepted."],
  };
  const form = document.getElementById("control-form");
  const dialog = document.getElementById("confirm");
  const error = document.getElementById("control-error");
  let action = "";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    action = event.submitter.value;
    const [title, text] = CONFIRMATIONS[action];
    document.getElementById("confirm-title").textContent = title;
    document.getElementById("confirm-text").textContent = text;
    error.textContent = "";
    dialog.returnValue = "";
    dialog.showModal();
  });
  dialog.addEventListener("close", async () => {
    if (dialog.returnValue !== "yes") return;
    const body = { by: form.elements.by.value, reason: form.elements.reason.value };
    if (action === "shutdown") body.shutdown = true;
    const answer = await fetch(`/control/${action === "resume" ? "resume" : "halt"}`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
    if (answer.ok) form.elements.reason.value = "";
    else error.textContent = (await answer.json()).message;
    refresh("control");
  });

  let resizing = 0;
  addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(draw, 100); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw().finally(() => { document.documentElement.dataset.drawn = "yes"; });
})();

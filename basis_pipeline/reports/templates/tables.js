// Tables of the page as CSV, tables of the run as Parquet and CSV, and the search of its events.
(() => {
  "use strict";
  const save = (name, parts, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type }));
    link.download = name;
    link.click();
    // A busy browser may start to save long after the click.
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = (rows) => rows.map((row) => row.map((cell) => quoted(String(cell))).join(",")).join("\n") + "\n";

  const words = (cell) => {
    const own = cell.cloneNode(true);
    own.querySelectorAll(".tip, [aria-hidden], button").forEach((part) => part.remove());
    return own.textContent.replace(/\s+/g, " ").trim();
  };
  for (const place of document.querySelectorAll("main .scroll")) {
    const table = place.querySelector("table");
    const name = place.getAttribute("aria-label") || "table";
    const button = document.createElement("button");
    button.className = "save";
    button.textContent = "CSV";
    button.setAttribute("aria-label", `Save as CSV: ${name}`);
    button.addEventListener("click", () =>
      save(`${name.replace(/[^\w-]+/g, "-").slice(0, 60)}.csv`, [csv([...table.rows].map((row) => [...row.cells].map(words)))], "text/csv"));
    place.before(button);
  }

  const unpack = async (name) => {
    const packed = atob(document.getElementById(`table-${name}`).textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };
  const decode = (file, rows, [, kind, at]) => {
    const view = new DataView(file);
    const text = new TextDecoder();
    return Array.from({ length: rows }, (_, row) => {
      if (kind === "number") {
        const value = view.getFloat64(at + 8 * row, true);
        return Number.isNaN(value) ? "" : value;
      }
      if (kind === "integer") return Number(view.getBigInt64(at + 8 * row, true));
      if (kind === "time") return new Date(Number(view.getBigInt64(at + 8 * row, true) / 1000000n)).toISOString().replace(".000Z", "Z");
      const size = view.getUint32(at, true);
      const word = text.decode(new Uint8Array(file, at + 4, size));
      at += 4 + size;
      return word;
    });
  };
  const read = async (name) => {
    const index = JSON.parse(document.getElementById(`table-${name}`).dataset.index);
    const file = await unpack(name);
    return { ...index, file, values: index.columns.map((column) => decode(file, index.rows, column)) };
  };
  for (const button of document.querySelectorAll("button[data-table]")) {
    button.addEventListener("click", async () => {
      const { table, form, stem } = button.dataset;
      if (form === "parquet") return save(`${stem}.parquet`, [await unpack(table)], "application/vnd.apache.parquet");
      const { columns, rows, values } = await read(table);
      const lines = Array.from({ length: rows }, (_, row) => values.map((column) => column[row]));
      return save(`${stem}.csv`, [csv([columns.map(([name]) => name), ...lines])], "text/csv");
    });
  }

  const search = document.getElementById("search-events");
  if (!search) return;
  const SHOWN = 100;
  const body = document.querySelector("#found-events tbody");
  const count = document.getElementById("count-events");
  const written = (value) => (typeof value === "number" ? value.toLocaleString("en", { maximumFractionDigits: 4 }).replace("-", "\u2212") : String(value));
  read("events").then(({ columns, rows, values }) => {
    document.querySelectorAll("#found-events th").forEach((head, place) => head.classList.toggle("number", columns[place][1] === "number"));
    const lines = Array.from({ length: rows }, (_, row) => values.map((column) => column[row]));
    const texts = lines.map((line) => line.join(" ").toLowerCase());
    const list = () => {
      const asked = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const matching = lines.filter((_, row) => asked.every((word) => texts[row].includes(word)));
      const cell = (value, place) => Object.assign(document.createElement("td"), {
        textContent: place ? written(value) : value.slice(0, 16).replace("T", " "),
        className: columns[place][1] === "number" ? "number" : "",
      });
      body.replaceChildren(...matching.slice(0, SHOWN).map((line) => {
        const row = document.createElement("tr");
        row.append(...line.map(cell));
        return row;
      }));
      count.textContent = `${matching.length.toLocaleString("en")} of ${rows.toLocaleString("en")} events`
        + (matching.length > SHOWN ? `, the first ${SHOWN} shown` : "");
    };
    search.addEventListener("input", list);
    list();
  });
})();

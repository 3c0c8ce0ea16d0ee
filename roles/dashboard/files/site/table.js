/* A table that stays quick with thousands of rows: of many, only those in sight are in the document. */
"use strict";

const MANY = 120;
const ROW = 44;

/**
 * `columns`: `{ key, label, value(row), cell(row)?, number?, width?, wrap? }`: `value` is what is sorted and exported, `cell` what is
 * shown. Returns `{ element, set(rows), rows() }`; `set` sorts. `changed(sort)` hears of another order, which is `key` or `-key`.
 */
function table({ caption, columns, sort, changed, none }) {
  let rows = [];
  let many = false;
  let order = sort || columns[0].key;
  const shown = new Map();
  const head = h("tr", { "aria-rowindex": 1 });
  const body = h("tbody", {});
  const above = h("tr", { class: "gap", "aria-hidden": "true" }, h("td", { colspan: columns.length }));
  const below = h("tr", { class: "gap", "aria-hidden": "true" }, h("td", { colspan: columns.length }));
  const grid = h("table", { class: columns.length > 5 ? "many" : "" }, h("caption", { class: "unseen" }, caption), h("colgroup", {}, columns.map((column) => h("col", { style: column.width ? { width: `${column.width}px` } : {} }))), h("thead", {}, head), body);
  const element = h("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: 0 }, grid);

  for (const column of columns) {
    const cell = h("th", { scope: "col", class: column.number ? "num" : "", "aria-sort": "none" });
    if (column.value) {
      cell.append(h("button", { type: "button", on: { click: () => {
        const falling = order === column.key || (order !== `-${column.key}` && column.number);
        order = `${falling ? "-" : ""}${column.key}`;
        arrange();
        if (changed) changed(order);
        say(`${caption}: sorted by ${column.label}, ${order.startsWith("-") ? "descending" : "ascending"}`);
      } } }, column.label));
    } else {
      cell.removeAttribute("aria-sort");
      cell.append(column.label);
    }
    head.append(cell);
  }

  function arrange() {
    const falling = order.startsWith("-");
    const column = columns.find((one) => one.key === order.replace(/^-/, "") && one.value) || columns[0];
    columns.forEach((one, index) => { if (one.value) head.children[index].setAttribute("aria-sort", one === column ? (falling ? "descending" : "ascending") : "none"); });
    rows = ordered(rows, column.value, falling);
    shown.clear();
    body.replaceChildren();
    element.scrollTop = 0;
    draw();
  }

  function draw() {
    if (!rows.length) {
      body.replaceChildren(h("tr", {}, h("td", { colspan: columns.length }, none || "Nothing to show.")));
      return;
    }
    if (!many) {
      body.replaceChildren(...rows.map(line));
      return;
    }
    if (!above.isConnected) body.replaceChildren(above, below);
    const tall = element.clientHeight || 700;
    const first = Math.max(0, Math.floor(element.scrollTop / ROW) - 8);
    const last = Math.min(rows.length, Math.ceil((element.scrollTop + tall) / ROW) + 8);
    for (const [index, row] of shown) if (index < first || index >= last) { row.remove(); shown.delete(index); }
    let next = below;
    for (let index = last - 1; index >= first; index -= 1) {
      if (!shown.has(index)) {
        shown.set(index, line(rows[index], index));
        body.insertBefore(shown.get(index), next);
      }
      next = shown.get(index);
    }
    above.firstChild.style.height = `${first * ROW}px`;
    below.firstChild.style.height = `${(rows.length - last) * ROW}px`;
  }

  function line(row, index) {
    return h("tr", { "aria-rowindex": index + 2 }, columns.map((column, place) => h(place ? "td" : "th", { scope: place ? null : "row", class: column.number ? "num" : column.wrap ? "wrap" : "" }, column.cell ? column.cell(row) : text(column.value(row)))));
  }

  let waiting = false;
  element.addEventListener("scroll", () => {
    if (!many || waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }, { passive: true });

  return {
    element,
    rows: () => rows,
    columns,
    set(given) {
      rows = given.slice();
      many = rows.length > MANY;
      grid.classList.toggle("even", many);
      element.classList.toggle("tall", rows.length > 15);
      grid.style.minWidth = many ? `${columns.reduce((all, column) => all + (column.width || 120), 0)}px` : "";
      grid.setAttribute("aria-rowcount", rows.length + 1);
      arrange();
    },
  };
}

const text = (value) => (value === null || value === undefined || value === "" ? NOT_KNOWN : String(value));

const COLLATOR = new Intl.Collator("en", { numeric: true });
const FEW = 500;

/**
 * Rows by a value: numbers by size, texts by letters; what is not known comes last, whichever way it is sorted. To compare texts as people do
 * takes long, so each different text is ranked once, and more than `FEW` of them by their codes.
 */
function ordered(rows, value, falling) {
  const keyed = rows.map((row) => ({ row, key: value(row) }));
  const lacks = ({ key }) => key === null || key === undefined || key === "" || Number.isNaN(key);
  const sorted = keyed.filter((one) => !lacks(one));
  if (!sorted.every(({ key }) => typeof key === "number")) {
    const texts = [...new Set(sorted.map(({ key }) => String(key)))];
    texts.sort(texts.length > FEW ? undefined : COLLATOR.compare);
    const ranks = new Map(texts.map((one, rank) => [one, rank]));
    for (const one of sorted) one.key = ranks.get(String(one.key));
  }
  sorted.sort((a, b) => (falling ? b.key - a.key : a.key - b.key));
  return [...sorted, ...keyed.filter(lacks)].map(({ row }) => row);
}

/** Rows as CSV (RFC 4180). A cell that a spreadsheet would take for a formula begins with an apostrophe. */
function csv(columns, rows) {
  const cell = (value) => {
    let written = value === null || value === undefined ? "" : String(value);
    if (typeof value !== "number" && /^[=+\-@\t\r]/.test(written)) written = `'${written}`;
    return /[",\r\n]/.test(written) ? `"${written.replace(/"/g, '""')}"` : written;
  };
  const lines = [columns.map((column) => cell(column.label)), ...rows.map((row) => columns.map((column) => cell(column.value(row))))];
  return `${lines.map((line) => line.join(",")).join("\r\n")}\r\n`;
}

function exporter(grid, name, more = []) {
  return h("button", { type: "button", class: "button", on: { click: () => {
    const columns = [...grid.columns.filter((column) => column.value), ...more];
    const address = URL.createObjectURL(new Blob([csv(columns, grid.rows())], { type: "text/csv;charset=utf-8" }));
    const link = h("a", { download: `${name}.csv` });
    link.href = address;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    say(`${things(grid.rows().length, "row")} exported as ${name}.csv`);
  } } }, "Export CSV");
}

/* Filters, whose values are in the address */

/** `fields`: `{ name, label, kind: "search" | "choice" | "check", options? }`. Calls `changed` when one has another value. */
function filters(route, fields, changed, ...more) {
  let timer = 0;
  const set = (name, value) => {
    if (value) route.params.set(name, value);
    else route.params.delete(name);
    keep(route);
    changed(name);
  };
  return h("form", { class: "filters", role: "search", "aria-label": "Filters", on: { submit: (event) => event.preventDefault() } }, fields.map((field) => {
    const id = `filter-${field.name}`;
    const value = route.params.get(field.name) || "";
    if (field.kind === "check") {
      const box = h("input", { type: "checkbox", id, on: { change: () => set(field.name, box.checked ? "1" : "") } });
      box.checked = value === "1";
      return h("label", { class: "check", for: id }, box, field.label);
    }
    if (field.kind === "search") {
      const box = h("input", { type: "search", id, autocomplete: "off", spellcheck: "false", on: { input: () => { clearTimeout(timer); timer = setTimeout(() => set(field.name, box.value.trim()), 60); } } });
      box.value = value;
      return h("label", { for: id, class: "wide" }, field.label, box);
    }
    const options = [...new Set([...field.options, ...(value ? [value] : [])])];
    const choice = h("select", { id, on: { change: () => set(field.name, choice.value) } }, field.plain ? null : h("option", { value: "" }, "all"), options.map((one) => h("option", { value: one }, (field.names || {})[one] || one)));
    choice.value = value || (field.plain ? options[0] : "");
    return h("label", { for: id }, field.label, choice);
  }), more);
}

/** The different values of a key, in order. */
const choices = (rows, key) => [...new Set(rows.map((row) => row[key]).filter((value) => value !== null && value !== undefined && value !== ""))].map(String).sort(COLLATOR.compare);

/** Whether a row has what the filters ask for: equal values for `keys`, and all words of `q` in `words`. */
function chosen(rows, route, keys, words) {
  const wanted = keys.map((key) => [key, route.params.get(key)]).filter(([, value]) => value);
  const sought = (route.params.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => wanted.every(([key, value]) => String(row[key]) === value) && (!sought.length || matches(words.map((key) => row[key] ?? "").join(" ").toLowerCase(), sought)));
}
const matches = (line, sought) => sought.every((word) => line.includes(word));

/* Elements, numbers, times, links and copying. Nothing here, nor anywhere in this page, makes markup of text. */
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const NOT_KNOWN = "not known";

/** An element: attributes, `on` for listeners, `style` for custom values; children are nodes or text. */
function h(tag, attributes, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (/^on|^style$|^src/i.test(name)) throw new Error(`the attribute ${name} is not for this`);
    else if (name === "href") { if (safe(value)) element.setAttribute("href", value); }
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Whether an address may be linked: within the page, or https. */
function safe(address) {
  if (String(address).startsWith("#")) return true;
  try {
    const url = new URL(String(address));
    return url.protocol === "https:" && !url.username && !url.password;
  } catch {
    return false;
  }
}

/** A link to another site, or its text where the address is none that may be linked. */
function outside(address, text, kind = "") {
  if (!safe(address)) return h("span", { class: "soft" }, `${text}: its address is not https`);
  return h("a", { href: address, class: kind, target: "_blank", rel: "noopener noreferrer" }, text, h("span", { class: "unseen" }, " (opens a new tab)"));
}

/* Numbers and times: what is not known says so. */

const known = (value) => typeof value === "number" && Number.isFinite(value);
const formats = new Map();
function decimal(value, least, most) {
  const key = `${least} ${most}`;
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat("en", { minimumFractionDigits: least, maximumFractionDigits: most }));
  return formats.get(key).format(value);
}
const count = (value) => (known(value) ? decimal(value, 0, 2) : NOT_KNOWN);
const percent = (value) => (known(value) ? `${decimal(value, 0, 1)} %` : NOT_KNOWN);
const share = (value) => (known(value) ? percent(100 * value) : NOT_KNOWN);
function money(value) {
  if (!known(value)) return NOT_KNOWN;
  const size = Math.abs(value);
  return `${value < 0 ? "−" : ""}$${size > 0 && size < 1 ? decimal(size, 2, 4) : decimal(size, 2, 2)}`;
}
const hourly = (value) => (known(value) ? `$${decimal(value, 4, 4)}/h` : NOT_KNOWN);
function bytes(value) {
  if (!known(value)) return NOT_KNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let step = 0;
  while (Math.abs(value) >= 1024 && step < units.length - 1) { value /= 1024; step += 1; }
  return `${decimal(value, 0, step ? 1 : 0)} ${units[step]}`;
}
const things = (number, one, many) => `${count(number)} ${number === 1 ? one : many || `${one}s`}`;

/** Milliseconds of an RFC 3339 time, or NaN. */
const instant = (text) => (typeof text === "string" ? Date.parse(text) : NaN);
/** `2026-01-31 23:59`, in UTC. */
function clock(text) {
  const at = instant(text);
  return Number.isNaN(at) ? String(text ?? NOT_KNOWN) : new Date(at).toISOString().slice(0, 16).replace("T", " ");
}
function span(milliseconds) {
  const seconds = Math.abs(milliseconds) / 1000;
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${Math.floor(seconds)} s`;
}
function moment(text) {
  return Number.isNaN(instant(text)) ? h("span", {}, text ? String(text) : NOT_KNOWN) : h("time", { datetime: text }, `${clock(text)} UTC`);
}
/** How long ago, as seen when the snapshot was made. */
function since(text, now) {
  const at = instant(text);
  if (Number.isNaN(at)) return NOT_KNOWN;
  return at > now ? `in ${span(at - now)}` : `${span(now - at)} ago`;
}

/* Small parts */

const HEALTH = { healthy: "good", ok: "good", unhealthy: "bad", problem: "bad", warning: "warn" };
function badge(text, kind = "") {
  return h("span", { class: `badge ${kind}` }, h("span", { class: "mark", "aria-hidden": "true" }), text);
}
const health = (value) => badge(value || "unknown", HEALTH[value] || "");
function lifecycle(value) {
  return h("span", {}, h("span", { class: `mark ${value === "spot" ? "spot" : value === "on_demand" ? "on_demand" : ""}`, "aria-hidden": "true" }), " ", LIFECYCLES[value] || value || NOT_KNOWN);
}
const LIFECYCLES = { spot: "Spot", on_demand: "On-Demand", reserved: "Reserved", savings_plan: "Savings Plan", other: "Other" };
/** A bar with its number; `value` from 0 to 1, at `warn` and `bad` in other colours. */
function bar(value, text, warn = 0.8, bad = 0.95) {
  const kind = value >= bad ? "bad" : value >= warn ? "warn" : "";
  return h("span", { class: "bar" }, h("span", { class: "share thin", "aria-hidden": "true" },
    h("span", { class: `fill ${kind}`, style: { width: `${Math.max(0, Math.min(1, value || 0)) * 100}%` } })), h("span", { class: "num" }, text));
}
const figure = (name, value, note) => h("div", { class: "card" }, h("p", { class: "soft" }, name), h("p", { class: "figure" }, value), note ? h("p", { class: "soft" }, note) : null);
const empty = (...text) => h("p", { class: "empty" }, ...text);
const listed = (lines) => h("ul", {}, (lines || []).map((line) => h("li", {}, String(line))));

/** Names and values; those without a value are left out. */
function pairs(rows) {
  return h("dl", {}, rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [h("dt", {}, name), h("dd", {}, value instanceof Node || Array.isArray(value) ? value : String(value))]));
}
/** Any JSON value, to be read. */
function readable(value) {
  if (value === null || value === undefined) return NOT_KNOWN;
  return typeof value === "object" ? h("pre", {}, JSON.stringify(value, null, 1)) : String(value);
}

function say(text) {
  const place = document.getElementById("said");
  place.textContent = "";
  setTimeout(() => { place.textContent = text; }, 50);
}

/* Copying and commands */

/** `text` as one word of a POSIX shell. */
function quoted(text) {
  const word = String(text);
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) && !word.startsWith("-") ? word : `'${word.replace(/'/g, "'\\''")}'`;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { "aria-hidden": "true", class: "unseen" });
    area.value = text;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function copier(text, label, kind = "small") {
  return h("button", { type: "button", class: `button ${kind}`, "data-copies": text, on: { click: async (event) => {
    const button = event.currentTarget;
    const done = await copied(text);
    say(done ? `Copied: ${text}` : `The browser does not let this page copy. The text is: ${text}`);
    if (!done) showDialog(label, h("p", {}, "The browser does not let this page copy. Mark the text:"), h("pre", {}, text));
    else { button.textContent = "Copied"; setTimeout(() => { button.textContent = label; }, 1500); }
  } } }, label);
}

/** What an address or a command has in braces, filled in. */
function filled(template, values, encode) {
  return String(template).replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) && values[name] !== undefined && values[name] !== null ? encode(values[name]) : whole));
}

/** The dialog, with a title and what belongs to it. */
function showDialog(title, ...content) {
  const dialog = document.getElementById("dialog");
  const close = h("button", { type: "button", class: "button small", on: { click: () => dialog.close() } }, "Close");
  dialog.replaceChildren(h("div", { class: "head" }, h("h2", { id: "dialog-title" }, title), close));
  add(dialog, content);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

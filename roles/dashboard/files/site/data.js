/* The snapshot: received, put in order, and asked. */
"use strict";

const data = { snapshot: null, now: 0, problem: "" };
const receivers = [];

/** What data/snapshot.js calls, with the text of data/snapshot.json. */
function receive(text) {
  try {
    accept(JSON.parse(text));
  } catch (error) {
    data.problem = `What data/snapshot.js has cannot be read: ${error.message}`;
  }
}

function accept(snapshot) {
  if (!snapshot || typeof snapshot !== "object" || typeof snapshot.made_at !== "string") throw new Error("it is no snapshot, for it does not say when it was made");
  data.snapshot = snapshot;
  data.now = instant(snapshot.made_at) || Date.now();
  data.problem = "";
  data.apps = appsOf(snapshot);
  data.events = list("activity").slice().sort((a, b) => (instant(b.time) || 0) - (instant(a.time) || 0));
  for (const act of receivers) act();
}

/** A part of the snapshot, as a list; empty where it is missing. */
function list(part) {
  const found = data.snapshot?.[part];
  return Array.isArray(found) ? found.filter((one) => one && typeof one === "object") : [];
}
const has = (part) => data.snapshot?.[part] !== undefined && data.snapshot[part] !== null;

/** Why a part is missing, in words, or nothing where it is there. */
function missing(part, name) {
  if (has(part)) return null;
  const why = list("errors").filter((error) => `${error.what ?? ""}`.includes(part));
  return h("div", { class: "notice" }, h("p", {}, `${name} not known: this snapshot has no such part.`),
    why.length ? listed(why.map(told)) : h("p", {}, "Nothing that makes snapshots here observed it."));
}
const told = (error) => (typeof error === "string" ? error : [error.region, error.what, error.message].filter(Boolean).join(": "));

/** What the capacity of some applications is counted in, in words. */
const unitsOf = (apps) => [...new Set(apps.map((app) => app.unit).filter(Boolean))].join(" and ");

/** The applications by name, with all that is known of each. */
function appsOf(snapshot) {
  const found = new Map();
  const of = (name) => {
    const key = String(name);
    if (!found.has(key)) found.set(key, { name: key, manifest: null, fleets: [], instances: [] });
    return found.get(key);
  };
  for (const one of list("apps")) of(one.app).manifest = one;
  for (const one of list("fleets")) of(one.app).fleets.push(one);
  for (const one of list("instances")) if (one.app) of(one.app).instances.push(one);
  for (const app of found.values()) {
    const sum = (key) => app.fleets.reduce((all, fleet) => all + (known(fleet[key]) ? fleet[key] : 0), 0);
    app.regions = [...new Set([...app.fleets.map((fleet) => fleet.region), ...(app.manifest?.regions || []), ...app.instances.map((one) => one.region)])].filter(Boolean).sort();
    app.target = sum("target"); app.serving = sum("serving"); app.spot = sum("spot"); app.on_demand = sum("on_demand"); app.fallback = sum("fallback");
    app.short = app.fleets.reduce((all, fleet) => all + Math.max(0, (fleet.target || 0) - (fleet.serving || 0)), 0);
    app.cost_per_hour = app.fleets.length && app.fleets.every((fleet) => known(fleet.cost_per_hour)) ? sum("cost_per_hour") : null;
    app.unit = app.fleets[0]?.unit || app.manifest?.unit || "";
    app.unhealthy = app.instances.filter((one) => one.health === "unhealthy").length;
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Spent, the same On-Demand, and saved, from what the fleets reckon of themselves. */
function fleetCost() {
  const costs = list("fleets").map((fleet) => fleet.cost).filter((cost) => cost && known(cost.spot_platform) && known(cost.all_on_demand));
  if (!costs.length) return null;
  const spent = costs.reduce((all, cost) => all + cost.spot_platform, 0);
  const instead = costs.reduce((all, cost) => all + cost.all_on_demand, 0);
  return { spent, instead, saved: instead ? 100 * (1 - spent / instead) : null, since: costs.map((cost) => cost.since).filter(Boolean).sort()[0], basis: costs.find((cost) => cost.basis)?.basis };
}

/** The rows of Resources: those of the snapshot or, where it has none, its instances and fleets. */
function resources() {
  if (has("resources")) return list("resources");
  const instances = list("instances").map((one) => ({ kind: "instance", id: one.id, name: one.group, app: one.app, environment: one.environment, region: one.region, zone: one.zone, state: one.state,
    health: { healthy: "ok", unhealthy: "problem" }[one.health] || "unknown", note: one.health_reason, created_at: one.launched_at, usd_per_month: known(one.price_per_hour) ? one.price_per_hour * 730 : null, details: { type: one.type, lifecycle: one.lifecycle } }));
  const fleets = list("fleets").map((one) => ({ kind: one.kind || "group", id: one.group, name: one.group, app: one.app, environment: one.environment, region: one.region, zone: null, state: null,
    health: (one.serving || 0) < (one.target || 0) ? "problem" : "ok", note: null, created_at: null, usd_per_month: known(one.cost_per_hour) ? one.cost_per_hour * 730 : null, details: { target: one.target, serving: one.serving, unit: one.unit } }));
  return [...fleets, ...instances];
}

/** How an event is to look: good, warn, bad or nothing. */
function tone(event) {
  const last = String(event.kind).split(".").pop();
  if (/failed|refused|problem|stopped|full|lost|interruption|interrupted/.test(last)) return "bad";
  if (/fallback|deferred|notice|rebalance|warning|unhealthy/.test(last)) return "warn";
  if (/returned|recovered|succeeded|healthy/.test(last)) return "good";
  return "";
}

/** Links or commands for what changes something; they hold no credentials. */
function actions(names, values, links = {}) {
  const wanted = names.map((name) => {
    const label = ACTIONS[name] || name;
    const configured = links?.[name] ? { url: links[name] } : data.snapshot?.actions?.[name];
    if (configured?.url) return outside(filled(configured.url, values, encodeURIComponent), label, "button");
    if (configured?.command) return copier(filled(configured.command, values, quoted), `Copy: ${label}`, "");
    return null;
  });
  const lacking = names.filter((_name, index) => !wanted[index]).map((name) => ACTIONS[name] || name);
  return h("div", { class: "actions" }, wanted, lacking.length ? h("span", { class: "soft" }, `Neither a template nor a command is set for: ${lacking.join(", ")}.`) : null);
}
const ACTIONS = { deploy: "Deploy", rollback: "Roll back", scale: "Scale", import_key: "Import a key", replace: "Replace", explain: "Explain the capacity", grow: "Grow volumes", reconcile: "Take the next step" };

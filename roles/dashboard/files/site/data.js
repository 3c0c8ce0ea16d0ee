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

/** Links or commands for what changes something; they hold no credentials. What has a survey is asked for first. */
function actions(names, values, links = {}) {
  const wanted = names.map((name) => {
    const label = ACTIONS[name] || name;
    const configured = links?.[name] ? { url: links[name] } : data.snapshot?.actions?.[name];
    const template = configured?.url || configured?.command;
    if (!template) return null;
    const survey = Object.hasOwn(SURVEYS, name) ? SURVEYS[name](values) : null;
    return survey && asksFor(template, survey) ? asker(label, configured, values, survey) : maker(label, configured, values);
  });
  const lacking = names.filter((_name, index) => !wanted[index]).map((name) => ACTIONS[name] || name);
  return h("div", { class: "actions" }, wanted, lacking.length ? h("span", { class: "soft" }, `Neither a template nor a command is set for: ${lacking.join(", ")}.`) : null);
}
const ACTIONS = { deploy: "Deploy", rollback: "Roll back", scale: "Scale", scale_end: "End what is temporary", import_key: "Import a key", replace: "Replace", explain: "Explain the capacity", grow: "Grow volumes", reconcile: "Take the next step" };

/** The link, or the button that copies the command. */
function maker(label, configured, values) {
  if (configured.url) return outside(filled(configured.url, values, encodeURIComponent), label, "button");
  const wrong = misread(configured.command, values);
  if (wrong) return h("span", { class: "soft" }, `${label}: ${wrong}`);
  return copier(filled(configured.command, values, quoted), `Copy: ${label}`, "");
}

/** Why Ansible would not take a value in a command for what it is, though it is one word of the shell: `-e` reads several variables, and templates. */
function misread(command, values) {
  if (!/\bansible-playbook\b/.test(command)) return "";
  for (const [, name] of String(command).matchAll(/\{(\w+)\}/g)) {
    const value = Object.hasOwn(values, name) ? String(values[name] ?? "") : "";
    if (name === "answers" ? /\{[{%#]/.test(value) : !/^[\w.@:+-]*$/.test(value)) return `there is no command, for ${name === "answers" ? "an answer has a template" : `${name} is no plain name`}, which Ansible would not take as it is`;
  }
  return "";
}

/* Surveys: what is to be known before a template or a playbook is started. `wrong` says what is wrong with an answer. */

const SURVEYS = {
  scale: (values) => ({
    given: { app: values.app },
    fields: [
      { name: "region", label: "Region", options: ["", ...(values.regions || [])], names: { "": "all" }, value: "" },
      { name: "minimum", label: `At least, in each region${values.unit ? ` (${values.unit})` : ""}`, number: true, value: values.target, least: values.min, most: values.max, above: "; for more, raise capacity.max in the manifest" },
      { name: "hours", label: "For so many hours", number: true, value: 2, least: 0.1, most: 168, step: "any", above: "; what is to last longer belongs in the manifest" },
      { name: "reason", label: "Why", value: "", most: 100 },
    ],
  }),
  import_key: () => ({
    given: {},
    fields: [
      { name: "key_user", label: "Your user name", value: "", wrong: (text) => (/^[a-z][a-z0-9._-]{0,31}$/i.test(text) ? "" : "Your user name has up to 32 letters, digits, '.', '_' and '-', a letter first.") },
      { name: "public_key", label: "Your public key: the line in ~/.ssh/id_ed25519.pub", value: "", wide: true, wrong: wrongKey },
    ],
  }),
};

function wrongKey(text) {
  if (/PRIVATE KEY|PuTTY-User-Key-File|b3BlbnNzaC1rZXktdjE/.test(text)) return "This is a private key. Give it to nobody, and not to this page: copy what is in the file that ends with .pub.";
  return /^ssh-(ed25519|rsa) [A-Za-z0-9+/]{60,}={0,2}( [^\r\n]*)?$/.test(text) ? "" : "The public key is a line that begins with ssh-ed25519 or ssh-rsa.";
}

const asksFor = (template, survey) => ["answers", ...survey.fields.map((field) => field.name)].some((name) => name !== "region" && String(template).includes(`{${name}}`));

/** A button for a dialog with the survey, and below it the link or the command that its answers make. */
function asker(label, configured, values, survey) {
  return h("button", { type: "button", class: "button", on: { click: () => {
    const place = h("div", { class: "actions", role: "status" });
    const boxes = survey.fields.map((field) => answerBox(field, () => update()));
    const update = () => {
      const answers = Object.fromEntries(survey.fields.map((field, index) => [field.name, answerOf(field, boxes[index].value)]));
      const problems = survey.fields.map((field) => wrongAnswer(field, answers[field.name])).filter(Boolean);
      const told = Object.fromEntries(Object.entries({ ...survey.given, ...answers }).filter(([, answer]) => answer !== "" && answer !== null && answer !== undefined));
      place.replaceChildren();
      if (problems.length) { add(place, [listed(problems)]); return; }
      const made = { ...values, ...answers, answers: JSON.stringify(told) };
      add(place, [maker(label, configured, made), configured.url || misread(configured.command, made) ? null : h("pre", {}, filled(configured.command, made, quoted))]);
    };
    showDialog(label, h("form", { class: "filters", on: { submit: (event) => event.preventDefault() } },
      survey.fields.map((field, index) => h("label", { for: boxes[index].id, class: field.wide ? "wide" : "" }, field.label, boxes[index]))), place);
    update();
  } } }, `${label} …`);
}

function answerBox(field, changed) {
  const id = `answer-${field.name}`;
  const box = field.options
    ? h("select", { id, on: { change: changed } }, field.options.map((one) => h("option", { value: one }, (field.names || {})[one] || one)))
    : h("input", { id, type: field.number ? "number" : "text", min: field.least, max: field.number ? field.most : null, maxlength: field.number ? null : field.most, step: field.step, autocomplete: "off", spellcheck: "false", on: { input: changed } });
  box.value = field.value ?? "";
  return box;
}

const answerOf = (field, text) => (field.number ? (text.trim() === "" ? null : Number(text)) : text.trim());

function wrongAnswer(field, answer) {
  if (field.wrong) return field.wrong(answer);
  if (!field.number) return /\{[{%#]/.test(answer) ? `${field.label}: Ansible would take {{, {% and {# for a template.` : "";
  if (!known(answer) || (field.step !== "any" && !Number.isInteger(answer))) return `${field.label}: give a ${field.step === "any" ? "" : "whole "}number.`;
  if (known(field.least) && answer < field.least) return `${field.label}: ${decimal(field.least, 0, 2)} is the least.`;
  return known(field.most) && answer > field.most ? `${field.label}: ${decimal(field.most, 0, 2)} is the most${field.above}.` : "";
}

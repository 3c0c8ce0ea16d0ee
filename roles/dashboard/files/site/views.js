/* Overview, App, Costs and Activity. */
"use strict";

/* Overview */

function overview(route) {
  const apps = [...data.apps.values()];
  const money = overviewFigures(apps);
  const attention = needsAttention(apps);
  const errors = list("errors");
  return [
    h("h1", {}, "Overview"),
    errors.length ? h("div", { class: "notice bad" }, h("p", {}, `${things(errors.length, "thing")} could not be read; what they would show is missing here.`), h("details", { open: errors.length < 4 }, h("summary", {}, "Which, and why"), listed(errors.map(told)))) : null,
    h("section", { class: "grid", "aria-label": "Key figures" }, money),
    h("h2", {}, "Needs attention"),
    attention.length ? h("ul", { class: "card", id: "attention" }, attention.map(([kind, words, to]) => h("li", {}, badge(kind === "bad" ? "problem" : "warning", kind), " ", h("a", { href: to }, words)))) : empty("Nothing that this snapshot knows of."),
    h("h2", {}, "Applications"),
    apps.length ? h("div", { class: "cards" }, apps.map(appCard)) : missing("fleets", "What applications run is") || empty("No application runs in this environment yet."),
    h("h2", {}, "Last events"),
    has("activity") ? [timeline(data.events.slice(0, 10)), data.events.length > 10 ? h("p", {}, h("a", { href: address("activity") }, `All ${things(data.events.length, "event")}`)) : null] : missing("activity", "What happened is"),
  ];
}

function overviewFigures(apps) {
  const costs = data.snapshot.costs;
  const estimate = fleetCost();
  const serving = apps.reduce((all, app) => all + app.serving, 0);
  const target = apps.reduce((all, app) => all + app.target, 0);
  const short = apps.filter((app) => app.short > 0).length;
  const units = unitsOf(apps);
  const instances = list("instances");
  const sick = instances.filter((one) => one.health === "unhealthy").length;
  const found = [figure("Serving", `${count(serving)} of ${count(target)}`, short ? `${units}; ${things(short, "application")} short` : `${units}; all as wanted`)];
  if (has("instances")) found.push(figure("Instances", count(instances.length), sick ? `${count(sick)} unhealthy` : "none unhealthy"));
  if (costs) {
    found.push(figure("Cost today", money(costs.today_usd), costs.basis ? `${costs.basis}, ${costs.currency || "USD"}` : null));
    found.push(figure("Cost this month", money(costs.month_usd), known(costs.forecast?.month_end_usd) ? `${money(costs.forecast.month_end_usd)} at its end, by forecast` : null));
    found.push(figure("Saved against On-Demand", share(costs.saved_share), known(costs.saved_usd) ? savedWhen(costs) : null));
  } else if (estimate) {
    found.push(figure("Spent", money(estimate.spent), `since ${clock(estimate.since)} UTC, ${estimate.basis || "estimated"}`));
    found.push(figure("The same On-Demand", money(estimate.instead)));
    found.push(figure("Saved against On-Demand", percent(estimate.saved), money(estimate.instead - estimate.spent)));
  } else found.push(figure("Cost", NOT_KNOWN, "this snapshot has no costs"));
  return found;
}

function needsAttention(apps) {
  const found = [];
  for (const app of apps) {
    for (const fleet of app.fleets) if ((fleet.serving || 0) < (fleet.target || 0)) found.push(["bad", `${app.name} in ${fleet.region} is short by ${count(fleet.target - fleet.serving)} ${fleet.unit || ""}`, address("app", app.name)]);
    if (app.unhealthy) found.push(["bad", `${app.name} has ${things(app.unhealthy, "unhealthy instance")}`, address("app", app.name, { health: "unhealthy" })]);
    if (app.fallback) found.push(["warn", `${app.name} has ${count(app.fallback)} of its ${app.unit} On-Demand in place of Spot`, address("app", app.name)]);
  }
  const soon = list("certificates").filter((one) => known(one.days_left) && one.days_left <= 30);
  if (soon.length) found.push([soon.some((one) => one.days_left <= 7) ? "bad" : "warn", `${things(soon.length, "certificate")} ${soon.length === 1 ? "expires" : "expire"} within 30 days`, address("certificates")]);
  const filling = list("volumes").filter((one) => (known(one.days_left) && one.days_left <= 7) || used(one) >= 0.9);
  if (filling.length) found.push(["warn", `${things(filling.length, "volume")} nearly full`, address("volumes")]);
  const accounts = list("service_accounts").filter((one) => one.severity === "problem");
  if (accounts.length) found.push(["bad", `${things(accounts.length, "service account")} with a problem`, address("accounts", "", { severity: "problem" })]);
  const quotas = list("quotas").filter((one) => one.share >= 0.8);
  if (quotas.length) found.push(["warn", `${things(quotas.length, "quota")} used to 80 % or more`, address("resources")]);
  for (const one of data.snapshot.costs?.budgets || []) if (one.share >= 1 || one.forecast_share >= 1) found.push([one.share >= 1 ? "bad" : "warn", `${one.app}: the budget of ${money(one.monthly_usd)} is ${one.share >= 1 ? "used up" : "used up by the month's end, by forecast"}`, address("costs")]);
  for (const one of data.snapshot.costs?.anomalies || []) found.push(["warn", one.text || `${one.day}: ${money(one.usd)} instead of ${money(one.expected_usd)}`, address("costs")]);
  return found;
}

function state(fleet) {
  if ((fleet.serving || 0) < (fleet.target || 0)) return badge(`short by ${count(fleet.target - (fleet.serving || 0))}`, "bad");
  if (fleet.fallback) return badge(`${count(fleet.fallback)} on fallback`, "warn");
  return badge("as wanted", "good");
}

function shares(fleet) {
  const whole = Math.max(fleet.target || 0, (fleet.spot || 0) + (fleet.on_demand || 0), 1);
  return h("div", { class: "share", "aria-hidden": "true" }, ["spot", "on_demand"].map((key) => h("span", { class: key, style: { width: `${(100 * (fleet[key] || 0)) / whole}%` } })));
}

function appCard(app) {
  const last = data.events.find((event) => event.app === app.name);
  return h("article", { class: "card" },
    h("div", { class: "head" }, h("h3", {}, h("a", { href: address("app", app.name) }, app.name)), app.fleets.length ? state(app) : badge("no fleet")),
    shares(app),
    h("p", { class: "soft" }, `Serving ${count(app.serving)} of ${count(app.target)} ${app.unit}: ${count(app.spot)} Spot, ${count(app.on_demand)} On-Demand.`),
    h("table", { class: "plainly" }, h("caption", { class: "unseen" }, `${app.name} by region`), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Region"), h("th", { scope: "col" }, "State"), h("th", { scope: "col", class: "num" }, "Serving"), h("th", { scope: "col", class: "num" }, "Cost"))),
      h("tbody", {}, app.fleets.map((fleet) => h("tr", {}, h("th", { scope: "row" }, fleet.region), h("td", {}, state(fleet)), h("td", { class: "num" }, `${count(fleet.serving)} of ${count(fleet.target)}`), h("td", { class: "num" }, hourly(fleet.cost_per_hour)))))),
    h("p", { class: "soft" }, app.instances.length ? `${things(app.instances.length, "instance")}, ${app.unhealthy ? `${count(app.unhealthy)} unhealthy` : "none unhealthy"}. ` : null, last ? [`${since(last.time, data.now)}: `, String(last.summary)] : "Nothing has happened to it."));
}

/* App */

function app(route) {
  const one = data.apps.get(route.argument);
  if (!one) return [h("h1", {}, "Applications"), route.argument ? empty(`There is no application ${route.argument} in this snapshot.`) : null, data.apps.size ? h("ul", {}, [...data.apps.keys()].map((name) => h("li", {}, h("a", { href: address("app", name) }, name)))) : empty("No application runs in this environment yet.")];
  const least = (key, pick) => { const found = one.fleets.map((fleet) => fleet[key]).filter(known); return found.length ? pick(...found) : null; };
  const values = { app: one.name, region: route.params.get("region") || one.regions[0], environment: data.snapshot.environment, regions: one.regions, unit: one.unit, min: least("min", Math.max), max: least("max", Math.min), target: least("target", Math.max) };
  const events = data.events.filter((event) => event.app === one.name);
  const manifest = one.manifest;
  return [
    h("h1", {}, one.name),
    h("p", { class: "soft" }, [manifest?.owner ? `Owner ${manifest.owner}. ` : "", one.regions.length ? `Regions ${one.regions.join(", ")}. ` : "", known(manifest?.budget?.monthly) ? `Budget ${money(manifest.budget.monthly)} a month. ` : "", one.cost_per_hour === null ? "" : `Costs ${hourly(one.cost_per_hour)} now.`]),
    actions(["deploy", "rollback", "scale", ...(one.fleets.some((fleet) => fleet.override) ? ["scale_end"] : []), "reconcile", "explain"], values, manifest?.links),
    h("h2", {}, "Fleets"),
    one.fleets.length ? h("div", { class: "cards" }, one.fleets.map(fleetCard)) : missing("fleets", "Its fleets are") || empty("It has no fleet."),
    h("h2", {}, "Instances"),
    has("instances") ? instanceTable(route, one) : missing("instances", "Its instances are"),
    h("h2", {}, "What happened"),
    has("activity") ? [timeline(events.slice(0, 10)), events.length > 10 ? h("p", {}, h("a", { href: address("activity", "", { app: one.name }) }, `All ${things(events.length, "event")} of ${one.name}`)) : null] : missing("activity", "What happened is"),
  ];
}

function fleetCard(fleet) {
  const zones = new Map();
  for (const pool of fleet.pools || []) zones.set(pool.zone, [...(zones.get(pool.zone) || []), pool]);
  const steps = (fleet.timeline || []).filter((point) => !Number.isNaN(instant(point.time)));
  return h("article", { class: "card" },
    h("div", { class: "head" }, h("h3", {}, fleet.region), state(fleet)),
    shares(fleet),
    h("p", { class: "soft" }, `Serving ${count(fleet.serving)} of ${count(fleet.target)} ${fleet.unit || ""}: ${count(fleet.spot)} Spot, ${count(fleet.on_demand)} On-Demand. `,
      known(fleet.serving_min) ? `Never fewer than ${count(fleet.serving_min)} since the target was first reached. ` : null, `${hourly(fleet.cost_per_hour)} instead of ${hourly(fleet.on_demand_cost_per_hour)}${known(fleet.savings_percent) ? `: ${percent(fleet.savings_percent)} less` : ""}.`),
    fleet.override ? h("p", {}, badge("temporary", "warn"), ` ${String(fleet.override.summary || "").replace(/^temporarily /, "")}`) : null,
    steps.length ? fleetChart(fleet, steps) : null,
    h("table", { class: "plainly" }, h("caption", { class: "unseen" }, `What runs in ${fleet.region}, by zone`), h("thead", {}, h("tr", {}, ["Zone", "Type"].map((name) => h("th", { scope: "col" }, name)), ["Count", "Price of one"].map((name) => h("th", { scope: "col", class: "num" }, name)))),
      h("tbody", {}, zones.size ? [...zones].map(([zone, pools]) => pools.map((pool, index) => h("tr", {}, index ? h("td", {}) : h("th", { scope: "rowgroup", rowspan: null }, String(zone)), h("td", {}, h("span", { class: `mark ${pool.lifecycle === "spot" ? "spot" : "on_demand"}`, "aria-hidden": "true" }), " ", String(pool.instance_type), h("span", { class: "soft" }, ` ${LIFECYCLES[pool.lifecycle] || pool.lifecycle}`)), h("td", { class: "num" }, count(pool.instances)), h("td", { class: "num" }, hourly(pool.price_per_hour))))) : h("tr", {}, h("td", { colspan: 4 }, "Nothing runs.")))));
}

function fleetChart(fleet, steps) {
  const times = [], spots = [], others = [];
  for (const point of [...steps, { ...steps[steps.length - 1], time: data.snapshot.made_at }]) {
    const at = instant(point.time) / 1000;
    if (times.length && at <= times[times.length - 1]) continue;
    times.push(at); spots.push(point.spot || 0); others.push(point.on_demand || 0);
  }
  return stacked({ label: `Capacity of ${fleet.app} in ${fleet.region} over time, in ${fleet.unit || "units"}, against the target of ${count(fleet.target)}`, times, steps: true, format: count, head: "From (UTC)", height: 180,
    series: [{ name: "Spot", colour: "--spot", swatch: "spot", values: spots }, { name: "On-Demand", colour: "--on-demand", swatch: "on_demand", values: others }],
    lines: known(fleet.target) ? [{ name: "Target", dashed: true, values: times.map(() => fleet.target) }] : [] });
}

const METRICS = { cpu: ["CPU", (value) => percent(value), 100], memory: ["Memory", (value) => percent(value), 100], disk: ["Disk", (value) => percent(value), 100], network: ["Network", (value) => `${bytes(value)}/s`, 0] };

function instanceTable(route, one) {
  const metric = () => (Object.hasOwn(METRICS, route.params.get("metric")) ? route.params.get("metric") : "cpu");
  const spark = (row) => { const [name, format, top] = METRICS[metric()]; return sparkline(row.utilisation?.[metric()], name, format, top); };
  const recent = (row) => { const numbers = (row.utilisation?.[metric()] || []).filter(known); return numbers.length ? numbers[numbers.length - 1] : null; };
  const grid = table({
    caption: `Instances of ${one.name}`, sort: route.params.get("sort") || "zone", none: "No instance has all that the filters ask for.",
    changed: (sort) => { route.params.set("sort", sort); keep(route); },
    columns: [
      { key: "id", label: "Instance", width: 172, value: (row) => row.id, cell: (row) => h("button", { type: "button", class: "plain", on: { click: () => showInstance(row) } }, String(row.id)) },
      { key: "zone", label: "Zone", width: 108, value: (row) => row.zone || row.region },
      { key: "type", label: "Type", width: 105, value: (row) => row.type },
      { key: "lifecycle", label: "Lifecycle", width: 112, value: (row) => row.lifecycle, cell: (row) => lifecycle(row.lifecycle) },
      { key: "health", label: "Health", width: 108, value: (row) => row.health, cell: (row) => health(row.health) },
      { key: "age", label: "Age", width: 66, number: true, value: (row) => (Number.isNaN(instant(row.launched_at)) ? null : data.now - instant(row.launched_at)), cell: (row) => (Number.isNaN(instant(row.launched_at)) ? NOT_KNOWN : span(data.now - instant(row.launched_at))) },
      { key: "price", label: "Price", width: 98, number: true, value: (row) => row.price_per_hour, cell: (row) => hourly(row.price_per_hour) },
      { key: "use", label: "Last 24 h", width: 205, number: true, value: recent, cell: spark },
      { key: "connect", label: "Connect", width: 335, cell: (row) => connections(row, true) },
    ],
  });
  const total = h("p", { class: "soft", role: "status" });
  const update = () => {
    const rows = chosen(one.instances, route, ["region", "zone", "lifecycle", "health", "type"], ["id", "type", "zone", "private_ip", "public_ip", "state", "health_reason"]);
    grid.set(rows);
    total.textContent = `${count(rows.length)} of ${things(one.instances.length, "instance")}`;
  };
  const bar = filters(route, [
    { name: "q", label: "Search", kind: "search" }, { name: "region", label: "Region", kind: "choice", options: choices(one.instances, "region") }, { name: "zone", label: "Zone", kind: "choice", options: choices(one.instances, "zone") },
    { name: "lifecycle", label: "Lifecycle", kind: "choice", options: choices(one.instances, "lifecycle"), names: LIFECYCLES }, { name: "health", label: "Health", kind: "choice", options: choices(one.instances, "health") },
    { name: "metric", label: "Utilisation", kind: "choice", plain: true, options: Object.keys(METRICS), names: { cpu: "CPU", memory: "Memory", disk: "Disk", network: "Network" } },
  ], update);
  update();
  return [bar, total, grid.element];
}

const CONSOLES = [[/^cn-/, "console.amazonaws.cn"], [/^us-gov-/, "console.amazonaws-us-gov.com"], [/^/, "console.aws.amazon.com"]];

/** Ways to an instance: two links to AWS's console, and the ssh command. Names that AWS does not give have none. */
function connections(row, short) {
  const found = [];
  if (/^[a-z]{2}(-[a-z]+)+-\d$/.test(row.region) && /^i-[0-9a-f]{8,17}$/.test(row.id)) {
    const base = `https://${row.region}.${CONSOLES.find(([region]) => region.test(row.region))[1]}`;
    found.push(outside(`${base}/systems-manager/session-manager/${encodeURIComponent(row.id)}?region=${encodeURIComponent(row.region)}`, "Session Manager", "button small"));
    found.push(outside(`${base}/ec2/home?region=${encodeURIComponent(row.region)}#ConnectToInstance:instanceId=${encodeURIComponent(row.id)}`, "Instance Connect", "button small"));
  }
  const command = ssh(row);
  if (command) found.push(copier(command, "Copy ssh"));
  return found.length ? h("div", { class: "actions" }, found) : h("span", { class: "soft" }, "no way known");
}

function ssh(row) {
  const host = row.public_ip || row.private_ip;
  const user = row.os_user || "ec2-user";
  if (!/^[0-9a-f.:]+$/i.test(host || "") || !/^[a-z_][\w-]*$/i.test(user)) return "";
  const key = row.key_name ? ` -i ~/.ssh/${quoted(`${row.key_name}.pem`)}` : "";
  return `ssh${key} ${user}@${host}`;
}

function showInstance(row) {
  const values = { app: row.app, region: row.region, environment: row.environment, id: row.id };
  showDialog(String(row.id), h("p", {}, health(row.health), " ", row.health_reason ? String(row.health_reason) : null), connections(row), actions(["replace"], values),
    pairs([["Application", row.app], ["Region", row.region], ["Zone", row.zone], ["Type", row.type], ["Lifecycle", lifecycle(row.lifecycle)], ["State", row.state], ["Launched", [moment(row.launched_at), ` (${since(row.launched_at, data.now)})`]], ["Price", hourly(row.price_per_hour)], ["Private address", row.private_ip], ["Public address", row.public_ip], ["Key", row.key_name], ["Image", row.image_id], ["Group", row.group],
      ...Object.entries(METRICS).map(([key, [name, format, top]]) => [name, sparkline(row.utilisation?.[key], name, format, top)])]));
}

/* Costs */

const DIMENSIONS = { purchase: "Purchase", app: "Application", service: "Service", region: "Region" };

function costs(route) {
  const found = data.snapshot.costs;
  if (!found) return [h("h1", {}, "Costs"), missing("costs", "The bill is"), estimated()];
  const days = (Array.isArray(found.days) ? found.days : []).filter((row) => row && /^\d{4}-\d\d-\d\d/.test(row.day));
  const place = h("div", {});
  const update = () => { forget(); place.replaceChildren(); add(place, [costChart(days, route)]); };
  const bar = filters(route, [
    { name: "by", label: "Stacked by", kind: "choice", plain: true, options: Object.keys(DIMENSIONS), names: DIMENSIONS }, { name: "days", label: "Days", kind: "choice", plain: true, options: ["30", "7", "90", "365"] },
    { name: "app", label: "Application", kind: "choice", options: choices(days, "app") }, { name: "service", label: "Service", kind: "choice", options: choices(days, "service") }, { name: "region", label: "Region", kind: "choice", options: choices(days, "region") },
  ], update);
  update();
  const forecast = found.forecast;
  return [
    h("h1", {}, "Costs"),
    (found.warnings || []).length ? h("div", { class: "notice" }, listed(found.warnings)) : null,
    h("section", { class: "grid", "aria-label": "Key figures" },
      figure("Today", money(found.today_usd), found.basis), figure("This month", money(found.month_usd)), figure("Saved against On-Demand", share(found.saved_share), known(found.saved_usd) ? savedWhen(found) : null),
      figure("The month, by forecast", money(forecast?.month_end_usd), known(forecast?.low_usd) ? `${money(forecast.low_usd)} to ${money(forecast.high_usd)}${known(forecast.confidence) ? `, with ${share(forecast.confidence)} confidence` : ""}` : null),
      figure("Fallback", money(found.fallback_usd), `On-Demand in place of Spot${estimatedSince(found)}`), figure("Interrupted", money(found.interrupted_usd), `work that interruptions ended${estimatedSince(found)}`)),
    h("h2", {}, "By day"), bar, place,
    h("h2", {}, "Budgets"),
    (found.budgets || []).length ? h("div", { class: "cards" }, found.budgets.map((one) => h("article", { class: "card" }, h("div", { class: "head" }, h("h3", {}, String(one.app ?? "all")), one.share >= 1 ? badge("used up", "bad") : one.forecast_share >= 1 ? badge("will not last", "warn") : badge("within", "good")), bar2(one), h("p", { class: "soft" }, `${money(one.spent_usd)} of ${money(one.monthly_usd)} this month; by forecast ${share(one.forecast_share)} at its end.`)))) : empty("There are no budgets."),
    h("h2", {}, "Unusual days"),
    (found.anomalies || []).length ? h("ul", { class: "card" }, found.anomalies.map((one) => h("li", {}, `${one.day}: ${money(one.usd)} instead of ${money(one.expected_usd)}. ${one.text || Object.values(one.cause || {}).filter(Boolean).join(", ")}`))) : empty("No day was unusual."),
    h("h2", {}, "Waste"), found.waste ? wasteTable(found.waste) : missing("waste", "What is wasted is"),
  ];
}

const bar2 = (one) => h("div", { style: { "margin": ".5rem 0" } }, bar(one.share, share(one.share), 0.8, 1));

/** Without a bill: what the fleets reckon of themselves. */
function estimated() {
  const sum = fleetCost();
  if (!sum) return empty("The fleets do not say what they cost either.");
  const grid = table({ caption: "What the fleets cost, estimated", sort: "app", columns: [
    { key: "app", label: "Application", value: (row) => row.app, cell: (row) => h("a", { href: address("app", row.app) }, String(row.app)) }, { key: "region", label: "Region", value: (row) => row.region },
    { key: "now", label: "Now", number: true, value: (row) => row.cost_per_hour, cell: (row) => hourly(row.cost_per_hour) }, { key: "spent", label: "Spent", number: true, value: (row) => row.cost?.spot_platform, cell: (row) => money(row.cost?.spot_platform) },
    { key: "instead", label: "The same On-Demand", number: true, value: (row) => row.cost?.all_on_demand, cell: (row) => money(row.cost?.all_on_demand) }, { key: "saved", label: "Saved", number: true, value: (row) => row.cost?.savings_percent, cell: (row) => percent(row.cost?.savings_percent) } ] });
  grid.set(list("fleets"));
  return [h("section", { class: "grid", "aria-label": "Key figures" }, figure("Spent", money(sum.spent), `since ${clock(sum.since)} UTC`), figure("The same On-Demand", money(sum.instead)), figure("Saved against On-Demand", percent(sum.saved), sum.basis)), h("h2", {}, "By fleet"), grid.element];
}

function costChart(days, route) {
  const by = Object.hasOwn(DIMENSIONS, route.params.get("by")) ? route.params.get("by") : "purchase";
  const last = days.reduce((latest, row) => (row.day > latest ? row.day : latest), "").slice(0, 10);
  const first = last ? new Date(Date.parse(last) - ((Number(route.params.get("days")) || 30) - 1) * 86400000).toISOString().slice(0, 10) : "";
  const rows = chosen(days, route, ["app", "service", "region"], []).filter((row) => row.day >= first && known(row.usd));
  if (!rows.length) return empty("No cost is known of these days for what the filters ask for.");
  const totals = new Map();
  for (const row of rows) totals.set(String(row[by] ?? "none"), (totals.get(String(row[by] ?? "none")) || 0) + row.usd);
  const ranked = [...totals].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const named = ranked.length > 8 ? [...ranked.slice(0, 7), "all others"] : ranked;
  const dates = [...new Set(rows.map((row) => row.day.slice(0, 10)))].sort();
  const index = new Map(dates.map((day, at) => [day, at]));
  const values = named.map(() => dates.map(() => 0));
  const instead = dates.map(() => 0);
  let comparable = false;
  for (const row of rows) {
    const group = named.indexOf(String(row[by] ?? "none"));
    const at = index.get(row.day.slice(0, 10));
    values[group < 0 ? named.length - 1 : group][at] += row.usd;
    instead[at] += known(row.on_demand_usd) ? row.on_demand_usd : row.usd;
    comparable = comparable || known(row.on_demand_usd);
  }
  const total = rows.reduce((all, row) => all + row.usd, 0);
  const other = instead.reduce((all, one) => all + one, 0);
  const colours = { spot: "--spot", on_demand: "--on-demand", reserved: "--c3", savings_plan: "--c6", other: "--c8" };
  return h("div", { class: "card" },
    h("p", {}, h("strong", {}, money(total)), ` in ${things(dates.length, "day")}`, comparable ? `; with all instances On-Demand ${money(other)}, so ${money(other - total)} of it saved (${share(other ? 1 - total / other : null)}).` : "; what it would have cost On-Demand is not known."),
    stacked({ label: `Cost by day, stacked by ${DIMENSIONS[by].toLowerCase()}, in USD`, times: dates.map((day) => Date.parse(day) / 1000), format: money, head: "Day", height: 280,
      series: named.map((name, at) => ({ name: (by === "purchase" && LIFECYCLES[name]) || name, colour: (by === "purchase" && colours[name]) || `--c${(at % 8) + 1}`, swatch: by === "purchase" && colours[name] ? { "--spot": "spot", "--on-demand": "on_demand" }[colours[name]] || colours[name].slice(2) : `c${(at % 8) + 1}`, values: values[at] })),
      lines: comparable ? [{ name: "The same On-Demand", values: instead }] : [] }));
}

function wasteTable(rows) {
  if (!rows.length) return empty("Nothing that costs money and serves nobody is known.");
  const grid = table({ caption: "Waste", sort: "-usd", columns: [
    { key: "kind", label: "Kind", value: (row) => row.kind, width: 110 }, { key: "id", label: "What", value: (row) => row.id, width: 210, cell: (row) => h("a", { href: address("resources", "", { q: row.id }) }, String(row.id)) }, { key: "app", label: "Application", value: (row) => row.app, cell: (row) => row.app || "none", width: 120 }, { key: "region", label: "Region", value: (row) => row.region, width: 120 },
    { key: "usd", label: "Cost a month", number: true, value: (row) => row.usd_per_month, cell: (row) => money(row.usd_per_month), width: 120 }, { key: "why", label: "Why", value: (row) => row.why, width: 280, wrap: true }, { key: "remedy", label: "Remedy", value: (row) => row.remedy, width: 280, wrap: true } ] });
  grid.set(rows);
  return [h("p", { class: "soft" }, `${money(rows.reduce((all, row) => all + (row.usd_per_month || 0), 0))} a month together.`), h("div", { class: "actions" }, exporter(grid, "waste")), grid.element];
}

/* Activity */

function activity(route) {
  const all = data.events;
  const missed = missing("activity", "What happened is");
  if (missed) return [h("h1", {}, "Activity"), missed];
  const place = h("div", {});
  const total = h("p", { class: "soft", role: "status" });
  let most = 40;
  const update = () => {
    const wanted = chosen(all, route, ["app", "region", "kind", "source"], ["summary", "kind", "app", "region", "resource", "actor", "reasons"]);
    const kept = data.snapshot.truncated?.activity;
    total.textContent = `${count(wanted.length)} of ${things(all.length, "event")}.${kept ? ` The snapshot has the newest ${count(kept.kept)} of ${count(kept.of)}.` : ""}`;
    place.replaceChildren();
    add(place, [byDay(wanted.slice(0, most)), wanted.length > most ? h("button", { type: "button", class: "button", on: { click: () => { most += 200; update(); } } }, `Show ${count(Math.min(200, wanted.length - most))} earlier events`) : null]);
  };
  const bar = filters(route, [
    { name: "q", label: "Search", kind: "search" }, { name: "app", label: "Application", kind: "choice", options: choices(all, "app") }, { name: "region", label: "Region", kind: "choice", options: choices(all, "region") }, { name: "kind", label: "Kind", kind: "choice", options: choices(all, "kind") },
    { name: "source", label: "Source", kind: "choice", options: choices(all, "source") }, { name: "live", label: "Live", kind: "check" },
  ], (name) => { most = 40; if (name === "live") plan(); else update(); });
  update();
  return [h("h1", {}, "Activity"), bar, total, location.protocol === "file:" ? h("p", { class: "soft" }, "This page was opened from a file, so it does not refresh by itself: load it again.") : null, place];
}

function byDay(events) {
  if (!events.length) return empty("No event has all that the filters ask for.");
  const days = new Map();
  for (const event of events) days.set(clock(event.time).slice(0, 10), [...(days.get(clock(event.time).slice(0, 10)) || []), event]);
  return [...days].map(([day, group]) => h("section", {}, h("h2", { class: "day" }, day), timeline(group)));
}

/** Of which time a saving is, and what it is made of. */
function savedWhen(costs) {
  const begin = costs.saved_since ? `since ${clock(costs.saved_since).replace(" 00:00", "")}` : "this month";
  return `${money(costs.saved_usd)} on instances ${begin}${costs.saved_basis ? `; ${costs.saved_basis}` : ""}`;
}

const estimatedSince = (costs) => (costs.fallback_since ? `, since ${clock(costs.fallback_since)}, estimated` : "");

function timeline(events) {
  if (!events.length) return empty("Nothing yet.");
  return h("ol", { class: "time" }, events.map((event) => {
    const reasons = Array.isArray(event.reasons) ? event.reasons : [];
    const telling = /\.(fallback|returned)$/.test(event.kind);
    const more = event.before || event.after || event.actor || event.run || event.resource;
    return h("li", { class: tone(event), "data-id": event.id },
      h("p", { class: "soft" }, h("span", {}, moment(event.time)), h("span", {}, String(event.kind)), event.app ? h("span", {}, h("a", { href: address("app", event.app) }, String(event.app))) : null, event.region ? h("span", {}, String(event.region)) : null, event.changed === false ? h("span", {}, "nothing changed") : null),
      h("p", {}, String(event.summary ?? "")),
      h("div", { class: "mores" }, reasons.length ? h("details", { open: telling }, h("summary", {}, "Why"), listed(reasons)) : null,
      more ? h("button", { type: "button", class: "plain more", on: { click: () => showEvent(event) } }, "More") : null));
  }));
}

function showEvent(event) {
  showDialog(String(event.kind), h("p", {}, String(event.summary ?? "")), listed(Array.isArray(event.reasons) ? event.reasons : []), pairs([["Time", moment(event.time)], ["Application", event.app], ["Region", event.region], ["Resource", event.resource], ["By", event.actor], ["Source", event.source], ["Run", event.run],
    ["Before", event.before && readable(event.before)], ["After", event.after && readable(event.after)], ["Event", event.id]]));
}

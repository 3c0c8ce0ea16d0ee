/* Resources, Service accounts, Certificates, Volumes and Spot market. */
"use strict";

/** A view that is a table with filters. */
function listView(route, { title, rows, keys, words, columns, sort, file, none, more, extra }) {
  const grid = table({ caption: title, columns, sort: route.params.get("sort") || sort, none: "Nothing has all that the filters ask for.", changed: (order) => { route.params.set("sort", order); keep(route); } });
  const total = h("p", { class: "soft", role: "status" });
  const update = () => {
    const found = chosen(rows, route, keys.map(([key]) => key), words);
    grid.set(found);
    total.textContent = `${count(found.length)} of ${count(rows.length)}${extra ? extra(found) : ""}`;
  };
  const bar = filters(route, [{ name: "q", label: "Search", kind: "search" }, ...keys.map(([name, label]) => ({ name, label, kind: "choice", options: choices(rows, name) }))], update, exporter(grid, file, more));
  update();
  return rows.length ? [bar, total, grid.element] : empty(none);
}

const opener = (label, show) => h("button", { type: "button", class: "plain", on: { click: show } }, String(label ?? NOT_KNOWN));
const date = (key, label, width = 125) => ({ key, label, width, value: (row) => row[key], cell: (row) => (row[key] ? clock(row[key]).slice(0, 10) : NOT_KNOWN) });
const plainText = (key, label, width = 120, wrap = false) => ({ key, label, width, wrap, value: (row) => row[key] });
const appLink = { key: "app", label: "Application", width: 130, value: (row) => row.app, cell: (row) => (row.app ? h("a", { href: address("app", row.app) }, String(row.app)) : h("span", { class: "soft" }, "none")) };

function resourcesView(route) {
  const rows = resources();
  const quotas = list("quotas");
  return [
    h("h1", {}, "Resources"),
    has("resources") ? null : missing("resources", "All resources are"),
    has("resources") ? null : h("p", { class: "soft" }, "What follows are the fleets and instances only."),
    listView(route, {
      title: "Resources", rows, file: "resources", sort: "-usd_per_month", none: "There are no resources.",
      keys: [["kind", "Kind"], ["app", "Application"], ["region", "Region"], ["health", "Health"]], words: ["id", "name", "arn", "kind", "app", "region", "zone", "state", "note"],
      extra: (found) => `, ${money(found.reduce((all, row) => all + (row.usd_per_month || 0), 0))} a month together`,
      columns: [
        { key: "id", label: "Resource", width: 240, value: (row) => row.id, cell: (row) => opener(row.id || row.name, () => showResource(row)) }, plainText("kind", "Kind", 125), plainText("name", "Name", 190, true), appLink,
        { key: "region", label: "Place", width: 125, value: (row) => row.zone || row.region || "global" }, { key: "state", label: "State", width: 110, value: (row) => row.state }, { key: "health", label: "Health", width: 115, value: (row) => row.health, cell: (row) => health(row.health) }, date("created_at", "Created"),
        { key: "usd_per_month", label: "Cost a month", number: true, width: 130, value: (row) => row.usd_per_month, cell: (row) => money(row.usd_per_month) } ],
      more: ["zone", "arn", "environment", "note"].map((key) => ({ label: key, value: (row) => row[key] })),
    }),
    h("h2", {}, "Key pairs"), actions(["import_key"], keyValues()),
    h("h2", {}, "Quotas"),
    missing("quotas", "Quotas are") || (quotas.length ? quotaTable(quotas) : empty("No quota was looked at.")),
  ];
}

function showResource(row) {
  showDialog(String(row.name || row.id), h("p", {}, health(row.health), " ", row.note ? String(row.note) : null),
    pairs([["Kind", row.kind], ["Id", row.id], ["ARN", row.arn], ["Application", row.app], ["Environment", row.environment], ["Region", row.region], ["Zone", row.zone], ["State", row.state], ["Created", row.created_at && moment(row.created_at)], ["Cost a month", money(row.usd_per_month)],
      ...Object.entries(row.details || {}).map(([name, value]) => [name.replace(/_/g, " "), readable(value)])]));
}

function quotaTable(quotas) {
  const grid = table({ caption: "Quotas", sort: "-share", columns: [
    { key: "share", label: "Used", width: 190, number: true, value: (row) => row.share, cell: (row) => bar(row.share, share(row.share)) }, plainText("name", "Quota", 320, true), plainText("service", "Service"), plainText("region", "Region"),
    { key: "used", label: "In use", number: true, value: (row) => row.used, cell: (row) => count(row.used) }, { key: "limit", label: "Limit", number: true, value: (row) => row.limit, cell: (row) => count(row.limit) } ] });
  grid.set(quotas);
  return grid.element;
}

const keyValues = () => ({ environment: data.snapshot.environment, region: (data.snapshot.regions || [])[0] });

function accountsView(route) {
  const rows = list("service_accounts");
  return [h("h1", {}, "Service accounts"), actions(["import_key"], keyValues()), missing("service_accounts", "Service accounts are") || listView(route, {
    title: "Service accounts", rows, file: "service-accounts", sort: "-severity", none: "There are no service accounts.", keys: [["kind", "Kind"], ["app", "Application"], ["severity", "Severity"]], words: ["name", "arn", "app", "kind", "findings"],
    columns: [
      { key: "name", label: "Account", width: 230, value: (row) => row.name, cell: (row) => opener(row.name, () => showAccount(row)) }, plainText("kind", "Kind", 130), appLink,
      { key: "severity", label: "State", width: 120, value: (row) => ({ ok: 0, warning: 1, problem: 2 })[row.severity] ?? null, cell: (row) => health(row.severity) }, date("created_at", "Created"),
      { key: "last_used_at", label: "Last used", width: 170, value: (row) => row.last_used_at, cell: (row) => (row.last_used_at ? `${since(row.last_used_at, data.now)}${row.last_used_region ? `, ${row.last_used_region}` : ""}` : "never") },
      { key: "keys", label: "Access keys", width: 200, value: (row) => (row.keys || []).map((key) => `${key.id} ${key.age_days} d`).join(" "), cell: (row) => keysOf(row) },
      { key: "findings", label: "Findings", width: 340, wrap: true, value: (row) => (row.findings || []).join("; "), cell: (row) => ((row.findings || []).length ? row.findings.join("; ") : "none") } ],
  })];
}

const keysOf = (row) => ((row.keys || []).length ? row.keys.map((key) => `${key.active ? "active" : "inactive"}, ${things(key.age_days, "day")} old`).join("; ") : "none");

function showAccount(row) {
  showDialog(String(row.name), h("p", {}, health(row.severity)), (row.findings || []).length ? listed(row.findings) : h("p", {}, "Nothing was found wrong with it."),
    pairs([["Kind", row.kind], ["ARN", row.arn], ["Application", row.app], ["Created", row.created_at && moment(row.created_at)], ["Last used", row.last_used_at && moment(row.last_used_at)], ["In", row.last_used_region],
      ...(row.keys || []).map((key) => [`Key ${key.id}`, `${key.active ? "active" : "inactive"}, ${things(key.age_days, "day")} old, last used ${clock(key.last_used_at)}`])]));
}

function certificatesView(route) {
  const rows = list("certificates");
  const urgency = (days) => (days <= 7 ? "bad" : days <= 30 ? "warn" : "good");
  return [h("h1", {}, "Certificates"), missing("certificates", "Certificates are") || listView(route, {
    title: "Certificates", rows, file: "certificates", sort: "days_left", none: "There are no certificates.", keys: [["app", "Application"], ["region", "Region"], ["state", "State"]], words: ["name", "id", "app", "region", "state", "renewal"],
    columns: [
      { key: "name", label: "Name", width: 260, wrap: true, value: (row) => row.name }, { key: "days_left", label: "Days left", number: true, width: 130, value: (row) => row.days_left, cell: (row) => (known(row.days_left) ? badge(row.days_left < 0 ? `expired ${things(-row.days_left, "day")} ago` : things(row.days_left, "day"), urgency(row.days_left)) : NOT_KNOWN) },
      date("expires_at", "Expires"), appLink, plainText("region", "Region"), { key: "in_use", label: "In use", width: 100, value: (row) => (row.in_use === true ? "yes" : row.in_use === false ? "no" : null) }, plainText("renewal", "Renewal", 150), plainText("state", "State", 110), plainText("id", "Id", 280, true) ],
  })];
}

/** The used part of a volume, 0 to 1; NaN where it is not known. */
function used(row) {
  if (!known(row.used_bytes)) return NaN;
  const whole = known(row.available_bytes) ? row.used_bytes + row.available_bytes : known(row.size_gib) ? row.size_gib * 2 ** 30 : 0;
  return whole ? row.used_bytes / whole : NaN;
}

function volumesView(route) {
  const rows = list("volumes").map((row) => ({ ...row, change: changeOf(row) }));
  return [h("h1", {}, "Volumes"), actions(["grow"], { environment: data.snapshot.environment }), missing("volumes", "Volumes are") || listView(route, {
    title: "Volumes", rows, file: "volumes", sort: "days_left", none: "There are no volumes.", keys: [["app", "Application"], ["region", "Region"], ["type", "Type"]], words: ["id", "app", "region", "instance", "mount", "type", "change"],
    columns: [
      plainText("id", "Volume", 215), appLink, plainText("region", "Region"), plainText("mount", "Mount", 150), plainText("type", "Type", 75), { key: "size_gib", label: "Size", number: true, width: 95, value: (row) => row.size_gib, cell: (row) => (known(row.size_gib) ? `${count(row.size_gib)} GiB` : NOT_KNOWN) },
      { key: "used", label: "Used", number: true, width: 170, value: (row) => (Number.isNaN(used(row)) ? null : used(row)), cell: (row) => (Number.isNaN(used(row)) ? NOT_KNOWN : bar(used(row), share(used(row)))) },
      { key: "growth", label: "Grows", number: true, width: 140, value: (row) => row.growth_bytes_per_day, cell: (row) => (known(row.growth_bytes_per_day) ? `${bytes(row.growth_bytes_per_day)} a day` : NOT_KNOWN) },
      { key: "days_left", label: "Full in", number: true, width: 110, value: (row) => row.days_left, cell: (row) => (known(row.days_left) ? (row.days_left < 1 ? "under a day" : things(Math.floor(row.days_left), "day")) : known(row.growth_bytes_per_day) && row.growth_bytes_per_day <= 0 ? "not soon" : NOT_KNOWN) },
      { key: "change", label: "Next possible change", width: 240, wrap: true, value: (row) => row.change, cell: (row) => [row.change, (row.reasons || []).length ? h("span", { class: "soft" }, ` ${row.reasons.join("; ")}`) : null] } ],
  })];
}

function changeOf(row) {
  if (row.may_change) return "now";
  return row.not_before ? `${clock(row.not_before)} UTC` : "not known";
}

function marketView(route) {
  const missed = missing("market", "The Spot market is");
  if (missed) return [h("h1", {}, "Spot market"), missed, placed(route)];
  const rows = (data.snapshot.market.pools || []).map((row) => ({ ...row, here: row.held > 0 ? "runs here" : row.wanted > 0 ? "would go here" : "neither" }));
  return [h("h1", {}, "Spot market"),
    h("section", { class: "grid", "aria-label": "Key figures" }, figure("Pools held", count(rows.filter((row) => row.held > 0).length), `of ${count(rows.length)}`), figure("Held", count(rows.reduce((all, row) => all + (row.held || 0), 0)), unitsOf([...data.apps.values()])), figure("Pools it would go to", count(rows.filter((row) => row.wanted > 0 && !(row.held > 0)).length), "that it does not hold")),
    h("h2", {}, "Pools"),
    h("p", { class: "soft" }, [rows.some((row) => known(row.interruption_band)) ? "Interrupted: the share of a month's instances, as AWS publishes it. " : "", rows.some((row) => known(row.score)) ? "Score: AWS's placement score. " : "", "Lasts: the hours until an instance is lost, as the platform reckons. Can launch: the chance that a launch there succeeds."]),
    listView(route, {
      title: "Spot pools", rows, file: "spot-market", sort: "-held", none: "No pool was looked at.", keys: [["region", "Region"], ["zone", "Zone"], ["type", "Type"], ["here", "The platform"]], words: ["region", "zone", "type", "interruption_band"],
      columns: [
        plainText("type", "Type", 130), plainText("zone", "Zone", 125), { key: "here", label: "The platform", width: 140, value: (row) => row.here, cell: (row) => badge(row.here, { "runs here": "good", "would go here": "warn" }[row.here] || "") },
        { key: "held", label: "Holds", number: true, width: 85, value: (row) => row.held, cell: (row) => count(row.held) }, { key: "wanted", label: "Wants", number: true, width: 85, value: (row) => row.wanted, cell: (row) => count(row.wanted) },
        { key: "price", label: "Spot price", number: true, width: 120, value: (row) => row.price, cell: (row) => hourly(row.price) }, { key: "on_demand_price", label: "On-Demand", number: true, width: 120, value: (row) => row.on_demand_price, cell: (row) => hourly(row.on_demand_price) }, { key: "saving", label: "Saving", number: true, width: 100, value: (row) => row.saving, cell: (row) => share(row.saving) },
        { key: "interruption_band", label: "Interrupted", width: 120, value: (row) => row.interruption_band }, { key: "score", label: "Score", number: true, width: 80, value: (row) => row.score, cell: (row) => (known(row.score) ? `${count(row.score)} of 10` : NOT_KNOWN) },
        { key: "hours_to_a_loss", label: "Lasts", number: true, width: 90, value: (row) => row.hours_to_a_loss, cell: (row) => (known(row.hours_to_a_loss) ? row.hours_to_a_loss < 1 ? "under 1 h" : `${count(Math.round(row.hours_to_a_loss))} h` : NOT_KNOWN) }, { key: "chance_open", label: "Can launch", number: true, width: 115, value: (row) => row.chance_open, cell: (row) => share(row.chance_open) } ].filter((column) => !["interruption_band", "score"].includes(column.key) || rows.some((row) => known(row[column.key]))),
    })];
}

/** Without a market: where the platform is, from its fleets. */
function placed(route) {
  const rows = list("fleets").flatMap((fleet) => (fleet.pools || []).map((pool) => ({ ...pool, app: fleet.app, region: fleet.region })));
  if (!rows.length) return null;
  return [h("h2", {}, "Where the platform is"), listView(route, { title: "Pools in use", rows, file: "pools", sort: "-instances", none: "Nothing runs.", keys: [["app", "Application"], ["region", "Region"], ["lifecycle", "Lifecycle"]], words: ["instance_type", "zone", "app"], columns: [
    plainText("instance_type", "Type"), plainText("zone", "Zone"), appLink, { key: "lifecycle", label: "Lifecycle", value: (row) => row.lifecycle, cell: (row) => lifecycle(row.lifecycle) }, { key: "instances", label: "Instances", number: true, value: (row) => row.instances, cell: (row) => count(row.instances) }, { key: "price", label: "Price of one", number: true, value: (row) => row.price_per_hour, cell: (row) => hourly(row.price_per_hour) } ] })];
}

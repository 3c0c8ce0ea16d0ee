/* Addresses, navigation, and keeping up to date. */
"use strict";

const VIEWS = {
  overview: ["Overview", overview], app: ["Applications", app], costs: ["Costs", costs], resources: ["Resources", resourcesView], activity: ["Activity", activity],
  accounts: ["Service accounts", accountsView], certificates: ["Certificates", certificatesView], volumes: ["Volumes", volumesView], market: ["Spot market", marketView],
};
const LIVE_SECONDS = 10;

/** The address of a view, with what it is about and its filters. */
function address(view, argument = "", params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "").map(([key, value]) => [key, String(value)])).toString();
  return `#/${view}${argument ? `/${encodeURIComponent(argument)}` : ""}${query ? `?${query}` : ""}`;
}

function routed(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view, argument = ""] = path.split("/");
  let about = argument;
  try { about = decodeURIComponent(argument); } catch { /* it is taken as it is written */ }
  return { view: Object.hasOwn(VIEWS, view) ? view : "overview", argument: about, params: new URLSearchParams(query) };
}

/** Keep the filters of a route in the address, without a step in the history. */
function keep(route) {
  history.replaceState(null, "", address(route.view, route.argument, Object.fromEntries(route.params)));
}

let route = routed(location.hash);

function render() {
  const main = document.getElementById("main");
  forget();
  if (!data.snapshot) {
    main.replaceChildren(h("h1", {}, "There is nothing to show"), empty(data.problem || "data/snapshot.js is missing or cannot be read: write the page again with the role spot.platform.dashboard."));
    return;
  }
  const page = data.snapshot.page || {};
  const [name, view] = VIEWS[route.view];
  const shown = route.view === "app" && route.argument ? route.argument : name;
  document.title = `${shown}: ${page.title || "spot.platform"}`;
  document.getElementById("brand").textContent = `${page.title || "spot.platform"}${data.snapshot.environment ? `: ${data.snapshot.environment}` : ""}`;
  navigation();
  dated();
  main.replaceChildren();
  try {
    add(main, [view(route)]);
  } catch (error) {
    main.replaceChildren(h("h1", {}, name), h("div", { class: "notice bad" }, h("p", {}, `This view cannot be shown, for the snapshot has what it does not understand: ${error.message}`)));
  }
}

function navigation() {
  const nav = document.getElementById("nav");
  nav.replaceChildren(h("ul", {}, Object.entries(VIEWS).map(([view, [name]]) => h("li", {}, h("a", { href: address(view), "aria-current": view === route.view ? "page" : null }, name)))));
  const current = nav.querySelector("[aria-current]");
  nav.scrollLeft = current.offsetLeft - (nav.clientWidth - current.offsetWidth) / 2;
}

let trouble = "";
function dated() {
  const age = Date.now() - data.now;
  document.getElementById("as-of").replaceChildren("As of ", moment(data.snapshot.made_at), age > 0 ? ` (${span(age)} ago)` : "", trouble ? h("strong", {}, `. ${trouble}`) : "");
}

/** The same view with newer data: what is focused, typed and scrolled stays. */
function refreshed() {
  const focused = document.activeElement;
  const id = focused?.id;
  const typed = focused instanceof HTMLInputElement && focused.type === "search" ? [focused.value, focused.selectionStart] : null;
  const top = window.scrollY;
  const scrolled = [...document.querySelectorAll("main .scroll")].map((place) => [place.scrollTop, place.scrollLeft]);
  const opened = new Set([...document.querySelectorAll("main li[data-id] details[open]")].map((one) => `${one.closest("li").dataset.id} ${one.firstChild.textContent}`));
  render();
  for (const one of document.querySelectorAll("main li[data-id] details")) if (opened.has(`${one.closest("li").dataset.id} ${one.firstChild.textContent}`)) one.open = true;
  [...document.querySelectorAll("main .scroll")].forEach((place, index) => { [place.scrollTop, place.scrollLeft] = scrolled[index] || [0, 0]; });
  window.scrollTo(0, top);
  const again = id && document.getElementById(id);
  if (again) {
    again.focus({ preventScroll: true });
    if (typed) { again.value = typed[0]; again.setSelectionRange(typed[1], typed[1]); }
  }
}

let timer = 0;
function plan() {
  clearTimeout(timer);
  if (location.protocol === "file:") return;
  const live = route.view === "activity" && route.params.get("live") === "1";
  const seconds = live ? LIVE_SECONDS : data.snapshot?.page?.refresh_seconds ?? 60;
  if (seconds > 0) timer = setTimeout(refresh, seconds * 1000);
}

async function refresh() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch("data/snapshot.json", { cache: "no-cache" });
      if (!answer.ok) throw new Error(`the server says ${answer.status}`);
      const found = await answer.json();
      trouble = "";
      if (found?.made_at !== data.snapshot?.made_at || JSON.stringify(found.activity?.at?.(-1)?.id) !== JSON.stringify(data.snapshot?.activity?.at?.(-1)?.id)) {
        const before = data.events?.length || 0;
        accept(found);
        refreshed();
        const more = data.events.length - before;
        say(more > 0 ? `The page is up to date; ${things(more, "new event")}` : "The page is up to date");
      } else dated();
    } catch (error) {
      trouble = `It could not be refreshed: ${error.message}`;
      if (data.snapshot) dated();
    }
  }
  plan();
}

window.addEventListener("hashchange", () => {
  if (location.hash === "#main") {
    document.getElementById("main").focus();
    history.replaceState(null, "", address(route.view, route.argument, Object.fromEntries(route.params)));
    return;
  }
  document.getElementById("dialog").close();
  const before = route;
  route = routed(location.hash);
  render();
  if (before.view !== route.view || before.argument !== route.argument) {
    window.scrollTo(0, 0);
    document.getElementById("main").focus({ preventScroll: true });
    say(document.title);
  }
  plan();
});
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible" && location.protocol !== "file:") refresh(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => refreshed());

/* Deferred scripts, and so data/snapshot.js, have run by then, or could not be loaded. */
document.addEventListener("DOMContentLoaded", () => { render(); plan(); });

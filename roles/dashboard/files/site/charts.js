/* Charts: uPlot draws them, a table beside each has its figures. */
"use strict";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const UTC = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
const charts = [];

/** End the charts of the view before: they listen to the window. */
function forget() {
  for (const end of charts.splice(0)) end();
}

/**
 * Stacked series over time. `times` in seconds; `series`: `{ name, colour (a custom property), values }`, the lowest first; `lines`:
 * the same, drawn over them, `dashed` or not. `steps`: values hold until the next; else each has a bar.
 */
function stacked({ label, times, series, lines = [], steps, format, head, height = 220 }) {
  const sums = [];
  for (const one of series) sums.push(one.values.map((value, index) => (value || 0) + (sums.length ? sums[sums.length - 1][index] : 0)));
  const readout = h("p", { class: "readout", "aria-hidden": "true" });
  const place = h("div", { class: "chart", role: "img", "aria-label": label });
  const when = (index) => (steps ? clock(new Date(times[index] * 1000).toISOString()) : new Date(times[index] * 1000).toISOString().slice(0, 10));
  const element = h("div", {},
    h("ul", { class: "legend", "aria-label": "Legend" },
      series.map((one) => h("li", {}, h("span", { class: `swatch ${one.swatch}`, "aria-hidden": "true" }), one.name)),
      lines.map((one) => h("li", {}, h("span", { class: `swatch ${one.dashed ? "dashed" : "line"}`, "aria-hidden": "true" }), one.name))),
    place, readout,
    h("details", {}, h("summary", {}, "The figures as a table"), figures(label, head, times.map((_time, index) => [when(index), ...[...series, ...lines].map((one) => format(one.values[index]))]), [...series, ...lines].map((one) => one.name))));
  const bars = uPlot.paths.bars({ size: [0.75, 48] });
  const steep = uPlot.paths.stepped({ align: 1 });
  const edge = steps ? 0 : 43200;
  const options = {
    width: 300, height, legend: { show: false }, tzDate: UTC,
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    scales: { x: { time: true, range: () => [times[0] - edge, times[times.length - 1] + edge + (steps && times.length < 2 ? 60 : 0)] }, y: { range: (_plot, _low, high) => [0, (high || 1) * 1.1] } },
    axes: [axis({ size: 32, values: (_plot, ticks, _axis, _space, step) => ticks.map((tick) => tickText(tick, step)), incrs: steps ? undefined : [1, 2, 5, 7, 14, 30].map((day) => day * 86400), space: 56 }), axis({ values: (_plot, ticks) => ticks.map(format), size: 68 })],
    series: [{},
      ...series.map((one) => ({ paths: steps ? steep : bars, fill: colour(one.colour), stroke: colour(one.colour), width: 0, points: { show: false } })).reverse(),
      ...lines.map((one) => ({ paths: steps ? steep : undefined, stroke: colour("--ink"), width: 2, dash: one.dashed ? [6, 4] : undefined, points: { show: false }, spanGaps: true }))],
    hooks: { setCursor: [(plot) => {
      const index = plot.cursor.idx;
      readout.textContent = index === null || index === undefined ? "" : `${when(index)}: ${[...series, ...lines].filter((one) => known(one.values[index])).map((one) => `${one.name} ${format(one.values[index])}`).join(", ")}`;
    }] },
  };
  const columns = [times, ...sums.reverse(), ...lines.map((one) => one.values)];
  whenSeen(place, height, () => {
    const plot = new uPlot({ ...options, width: Math.max(120, place.clientWidth) }, columns, place);
    const watch = new ResizeObserver(() => { if (place.clientWidth && place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height }); });
    watch.observe(place);
    return () => { watch.disconnect(); plot.destroy(); };
  });
  return element;
}

/** Charts are drawn when they are about to be seen: fifty of them cost nothing until then. */
function whenSeen(place, height, draw) {
  let end = null;
  const watch = new IntersectionObserver((seen) => {
    if (!seen.some((one) => one.isIntersecting) || end) return;
    watch.disconnect();
    end = draw();
  }, { rootMargin: "300px" });
  place.style.minHeight = `${height}px`;
  watch.observe(place);
  charts.push(() => { watch.disconnect(); if (end) end(); });
}

function axis(more) {
  return { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui, sans-serif", ...more };
}

/** The hour of a tick, or its day where it is midnight or the ticks are days. */
function tickText(seconds, step) {
  const iso = new Date(seconds * 1000).toISOString();
  return step >= 86400 || iso.slice(11, 16) === "00:00" ? iso.slice(5, 10) : iso.slice(11, 16);
}

function figures(caption, head, rows, names) {
  return h("div", { class: "scroll tall", role: "region", "aria-label": `${caption}, as a table`, tabindex: 0 }, h("table", {}, h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, head), names.map((name) => h("th", { scope: "col", class: "num" }, name)))),
    h("tbody", {}, rows.map(([name, ...values]) => h("tr", {}, h("th", { scope: "row" }, name), values.map((value) => h("td", { class: "num" }, value)))))));
}

/** 24 hours as a line, with the last value as a number. */
function sparkline(values, name, format, top) {
  const seen = Array.isArray(values) ? values : [];
  const numbers = seen.filter(known);
  if (!numbers.length) return h("span", { class: "soft" }, NOT_KNOWN);
  const high = top || Math.max(...numbers) || 1;
  let path = "";
  let pen = false;
  seen.forEach((value, index) => {
    if (!known(value)) { pen = false; return; }
    path += `${pen ? "L" : "M"}${((index / Math.max(1, seen.length - 1)) * 96).toFixed(1)} ${(25 - (Math.min(value, high) / high) * 24).toFixed(1)}`;
    pen = true;
  });
  const last = numbers[numbers.length - 1];
  const said = `${name}: last ${format(last)}, mean ${format(mean(numbers))}, most ${format(Math.max(...numbers))} in ${seen.length} hours`;
  return h("span", { class: "with-spark" }, svg("svg", { class: "spark", viewBox: "0 0 96 26", preserveAspectRatio: "none", role: "img", "aria-label": said }, svg("rect", { width: 96, height: 26, rx: 2 }), svg("path", { d: path })), h("span", { class: "num" }, format(last)));
}
const mean = (numbers) => numbers.reduce((all, one) => all + one, 0) / numbers.length;

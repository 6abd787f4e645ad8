/**
 * Small charts as plain SVG: bars that stand on each other, and lines. Each is a picture with a title and a description
 * for those who hear it; the numbers themselves belong into a table beside it.
 */
import { h } from "../shared/dom.js";
import { ticks } from "./rows.js";

const HEIGHT = 190;
const LEFT = 44;
const RIGHT = 8;
const TOP = 12;
const BOTTOM = 24;
const LABEL_PX = 62;
let nextId = 0;

/**
 * Draw a chart.
 *
 * @param {object} chart
 * @param {string} chart.title what it shows.
 * @param {string} chart.description what is to be seen in it.
 * @param {Array<{name: string, values: Array<number|null>, tone: number}>} chart.series null: nothing is known.
 * @param {string[]} chart.labels one for each value.
 * @param {"bars"|"lines"} chart.kind bars of a place stand on each other.
 * @param {(value: number) => string} chart.say writes a value.
 * @param {number} [chart.ceiling] where the axis ends at least.
 * @param {number} width in pixels.
 */
export function chart({ title, description, series, labels, kind, say, ceiling = 0 }, width) {
  const id = `chart-${(nextId += 1)}`;
  const sums = labels.map((_, place) => series.reduce((sum, each) => sum + (each.values[place] ?? 0), 0));
  const tops = kind === "bars" ? sums : series.flatMap((each) => each.values.filter((value) => value !== null));
  const steps = ticks(Math.max(ceiling, ...tops, 0));
  const frame = new Frame(width, labels.length, steps[steps.length - 1]);
  const svg = h(
    "svg:svg",
    { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-labelledby": `${id} ${id}-d` },
    h("svg:title", { id }, title),
    h("svg:desc", { id: `${id}-d` }, description),
    steps.map((value) => [
      h("svg:line", { class: "chart-grid", x1: LEFT, x2: width - RIGHT, y1: frame.y(value), y2: frame.y(value) }),
      h("svg:text", { class: "chart-text", x: LEFT - 7, y: frame.y(value) + 4, "text-anchor": "end" }, say(value)),
    ]),
    axis(frame, labels),
    kind === "bars" ? bars(frame, series, labels, say) : lines(frame, series, labels, say),
  );
  return svg;
}

class Frame {
  constructor(width, places, top) {
    this.width = width;
    this.places = Math.max(1, places);
    this.top = top;
    this.step = (width - LEFT - RIGHT) / this.places;
  }

  x(place) {
    return LEFT + this.step * (place + 0.5);
  }

  y(value) {
    return Math.round((TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / this.top)) * 10) / 10;
  }
}

/** As many labels as stand beside each other. */
function axis(frame, labels) {
  const every = Math.max(1, Math.ceil(LABEL_PX / frame.step));
  return labels.map(
    (label, place) =>
      place % every === 0 &&
      h("svg:text", { class: "chart-text", x: frame.x(place), y: HEIGHT - 7, "text-anchor": "middle" }, label),
  );
}

function bars(frame, series, labels, say) {
  const gap = Math.min(3, frame.step * 0.2);
  const width = Math.max(1, Math.min(44, frame.step - gap));
  return labels.map((label, place) => {
    let below = 0;
    const parts = series.map(({ tone, values }) => {
      const value = values[place] ?? 0;
      if (!value) return null;
      const top = frame.y(below + value);
      const height = Math.max(0.5, frame.y(below) - top);
      below += value;
      return h("svg:rect", { class: `tone-${tone}`, x: frame.x(place) - width / 2, y: top, width, height });
    });
    return h("svg:g", {}, h("svg:title", {}, spoken(label, series, place, say)), parts);
  });
}

function lines(frame, series, labels, say) {
  const drawn = series.map(({ tone, values }) => {
    let path = "";
    let open = false;
    values.forEach((value, place) => {
      // where nothing is known the line is broken
      if (value !== null) path += `${open ? "L" : "M"}${frame.x(place).toFixed(1)} ${frame.y(value)}`;
      open = value !== null;
    });
    return [
      h("svg:path", { class: `chart-line tone-${tone}`, d: path || "M0 0" }),
      values.map((value, place) => value !== null && h("svg:circle", { class: `tone-${tone}`, cx: frame.x(place), cy: frame.y(value), r: 2.5 })),
    ];
  });
  const places = labels.map((label, place) =>
    h(
      "svg:rect",
      { class: "chart-place", x: frame.x(place) - frame.step / 2, y: TOP, width: frame.step, height: HEIGHT - TOP - BOTTOM },
      h("svg:title", {}, spoken(label, series, place, say)),
    ),
  );
  return [drawn, places];
}

function spoken(label, series, place, say) {
  const parts = series.map(({ name, values }) => `${name}: ${values[place] === null ? "–" : say(values[place] ?? 0)}`);
  return [label, ...parts].join("\n");
}

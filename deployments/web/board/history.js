/** Hours and days: charts, each with its numbers in a table, and the same as CSV. */
import { fill, h, setText } from "../shared/dom.js";
import { chart } from "./charts.js";
import { botShare, filled, messagesOf, share, totalOf } from "./rows.js";
import { View, card, intentName, number, percent, seconds, table } from "./view.js";
import { t, words } from "./words.js";

const RANGES = [
  [1, "hour"],
  [7, "hour"],
  [7, "day"],
  [31, "day"],
  [366, "day"],
];
const HOUR_MS = 3_600_000;
const MOST_INTENTS = 12;
const formats = new Map();

class History extends View {
  build() {
    this.ranges = RANGES.map(([days, by]) =>
      h("button", { class: "tab", type: "button", onclick: () => this.model.readHistory(by, days) }, t(`range_${days}_${by}`)),
    );
    this.csv = h("button", { class: "button", type: "button", onclick: () => this.#download() }, t("csv"));
    this.say = h("p", { class: "history-say", role: "status" });
    this.body = h("div", { class: "history-body" });
    fill(
      this,
      h("div", { class: "history-head" }, h("div", { class: "tabs-line", role: "group", "aria-label": t("range") }, this.ranges), this.say, h("span", { class: "spring" }), this.csv),
      this.body,
    );
    this.follow(["history", "names"], () => this.#show());
    this.resized = new ResizeObserver(() => this.#redraw());
    this.resized.observe(this.body);
    this.model.readHistory(this.model.history.by, this.model.history.days);
    this.#show();
  }

  gone() {
    this.resized.disconnect();
  }

  #show() {
    const { by, days, found, failed, loading } = this.model.history;
    for (const [index, [range, unit]] of RANGES.entries()) {
      this.ranges[index].setAttribute("aria-pressed", String(range === days && unit === by));
    }
    this.csv.disabled = !found;
    setText(this.say, loading ? t("loading") : failed ? t("historyFailed") : found && !found.rows.length ? t("historyNone") : "");
    if (failed) fill(this.body, h("button", { class: "button", type: "button", onclick: () => this.model.readHistory(by, days) }, t("again")));
    else if (!found || !found.rows.length) fill(this.body);
    else this.#draw();
  }

  #redraw() {
    const width = this.#width();
    if (this.model.history.found?.rows.length && width !== this.drawnWidth) this.#draw();
  }

  /** How wide a chart is: two beside each other where there is room. */
  #width() {
    const whole = this.body.clientWidth;
    return Math.max(260, Math.floor(whole >= 860 ? (whole - 16) / 2 : whole) - 34);
  }

  #draw() {
    const { by, found } = this.model.history;
    this.drawnWidth = this.#width();
    const next = by === "hour" ? (ms) => ms + HOUR_MS : nextDay;
    const rows = filled(found.rows, next, found.at_ms);
    const labels = rows.map((row) => label(by, row.from_ms));
    const open = new Set([...this.body.querySelectorAll("details[open]")].map((each) => each.dataset.name));
    fill(this.body, this.#totals(totalOf(rows)), h("div", { class: "charts" }, this.#charts(rows, labels, open)), this.#intents(totalOf(rows)));
  }

  #totals(total) {
    const tile = (name, value, hint = "") => h("div", { class: "tile" }, h("dt", { class: "tile-name" }, name), h("dd", { class: "tile-value" }, value), h("dd", { class: "tile-hint" }, hint));
    return h(
      "dl",
      { class: "tiles" },
      tile(t("messages"), number(messagesOf(total)), t("messagesSplit", { contact: number(total.contact), agent: number(total.agent), bot: number(total.bot) })),
      tile(t("opened"), number(total.opened), t("resolvedOf", { n: number(total.resolved + total.bot_resolved) })),
      tile(t("tile_bot"), percent(botShare(total)), t("handedOver", { n: number(total.handed_over) })),
      tile(t("lateAnswers"), percent(share(total.late, total.answered)), t("lateOf", { late: number(total.late), n: number(total.answered) })),
      tile(t("rating"), total.rating === null ? "–" : number(total.rating, 1), t("ratings", { n: number(total.rated) })),
      tile(t("undelivered"), number(total.undelivered), t("takenOver", { n: number(total.taken_over) })),
    );
  }

  #charts(rows, labels, open) {
    const pick = (name) => rows.map((row) => row[name]);
    const draw = (name, kind, series, say, more = {}) => this.#figure({ name, kind, series, say, labels, open, ...more });
    const count = (value) => number(value, value < 10 ? 1 : 0);
    return [
      draw("messages", "bars", [series("contact", pick("contact"), 0), series("agents", pick("agent"), 1), series("bot", pick("bot"), 2)], count),
      draw("conversations", "lines", [series("opened", pick("opened"), 0), series("resolvedAll", rows.map((row) => row.resolved + row.bot_resolved), 1)], count),
      draw("answers", "lines", [series("median", pick("wait_p50_s"), 0), series("ninety", pick("wait_p90_s"), 3)], seconds),
      draw("lateShare", "bars", [series("lateAnswers", rows.map((row) => share(row.late, row.answered)), 3)], percent, { ceiling: 4 }),
      draw("botPart", "bars", [series("botAnswered", pick("bot_answered"), 2), series("botHanded", pick("handed_over"), 4)], count),
      draw("undelivered", "bars", [series("undelivered", pick("undelivered"), 3)], count, { ceiling: 4 }),
    ];
  }

  #figure({ name, kind, series: shown, say, labels, open, ceiling = 0 }) {
    const title = t(`chart_${name}`);
    const values = shown.flatMap((each) => each.values).filter((value) => value !== null);
    const description = t("chartSays", { from: labels[0], to: labels[labels.length - 1], most: values.length ? say(Math.max(...values)) : "–" });
    const svg = chart({ title, description, series: shown, labels, kind, say, ceiling }, this.drawnWidth);
    const legend = shown.length > 1 && h("ul", { class: "legend" }, shown.map((each) => h("li", {}, h("span", { class: `swatch tone-${each.tone}` }), each.name)));
    const body = h("tbody", {}, labels.map((label, place) => h("tr", {}, h("th", { scope: "row" }, label), shown.map((each) => h("td", { class: "num" }, each.values[place] === null ? "–" : say(each.values[place]))))));
    const numbers = table(title, [[t("headTime")], ...shown.map((each) => [each.name, "num"])], body, "numbers");
    const details = h("details", { class: "numbers", open: open.has(name), dataset: { name } }, h("summary", {}, t("asTable")), numbers);
    return card(title, { name: `chart-${name}`, head: legend }, svg, details);
  }

  #intents(total) {
    const found = Object.entries(total.intents).sort((one, other) => other[1] - one[1]).slice(0, MOST_INTENTS);
    if (!found.length) return null;
    const most = found[0][1];
    const rows = found.map(([intent, n]) => {
      const bar = h("span", { class: "bar-fill" });
      bar.style.width = `${(100 * n) / most}%`;
      return h("li", { class: "bar" }, h("span", { class: "bar-name" }, intentName(this.model, intent)), h("span", { class: "bar-track", "aria-hidden": "true" }, bar), h("span", { class: "bar-count" }, number(n)));
    });
    return card(t("intentsRange"), { name: "intents-range" }, h("ol", { class: "bars" }, rows));
  }

  async #download() {
    const { by, days } = this.model.history;
    this.csv.disabled = true;
    try {
      const text = await this.model.historyCsv();
      // Excel takes a file without this mark for one of another alphabet
      const url = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
      const link = h("a", { href: url, download: `raydesk-${by}-${days}.csv` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch {
      this.model.toast("historyFailed", {}, true);
    } finally {
      this.csv.disabled = false;
    }
  }
}

const series = (word, values, tone) => ({ name: t(`series_${word}`), values, tone });

/** The beginning of the next day by the reader's clock; the server cuts days at one offset, so no day is skipped. */
function nextDay(ms) {
  return ms + 24 * HOUR_MS;
}

function label(by, ms) {
  const key = `${words.language} ${by}`;
  if (!formats.has(key)) {
    const options = by === "hour" ? { weekday: "short", hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" };
    formats.set(key, new Intl.DateTimeFormat(words.language === "zh" ? "zh-CN" : "en-GB", options));
  }
  return formats.get(key).format(ms);
}

customElements.define("rd-history", History);

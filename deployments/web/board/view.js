/** What the parts of the board share: an element that follows the model, keyed rows, and how numbers are written. */
import { duration } from "../shared/dates.js";
import { h } from "../shared/dom.js";
import { shortCode } from "../desk/standing.js";
import { t, words } from "./words.js";

export class View extends HTMLElement {
  #stops = [];

  with(model) {
    this.model = model;
    return this;
  }

  connectedCallback() {
    this.build();
  }

  disconnectedCallback() {
    for (const stop of this.#stops) stop();
    this.#stops = [];
    this.gone?.();
  }

  follow(topics, show) {
    for (const topic of topics) this.#stops.push(this.model.on(topic, show));
  }
}

/**
 * Keep one element for each item, by its key, in the order of the items: focus and selection survive.
 *
 * @param {Element} parent holds nothing else.
 * @param {Map<string, Element>} known what was made before.
 */
export function keyed(parent, known, items, key, make, update) {
  const wanted = new Set(items.map(key));
  for (const [name, element] of known) {
    if (wanted.has(name)) continue;
    element.remove();
    known.delete(name);
  }
  let before = null;
  for (const item of items) {
    const name = key(item);
    let element = known.get(name);
    if (!element) known.set(name, (element = make(item)));
    update(element, item);
    const next = before ? before.nextSibling : parent.firstChild;
    if (next !== element) parent.insertBefore(element, next);
    before = element;
  }
}

const NOTHING = "–";
const numbers = new Map();

/** Write a number in the reader's way; null, which nobody knows, as a dash. */
export function number(value, digits = 0) {
  if (value === null || value === undefined) return NOTHING;
  const name = `${words.language} ${digits}`;
  if (!numbers.has(name)) numbers.set(name, new Intl.NumberFormat(words.language === "zh" ? "zh-CN" : "en-GB", { maximumFractionDigits: digits }));
  return numbers.get(name).format(value);
}

export const percent = (value) => (value === null || value === undefined ? NOTHING : `${number(value)} %`);

export const wait = (ms) => (ms === null || ms === undefined ? NOTHING : duration(words.language, ms));

/** Seconds with as many digits as they are known to. */
export const seconds = (value) => (value === null || value === undefined ? NOTHING : value < 90 ? `${number(value)} ${t("s")}` : duration(words.language, value * 1000));

export const milliseconds = (value) => `${number(value, value < 10 ? 1 : 0)} ms`;

export function channelName(channel) {
  const key = `channel_${channel}`;
  return words.has(key) ? t(key) : channel;
}

/** What to call a contact: the shop's own name of a user, else a code that lasts. */
export const nameOf = (contact, name) => name || t("visitor", { code: shortCode(contact) });

export function intentName(model, intent) {
  const known = model.names.intents.find((each) => each.name === intent);
  return known?.[words.language] || known?.en || intent.replaceAll("_", " ");
}

export const groupName = (skill) => skill || t("anyAgent");

/** A card with a heading; its content follows. */
export function card(title, props, ...content) {
  const id = `card-${props.name}`;
  return h("section", { class: `card card-${props.name}`, "aria-labelledby": id }, h("header", { class: "card-head" }, h("h2", { id }, title), props.head), ...content);
}

/** A table that a narrow page scrolls by itself. */
export function table(label, heads, body, name) {
  return h(
    "div",
    { class: "table-frame", tabindex: "0", role: "group", "aria-label": label },
    h("table", { class: `table table-${name}` }, h("thead", {}, h("tr", {}, heads.map(([word, kind]) => h("th", { scope: "col", class: kind }, word)))), body),
  );
}

/** The left pane: offers with their countdown, my conversations, and those that lately left. */
import { duration } from "../shared/dates.js";
import { fill, h, icon, setAttribute, setText } from "../shared/dom.js";
import { VirtualList } from "../shared/virtual-list.js";
import { hueOf, preview, shortCode } from "./standing.js";
import { View, channelName, intentName, nameOf, stateName } from "./view.js";
import { t, words } from "./words.js";

const ROW_PX = 84;
const HEAD_PX = 34;
const PREVIEW_CHARS = 120;

class ConversationList extends View {
  #list;
  #offers;
  #cards = new Map();
  #filter = "";

  build() {
    this.#offers = h("section", { class: "offers", "aria-label": t("offers"), hidden: true });
    this.search = h("input", {
      type: "search",
      class: "field search",
      placeholder: t("filter"),
      "aria-label": t("filter"),
      autocomplete: "off",
      spellcheck: false,
      oninput: () => {
        this.#filter = this.search.value.trim().toLowerCase();
        this.#show("start");
      },
    });
    this.history = h(
      "button",
      { class: "tool", type: "button", "aria-label": t("search"), title: `${t("search")} (H)`, onclick: () => this.dispatchEvent(new CustomEvent("act", { bubbles: true, detail: "search" })) },
      icon("search"),
    );
    this.box = h("div", {
      class: "rows",
      role: "listbox",
      tabindex: "0",
      "aria-label": t("mine"),
      onclick: (event) => {
        const row = event.target.closest("[data-id]");
        if (row) this.dispatchEvent(new CustomEvent("pick", { bubbles: true, detail: { id: row.dataset.id } }));
      },
      onfocus: () => this.#active(),
    });
    this.empty = h("div", { class: "empty", hidden: true });
    fill(this, this.#offers, h("div", { class: "list-head" }, this.search, this.history), h("div", { class: "rows-frame" }, this.box, this.empty));
    this.#list = new VirtualList(this.box, {
      role: "presentation",
      key: (item) => item.key,
      estimate: (item) => (item.head ? HEAD_PX : ROW_PX),
      make: (item) => (item.head ? makeHead() : makeRow()),
      update: (element, item) => (item.head ? setText(element, item.head) : this.#update(element, item.case)),
    });
    this.follow(["list", "tick", "account", "presence", "selected"], () => this.#show());
    this.#show();
  }

  /** The ids on show, in order: offers first. */
  order() {
    return [...this.model.offers().map((each) => each.id), ...this.#items().flatMap((item) => (item.head ? [] : [item.case.id]))];
  }

  focusList() {
    this.box.focus();
  }

  #items() {
    const { model } = this;
    const fits = (found) => !this.#filter || searchable(model, found).includes(this.#filter);
    const row = (found) => ({ key: found.id, case: found });
    const mine = model.mine().filter(fits).map(row);
    const lately = model.lately().filter(fits).map(row);
    const items = [...mine];
    if (lately.length) items.push({ key: "head:lately", head: t("lately") }, ...lately);
    return items;
  }

  #show(jump = "") {
    this.#showOffers();
    const items = this.#items();
    this.#list.set(items, jump);
    this.#active();
    const { model } = this;
    this.empty.hidden = items.length > 0 || (model.offers().length > 0 && !this.#filter);
    if (!this.empty.hidden) this.#showEmpty();
  }

  #showEmpty() {
    if (this.#filter) {
      fill(this.empty, h("p", { class: "muted" }, t("filterNone", { text: this.search.value.trim() })), h("p", { class: "muted" }, t("filterElse")));
      return;
    }
    const away = this.model.presence.status !== "online";
    fill(
      this.empty,
      h("p", { class: "empty-title" }, t("nobody")),
      h("p", { class: "muted" }, t(away ? "nobodyAway" : "nobodyHint")),
    );
  }

  #active() {
    const id = this.model.selected;
    const element = id && this.#list.element(id);
    setAttribute(this.box, "aria-activedescendant", element ? element.id : null);
  }

  /** Make the row of a conversation visible. */
  reveal(id) {
    this.#list.reveal(id);
    this.#active();
  }

  #update(element, found) {
    const { model } = this;
    const parts = element.parts;
    const { record } = found;
    element.dataset.id = found.id;
    element.id = `row-${found.id}`;
    setAttribute(element, "aria-selected", String(model.selected === found.id));
    const unread = found.held ? model.unread(found) : 0;
    element.classList.toggle("is-unread", unread > 0);
    element.classList.toggle("is-left", !found.held);
    setAttribute(parts.avatar, "class", `avatar hue-${hueOf(record.contact)}`);
    setText(parts.avatar, shortCode(record.contact).slice(-2));
    setText(parts.name, nameOf(record));
    setText(parts.preview, previewText(model, found));
    parts.preview.classList.toggle("is-typing", model.isTyping(found.id));
    setText(parts.unread, unread > 99 ? "99+" : String(unread));
    parts.unread.hidden = unread === 0;
    setAttribute(parts.unread, "aria-label", t("unread", { n: unread }));
    this.#updateTime(parts.time, found);
    const threads = record.threads ?? [];
    setText(parts.channel, channelName(threads[threads.length - 1]?.channel ?? ""));
    const intent = record.insight ? intentName(model, record.insight.intent) : "";
    setText(parts.intent, intent);
    parts.intent.hidden = !intent;
    const tags = record.tags ?? [];
    setText(parts.tags, tags.map((tag) => `#${tag}`).join(" "));
    parts.tags.hidden = !tags.length;
    setAttribute(parts.tags, "title", tags.join(", ") || null);
  }

  #updateTime(element, found) {
    const { model } = this;
    if (!found.held) {
      setAttribute(element, "class", "time");
      setText(element, stateName(found));
      setAttribute(element, "title", null);
      return;
    }
    const since = model.waitingSince(found);
    const urgency = model.urgency(found);
    setAttribute(element, "class", `time ${urgency}`);
    if (since === null) {
      setText(element, t("answered"));
      setAttribute(element, "title", null);
      return;
    }
    const waited = duration(words.language, model.clock.now() - since);
    setText(element, waited);
    setAttribute(element, "title", t("waitsLong", { time: waited }));
  }

  // -- offers -------------------------------------------------------------------------------------

  #showOffers() {
    const offers = this.model.offers();
    this.#offers.hidden = offers.length === 0;
    const wanted = new Set(offers.map((each) => each.id));
    for (const [id, card] of this.#cards) {
      if (!wanted.has(id)) {
        card.remove();
        this.#cards.delete(id);
      }
    }
    offers.forEach((found, index) => {
      let card = this.#cards.get(found.id);
      if (!card) {
        card = this.#makeCard(found);
        this.#cards.set(found.id, card);
      }
      if (this.#offers.children[index] !== card) this.#offers.insertBefore(card, this.#offers.children[index] ?? null);
      this.#updateCard(card, found, index === 0);
    });
  }

  #makeCard(found) {
    const name = h("button", {
      class: "offer-name",
      type: "button",
      onclick: () => this.dispatchEvent(new CustomEvent("pick", { bubbles: true, detail: { id: found.id } })),
    });
    const left = h("span", { class: "offer-left" });
    const bar = h("progress", { class: "countdown", max: 1, value: 1, "aria-hidden": "true" });
    const text = h("p", { class: "offer-text" });
    const intent = h("span", { class: "tag intent" });
    const waited = h("span", { class: "tag" });
    const channel = h("span", { class: "tag" });
    const accept = h(
      "button",
      { class: "button primary small", type: "button", onclick: () => this.#take(found.id) },
      t("accept"),
      h("kbd", {}, "A"),
    );
    const decline = h(
      "button",
      { class: "button small", type: "button", onclick: () => this.model.decline(found.id) },
      t("decline"),
      h("kbd", {}, "D"),
    );
    const card = h(
      "article",
      { class: "offer", "aria-label": t("newOffer", { name: nameOf(found.record) }) },
      h("div", { class: "offer-head" }, name, left),
      text,
      h("div", { class: "tags" }, channel, intent, waited),
      h("div", { class: "offer-acts" }, accept, decline),
      bar,
    );
    card.parts = { name, left, bar, text, intent, waited, channel, accept, decline };
    return card;
  }

  async #take(id) {
    if (await this.model.accept(id)) {
      this.dispatchEvent(new CustomEvent("pick", { bubbles: true, detail: { id, write: true } }));
    }
  }

  #updateCard(card, found, first) {
    const { model } = this;
    const { parts } = card;
    const { record } = found;
    const now = model.clock.now();
    const leftMs = Math.max(0, record.offer_expires_ms - now);
    const whole = (found.offerMs ??= Math.max(leftMs, 1));
    card.classList.toggle("is-current", model.selected === found.id);
    setText(parts.name, nameOf(record));
    setText(parts.left, t("secondsLeft", { s: Math.ceil(leftMs / 1000) }));
    parts.bar.value = Math.min(1, leftMs / whole);
    setText(parts.text, previewText(model, found));
    const intent = record.insight ? intentName(model, record.insight.intent) : "";
    setText(parts.intent, intent);
    parts.intent.hidden = !intent;
    setText(parts.waited, t("waits", { time: duration(words.language, now - record.waiting_since_ms) }));
    setAttribute(parts.waited, "class", `tag time ${model.urgency(found)}`);
    const threads = record.threads ?? [];
    setText(parts.channel, channelName(threads[threads.length - 1]?.channel ?? ""));
    const cannot = !model.online || model.isActing(found.id);
    parts.accept.disabled = cannot;
    parts.decline.disabled = cannot;
    card.classList.toggle("is-first", first);
  }
}

function makeHead() {
  return h("div", { class: "rows-head", role: "presentation" });
}

function makeRow() {
  const parts = {
    avatar: h("span", { class: "avatar", "aria-hidden": "true" }),
    name: h("span", { class: "row-name" }),
    time: h("span", { class: "time" }),
    preview: h("span", { class: "row-preview" }),
    unread: h("span", { class: "badge", role: "img" }),
    channel: h("span", { class: "tag" }),
    intent: h("span", { class: "tag intent" }),
    tags: h("span", { class: "tag row-tags", dir: "auto" }),
  };
  const element = h(
    "div",
    { class: "row", role: "option" },
    parts.avatar,
    h(
      "div",
      { class: "row-body" },
      h("div", { class: "row-line" }, parts.name, parts.time),
      h("div", { class: "row-line" }, parts.preview, parts.unread),
      h("div", { class: "tags" }, parts.channel, parts.intent, parts.tags),
    ),
  );
  element.parts = parts;
  return element;
}

function previewText(model, found) {
  if (model.isTyping(found.id)) return t("typing");
  const draft = model.draft(found.id);
  if (draft.text && found.held && found.id !== model.selected) return `${t("draft")}: ${draft.text.slice(0, PREVIEW_CHARS)}`;
  const pending = model.outbox?.of(found.id) ?? [];
  const last = pending[pending.length - 1];
  if (last) return `${t("you")}: ${bodyText({ ...last, attachments: last.files }).slice(0, PREVIEW_CHARS)}`;
  const message = preview(found);
  if (!message) return "";
  return `${speaker(model, message)}${bodyText(message).slice(0, PREVIEW_CHARS)}`;
}

function speaker(model, message) {
  if (message.internal) return `${t("note")}: `;
  if (message.author === "bot") return `${t("bot")}: `;
  if (message.author === "agent") return `${message.author_id === model.me ? t("you") : message.author_id}: `;
  return "";
}

const SYSTEM_LINES = {
  "conversation.resolved": "resolvedLine",
  "conversation.reopened": "reopenedLine",
  "conversation.taken_over": "takenOverLine",
};

/** The text of a message, or what it brought in place of one. */
export function bodyText(message) {
  if (message.author === "system") return t(SYSTEM_LINES[message.text] ?? message.text ?? "", { name: message.author_id ?? "" });
  if (message.text) return message.text;
  return (message.attachments ?? []).map((each) => `[${t(each.kind)}]`).join(" ");
}

function searchable(model, found) {
  const intent = found.record.insight ? intentName(model, found.record.insight.intent) : "";
  const said = found.messages.slice(-50).map((message) => message.text ?? "");
  const tags = (found.record.tags ?? []).map((tag) => `#${tag}`);
  return [nameOf(found.record), found.record.contact, intent, ...tags, ...said].join("\n").toLowerCase();
}

customElements.define("rd-list", ConversationList);
export { icon };

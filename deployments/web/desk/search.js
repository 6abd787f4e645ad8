/** Search in all that was said: a dialog that looks through the account's conversations, a stretch at a time. */
import { shortDate } from "../shared/dates.js";
import { fill, h, setText } from "../shared/dom.js";
import { openDialog } from "./dialogs.js";
import { channelName, nameOf, recordState } from "./view.js";
import { t, words } from "./words.js";

const WAIT_MS = 250;
const QUERY_CHARS = 200;

/** Open the search; with a case on show it can be narrowed to that contact. */
export function openSearch(model, found) {
  return openDialog(t("search"), (close) => new Search(model, found, close).element, { wide: true });
}

class Search {
  #asked = 0;
  #timer = 0;
  #cursor = "";
  #results = [];
  #searched = 0;
  #until = 0;

  constructor(model, found, close) {
    this.model = model;
    this.contact = found?.record.contact ?? "";
    this.close = close;
    this.input = h("input", {
      // not of type search: there Escape empties the field, and does not close
      type: "text",
      role: "searchbox",
      class: "field",
      id: "search-input",
      maxLength: QUERY_CHARS,
      autocomplete: "off",
      spellcheck: false,
      "aria-describedby": "search-hint",
      dataset: { first: "" },
      oninput: () => this.#soon(),
      onkeydown: (event) => {
        if (event.key === "Enter" && !event.isComposing) {
          event.preventDefault();
          const first = this.list.querySelector("button");
          if (first && this.shown === this.input.value.trim()) first.click();
          else this.#start();
        }
      },
    });
    this.narrow = h("input", { type: "checkbox", onchange: () => this.#start() });
    this.status = h("p", { class: "muted search-status", role: "status" });
    this.list = h("div", { class: "search-results" });
    this.further = h("button", { class: "button", type: "button", hidden: true, onclick: () => this.#go() }, t("searchFurther"));
    this.element = h(
      "div",
      { class: "dialog-body search-body", onkeydown: (event) => this.#arrows(event) },
      h("label", { for: "search-input" }, t("searchLabel")),
      this.input,
      h("p", { class: "muted", id: "search-hint" }, t("searchHint")),
      found && h("label", { class: "radio" }, this.narrow, t("searchThis", { name: nameOf(found.record) })),
      this.status,
      this.list,
      this.further,
    );
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#start(), WAIT_MS);
  }

  #start() {
    clearTimeout(this.#timer);
    this.#asked += 1;
    this.#cursor = "";
    this.#results = [];
    this.#searched = 0;
    this.#until = 0;
    this.shown = "";
    if (this.input.value.trim()) this.#go();
    else this.#show();
  }

  /** Look through the next stretch; what comes back for words that were typed over since is dropped. */
  async #go() {
    const asked = this.#asked;
    const query = this.input.value.trim();
    this.further.disabled = true;
    setText(this.status, t("searching"));
    try {
      const contact = this.narrow.checked ? this.contact : "";
      const found = await this.model.search(query, contact, this.#cursor);
      if (asked !== this.#asked) return;
      this.#results.push(...found.found);
      this.#cursor = found.cursor;
      this.#searched += found.searched;
      if (found.until_ms) this.#until = found.until_ms;
      this.shown = query;
      this.#show();
    } catch (error) {
      if (asked !== this.#asked) return;
      setText(this.status, error.name === "LineBroken" ? t("searchOffline") : t("refused", { words: error.message }));
      this.further.disabled = false;
    }
  }

  #show() {
    const kept = this.list.children.length && this.#results.length > this.list.children.length ? this.list.children.length : 0;
    const rows = this.#results.slice(kept).map((each) => this.#row(each));
    if (kept) this.list.append(...rows);
    else fill(this.list, rows);
    if (kept) rows[0]?.querySelector("button")?.focus();
    this.further.hidden = !this.#cursor;
    this.further.disabled = false;
    setText(this.status, this.#statusText());
  }

  /** What was looked through, and what was not: nobody shall take the one for the other. */
  #statusText() {
    if (!this.shown) return "";
    const count = this.#results.length ? t("searchFound", { n: this.#results.length }) : t("searchNone");
    const date = this.#until ? shortDate(words.language, this.#until) : "";
    const how = this.#cursor ? t("searchedBack", { n: this.#searched, date }) : t("searchedAll", { n: this.#searched });
    return `${count} ${how}`;
  }

  #row({ conversation: record, messages }) {
    const held = this.model.replica.cases.has(record.id);
    const open = (seq) => {
      this.close();
      this.model.openFound(record, seq);
    };
    const tags = (record.tags ?? []).map((tag) => `#${tag}`).join(" ");
    const threads = record.threads ?? [];
    return h(
      "section",
      { class: "search-case" },
      h(
        "button",
        { class: "search-head", type: "button", onclick: () => open(0) },
        h("span", { class: "search-name" }, nameOf(record)),
        h("span", { class: "tag" }, channelName(threads[threads.length - 1]?.channel ?? "")),
        h("span", { class: "muted" }, [shortDate(words.language, record.opened_at_ms), recordState(record, held), tags].filter(Boolean).join(" · ")),
      ),
      messages.map((message) =>
        h(
          "button",
          { class: "search-message", type: "button", onclick: () => open(message.seq) },
          h("span", { class: "search-who" }, this.#who(record, message)),
          h("span", { class: "search-text", dir: "auto" }, marked(message.excerpt, this.shown)),
          h("span", { class: "muted" }, shortDate(words.language, message.at_ms)),
        ),
      ),
    );
  }

  #who(record, message) {
    const who = { contact: nameOf(record), bot: t("bot"), agent: message.author_id === this.model.me ? t("you") : message.author_id }[message.author];
    return message.internal ? `${t("note")} · ${who}` : who;
  }

  /** Up and down move between what was found. */
  #arrows(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.isComposing) return;
    const all = [this.input, ...this.list.querySelectorAll("button"), ...(this.further.hidden ? [] : [this.further])];
    const place = all.indexOf(document.activeElement);
    if (place < 0) return;
    event.preventDefault();
    const next = all[Math.min(all.length - 1, Math.max(0, place + step))];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
}

/** A text with the words that were looked for marked in it. */
function marked(text, query) {
  const wanted = query.split(/\s+/u).filter((word) => word && !/^[#＃]./u.test(word)).map((word) => word.toLowerCase());
  const low = text.toLowerCase();
  // where lower case has another length the places do not fit: then nothing is marked
  if (low.length !== text.length || !wanted.length) return [text];
  const parts = [];
  let end = 0;
  while (end < text.length) {
    let at = -1;
    let length = 0;
    for (const word of wanted) {
      const place = low.indexOf(word, end);
      if (place >= 0 && (at < 0 || place < at || (place === at && word.length > length))) [at, length] = [place, word.length];
    }
    if (at < 0) break;
    parts.push(text.slice(end, at), h("mark", {}, text.slice(at, at + length)));
    end = at + length;
  }
  return [...parts, text.slice(end)].filter((part) => part !== "");
}

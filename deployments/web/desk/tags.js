/** Tags on a conversation: the chips that show them, and the dialog that adds and removes them. */
import { fill, h, icon, setAttribute, setText } from "../shared/dom.js";
import { openDialog } from "./dialogs.js";
import { nameOf } from "./view.js";
import { t } from "./words.js";

const TAG_CHARS = 32;
const MOST_OFFERED = 8;
/** As models/domain/tags.py: two spellings that differ in case, width or spaces are one tag. */
const sameAs = (tag) => tag.normalize("NFKC").trim().replace(/\s+/gu, " ").toLowerCase();

/** Show tags as chips; with `remove`, each has a button that takes it away. */
export function tagChips(tags, remove = null) {
  return tags.map((tag) =>
    h(
      "li",
      { class: "tag-chip" },
      h("span", { dir: "auto" }, tag),
      remove &&
        h(
          "button",
          { class: "tag-remove", type: "button", "aria-label": t("tagRemove", { tag }), title: t("tagRemove", { tag }), onclick: () => remove(tag) },
          icon("close", 12),
        ),
    ),
  );
}

/** Whether the tags of a conversation may be changed from here; the server has the last word. */
export function canTag(model, found) {
  if (!model.online) return false;
  if (found.held) return true;
  return found.record.state === "resolved" || model.role !== "agent";
}

export function openTags(model, found) {
  const title = `${t("tags")} · ${nameOf(found.record)}`;
  return openDialog(title, () => new TagEditor(model, found.id).element);
}

class TagEditor {
  #choice = 0;
  #offered = [];

  constructor(model, id) {
    this.model = model;
    this.id = id;
    this.chips = h("ul", { class: "tag-chips", "aria-label": t("tags") });
    this.error = h("p", { class: "form-error", role: "alert" });
    this.input = h("input", {
      class: "field",
      id: "tag-input",
      maxLength: TAG_CHARS,
      autocomplete: "off",
      spellcheck: false,
      role: "combobox",
      "aria-controls": "tag-list",
      "aria-expanded": "false",
      "aria-autocomplete": "list",
      dataset: { first: "" },
      oninput: () => this.#offer(),
      onkeydown: (event) => this.#key(event),
    });
    this.list = h("div", { class: "tag-list", role: "listbox", id: "tag-list", "aria-label": t("tagsUsed") });
    this.element = h(
      "div",
      { class: "dialog-body" },
      this.chips,
      h("label", { for: "tag-input" }, t("tagAdd")),
      this.input,
      this.error,
      this.list,
      h("p", { class: "muted" }, t("tagHint")),
    );
    this.stops = [
      model.on("case", (ids) => ids.includes(id) && this.#show()),
      model.on("account", () => this.#show()),
    ];
    this.#show();
  }

  get #tags() {
    return this.model.case(this.id)?.record.tags ?? [];
  }

  #show() {
    if (this.shown && !this.element.isConnected) {
      for (const stop of this.stops) stop();
      return;
    }
    this.shown = true;
    const tags = this.#tags;
    fill(this.chips, tags.length ? tagChips(tags, (tag) => this.#change([], [tag])) : h("li", { class: "muted" }, t("tagsNone")));
    this.#offer();
  }

  /** Offer the tags in use that fit what is typed, and what is typed itself when it is none of them. */
  #offer() {
    const typed = sameAs(this.input.value);
    const has = new Set(this.#tags.map(sameAs));
    const known = this.model.account.tags.filter((tag) => !has.has(sameAs(tag)));
    const fits = known.filter((tag) => sameAs(tag).includes(typed));
    fits.sort((one, other) => Number(sameAs(other).startsWith(typed)) - Number(sameAs(one).startsWith(typed)));
    const isNew = typed && !has.has(typed) && !known.some((tag) => sameAs(tag) === typed);
    this.#offered = [...(isNew ? [this.input.value.trim()] : []), ...fits.slice(0, MOST_OFFERED)];
    this.#choice = 0;
    fill(
      this.list,
      this.#offered.map((tag, index) =>
        h(
          "div",
          {
            class: "tag-option",
            role: "option",
            id: `tag-${index}`,
            onmousedown: (event) => {
              event.preventDefault();
              this.#change([tag], []);
            },
          },
          h("span", { dir: "auto" }, tag),
          isNew && index === 0 && h("span", { class: "muted" }, t("tagNew")),
        ),
      ),
    );
    this.list.hidden = !this.#offered.length;
    setAttribute(this.input, "aria-expanded", String(this.#offered.length > 0));
    this.#mark();
  }

  #mark() {
    [...this.list.children].forEach((option, index) => setAttribute(option, "aria-selected", String(index === this.#choice)));
    const chosen = this.list.children[this.#choice];
    setAttribute(this.input, "aria-activedescendant", this.input.value || this.#choice ? chosen?.id : null);
    chosen?.scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    if (event.isComposing || event.keyCode === 229) return;
    const count = this.#offered.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!count) return;
      this.#choice = (this.#choice + (event.key === "ArrowDown" ? 1 : -1) + count) % count;
      this.#mark();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (count) this.#change([this.#offered[this.#choice]], []);
    } else if (event.key === "Backspace" && !this.input.value && this.#tags.length) {
      this.#change([], [this.#tags[this.#tags.length - 1]]);
    }
  }

  async #change(add, remove) {
    setText(this.error, "");
    // at once, so that the next one can be typed while this one is stored
    if (add.length) this.input.value = "";
    this.#offer();
    this.input.focus();
    try {
      await this.model.tag(this.id, add, remove);
    } catch (problem) {
      setText(this.error, problem.name === "LineBroken" ? t("notKnown") : problem.message);
      if (add.length && !this.input.value) this.input.value = add[0];
    }
    this.#show();
  }
}

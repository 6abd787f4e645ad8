/** Where the agent writes: a draft per conversation, notes, suggested and canned answers, emoji, the channel. */
import { fill, h, icon, setAttribute, setText } from "../shared/dom.js";
import { shortDate } from "../shared/dates.js";
import { showFiles } from "./file-rows.js";
import { filesIn } from "./files.js";
import { View, channelName, nameOf } from "./view.js";
import { t, words } from "./words.js";

const MOST_CANNED = 8;
/** From here on the end of a reply budget is told in a colour. */
const BUDGET_LOW = 2;
const BUDGET_WORDS = { late: "budgetLate", spent: "budgetSpent", long: "budgetLong" };
const EMOJI =
  "😀 😄 😅 😂 🙂 😉 😊 😍 🤔 😕 😟 😢 😮 😴 👍 👎 👌 🙏 👏 💪 🤝 👋 ✌️ 🎉 ❤️ 💔 ⭐ 🔥 ✅ ❌ ⚠️ ❓ ❗ 📦 🚚 📍 📞 ✉️ 📅 ⏰ 💳 💰 🧾 🎁 🔒 🔑 🔧 🛠️".split(" ");

class Composer extends View {
  #id = "";
  #choice = 0;
  #fits = [];

  build() {
    this.suggestions = h("div", { class: "suggestions", role: "group", "aria-label": t("suggestions"), hidden: true });
    this.menu = h("div", { class: "canned", role: "listbox", id: "canned-list", "aria-label": t("canned"), hidden: true });
    this.emoji = this.#makeEmoji();
    this.text = h("textarea", {
      class: "compose",
      rows: 1,
      dir: "auto",
      maxLength: 100_000,
      "aria-describedby": "compose-hint compose-budget",
      "aria-controls": "canned-list",
      oninput: () => this.#typed(),
      onkeydown: (event) => this.#key(event),
      onpaste: (event) => this.#pasted(event),
      onblur: () => setTimeout(() => (this.menu.hidden = true), 150),
    });
    this.replyTab = h("button", { class: "tab", type: "button", onclick: () => this.write(false) }, t("reply"), h("kbd", {}, "R"));
    this.noteTab = h("button", { class: "tab", type: "button", onclick: () => this.write(true) }, t("note"), h("kbd", {}, "N"));
    this.channel = h("select", { class: "field small", "aria-label": t("channelOfAnswer"), onchange: () => this.#chosen() });
    this.emojiButton = h(
      "button",
      { class: "tool", type: "button", "aria-label": t("emoji"), title: t("emoji"), "aria-expanded": "false", onclick: () => this.toggleEmoji() },
      icon("smile"),
    );
    this.chooser = h("input", { type: "file", multiple: true, hidden: true, "aria-label": t("attach"), onchange: () => this.#chosenFiles() });
    this.attachButton = h("button", { class: "tool", type: "button", "aria-label": t("attach"), onclick: () => this.choose() }, icon("clip"));
    this.fileList = h("ul", { class: "files", "aria-label": t("fileList"), hidden: true });
    this.cannot = h("p", { class: "cannot", role: "status" });
    this.dropHere = h("div", { class: "drop-here", hidden: true }, t("dropHere"));
    this.sendButton = h("button", { class: "button primary", type: "button", onclick: () => this.#send() });
    this.hint = h("p", { class: "hint", id: "compose-hint" }, t("sendHint"));
    this.budget = h("p", { class: "budget", id: "compose-budget", role: "status", hidden: true });
    this.offerBar = h("div", { class: "offer-bar", hidden: true });
    this.closed = h("div", { class: "closed-bar", hidden: true });
    this.editor = h(
      "div",
      { class: "editor" },
      this.suggestions,
      h(
        "div",
        { class: "box" },
        this.menu,
        this.emoji,
        h("div", { class: "tabs", role: "group" }, this.replyTab, this.noteTab, this.channel),
        this.text,
        this.fileList,
        this.cannot,
        this.budget,
        h("div", { class: "box-foot" }, this.attachButton, this.chooser, this.emojiButton, this.hint, this.sendButton),
        this.dropHere,
      ),
    );
    fill(this, this.offerBar, this.closed, this.editor);
    this.follow(["selected"], () => this.#show());
    this.follow(["case"], (ids) => ids.includes(this.#id) && this.#showState());
    this.follow(["draft"], (ids) => ids.includes(this.#id) && this.#showDraft());
    this.follow(["list", "connection", "account"], () => this.#showState());
    this.follow(["files"], (ids) => ids.includes(this.#id) && this.#showFiles());
    for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, this.#drag);
    this.follow(["tick"], () => this.#showBudget());
    this.#show();
  }

  gone() {
    for (const type of ["dragover", "dragleave", "drop"]) document.removeEventListener(type, this.#drag);
  }

  // -- files --------------------------------------------------------------------------------------

  /** Let the agent choose files. */
  choose() {
    if (this.#canAttach) this.chooser.click();
  }

  get #canAttach() {
    return !this.hidden && !this.editor.hidden && this.model.account.files.bytes > 0 && this.model.carriesFiles(this.#id);
  }

  #attach(files) {
    if (!files.length) return;
    this.model.attach(this.#id, files);
    this.text.focus();
  }

  #chosenFiles() {
    this.#attach([...this.chooser.files]);
    // the same file may be chosen again
    this.chooser.value = "";
  }

  #pasted(event) {
    const files = filesIn(event.clipboardData);
    // what was copied from a document comes as a picture too; its text is meant
    if (!files.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    if (this.#canAttach) this.#attach(files);
  }

  // a file that is dropped anywhere must not replace the page
  #drag = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    const can = this.#canAttach && event.type !== "dragleave";
    this.dropHere.hidden = !can || event.type === "drop";
    if (event.type === "dragover") event.dataTransfer.dropEffect = can ? "copy" : "none";
    else if (event.type === "drop" && can) this.#attach(filesIn(event.dataTransfer));
  };

  #showFiles() {
    const files = this.model.files.of(this.#id);
    showFiles(
      this.fileList,
      files.map((each) => ({ ...each, acts: this.#actsOf(each) })),
    );
    const { bytes } = this.model.account.files;
    const carries = this.model.carriesFiles(this.#id);
    const why = !bytes
      ? t("filesNone")
      : carries
        ? ""
        : t("attachCannot", { channel: channelName(this.model.draft(this.#id).channel || this.model.lastChannel(this.#id)) });
    this.attachButton.disabled = Boolean(why);
    this.attachButton.title = why || t("attachHint");
    setText(this.cannot, files.length ? why : "");
    this.sendButton.disabled = !this.model.canSend(this.#id);
  }

  #actsOf(file) {
    const { files } = this.model;
    const gone = [file.state === "sending" ? "fileCancel" : "fileRemove", () => files.cancel(this.#id, file)];
    return file.state === "refused" && files.has(file) ? [["retry", () => files.retry(this.#id, file)], gone] : [gone];
  }

  /** Begin to write an answer, or a note. */
  write(internal) {
    if (!this.#id || this.editor.hidden) return;
    const draft = this.model.draft(this.#id);
    if (draft.internal !== internal) this.model.setDraft(this.#id, { ...draft, internal });
    this.#showDraft();
    this.text.focus();
  }

  /** Put suggestion `n`, from 1, into the draft. */
  suggest(n) {
    const text = this.#suggested()[n - 1];
    if (text) this.#insert(text, true);
  }

  toggleEmoji() {
    if (this.editor.hidden) return;
    this.emoji.hidden = !this.emoji.hidden;
    setAttribute(this.emojiButton, "aria-expanded", String(!this.emoji.hidden));
    if (!this.emoji.hidden) this.emoji.querySelector("button").focus();
    else this.text.focus();
  }

  // -- showing ------------------------------------------------------------------------------------

  #show() {
    this.#id = this.model.selected;
    this.emoji.hidden = true;
    this.#closeMenu();
    this.#showState();
    this.#showDraft();
  }

  #showState() {
    const found = this.model.case(this.#id);
    this.hidden = !found;
    if (!found) return;
    const offered = found.held && found.record.state === "offered";
    const mine = found.held && found.record.state === "assigned";
    this.editor.hidden = !mine;
    this.offerBar.hidden = !offered;
    this.closed.hidden = offered || mine;
    if (offered) this.#showOffer(found);
    if (!offered && !mine) this.#showClosed(found);
    if (mine) {
      this.#showSuggestions();
      this.#showChannels(found);
      this.#showFiles();
      this.#showBudget();
    }
  }

  /** What the vendor still takes: told before it is used up, and what goes on when it is. */
  #showBudget() {
    const found = this.model.case(this.#id);
    const draft = this.model.draft(this.#id);
    const budget = found && !this.editor.hidden && !draft.internal ? this.model.budget(this.#id) : null;
    this.budget.hidden = !budget;
    this.sendButton.disabled = !this.model.canSend(this.#id);
    if (!budget) return;
    const { left, answers, until, over } = budget;
    const channel = channelName(budget.channel);
    const name = nameOf(found.record);
    const others = new Set((found.record.threads ?? []).map((each) => each.channel)).size > 1;
    const word = over ? BUDGET_WORDS[over] : left <= BUDGET_LOW ? "budgetLow" : "budgetLeft";
    const text = t(word, { n: left, left, answers, channel, name, time: shortDate(words.language, until) });
    setText(this.budget, over && others ? `${text} ${t("budgetOther")}` : text);
    setAttribute(this.budget, "class", `budget${over ? " is-over" : left <= BUDGET_LOW ? " is-low" : ""}`);
  }

  #showOffer(found) {
    const cannot = !this.model.online || this.model.isActing(found.id);
    const key = `${found.id} ${cannot}`;
    if (this.offerBar.dataset.key === key) return;
    this.offerBar.dataset.key = key;
    const button = (word, letter, primary, act) =>
      h("button", { class: `button${primary ? " primary" : ""}`, type: "button", disabled: cannot, onclick: act }, t(word), h("kbd", {}, letter));
    fill(
      this.offerBar,
      h("span", { class: "offer-bar-text" }, t("offered")),
      button("decline", "D", false, () => this.model.decline(found.id)),
      button("accept", "A", true, async () => {
        if (await this.model.accept(found.id)) this.text.focus();
      }),
    );
  }

  #showClosed(found) {
    const reopens = found.record.state === "resolved";
    const cannot = !this.model.online || this.model.isActing(found.id);
    const key = `${found.id} ${reopens} ${cannot}`;
    if (this.closed.dataset.key === key) return;
    this.closed.dataset.key = key;
    fill(
      this.closed,
      h("span", { class: "muted" }, t("readOnly")),
      reopens &&
        h(
          "button",
          { class: "button", type: "button", disabled: cannot, title: t("reopenHint"), onclick: () => this.model.reopen(found.id) },
          icon("reopen", 16),
          t("reopen"),
        ),
    );
  }

  /** The answers suggested for what the contact said; none once a human has answered that. */
  #suggested() {
    const found = this.model.case(this.#id);
    const insight = found?.record.insight;
    if (!insight?.suggestions) return [];
    const answered = found.messages.some((each) => each.author === "agent" && !each.internal && each.seq > (insight.seq ?? 0));
    return answered || this.model.outbox.of(found.id).some((item) => !item.internal) ? [] : insight.suggestions;
  }

  #showSuggestions() {
    const suggestions = this.model.draft(this.#id).text ? [] : this.#suggested();
    const key = JSON.stringify(suggestions);
    this.suggestions.hidden = suggestions.length === 0;
    if (this.suggestions.dataset.key === key) return;
    this.suggestions.dataset.key = key;
    fill(
      this.suggestions,
      suggestions.map((text, index) =>
        h(
          "button",
          {
            class: "suggestion",
            type: "button",
            title: text,
            onclick: () => this.#insert(text, true),
          },
          h("kbd", {}, String(index + 1)),
          h("span", {}, text),
        ),
      ),
    );
  }

  #showChannels(found) {
    const threads = found.record.threads ?? [];
    const draft = this.model.draft(this.#id);
    this.channel.hidden = threads.length < 2 || draft.internal;
    if (this.channel.hidden) return;
    const last = threads[threads.length - 1].channel;
    const key = threads.map((thread) => thread.channel).join(" ");
    if (this.channel.dataset.key !== key) {
      this.channel.dataset.key = key;
      const others = [...new Set(threads.map((thread) => thread.channel))];
      fill(
        this.channel,
        h("option", { value: "" }, t("lastChannel", { channel: channelName(last) })),
        others.map((channel) => h("option", { value: channel }, channelName(channel))),
      );
    }
    this.channel.value = draft.channel;
  }

  #chosen() {
    this.model.setDraft(this.#id, { ...this.model.draft(this.#id), channel: this.channel.value });
    this.#showFiles();
    this.text.focus();
  }

  #showDraft() {
    const found = this.model.case(this.#id);
    if (!found) return;
    const draft = this.model.draft(this.#id);
    if (this.text.value !== draft.text) this.text.value = draft.text;
    const name = nameOf(found.record);
    const label = draft.internal ? t("noteTo", { name }) : t("replyTo", { name });
    setAttribute(this.text, "aria-label", label);
    this.text.placeholder = label;
    this.editor.classList.toggle("is-note", draft.internal);
    setAttribute(this.replyTab, "aria-pressed", String(!draft.internal));
    setAttribute(this.noteTab, "aria-pressed", String(draft.internal));
    const word = t(draft.internal ? "saveNote" : "send");
    if (this.sendButton.dataset.word !== word) {
      this.sendButton.dataset.word = word;
      fill(this.sendButton, icon(draft.internal ? "note" : "send", 16), word);
    }
    this.#showState();
    this.#showBudget();
    this.#grow();
  }

  #grow() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight, 220)}px`;
  }

  // -- writing ------------------------------------------------------------------------------------

  #typed() {
    const draft = this.model.draft(this.#id);
    this.model.setDraft(this.#id, { ...draft, text: this.text.value });
    this.#showBudget();
    if (!draft.internal && this.text.value.trim() && !this.text.value.startsWith("/")) this.model.tellTyping(this.#id);
    this.#grow();
    this.#showMenu();
  }

  #insert(text, replace = false) {
    const draft = this.model.draft(this.#id);
    if (replace && (!draft.text || draft.text.startsWith("/"))) {
      this.text.value = text;
      this.text.setSelectionRange(text.length, text.length);
    } else {
      this.text.setRangeText(text, this.text.selectionStart, this.text.selectionEnd, "end");
    }
    this.text.focus();
    this.#typed();
    this.#closeMenu();
  }

  #send() {
    if (this.model.send(this.#id)) this.text.focus();
    this.#closeMenu();
  }

  #key(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (!this.menu.hidden && this.#menuKey(event)) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#send();
    }
  }

  // -- canned answers -----------------------------------------------------------------------------

  #showMenu() {
    const typed = this.text.value;
    if (!typed.startsWith("/") || typed.includes("\n")) {
      this.#closeMenu();
      return;
    }
    const wanted = typed.slice(1).trim().toLowerCase();
    const { canned } = this.model.account;
    this.#fits = canned
      .filter((each) => `${each.name}\n${each.text}`.toLowerCase().includes(wanted))
      .sort((one, other) => Number(other.name.toLowerCase().startsWith(wanted)) - Number(one.name.toLowerCase().startsWith(wanted)))
      .slice(0, MOST_CANNED);
    this.#choice = 0;
    this.menu.hidden = false;
    fill(
      this.menu,
      this.#fits.length
        ? this.#fits.map((each, index) => this.#option(each, index))
        : h("p", { class: "muted canned-none" }, t(canned.length ? "cannedNone" : "cannedEmpty")),
    );
    this.#mark();
  }

  #option(each, index) {
    return h(
      "div",
      {
        class: "canned-option",
        role: "option",
        id: `canned-${index}`,
        onmousedown: (event) => {
          event.preventDefault();
          this.#insert(each.text, true);
        },
      },
      h("span", { class: "canned-name" }, `/${each.name}`),
      h("span", { class: "canned-text" }, each.text),
    );
  }

  #mark() {
    [...this.menu.children].forEach((option, index) => {
      if (option.role === "option") setAttribute(option, "aria-selected", String(index === this.#choice));
    });
    const chosen = this.menu.children[this.#choice];
    setAttribute(this.text, "aria-activedescendant", chosen?.id || null);
    chosen?.scrollIntoView({ block: "nearest" });
  }

  #menuKey(event) {
    if (event.key === "Escape") {
      this.#closeMenu();
      return true;
    }
    if (!this.#fits.length) return false;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#choice = (this.#choice + step + this.#fits.length) % this.#fits.length;
      this.#mark();
      return true;
    }
    if ((event.key === "Enter" && !event.shiftKey) || event.key === "Tab") {
      this.#insert(this.#fits[this.#choice].text, true);
      return true;
    }
    return false;
  }

  #closeMenu() {
    this.menu.hidden = true;
    this.#fits = [];
    setAttribute(this.text, "aria-activedescendant", null);
  }

  // -- emoji --------------------------------------------------------------------------------------

  #makeEmoji() {
    const grid = h("div", {
      class: "emoji",
      role: "group",
      "aria-label": t("emoji"),
      hidden: true,
      onkeydown: (event) => {
        const buttons = [...grid.children];
        const place = buttons.indexOf(document.activeElement);
        const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 }[event.key];
        if (event.key === "Escape") {
          event.stopPropagation();
          this.toggleEmoji();
        } else if (step !== undefined && place >= 0) {
          event.preventDefault();
          buttons[Math.min(buttons.length - 1, Math.max(0, place + step))].focus();
        }
      },
    });
    fill(
      grid,
      EMOJI.map((each) =>
        h(
          "button",
          {
            type: "button",
            onclick: () => {
              this.emoji.hidden = true;
              setAttribute(this.emojiButton, "aria-expanded", "false");
              this.#insert(each);
            },
          },
          each,
        ),
      ),
    );
    return grid;
  }
}

customElements.define("rd-composer", Composer);

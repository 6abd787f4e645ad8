/** The middle pane's messages: all channels in one, day breaks, who spoke, and what became of each answer. */
import { clockTime, dateTime, dayName, dayOf } from "../shared/dates.js";
import { fill, h, icon, setText } from "../shared/dom.js";
import { VirtualList } from "../shared/virtual-list.js";
import { bodyText } from "./list.js";
import { showFiles } from "./file-rows.js";
import { View, channelName, nameOf } from "./view.js";
import { t, words } from "./words.js";

const GROUP_MS = 5 * 60_000;
/** A longer text is folded: a page full of one message hides the others. */
const FOLD_CHARS = 2_000;
const LINK = /\bhttps?:\/\/[^\s<>"']{1,2000}[^\s<>"'.,;:!?，。；：！？)）\]】]/g;

class Timeline extends View {
  #list;
  #case = null;
  #era = -1;
  #length = 0;
  #rows = [];
  #days = 0;
  #unfolded = new Set();
  /** File -> URL of a picture that the agent asked for; nothing that a contact sent is loaded by itself. */
  #pictures = new Map();
  #freshAfter = 0;
  #unseen = 0;

  build() {
    this.scroller = h("div", { class: "timeline", role: "log", "aria-live": "off", "aria-label": t("messages"), tabindex: "0" });
    this.toEnd = h(
      "button",
      { class: "to-end", type: "button", hidden: true, onclick: () => this.goToEnd() },
      icon("down", 16),
      (this.toEndText = h("span", {}, t("toNewest"))),
    );
    this.top = h("div", { class: "timeline-top", hidden: true }, t("earlier"));
    fill(this, this.top, this.scroller, this.toEnd);
    this.#list = new VirtualList(this.scroller, {
      stick: true,
      key: (row) => row.key,
      estimate,
      make: (row) => this.#make(row),
      update: (element, row) => this.#update(element, row),
      scrolled: () => this.#scrolled(),
    });
    this.follow(["case"], (ids) => this.#case && ids.includes(this.#case.id) && this.#show());
    this.follow(["selected"], () => this.show(this.model.current));
    this.follow(["account", "connection"], () => this.#list.refresh());
    this.follow(["sent"], () => this.goToEnd());
    this.follow(["reveal"], (all) => this.#reveal(all[all.length - 1]));
    this.show(this.model.current);
  }

  /** Show a conversation from its end. */
  show(found) {
    this.#case = found;
    this.#era = -1;
    this.#unfolded.clear();
    this.#pictures.clear();
    this.#unseen = 0;
    if (!found) {
      this.#list.set([]);
      return;
    }
    const read = this.model.read.get(found.id) ?? 0;
    this.#freshAfter = this.model.unread(found) ? read : 0;
    this.#show("end");
  }

  goToEnd() {
    this.#unseen = 0;
    this.#list.scrollToEnd();
    this.#showToEnd();
  }

  /** Stand at a message that was looked for, and let it be seen which. */
  #reveal({ id, seq }) {
    const found = this.#case;
    if (found?.id !== id) return;
    const message = found.messages[seq - found.oldestSeq];
    if (!message) {
      this.model.toast("tooFarBack", {}, "warn");
      return;
    }
    this.#list.center(keyOf(message));
    const element = this.#list.element(keyOf(message));
    if (!element) return;
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
  }

  get list() {
    return this.#list;
  }

  /** Look at the messages a page further up or down. */
  page(direction) {
    this.scroller.scrollBy({ top: direction * this.scroller.clientHeight * 0.8 });
  }

  #scrolled() {
    const found = this.#case;
    if (found && this.#list.atStart && found.more) this.model.loadOlder(found.id);
    if (this.#list.atEnd) this.#unseen = 0;
    this.#showToEnd();
  }

  #showToEnd() {
    this.toEnd.hidden = this.#list.atEnd || !this.#case;
    this.model.showsEnd(this.#list.atEnd);
    setText(this.toEndText, this.#unseen ? t("newBelow", { n: this.#unseen }) : t("toNewest"));
  }

  #show(jump = "") {
    const found = this.#case;
    if (found.era !== this.#era || found.messages.length < this.#length) {
      this.#rows = [];
      this.#days = 0;
      this.#length = 0;
      this.#era = found.era;
    }
    const followed = this.#list.atEnd;
    const before = this.#length;
    this.#append(found);
    if (!followed && !jump && before) {
      this.#unseen += found.messages.slice(before).filter((message) => message.author === "contact").length;
    }
    this.top.hidden = !this.model.isLoading(found.id);
    const pending = this.model.outbox?.of(found.id) ?? [];
    const rows = [...this.#rows, ...this.#pendingRows(pending)];
    if (!found.more && found.messages.length) rows.unshift({ kind: "start", key: "start" });
    this.#list.set(rows, jump);
    this.#showToEnd();
    if (this.#list.atStart && found.more && found.messages.length) this.model.loadOlder(found.id);
  }

  /** Make rows of the messages that came since, after those that were made before. */
  #append(found) {
    for (let index = this.#length; index < found.messages.length; index += 1) {
      const message = found.messages[index];
      const before = found.messages[index - 1];
      const day = dayOf(message.at_ms);
      const newDay = day !== this.#days;
      if (newDay) {
        this.#days = day;
        this.#rows.push({ kind: "day", key: `day:${day}:${message.seq}`, at: message.at_ms });
      }
      const fresh = this.#freshAfter && message.seq > this.#freshAfter && (before?.seq ?? 0) <= this.#freshAfter;
      if (fresh && before) this.#rows.push({ kind: "fresh", key: "fresh" });
      this.#rows.push({
        kind: message.author === "system" ? "system" : "message",
        key: keyOf(message),
        message,
        grouped: !newDay && !fresh && isOneBreath(before, message),
      });
    }
    this.#length = found.messages.length;
  }

  #pendingRows(pending) {
    const stored = new Set(this.#rows.slice(-50).map((row) => row.key));
    const last = this.#case.messages[this.#case.messages.length - 1];
    return pending
      .filter((item) => !stored.has(`own:${item.client_id}`))
      .map((item, index) => {
        const message = {
          id: "",
          author: "agent",
          author_id: this.model.me,
          text: item.text,
          internal: item.internal,
          attachments: item.files,
          at_ms: item.at,
          channel: item.channel,
        };
        return {
          kind: "message",
          key: `own:${item.client_id}`,
          message,
          item,
          grouped: index > 0 || isOneBreath(last, message),
        };
      });
  }

  // -- rows ---------------------------------------------------------------------------------------

  #make(row) {
    if (row.kind !== "message") return h("div", { class: `line line-${row.kind}` }, h("span", {}));
    const parts = {
      who: h("span", { class: "who" }),
      channel: h("span", { class: "tag" }),
      quote: h("button", { class: "quote", type: "button", hidden: true }),
      text: h("div", { class: "text", dir: "auto" }),
      more: h("button", { class: "link", type: "button", hidden: true, onclick: () => this.#unfold(element) }),
      attachments: h("ul", { class: "attachments", hidden: true }),
      time: h("time", { class: "stamp" }),
      tick: h("span", { class: "tick", role: "img" }),
      trouble: h("div", { class: "trouble", hidden: true }),
    };
    const element = h(
      "article",
      { class: "message" },
      (parts.head = h("div", { class: "message-head" }, parts.who, parts.channel)),
      h(
        "div",
        { class: "bubble" },
        parts.quote,
        parts.text,
        parts.more,
        parts.attachments,
        h("div", { class: "message-foot" }, parts.time, parts.tick),
      ),
      parts.trouble,
    );
    element.parts = parts;
    return element;
  }

  #update(element, row) {
    if (row.kind !== "message") {
      setText(element.firstChild, this.#lineText(row));
      return;
    }
    if (element.row === row && element.mark === this.#mark(row)) return;
    element.row = row;
    element.mark = this.#mark(row);
    const { message, item } = row;
    const { parts } = element;
    const mine = message.author === "agent" && message.author_id === this.model.me;
    element.className = `virtual-row message by-${message.author}${mine ? " is-mine" : ""}${
      message.internal ? " is-note" : ""
    }${row.grouped ? " is-grouped" : ""}${item ? ` is-${item.state}` : ""}`;
    parts.head.hidden = row.grouped;
    setText(parts.who, this.#who(message, mine));
    const { channel } = message;
    const several = (this.#case.record.threads ?? []).length > 1;
    parts.channel.hidden = !channel || !several || Boolean(message.internal);
    setText(parts.channel, channel ? channelName(channel) : "");
    this.#showText(parts, row);
    this.#showAttachments(parts.attachments, message.attachments ?? [], item);
    this.#showQuote(parts.quote, message);
    setText(parts.time, clockTime(words.language, message.at_ms));
    parts.time.dateTime = new Date(message.at_ms).toISOString();
    parts.time.title = dateTime(words.language, message.at_ms);
    this.#showTick(parts, row);
  }

  /** What a row shows besides its message, which never changes: when this is the same, nothing is drawn. */
  #mark({ message, item }) {
    const delivery = this.#case.deliveries.get(message.id);
    const seen = message.seq <= this.#case.seenSeq;
    const files = item?.files?.map((each) => `${each.state}${each.sent}`) ?? message.attachments?.map((each) => this.#pictures.get(each.file));
    return `${item?.state} ${item?.error} ${delivery?.state} ${seen} ${this.model.online} ${this.#unfolded.has(message.id)} ${files}`;
  }

  #lineText(row) {
    if (row.kind === "day") {
      return dayName(words.language, row.at, this.model.clock.now(), { today: t("today"), yesterday: t("yesterday") });
    }
    if (row.kind === "start") return t("beginning");
    if (row.kind === "fresh") return t("newMessages");
    return `${bodyText(row.message)} · ${clockTime(words.language, row.message.at_ms)}`;
  }

  #who(message, mine) {
    const name = mine ? t("you") : message.author === "contact" ? nameOf(this.#case.record) : message.author_id;
    if (message.author === "bot") return t("bot");
    return message.internal ? `${t("note")} · ${name}` : name;
  }

  #showText(parts, row) {
    const text = row.message.text ?? "";
    const folded = text.length > FOLD_CHARS && !this.#unfolded.has(row.message.id);
    parts.text.hidden = !text;
    linkified(parts.text, folded ? `${text.slice(0, FOLD_CHARS)}…` : text);
    parts.more.hidden = !folded;
    if (folded) setText(parts.more, t("longText", { n: text.length }));
  }

  #unfold(element) {
    this.#unfolded.add(element.row.message.id);
    this.#list.refresh();
  }

  #showAttachments(list, attachments, item) {
    showFiles(
      list,
      attachments.map((each, place) => {
        if (item) return this.#rowOnItsWay(each, item);
        if (each.file) return this.#rowOfFile(each);
        const name = `${t(each.kind)}${each.title ? ` · ${each.title}` : ""}`;
        const url = /^https?:\/\//i.test(each.url ?? "") ? each.url : "";
        return { key: `${place}`, name: url ? name : `${name} (${t("noAddress")})`, kind: each.kind, url, acts: [] };
      }),
    );
  }

  #rowOnItsWay(file, item) {
    const stop = file.state === "sending" || file.state === "waiting";
    return { ...file, acts: stop ? [["fileCancel", () => this.model.files.cancel(item.conversation, file)]] : [] };
  }

  #rowOfFile({ file, title, bytes, kind }) {
    const picture = this.#pictures.get(file);
    const acts = [["fileSave", () => this.#save(file, title)]];
    if (kind === "image") acts.unshift(picture ? ["fileHide", () => this.#hide(file)] : ["fileShow", () => this.#look(file)]);
    return { key: file, name: title, bytes, kind, picture, acts, gone: () => this.#hide(file) };
  }

  async #look(file) {
    const url = await this.model.readingUrl(file);
    if (!url) return;
    this.#pictures.set(file, url);
    this.#list.refresh();
  }

  #hide(file) {
    this.#pictures.delete(file);
    this.#list.refresh();
  }

  async #save(file, name) {
    const url = await this.model.readingUrl(file);
    if (url) h("a", { href: url, download: name }).click();
  }

  #showQuote(quote, message) {
    const seq = message.reply_to ? Number(message.reply_to.slice(message.reply_to.lastIndexOf("-") + 1)) : 0;
    // the message right before needs no quote
    const target = seq && seq !== message.seq - 1 && this.#case.messages[seq - this.#case.oldestSeq];
    quote.hidden = !target;
    if (!target) return;
    setText(quote, bodyText(target).slice(0, 120));
    quote.setAttribute("aria-label", `${t("inReply")}: ${quote.textContent}`);
    quote.onclick = () => this.#list.center(keyOf(target));
  }

  #showTick(parts, row) {
    const { tick, trouble } = parts;
    const { message, item } = row;
    tick.hidden = message.author === "contact" || (message.author === "bot" && !this.#case.deliveries.has(message.id));
    trouble.hidden = true;
    if (tick.hidden) return;
    const [state, word] = this.#fate(message, item);
    tick.className = `tick tick-${state}`;
    tick.setAttribute("aria-label", word);
    tick.title = word;
    fill(tick, TICKS[state]());
    if (state === "refused") this.#showRefused(trouble, item);
    else if (state === "failed") this.#showFailed(trouble, message);
  }

  /** What became of what an agent said: its state and the word for it. */
  #fate(message, item) {
    if (item) {
      if (item.state === "refused") return ["refused", t("tickRefused")];
      if (item.state === "stored") return ["stored", t("tickStored")];
      return item.state === "sending" ? ["sending", t("tickSending")] : ["waiting", t("tickWaiting")];
    }
    const delivery = this.#case.deliveries.get(message.id);
    if (delivery?.state === "failed") return ["failed", t("tickFailed")];
    if (message.internal) return ["stored", t("tickStored")];
    if (message.seq <= this.#case.seenSeq) return ["seen", t("tickSeen")];
    if (delivery?.state === "sent") return ["delivered", t("tickDelivered", { channel: channelName(message.channel) })];
    return ["stored", t("tickStored")];
  }

  #showRefused(trouble, item) {
    trouble.hidden = false;
    fill(
      trouble,
      h("span", { class: "trouble-text" }, icon("warn", 14), t("refusedBecause", { words: item.error })),
      h("button", { class: "link", type: "button", onclick: () => this.model.outbox.retry(item.client_id) }, t("retry")),
      h("button", { class: "link", type: "button", onclick: () => this.#takeBack(item) }, t("edit")),
      h("button", { class: "link", type: "button", onclick: () => this.#discard(item) }, t("discard")),
    );
  }

  #discard(item) {
    if (this.model.outbox.discard(item.client_id) !== null) this.model.files.forget(item.files ?? []);
  }

  #takeBack(item) {
    const text = this.model.outbox.discard(item.client_id);
    if (text === null) return;
    this.model.files.putBack(item.conversation, item.files ?? []);
    const draft = this.model.draft(item.conversation);
    const joined = [text, draft.text].filter(Boolean).join("\n");
    this.model.setDraft(item.conversation, { ...draft, text: joined, internal: item.internal });
    this.model.changed("draft", item.conversation);
  }

  #showFailed(trouble, message) {
    const { detail } = this.#case.deliveries.get(message.id);
    trouble.hidden = false;
    fill(
      trouble,
      h("span", { class: "trouble-text" }, icon("warn", 14), t("failedBecause", { words: detail || t("tickFailed") })),
      this.#case.held &&
        h("button", { class: "link", type: "button", onclick: () => this.model.sayAgain(this.#case.id, message) }, t("sayAgain")),
    );
  }
}

const TICKS = {
  waiting: () => icon("clock", 14),
  sending: () => icon("clock", 14),
  stored: () => icon("check", 14),
  delivered: () => [icon("check", 14), icon("check", 14)],
  seen: () => [icon("check", 14), icon("check", 14)],
  failed: () => icon("warn", 14),
  refused: () => icon("warn", 14),
};

/** One of our own keeps its row from the moment it is written, through its event. */
function keyOf(message) {
  return message.author === "agent" && message.source_id ? `own:${message.source_id}` : message.id;
}

function isOneBreath(before, message) {
  return (
    before !== undefined &&
    before.author === message.author &&
    (before.author_id ?? "") === (message.author_id ?? "") &&
    Boolean(before.internal) === Boolean(message.internal) &&
    (before.channel ?? "") === (message.channel || before.channel || "") &&
    message.at_ms - before.at_ms < GROUP_MS &&
    dayOf(before.at_ms) === dayOf(message.at_ms)
  );
}

function estimate(row, width) {
  if (row.kind !== "message") return 40;
  const text = row.message.text ?? "";
  const perLine = Math.max(20, (width * 0.7) / 8);
  const lines = text.split("\n", 40).reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / perLine)), 0);
  return (row.grouped ? 34 : 58) + Math.min(lines, 120) * 21 + (row.message.attachments?.length ?? 0) * 34;
}

/** Show a text with its web addresses as links, and nothing else of it as anything but text. */
function linkified(element, text) {
  if (element.shown === text) return;
  element.shown = text;
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(LINK)) {
    parts.push(text.slice(end, found.index));
    parts.push(h("a", { href: found[0], target: "_blank", rel: "noopener noreferrer" }, found[0]));
    end = found.index + found[0].length;
  }
  parts.push(text.slice(end));
  fill(element, parts.filter((part) => part !== ""));
}

customElements.define("rd-timeline", Timeline);

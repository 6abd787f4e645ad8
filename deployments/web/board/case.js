/**
 * A conversation, listened to: its messages as they come, what is known of it, and the taking over. It asks each second
 * for what it has not; numbers without a gap say that nothing is missing, and where something is, it says so.
 */
import { clockTime, dateTime, dayName, dayOf } from "../shared/dates.js";
import { fill, h, icon, setText } from "../shared/dom.js";
import { View, channelName, groupName, intentName, nameOf, number } from "./view.js";
import { t, words } from "./words.js";

const EVERY_MS = 1_000;
const FRESH_MS = 5_000;
/** More than this is not kept in the document; older ones can be read again. */
const KEPT = 600;
const LINES = {
  "conversation.resolved": "resolvedLine",
  "conversation.reopened": "reopenedLine",
  "conversation.taken_over": "takenOverLine",
};
const OPEN = ["bot", "waiting", "offered", "assigned", "snoozed"];

class Case extends View {
  #id = "";
  #timer = 0;
  #newest = 0;
  #oldest = 0;
  #day = 0;
  #heardAt = 0;
  #record = null;
  #before = null;
  #acting = false;

  build() {
    this.name = h("h2", { class: "case-title", id: "case-title", tabindex: "-1" });
    this.state = h("span", { class: "tag" });
    this.facts = h("dl", { class: "pairs case-facts" });
    this.log = h("div", { class: "case-log", role: "log", "aria-label": t("messages"), tabindex: "0" });
    this.older = h("button", { class: "link case-older", type: "button", hidden: true, onclick: () => this.#earlier() }, t("earlier"));
    this.listening = h("p", { class: "listening", role: "status" });
    this.take = h("button", { class: "button primary", type: "button", onclick: () => this.#takeOver() }, t("takeOver"));
    this.answer = h("a", { class: "button", href: "/desk", target: "_blank", rel: "noopener", hidden: true }, t("answerAtDesk"));
    this.trouble = h("p", { class: "form-error", role: "alert" });
    this.panel = h(
      "aside",
      { class: "case-panel", "aria-labelledby": "case-title", hidden: true },
      h("header", { class: "case-panel-head" }, this.name, this.state, h("span", { class: "spring" }), h("button", { class: "tool", type: "button", "aria-label": t("close"), title: `${t("close")} (Esc)`, onclick: () => this.model.openCase("") }, icon("close"))),
      this.facts,
      this.listening,
      h("div", { class: "case-scroll" }, this.older, this.log),
      h("footer", { class: "case-foot" }, this.trouble, h("p", { class: "case-hint" }, t("listenHint")), h("div", { class: "case-acts" }, this.answer, this.take)),
    );
    fill(this, this.panel);
    this.follow(["case"], () => this.#open(this.model.opened));
    this.follow(["age", "names"], () => this.#showState());
    this.onKey = (event) => {
      if (event.key === "Escape" && this.#id && !document.querySelector("dialog[open]")) this.model.openCase("");
    };
    addEventListener("keydown", this.onKey);
    this.#open(this.model.opened);
  }

  gone() {
    clearTimeout(this.#timer);
    removeEventListener("keydown", this.onKey);
    this.#id = "";
  }

  #open(id) {
    if (id === this.#id) return;
    clearTimeout(this.#timer);
    if (id && !this.#id) this.#before = document.activeElement;
    this.#id = id;
    this.panel.hidden = !id;
    if (!id) {
      if (this.#before?.isConnected) this.#before.focus();
      return;
    }
    this.#newest = this.#oldest = this.#day = this.#heardAt = 0;
    this.#record = null;
    this.#acting = false;
    fill(this.log);
    setText(this.trouble, "");
    this.older.hidden = true;
    const known = this.model.board?.cases.find((each) => each.id === id);
    setText(this.name, known ? nameOf(known.contact, known.name) : t("conversation"));
    this.#showState();
    this.name.focus();
    this.#listen(id);
  }

  async #listen(id) {
    try {
      const found = await this.model.listen(id, this.#newest);
      if (id !== this.#id) return;
      this.#heardAt = performance.now();
      this.#record = found.conversation;
      this.#take(found.messages, found.length);
    } catch (problem) {
      if (id !== this.#id) return;
      if (problem.status === 404) setText(this.trouble, t("caseGone"));
    }
    this.#showState();
    this.#timer = setTimeout(() => this.#listen(id), EVERY_MS);
  }

  #take(messages) {
    if (!messages.length) return;
    const scroller = this.log.parentElement;
    const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
    const first = !this.#newest;
    if (first) this.#oldest = messages[0].seq;
    else if (messages[0].seq > this.#newest + 1) {
      this.log.append(h("p", { class: "case-line is-late" }, t("caseGap", { n: number(messages[0].seq - this.#newest - 1) })));
    }
    for (const message of messages) {
      if (message.seq <= this.#newest) continue;
      this.log.append(...this.#lines(message));
      this.#newest = message.seq;
    }
    while (this.log.childElementCount > KEPT) {
      const left = this.log.firstElementChild;
      if (left.dataset.seq) this.#oldest = Number(left.dataset.seq) + 1;
      left.remove();
    }
    // what is there at first need not be read out, what comes is
    this.log.setAttribute("aria-live", first ? "off" : "polite");
    this.older.hidden = this.#oldest <= 1;
    if (first || atEnd) scroller.scrollTop = scroller.scrollHeight;
  }

  async #earlier() {
    const id = this.#id;
    this.older.disabled = true;
    try {
      const page = await this.model.earlier(id, this.#oldest);
      if (id !== this.#id || !page.messages.length) return;
      const scroller = this.log.parentElement;
      const below = scroller.scrollHeight - scroller.scrollTop;
      const day = this.#day;
      this.#day = 0;
      const lines = page.messages.reverse().flatMap((message) => this.#lines(message));
      this.#day = day;
      this.log.prepend(...lines);
      this.#oldest = page.messages[0].seq;
      this.older.hidden = this.#oldest <= 1;
      scroller.scrollTop = scroller.scrollHeight - below;
    } catch (problem) {
      setText(this.trouble, problem.status ? problem.message : t("noAnswer"));
    } finally {
      this.older.disabled = false;
    }
  }

  /** The lines of a message: the day before it where that changes. */
  #lines(message) {
    const lines = [];
    const day = dayOf(message.at_ms);
    if (day !== this.#day) {
      this.#day = day;
      lines.push(h("p", { class: "case-line" }, dayName(words.language, message.at_ms, this.model.clock.now(), { today: t("today"), yesterday: t("yesterday") })));
    }
    const time = h("time", { class: "stamp", title: dateTime(words.language, message.at_ms) }, clockTime(words.language, message.at_ms));
    time.dateTime = new Date(message.at_ms).toISOString();
    if (message.author === "system") {
      const word = LINES[message.text];
      lines.push(h("p", { class: "case-line", dataset: { seq: message.seq } }, word ? t(word, { name: message.author_id ?? "" }) : message.text, " · ", time));
      return lines;
    }
    const kind = message.internal ? "is-note" : `by-${message.author}`;
    lines.push(
      h(
        "article",
        { class: `said ${kind}`, dataset: { seq: message.seq } },
        h("header", { class: "said-head" }, h("span", { class: "who" }, this.#who(message)), time),
        h("div", { class: "said-text", dir: "auto" }, message.text ?? ""),
        (message.attachments ?? []).map((each) => h("p", { class: "muted" }, `${t(each.kind)}${each.title ? ` · ${each.title}` : ""}`)),
      ),
    );
    return lines;
  }

  #who(message) {
    if (message.author === "bot") return t("bot");
    if (message.author === "contact") return t("contact");
    return message.internal ? `${t("note")} · ${message.author_id}` : message.author_id;
  }

  #showState() {
    if (!this.#id) return;
    const record = this.#record;
    const ageMs = this.#heardAt ? performance.now() - this.#heardAt : null;
    const stale = ageMs !== null && ageMs > FRESH_MS;
    this.listening.className = `listening${stale ? " is-late" : ""}`;
    setText(this.listening, ageMs === null ? t("connecting") : stale ? t("listenStale", { s: number(ageMs / 1000) }) : t("listening"));
    if (!record) return;
    const mine = record.agent === this.model.me && record.state === "assigned";
    const user = (record.threads ?? []).find((thread) => thread.external_id.startsWith("user:"));
    setText(this.name, nameOf(record.contact, user ? user.external_id.slice(5) : ""));
    setText(this.state, t(`state_${record.state}`));
    const facts = [
      [t("headAgent"), record.agent || "–"],
      [t("headGroup"), groupName(record.skill ?? "")],
      [t("headIntent"), record.insight ? `${intentName(this.model, record.insight.intent)} · ${Math.round(record.insight.confidence * 100)} %` : "–"],
      [t("headChannel"), [...new Set((record.threads ?? []).map((thread) => channelName(thread.channel)))].join(", ") || "–"],
    ];
    const key = JSON.stringify(facts);
    if (this.factsKey !== key) {
      this.factsKey = key;
      fill(this.facts, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    }
    this.take.hidden = mine || !OPEN.includes(record.state);
    this.take.disabled = this.#acting || stale;
    this.answer.hidden = !mine;
  }

  async #takeOver() {
    const id = this.#id;
    this.#acting = true;
    this.#showState();
    setText(this.trouble, "");
    try {
      await this.model.takeOver(id);
      this.model.toast("tookOver");
      clearTimeout(this.#timer);
      if (id === this.#id) this.#listen(id);
      this.answer.focus();
    } catch (problem) {
      if (id === this.#id) setText(this.trouble, problem.status ? problem.message : t("noAnswerTake"));
    } finally {
      this.#acting = false;
      this.#showState();
    }
  }
}

customElements.define("rd-case", Case);

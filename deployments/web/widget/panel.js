/** The open chat: head, messages, what can be answered by one press, and the line to write in. */
import { clockTime, dayName, dayOf } from "../shared/dates.js";
import { fill, h, setText } from "../shared/elements.js";
import { askingForm, leftCard, queueCard, ratedCard, ratingCard } from "./forms.js";
import { icon } from "./icons.js";
import { Log } from "./log.js";

const MOST_CHARACTERS = 8_000;
const TALLEST_PX = 128;

export class Panel {
  #visitor;
  #words;
  #options;
  #log;
  #tail = "";
  #leaving = false;
  #form = null;
  #status = h("p");
  #banner = h("div", { class: "banner", role: "status", hidden: true });
  #chips = h("div", { class: "chips" });
  #said = h("div", { class: "quiet", "aria-live": "polite" });
  #input;
  #send;
  #composer;
  #files = null;
  #heading;

  /**
   * @param {Visitor} visitor
   * @param {Words} words
   * @param {{heading: string, greeting: string, own: object, questions: string[], fields: object[], draft: {get, set}}} options
   * @param {() => void} close
   */
  constructor(visitor, words, options, close) {
    this.#visitor = visitor;
    this.#words = words;
    this.#options = options;
    this.#log = new Log(visitor, words, (pending) => this.#edit(pending));
    this.#input = h("textarea", { rows: 1, maxLength: MOST_CHARACTERS, placeholder: words.t("write") });
    this.#input.setAttribute("aria-label", words.t("write"));
    this.#input.value = options.draft.get();
    this.#send = h("button", { type: "submit", "aria-label": words.t("send"), title: words.t("send") }, icon("send", 20));
    this.#composer = h("form", { class: "composer" }, this.#input, this.#send);
    const leave = h("button", { type: "button", "aria-label": words.t("close"), title: words.t("close") }, icon("close", 20));
    leave.addEventListener("click", close);
    this.#heading = h("h2", { dir: "auto" }, options.heading);
    const head = h("div", { class: "head" }, h("div", {}, this.#heading, this.#status), leave);
    this.element = h(
      "section",
      { class: "panel", role: "dialog", "aria-label": options.heading },
      head,
      this.#banner,
      this.#log.element,
      this.#chips,
      this.#composer,
      this.#said,
    );
    this.#listen(close);
  }

  /** Begin to write; for who opened the panel by hand. */
  focus() {
    const form = this.#form?.querySelector("input, textarea");
    (form ?? this.#input).focus();
  }

  shown() {
    this.#grow();
    this.#log.toEnd();
  }

  /** Read out what came in. */
  announce(message) {
    if (message.author !== "contact" && message.author !== "system") {
      const said = message.text || (message.attachments ?? []).map((each) => each.title).join(", ");
      setText(this.#said, `${this.#nameOf(message)}: ${said.slice(0, 500)}`);
    }
  }

  draw() {
    this.#drawStatus();
    this.#drawBanner();
    this.#drawForm();
    this.#drawTail();
    const { heading, greeting, own } = this.#options;
    const { title, greeting: said } = this.#visitor.said;
    const name = (!own.heading && title) || heading;
    setText(this.#heading, name);
    if (this.element.getAttribute("aria-label") !== name) this.element.setAttribute("aria-label", name);
    // before the messages, whose end must be seen in the room that is left
    this.#drawChips();
    this.#log.draw((!own.greeting && said?.[this.#words.language]) || greeting, (message) => this.#nameOf(message));
  }

  get readsEnd() {
    return this.#log.atEnd;
  }

  #listen(close) {
    this.#composer.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#input.addEventListener("keydown", (event) => {
      // while an input method composes, Enter chooses a word
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#submit();
    });
    this.#input.addEventListener("input", () => {
      this.#options.draft.set(this.#input.value);
      this.#grow();
      if (this.#input.value.trim()) this.#visitor.typing();
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
      // the page's own keys are not meant for what is typed here
      event.stopPropagation();
    });
  }

  #submit() {
    const text = this.#input.value.trim();
    if (!text) return;
    this.#input.value = "";
    this.#options.draft.set("");
    this.#grow();
    this.#say(text);
  }

  /** Put a message that was refused back into the line to write in, before what stands there. */
  #edit(pending) {
    this.#visitor.discard(pending.clientId);
    this.#input.value = [pending.text, this.#input.value].filter(Boolean).join("\n");
    this.#options.draft.set(this.#input.value);
    this.#grow();
    this.#input.focus();
  }

  #say(text, forAgents = false) {
    this.#leaving = false;
    this.#visitor.send(text, { forAgents });
    this.#log.toEnd();
  }

  #grow() {
    this.#input.style.height = "auto";
    this.#input.style.height = `${Math.min(this.#input.scrollHeight, TALLEST_PX)}px`;
    this.#send.disabled = !this.#input.value.trim();
    this.#log.stay();
  }

  #nameOf(message) {
    if (message?.author === "bot") return this.#words.t("bot");
    const agent = message ?? this.#visitor.talk.messages.findLast((each) => each.author === "agent");
    return agent?.author_id || this.#visitor.talk.place?.agent || this.#options.heading;
  }

  #drawStatus() {
    const { queued, withHuman, talk, closed } = this.#visitor;
    let text = this.#words.t("idleStatus");
    if (closed) text = this.#backLine();
    else if (withHuman) text = this.#words.t("withStatus", { name: this.#nameOf(null) });
    else if (queued) text = this.#words.t("queueStatus");
    else if (talk.state === "bot") text = this.#words.t("botStatus");
    setText(this.#status, text);
  }

  #drawBanner() {
    const { link } = this.#visitor;
    this.#banner.hidden = link === "open" || link === "idle" || (link === "connecting" && !this.#banner.dataset.lost);
    if (link === "open") delete this.#banner.dataset.lost;
    if (this.#banner.dataset.link === link) return;
    this.#banner.dataset.link = link;
    if (link === "waiting") {
      this.#banner.dataset.lost = "true";
      const now = h("button", { type: "button" }, this.#words.t("now"));
      now.addEventListener("click", () => this.#visitor.retryNow());
      fill(this.#banner, h("span", {}, this.#words.t("offline")), now);
    } else if (link === "connecting") fill(this.#banner, h("span", {}, this.#words.t("connecting")));
    else if (link === "over") fill(this.#banner, h("span", {}, this.#words.t("over")));
  }

  #drawForm() {
    const { talk, link } = this.#visitor;
    const blank = !talk.messages.length && !talk.pending.length;
    const wanted = blank && this.#options.fields.length > 0 && link !== "over";
    if (wanted && !this.#form) {
      const send = (text) => {
        this.#say(text);
        this.#input.focus();
      };
      const words = this.#words;
      this.#form = askingForm(this.#options.fields, words, send, { intro: words.t("formIntro"), submit: words.t("start") });
      this.#log.element.append(this.#form);
    } else if (!wanted && this.#form) {
      this.#form.remove();
      this.#form = null;
    }
    this.#composer.hidden = Boolean(this.#form) || link === "over";
    const { files } = this.#visitor;
    if (!files || this.#files) return;
    this.#files = files;
    files.join(this.element, this.#input, this.#words.language);
  }

  #drawTail() {
    const { talk, queued, ended } = this.#visitor;
    const { place } = talk;
    const current = place?.conversation === talk.conversation ? place : null;
    const ratable = ended && current && talk.messages.at(-1)?.author === "system";
    const tail = this.#tailKey(current, ratable);
    if (tail === this.#tail) return;
    this.#tail = tail;
    // what had the focus goes, and the focus must stay in the chat
    if (this.#log.tail.contains(this.element.getRootNode().activeElement)) this.#input.focus();
    if (tail.startsWith("leave")) fill(this.#log.tail, this.#leaveForm());
    else if (tail.startsWith("left")) fill(this.#log.tail, leftCard(this.#backLine(), this.#words));
    else if (queued) fill(this.#log.tail, queueCard(current, talk.state, this.#words));
    else if (!ratable) fill(this.#log.tail);
    else if (current.rating) fill(this.#log.tail, ratedCard(this.#words));
    else fill(this.#log.tail, ratingCard(this.#words, (score, comment) => this.#visitor.rate(score, comment)));
  }

  #tailKey(current, ratable) {
    const { talk, queued, closed } = this.#visitor;
    if (closed && this.#leaving) return "leave";
    if (closed && queued) return talk.reachable ? `left ${this.#backLine()}` : "leave";
    if (queued) return `queue ${talk.state} ${current?.ahead} ${current?.estimate_s}`;
    return ratable ? `rating ${talk.conversation} ${Boolean(current.rating)}` : "";
  }

  /** When people are back, in the visitor's own time zone. */
  #backLine() {
    const at = this.#visitor.talk.place.opens_at_ms;
    if (!at) return this.#words.t("away");
    const { language } = this.#words;
    const time = clockTime(language, at);
    const today = dayOf(at) === dayOf(Date.now());
    return this.#words.t(today ? "backToday" : "back", { time, day: dayName(language, at, Date.now(), {}) });
  }

  /** The form for the hours when nobody is there: to leave a message, or where what waits already can be answered. */
  #leaveForm() {
    const { queued } = this.#visitor;
    const words = this.#words;
    const back = h("button", { type: "button", class: "link" }, words.t("goOn"));
    back.addEventListener("click", () => {
      this.#leaving = false;
      this.draw();
      this.#input.focus();
    });
    const send = (text) => {
      this.#say(text, true);
      this.#input.focus();
    };
    const fields = [{ name: "name" }, { name: "email" }];
    const intro = `${this.#backLine()} ${words.t(queued ? "reach" : "leaveIntro")}`;
    return askingForm(fields, words, send, { intro, submit: words.t("leaveSend"), asks: !queued, extra: queued ? null : back });
  }

  #drawChips() {
    const { talk, queued, withHuman, link, closed } = this.#visitor;
    const last = talk.messages.at(-1);
    const asked = talk.pending.length > 0;
    let texts = [];
    if (!last && !asked) texts = this.#options.questions;
    else if (talk.state === "bot" && last?.author === "bot" && !asked) texts = [this.#words.t("solved")];
    const person = !queued && !withHuman && !asked && (talk.state === "bot" || !last);
    const key = `${texts.join("|")} ${person} ${closed}`;
    this.#chips.hidden = Boolean(this.#form) || (closed && this.#leaving) || link === "over" || (!texts.length && !person);
    if (this.#chips.dataset.key === key) return;
    this.#chips.dataset.key = key;
    const chip = (label, text, kind = "") => {
      const button = h("button", { type: "button", class: kind, dir: "auto" }, label);
      button.addEventListener("click", () => {
        this.#say(text);
        // the button goes, and the focus must stay in the chat; a touch screen keeps its keyboard closed
        (matchMedia("(pointer: fine)").matches ? this.#input : this.#log.element).focus();
      });
      return button;
    };
    fill(
      this.#chips,
      texts.map((text) => chip(text, text)),
      person && !closed ? chip(this.#words.t("person"), this.#words.t("wantsPerson"), "person") : null,
      person && closed ? this.#leaveChip() : null,
    );
  }

  #leaveChip() {
    const button = h("button", { type: "button", class: "person" }, this.#words.t("leave"));
    button.addEventListener("click", () => {
      this.#leaving = true;
      this.draw();
      this.#log.toEnd();
      this.#log.tail.querySelector("input").focus();
    });
    return button;
  }
}

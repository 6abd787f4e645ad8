/** The messages, drawn anew at each change by touching only what differs; stays at the end while the reader does. */
import { clockTime, dayName, dayOf } from "../shared/dates.js";
import { fill, h } from "../shared/elements.js";
import { icon } from "./icons.js";
import { bubbleOf } from "./text.js";

const NEAR_END_PX = 48;
const TWO_DAYS_MS = 172_800_000;
/** Messages further apart than this get a time of their own. */
const APART_MS = 300_000;

export class Log {
  #visitor;
  #words;
  #edit;
  #rows = new Map();
  #atEnd = true;
  #list;
  #below;
  #earlier;
  /** What stands behind the last message: the place in the queue, the rating. */
  tail = h("div");

  /**
   * @param {Visitor} visitor
   * @param {Words} words
   * @param {(pending: object) => void} edit takes a message back that was refused.
   */
  constructor(visitor, words, edit) {
    this.#edit = edit;
    this.#visitor = visitor;
    this.#words = words;
    this.#list = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": words.t("log") });
    this.#earlier = h("button", { type: "button", class: "earlier link" }, words.t("earlier"));
    this.#earlier.addEventListener("click", () => visitor.loadOlder());
    this.#below = h("button", { type: "button", class: "below", hidden: true }, words.t("newBelow"));
    this.#below.addEventListener("click", () => this.toEnd());
    this.element = h("div", { class: "scroll", tabIndex: 0 }, this.#list, this.tail, this.#below);
    this.element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
  }

  toEnd() {
    this.element.scrollTop = this.element.scrollHeight;
    this.#atEnd = true;
    this.#below.hidden = true;
  }

  /** Stay at the end, if the reader is there, in a room that has become smaller. */
  stay() {
    if (this.#atEnd) this.toEnd();
  }

  /** Whether the reader sees the last message. */
  get atEnd() {
    return this.#atEnd;
  }

  /** Draw; `greeting` is shown while nothing was said. */
  draw(greeting, nameOf) {
    const before = this.element.scrollHeight - this.element.scrollTop;
    const grewAtTop = this.#list.firstChild;
    const last = this.#list.lastChild;
    this.#sync([...this.#wanted(greeting, nameOf)]);
    if (this.#atEnd) this.toEnd();
    else if (grewAtTop?.isConnected && this.#list.firstChild !== grewAtTop) {
      this.element.scrollTop = this.element.scrollHeight - before;
    } else if (this.#list.lastChild !== last) this.#below.hidden = false;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    if (this.#atEnd) {
      this.#below.hidden = true;
      this.#visitor.changed("talk");
    }
  }

  /** Yield [key, signature, make]: a row whose signature did not change keeps its element. */
  *#wanted(greeting, nameOf) {
    const { messages, pending, older } = this.#visitor.talk;
    if (older) yield ["earlier", "", () => this.#earlier];
    if (!messages.length && !pending.length) {
      yield ["greeter", "", () => h("div", { class: "who" }, this.#words.t("bot"))];
      yield ["greeting", greeting, () => bubbleOf(greeting, false, this.#words)];
    }
    let day = 0;
    for (const [index, message] of messages.entries()) {
      if (dayOf(message.at_ms) !== day) {
        day = dayOf(message.at_ms);
        yield [`day ${day}`, "", () => this.#dayLine(message.at_ms)];
      }
      yield* this.#messageRows(message, messages[index - 1], messages[index + 1] ?? pending[0], nameOf);
    }
    for (const each of pending) yield* this.#pendingRows(each);
    if (this.#visitor.typingUntil > performance.now()) {
      const name = this.#visitor.typist === "bot" ? this.#words.t("bot") : nameOf(null);
      yield ["typing", name, () => this.#dots(name)];
    }
  }

  *#messageRows(message, previous, next, nameOf) {
    const { id, author, text = "", attachments = [] } = message;
    if (author === "system") {
      const line = text === "conversation.resolved" ? this.#words.t("resolved") : "";
      if (line) yield [id, "", () => h("div", { class: "system" }, line)];
      return;
    }
    const mine = author === "contact";
    if (!mine && !isSame(previous, message)) {
      const name = nameOf(message);
      yield [`who ${id}`, name, () => h("div", { class: "who", dir: "auto" }, name)];
    }
    const key = mine && message.source_id ? `own ${message.source_id}` : id;
    const { files } = this.#visitor;
    const rows = () => attachments.map((each) => (each.file && files ? files.row(each) : fileName(each.title || each.kind)));
    const bubble = () => this.#withAuthor(bubbleOf(text, mine, this.#words, rows()), mine, nameOf(message));
    yield [key, `${text} ${Boolean(files)}`, bubble];
    if (isSame(message, next) && !(next.at_ms - message.at_ms > APART_MS)) return;
    const fate = mine ? this.#visitor.talk.fate(message) : "";
    yield [`foot ${id}`, fate, () => this.#foot(message, fate)];
  }

  #withAuthor(bubble, mine, name) {
    bubble.prepend(h("span", { class: "quiet" }, `${mine ? this.#words.t("you") : name}: `));
    return bubble;
  }

  *#pendingRows(each) {
    const rows = () => (each.file ? [fileName(each.file.name)] : []);
    const bubble = () => this.#withAuthor(bubbleOf(each.text, true, this.#words, rows()), true, "");
    yield [`own ${each.clientId}`, each.text, bubble];
    const open = this.#visitor.link === "open";
    yield [`foot ${each.clientId}`, `${each.failed} ${open}`, () => this.#pendingFoot(each, open)];
  }

  #pendingFoot(each, open) {
    const foot = h("div", { class: "foot own" });
    if (each.file && this.#visitor.files) return this.#visitor.files.foot(foot, each, open);
    if (!each.failed) return fill(foot, this.#words.t(open ? "sending" : "waitingToSend"));
    const say = each.failed === "too_large" ? "tooLong" : "failed";
    const act = (word, act) => h("button", { type: "button", class: "link", onclick: act }, this.#words.t(word));
    return fill(
      foot,
      h("span", { class: "bad" }, this.#words.t(say)),
      each.failed === "too_large" ? null : act("again", () => this.#visitor.again(each.clientId)),
      act("edit", () => this.#edit(each)),
    );
  }

  #foot(message, fate) {
    const time = h(
      "time",
      { dateTime: new Date(message.at_ms).toISOString() },
      clockTime(this.#words.language, message.at_ms),
    );
    if (!fate) return h("div", { class: "foot" }, time);
    const word = this.#words.t(fate);
    const ticks = fate === "read" ? [icon("check"), icon("check")] : icon("check");
    return h("div", { class: "foot own" }, time, h("span", { class: "ticks" }, ticks), h("span", { class: fate === "sent" ? "quiet" : "" }, word));
  }

  #dayLine(ms) {
    return h("div", { class: "day" }, dayName(this.#words.language, ms, ms + TWO_DAYS_MS, {}));
  }

  #dots(name) {
    const dots = h("div", { class: "typing" }, h("i"), h("i"), h("i"));
    dots.append(h("span", { class: "quiet" }, this.#words.t("typing", { name })));
    return dots;
  }

  #sync(wanted) {
    const kept = new Map();
    let place = this.#list.firstChild;
    for (const [key, signature, make] of wanted) {
      if (kept.has(key)) continue;
      const known = this.#rows.get(key);
      const row = known?.signature === signature ? known : { signature, element: make() };
      kept.set(key, row);
      if (row.element === place) place = place.nextSibling;
      else this.#list.insertBefore(row.element, place);
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
    this.#rows = kept;
  }
}

function fileName(name) {
  return h("div", { class: "file" }, icon("file", 20), h("bdi", {}, name));
}

function isSame(one, other) {
  const author = (each) => each?.author ?? (each?.clientId ? "contact" : "");
  return Boolean(one && other) && author(one) === author(other) && (one.author_id ?? "") === (other.author_id ?? "");
}

/**
 * The element `<raydesk-widget>`: a bubble in the corner of a shop's page, and the chat that it opens.
 *
 * Nobody becomes a visitor by looking at a page: the first connection is made when the chat is opened, or when this
 * browser has something to go on with.
 */
import { h } from "../shared/elements.js";
import { Words, preferred } from "../shared/i18n.js";
import { fieldsOf } from "./forms.js";
import { Panel } from "./panel.js";
import { readableOn, styleSheet } from "./style.js";
import { Visitor } from "./visitor.js";
import { WORDS } from "./words.js";

const CHAT = "M5 4.5h14a1.5 1.5 0 0 1 1.5 1.5v9.5a1.5 1.5 0 0 1-1.5 1.5h-7.5L7 21v-4H5a1.5 1.5 0 0 1-1.5-1.5V6A1.5 1.5 0 0 1 5 4.5Z M8 9h8 M8 12.5h5";
const DOWN = "M5.5 9l6.5 6.5L18.5 9";
const OPENED = "raydesk open";
const DARK = "(prefers-color-scheme: dark)";
const WIDE = "(min-width: 481px)";

class RaydeskWidget extends HTMLElement {
  static observedAttributes = [
    "server", "inbox", "language", "color", "theme", "heading", "greeting", "questions", "pre-chat", "user-id", "user-hash",
  ];

  #root = this.attachShadow({ mode: "open" });
  #visitor = null;
  #panel = null;
  #words = null;
  #bubble = null;
  #count = h("span", { class: "count", "aria-hidden": "true", hidden: true });
  #waiting = false;
  #dark = matchMedia(DARK);
  #onDark = () => this.#paint();
  #onVisible = () => this.#draw();

  connectedCallback() {
    this.#root.adoptedStyleSheets = [styleSheet()];
    this.#dark.addEventListener("change", this.#onDark);
    document.addEventListener("visibilitychange", this.#onVisible);
    this.#build();
    this.dispatchEvent(new Event("raydesk-ready", { bubbles: true }));
  }

  disconnectedCallback() {
    this.#dark.removeEventListener("change", this.#onDark);
    document.removeEventListener("visibilitychange", this.#onVisible);
    this.#end();
  }

  attributeChangedCallback(name, before, after) {
    if (!this.isConnected || before === after || this.#waiting) return;
    // several attributes that are set together change the widget once
    this.#waiting = true;
    queueMicrotask(() => {
      this.#waiting = false;
      if (this.isConnected) this.#build();
    });
  }

  /** Open the chat. */
  open() {
    if (!this.#panel || this.hasAttribute("data-open")) return;
    this.#show();
    this.#panel.focus();
  }

  /** Close the chat; it goes on, and what comes is counted on the bubble. */
  close() {
    if (!this.hasAttribute("data-open")) return;
    this.removeAttribute("data-open");
    this.#remember(false);
    this.#panel.element.remove();
    this.#draw();
    this.#bubble.focus();
  }

  /** Go on as a user for whom the shop's backend vouches with a hash; what was written before comes along. */
  identify(id, hash) {
    this.setAttribute("user-id", id);
    this.setAttribute("user-hash", hash);
  }

  /** Go on as a stranger: the user logged out. */
  forget() {
    this.removeAttribute("user-id");
    this.removeAttribute("user-hash");
  }

  // -- building -------------------------------------------------------------------------------------

  #build() {
    const wasOpen = this.hasAttribute("data-open") || (this.#visitor === null && this.#wasOpen());
    this.#end();
    const inbox = this.getAttribute("inbox");
    if (!inbox) throw new TypeError("raydesk-widget needs an inbox");
    this.#words = new Words(WORDS, this.#language());
    this.lang = this.#words.language === "zh" ? "zh-CN" : "en";
    const server = new URL(this.getAttribute("server") ?? import.meta.url).origin;
    this.#visitor = new Visitor(server, inbox, this.#user());
    this.#visitor.on("talk", () => this.#draw());
    this.#visitor.on("link", () => this.#draw());
    this.#visitor.on("news", (messages) => messages.forEach((each) => this.#panel.announce(each)));
    this.#panel = new Panel(this.#visitor, this.#words, this.#options(inbox), () => this.close());
    this.#bubble = h("button", { type: "button", class: "bubble", "aria-haspopup": "dialog" }, shape(CHAT, "chat"), shape(DOWN, "down"), this.#count);
    this.#bubble.addEventListener("click", () => (this.hasAttribute("data-open") ? this.close() : this.open()));
    this.#root.replaceChildren(this.#bubble);
    this.#paint();
    if (wasOpen) this.#show();
    else if (this.#visitor.known) this.#visitor.start();
    this.#draw();
  }

  #end() {
    this.#visitor?.stop();
    this.#panel?.element.remove();
    this.removeAttribute("data-open");
  }

  #show() {
    this.setAttribute("data-open", "");
    this.#remember(true);
    this.#root.prepend(this.#panel.element);
    this.#visitor.start();
    this.#draw();
    this.#panel.shown();
  }

  #user() {
    const id = this.getAttribute("user-id");
    const hash = this.getAttribute("user-hash");
    return id && hash ? { id, hash } : null;
  }

  #language() {
    const wanted = this.getAttribute("language") || document.documentElement.lang || preferred(Object.keys(WORDS));
    return wanted.toLowerCase().startsWith("zh") ? "zh" : "en";
  }

  #options(inbox) {
    const text = (name) => this.getAttribute(name) ?? this.#words.t(name);
    const key = `raydesk draft ${inbox}`;
    return {
      heading: text("heading"),
      greeting: text("greeting"),
      // what the page says comes before what an admin says
      own: { heading: this.hasAttribute("heading"), greeting: this.hasAttribute("greeting") },
      questions: text("questions").split("|").filter((each) => each.trim()),
      fields: fieldsOf(this.getAttribute("pre-chat")),
      draft: { get: () => kept(key), set: (value) => keep(key, value) },
    };
  }

  // -- drawing --------------------------------------------------------------------------------------

  #paint() {
    const theme = this.getAttribute("theme") ?? "auto";
    this.toggleAttribute("data-dark", theme === "dark" || (theme === "auto" && this.#dark.matches));
    const color = this.getAttribute("color");
    if (!color || !CSS.supports("color", color)) return;
    this.style.setProperty("--accent", color);
    this.style.setProperty("--on-accent", readableOn(this.#channels(color)));
  }

  /** Return red, green and blue of any CSS colour. */
  #channels(color) {
    const brush = new OffscreenCanvas(1, 1).getContext("2d");
    brush.fillStyle = color;
    brush.fillRect(0, 0, 1, 1);
    return [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3);
  }

  #draw() {
    if (!this.#bubble) return;
    const open = this.hasAttribute("data-open");
    if (open) {
      this.#panel.draw();
      if (document.visibilityState === "visible" && this.#panel.readsEnd) this.#visitor.saw();
    }
    const count = open ? 0 : this.#visitor.unread;
    this.#count.hidden = !count;
    this.#count.textContent = count > 99 ? "99+" : String(count);
    const label = count ? this.#words.t("openUnread", { count }) : this.#words.t(open ? "close" : "open");
    this.#bubble.setAttribute("aria-label", label);
    this.#bubble.setAttribute("aria-expanded", String(open));
  }

  /** Open again on the next page of this tab, where there is room beside the page. */
  #remember(open) {
    keep(OPENED, open ? "yes" : "");
  }

  #wasOpen() {
    return kept(OPENED) === "yes" && matchMedia(WIDE).matches;
  }
}

function kept(key) {
  try {
    return sessionStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function keep(key, value) {
  try {
    if (value) sessionStorage.setItem(key, value);
    else sessionStorage.removeItem(key);
  } catch {
    // this page may keep nothing
  }
}

function shape(d, kind) {
  const line = { d, stroke: "currentColor", "stroke-width": "1.7", "stroke-linecap": "round", "stroke-linejoin": "round" };
  return h("svg:svg", { class: kind, viewBox: "0 0 24 24", fill: "none", "aria-hidden": "true" }, h("svg:path", line));
}

customElements.define("raydesk-widget", RaydeskWidget);

/** The top of the page: connection, presence, settings, who I am; and the log-in that stands in its place. */
import { fill, h, icon, setAttribute, setText } from "../shared/dom.js";
import { LANGUAGES, THEMES } from "./prefs.js";
import { View } from "./view.js";
import { t, words } from "./words.js";

const STATUSES = [
  ["online", "online", "onlineHint"],
  ["away", "away", "awayHint"],
  ["offline", "offlinePresence", "offlineHint"],
];
const LANGUAGE_NAMES = { en: "English", zh: "中文" };

class TopBar extends View {
  build() {
    this.state = h("span", { class: "connection", role: "status" });
    this.retry = h("button", { class: "link", type: "button", hidden: true, onclick: () => this.model.line?.retryNow() }, t("retryNow"));
    this.presence = h("button", {
      class: "presence",
      type: "button",
      "aria-haspopup": "dialog",
      onclick: () => this.dispatchEvent(new CustomEvent("act", { bubbles: true, detail: "presence" })),
    });
    const tool = (name, act, symbol) =>
      h(
        "button",
        { class: "tool", type: "button", "aria-label": t(name), title: t(name), onclick: () => this.dispatchEvent(new CustomEvent("act", { bubbles: true, detail: act })) },
        icon(symbol),
      );
    this.bell = h("button", { class: "tool", type: "button", onclick: () => this.#toggleNotify() });
    fill(
      this,
      h("span", { class: "brand" }, mark(), h("span", { class: "brand-name" }, t("title"))),
      this.state,
      this.retry,
      h("span", { class: "spring" }),
      this.presence,
      this.bell,
      tool("settings", "settings", "settings"),
      h("span", { class: "wide-only" }, tool("keys", "help", "keys")),
      tool("logOut", "leave", "leave"),
    );
    this.follow(["connection", "tick"], () => this.#showConnection());
    this.follow(["presence"], () => this.#showPresence());
    this.follow(["prefs"], () => this.#showBell());
    this.#showConnection();
    this.#showPresence();
    this.#showBell();
  }

  #showConnection() {
    const { state, retryAt, ever } = this.model.connection;
    const s = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
    const text = state === "open" ? t("connected") : state === "connecting" ? t("connecting") : t("offline");
    this.state.className = `connection is-${state}`;
    // the seconds are for the eye alone: read out each second they would drown everything else
    if (this.state.dataset.text !== text) {
      this.state.dataset.text = text;
      fill(this.state, h("span", { class: "dot" }), h("span", {}, text), (this.seconds = h("span", { class: "seconds", "aria-hidden": "true" })));
    }
    setText(this.seconds, state === "waiting" ? ` ${s} s` : "");
    this.state.title = state === "waiting" ? t("retryIn", { s }) : text;
    this.retry.hidden = state !== "waiting";
    document.body.classList.toggle("is-offline", ever && state !== "open");
  }

  #showPresence() {
    const { status, reason } = this.model.presence;
    const [, word] = STATUSES.find((each) => each[0] === status);
    const text = reason ? `${t(word)} · ${reason}` : t(word);
    fill(
      this.presence,
      h("span", { class: `dot is-${status}` }),
      h("span", { class: "unseen" }, `${t("presence")}: `),
      h("span", { class: "presence-who" }, this.model.me),
      " ",
      h("span", { class: "presence-text" }, text),
    );
  }

  #showBell() {
    const on = this.model.prefs.notify && globalThis.Notification?.permission === "granted";
    const word = t(on ? "notifyOn" : "notifyOff");
    fill(this.bell, icon(on ? "bell" : "bellOff"));
    setAttribute(this.bell, "aria-label", word);
    setAttribute(this.bell, "aria-pressed", String(on));
    this.bell.title = word;
    this.bell.hidden = !globalThis.Notification;
  }

  async #toggleNotify() {
    const { prefs } = this.model;
    if (prefs.notify && Notification.permission === "granted") {
      prefs.set({ notify: false });
      return;
    }
    const allowed = (await Notification.requestPermission()) === "granted";
    if (!allowed) this.model.toast("notifyDenied", {}, "warn");
    prefs.set({ notify: allowed });
  }
}

function mark() {
  return h(
    "svg:svg",
    { class: "mark", viewBox: "0 0 24 24", width: 22, height: 22, "aria-hidden": "true" },
    h("svg:path", { class: "mark-ground", d: "M5 3h14a3 3 0 0 1 3 3v8a3 3 0 0 1-3 3h-6l-5 4.500V17H5a3 3 0 0 1-3-3V6a3 3 0 0 1 3-3Z" }),
    h("svg:path", { class: "mark-line", d: "M7 12.500 11 8l3 3 3.500-4" }),
  );
}

class LogIn extends View {
  build() {
    const { model } = this;
    const last = JSON.parse(localStorage.getItem("raydesk.desk.last") ?? "{}");
    const field = (key, value, type, autocomplete) =>
      h("input", { class: "field", name: key, id: `login-${key}`, type, required: true, value: value ?? "", autocomplete, maxLength: 64, spellcheck: false });
    const account = field("account", last.account ?? "demo", "text", "organization");
    const name = field("name", last.name, "text", "username");
    const password = field("password", "", "password", "current-password");
    password.maxLength = 1024;
    const error = h("p", { class: "form-error", role: "alert" });
    const submit = h("button", { class: "button primary wide", type: "submit" }, t("logIn"));
    const row = (key, input) => h("div", { class: "form-row" }, h("label", { for: input.id }, t(key)), input);
    const form = h(
      "form",
      {
        class: "login-card",
        "aria-label": t("logIn"),
        onsubmit: async (event) => {
          event.preventDefault();
          submit.disabled = true;
          setText(error, "");
          try {
            await model.logIn(account.value.trim(), name.value.trim(), password.value);
            localStorage.setItem("raydesk.desk.last", JSON.stringify({ account: account.value.trim(), name: name.value.trim() }));
          } catch (problem) {
            setText(error, loginTrouble(problem));
            password.select();
          } finally {
            submit.disabled = false;
          }
        },
      },
      h("div", { class: "login-brand" }, mark(), h("h1", {}, t("title"), h("span", {}, t("desk")))),
      row("account", account),
      row("name", name),
      row("password", password),
      error,
      submit,
      h(
        "div",
        { class: "login-languages", role: "group", "aria-label": t("language") },
        LANGUAGES.map((each) =>
          h(
            "button",
            { class: "link", type: "button", lang: each, "aria-pressed": String(words.language === each), onclick: () => model.prefs.set({ language: each }) },
            LANGUAGE_NAMES[each],
          ),
        ),
      ),
    );
    fill(this, h("main", { class: "login" }, form));
    (name.value ? password : name).focus();
  }
}

function loginTrouble(problem) {
  if (problem.status === 401 || problem.status === 422) return t("loginWrong");
  if (problem.status === 429) return t("loginBusy", { s: problem.retryAfterS ?? 10 });
  // a defect of the page would look like a server that is down
  if (!problem.status) console.info(problem);
  return t("loginDown");
}

customElements.define("rd-bar", TopBar);
customElements.define("rd-login", LogIn);
export { LANGUAGES, LANGUAGE_NAMES, STATUSES, THEMES };

/** The board: one model, the live page and the history, and a conversation beside them. */
import "./case.js";
import "./history.js";
import "./live.js";

import { clockTime } from "../shared/dates.js";
import { fill, h, icon, setText } from "../shared/dom.js";
import { LANGUAGES, THEMES } from "../desk/prefs.js";
import { FRESH_MS, Model } from "./model.js";
import { number } from "./view.js";
import { t, words } from "./words.js";

const LANGUAGE_NAMES = { en: "English", zh: "中文" };
const TOAST_MS = 4_000;
const PAGES = ["live", "history"];
const model = new Model();
const page = { shown: location.hash === "#history" ? "history" : "live" };

function make(tag, props = {}) {
  return Object.assign(document.createElement(tag), props).with(model);
}

/** Build the page for who is logged in, or the log-in; again when the language changes. */
function build() {
  words.language = model.prefs.language;
  page.language = words.language;
  document.documentElement.lang = words.language === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  const root = document.getElementById("app");
  page.toasts ??= h("div", { class: "toasts", role: "status" });
  if (!model.loggedIn) fill(root, logIn(), page.toasts);
  else if (model.forbidden) fill(root, notForYou(), page.toasts);
  else {
    fill(root, top(), (page.banner = h("p", { class: "banner", role: "alert", hidden: true })), (page.main = h("main", { class: "board-main" })), make("rd-case"), page.toasts);
    showPage();
    showAge();
  }
}

function top() {
  page.links = PAGES.map((name) => h("button", { class: "tab", type: "button", onclick: () => go(name) }, t(`page_${name}`)));
  page.state = h("span", { class: "connection" });
  page.retry = h("button", { class: "link", type: "button", hidden: true, onclick: () => model.askNow() }, t("retryNow"));
  return h(
    "header",
    { class: "top" },
    h("span", { class: "brand" }, mark(), h("span", { class: "brand-name" }, t("title"))),
    h("nav", { class: "tabs-line", "aria-label": t("pages") }, page.links),
    page.state,
    page.retry,
    h("span", { class: "spring" }),
    h("span", { class: "who-am-i" }, model.me),
    h("select", { class: "field small", "aria-label": t("language"), onchange: (event) => model.prefs.set({ language: event.target.value }) }, LANGUAGES.map((each) => h("option", { value: each, selected: words.language === each }, LANGUAGE_NAMES[each]))),
    h("select", { class: "field small", "aria-label": t("theme"), onchange: (event) => model.prefs.set({ theme: event.target.value }) }, THEMES.map((each) => h("option", { value: each, selected: model.prefs.theme === each }, t(`theme_${each}`)))),
    h("a", { class: "button small", href: "/desk" }, t("desk")),
    h("button", { class: "tool", type: "button", "aria-label": t("logOut"), title: t("logOut"), onclick: () => model.logOut() }, icon("leave")),
  );
}

function go(name) {
  page.shown = name;
  history.replaceState(null, "", name === "live" ? location.pathname : `#${name}`);
  showPage();
}

function showPage() {
  for (const [index, name] of PAGES.entries()) page.links[index].setAttribute("aria-pressed", String(name === page.shown));
  fill(page.main, h("h1", { class: "unseen" }, t(`page_${page.shown}`)), make(`rd-${page.shown}`));
}

/** Say of which moment the numbers are, and when they are old. */
function showAge() {
  if (!page.main?.isConnected) return;
  const { ageMs, board, stale } = model;
  const at = board && clockTime(words.language, board.at_ms);
  const state = !board ? (model.failure ? "waiting" : "connecting") : stale ? "waiting" : "open";
  page.state.className = `connection is-${state}`;
  const text = !board ? t(model.failure ? "noAnswer" : "connecting") : stale ? t("ageOld", { s: number(ageMs / 1000) }) : t("ageFresh");
  if (page.state.dataset.text !== text) {
    page.state.dataset.text = text;
    fill(page.state, h("span", { class: "dot" }), h("span", {}, text));
  }
  page.retry.hidden = state !== "waiting";
  const old = Boolean(board) && ageMs > 2 * FRESH_MS;
  document.body.classList.toggle("is-stale", stale);
  page.banner.hidden = !old;
  if (old) setText(page.banner, t("ageBanner", { time: at }));
}

function mark() {
  return h(
    "svg:svg",
    { class: "mark", viewBox: "0 0 24 24", width: 22, height: 22, "aria-hidden": "true" },
    h("svg:path", { class: "mark-ground", d: "M5 3h14a3 3 0 0 1 3 3v8a3 3 0 0 1-3 3h-6l-5 4.500V17H5a3 3 0 0 1-3-3V6a3 3 0 0 1 3-3Z" }),
    h("svg:path", { class: "mark-line", d: "M7 12.500 11 8l3 3 3.500-4" }),
  );
}

// -- before the board -----------------------------------------------------------------------------

function logIn() {
  const last = JSON.parse(localStorage.getItem("raydesk.desk.last") ?? "{}");
  const field = (key, value, type, autocomplete, maxLength = 64) =>
    h("input", { class: "field", name: key, id: `login-${key}`, type, required: true, value: value ?? "", autocomplete, maxLength, spellcheck: false });
  const account = field("account", last.account ?? "demo", "text", "organization");
  const name = field("name", last.name, "text", "username");
  const password = field("password", "", "password", "current-password", 1024);
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
    h("div", { class: "login-brand" }, mark(), h("h1", {}, "raydesk", h("span", {}, t("board")))),
    row("account", account),
    row("name", name),
    row("password", password),
    error,
    submit,
    h(
      "div",
      { class: "login-languages", role: "group", "aria-label": t("language") },
      LANGUAGES.map((each) => h("button", { class: "link", type: "button", lang: each, "aria-pressed": String(words.language === each), onclick: () => model.prefs.set({ language: each }) }, LANGUAGE_NAMES[each])),
    ),
  );
  queueMicrotask(() => (name.value ? password : name).focus());
  return h("main", { class: "login" }, form);
}

function loginTrouble(problem) {
  if (problem.status === 401 || problem.status === 422) return t("loginWrong");
  if (problem.status === 429) return t("loginBusy", { s: problem.retryAfterS ?? 10 });
  // a defect of the page would look like a server that is down
  if (!problem.status) console.info(problem);
  return t("loginDown");
}

function notForYou() {
  return h(
    "main",
    { class: "login" },
    h(
      "div",
      { class: "login-card", role: "alert" },
      h("div", { class: "login-brand" }, mark(), h("h1", {}, "raydesk", h("span", {}, t("board")))),
      h("p", {}, t("forbidden", { name: model.me })),
      h("a", { class: "button primary", href: "/desk" }, t("toDesk")),
      h("button", { class: "button", type: "button", onclick: () => model.logOut() }, t("logOut")),
    ),
  );
}

// -- what changes ---------------------------------------------------------------------------------

function toast({ word, params = {}, warn = false }) {
  const element = h("div", { class: `toast${warn ? " warn" : ""}` }, t(word, params));
  page.toasts.append(element);
  setTimeout(() => element.remove(), TOAST_MS);
}

function showTheme() {
  const { theme } = model.prefs;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

model.on("session", build);
model.on("age", showAge);
model.on("toast", (toasts) => toasts.forEach(toast));
model.on("prefs", () => {
  showTheme();
  if (page.language !== model.prefs.language) build();
});
showTheme();
words.language = model.prefs.language;
model.start();

export { model };

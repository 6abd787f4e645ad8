/** The settings page: one model, a list for each section, a form in a dialog, and the audit trail. */
import { LANGUAGES, THEMES } from "../desk/prefs.js";
import { fill, h, icon, setAttribute, setText } from "../shared/dom.js";
import { edit } from "./editor.js";
import { Model, SECTIONS } from "./model.js";
import { KINDS, titleOf } from "./sections.js";
import { drawTrail } from "./trail.js";
import { t, words } from "./words.js";

const LANGUAGE_NAMES = { en: "English", zh: "中文" };
const PAGES = [...SECTIONS, "trail"];
const TOAST_MS = 10_000;
const model = new Model();
const page = { find: "" };

const shownPage = () => (PAGES.includes(location.hash.slice(1)) ? location.hash.slice(1) : "users");

/** Build the page for who is logged in, or the log-in; again when the language changes. */
function build() {
  words.language = model.prefs.language;
  page.language = words.language;
  document.documentElement.lang = words.language === "zh" ? "zh-CN" : "en";
  document.title = `${t("title")} · ${t("page")}`;
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  page.toasts ??= h("div", { class: "toasts", role: "status" });
  const root = document.getElementById("app");
  page.main = null;
  if (!model.loggedIn) {
    fill(root, logIn(), page.toasts);
    root.querySelector("#login-name").focus();
    return;
  }
  if (model.forbidden) {
    fill(root, top(), h("main", { class: "not-for-you" }, h("h1", {}, t("notForYou")), h("p", { class: "muted" }, t("notForYouHint", { name: model.me }))), page.toasts);
    return;
  }
  page.links = PAGES.map((each) => h("a", { class: "section-link", href: `#${each}` }, t(each)));
  page.banner = h("p", { class: "banner", role: "alert", hidden: true });
  page.main = h("main", { class: "settings-main" });
  fill(
    root,
    top(),
    page.banner,
    h("div", { class: "settings-panes" }, h("nav", { class: "section-links", "aria-label": t("sections") }, page.links), page.main),
    page.toasts,
  );
  open();
}

function top() {
  const chosen = (name, all, label) =>
    h("select", { class: "field small", "aria-label": t(name), onchange: (event) => model.prefs.set({ [name]: event.target.value }) }, all.map((each) => h("option", { value: each, selected: model.prefs[name] === each }, label(each))));
  return h(
    "header",
    { class: "settings-top" },
    h("span", { class: "brand" }, h("img", { src: "/shared/icon.svg", alt: "", width: 22, height: 22 }), t("title"), h("span", { class: "brand-page" }, t("page"))),
    h("span", { class: "spring" }),
    h("span", { class: "who-am-i muted" }, model.me),
    chosen("language", LANGUAGES, (each) => LANGUAGE_NAMES[each]),
    chosen("theme", THEMES, (each) => t(`theme_${each}`)),
    h("a", { class: "button small", href: "/desk" }, t("desk")),
    h("button", { class: "tool", type: "button", "aria-label": t("logOut"), title: t("logOut"), onclick: () => model.logOut() }, icon("leave")),
  );
}

/** Go to the section that the address names. */
function open() {
  if (!page.main) return;
  const shown = shownPage();
  page.find = "";
  page.links.forEach((link, index) => setAttribute(link, "aria-current", PAGES[index] === shown ? "page" : null));
  page.list = h("div", { class: "section-body" });
  const kind = KINDS[shown];
  fill(
    page.main,
    h(
      "header",
      { class: "section-head" },
      h("div", {}, h("h1", { tabIndex: -1 }, t(shown)), h("p", { class: "muted" }, t(`${shown}Hint`))),
      kind?.create && h("button", { class: "button primary", type: "button", onclick: () => edit(model, shown, null, done) }, t(`new${shown[0].toUpperCase()}${shown.slice(1)}`)),
    ),
    kind && h("input", { class: "field section-find", type: "search", "aria-label": t("find"), placeholder: t("find"), oninput: (event) => ((page.find = event.target.value.trim().toLowerCase()), draw()) }),
    page.list,
  );
  draw();
  if (shown === "trail") model.readTrail();
}

function draw() {
  if (!page.main) return;
  const broken = model.trouble && !model.forbidden;
  page.banner.hidden = !broken;
  if (broken) fill(page.banner, t("down"), " ", h("button", { class: "link", type: "button", onclick: () => (model.refresh(), shownPage() === "trail" && model.readTrail()) }, t("again")));
  const shown = shownPage();
  if (shown === "trail") drawTrail(page.list, model, takeBack);
  else drawEntries(shown);
}

function drawEntries(section) {
  const entries = model.entries[section];
  const focused = document.activeElement?.dataset?.entry;
  const fits = (entry) => `${titleOf(section, entry)} ${JSON.stringify(entry.value ?? "")}`.toLowerCase().includes(page.find);
  const found = (entries ?? []).filter(fits);
  fill(
    page.list,
    entries === null && h("p", { class: "muted", role: "status" }, t("loading")),
    entries !== null && !found.length && h("p", { class: "muted nothing-here" }, page.find ? t("nothingFound", { text: page.find }) : t("none")),
    h("ul", { class: "entries" }, found.map((entry) => h("li", {}, entryRow(section, entry)))),
  );
  if (focused) page.list.querySelector(`[data-entry="${CSS.escape(focused)}"]`)?.focus();
}

function entryRow(section, entry) {
  const { line, tags, dim } = KINDS[section].row(entry);
  const title = titleOf(section, entry);
  return h(
    "button",
    { class: `entry${dim ? " is-dim" : ""}`, type: "button", dataset: { entry: entry.name }, onclick: () => edit(model, section, entry, done) },
    h("span", { class: "entry-name" }, title),
    h("span", { class: "entry-line muted" }, line ?? ""),
    h("span", { class: "tags" }, tags.filter(Boolean).map((each) => h("span", { class: "tag" }, each))),
  );
}

/** Say what happened, with a way back. */
function done(word, change) {
  const toast = h("p", { class: "toast" }, h("span", {}, t(word)));
  if (change && !change.final && change.note !== "password") {
    toast.append(h("button", { class: "link", type: "button", onclick: () => (toast.remove(), takeBack(change)) }, t("undo")));
  }
  page.toasts.append(toast);
  setTimeout(() => toast.remove(), TOAST_MS);
}

async function takeBack(change) {
  try {
    done("undone", { ...(await model.undo(change)), final: true });
  } catch (problem) {
    const word = problem.status === 409 ? "undoLate" : "";
    const toast = h("p", { class: "toast warn", role: "alert" }, word ? t(word) : problem.status ? problem.message : t("notReached"));
    page.toasts.append(toast);
    setTimeout(() => toast.remove(), TOAST_MS);
    await model.readTrail();
  }
}

function logIn() {
  const last = JSON.parse(localStorage.getItem("raydesk.desk.last") ?? "{}");
  const input = (key, value, type, autocomplete) => h("input", { class: "field", id: `login-${key}`, type, required: true, value: value ?? "", autocomplete, maxLength: type === "password" ? 1024 : 64, spellcheck: false });
  const account = input("account", last.account ?? "demo", "text", "organization");
  const name = input("name", last.name, "text", "username");
  const password = input("password", "", "password", "current-password");
  const error = h("p", { class: "form-error", role: "alert" });
  const row = (key, field) => h("div", { class: "form-row" }, h("label", { for: field.id }, t(key)), field);
  return h(
    "main",
    { class: "login" },
    h(
      "form",
      {
        class: "login-card",
        "aria-label": t("logIn"),
        onsubmit: async (event) => {
          event.preventDefault();
          setText(error, "");
          try {
            await model.logIn(account.value.trim(), name.value.trim(), password.value);
          } catch (problem) {
            const wrong = problem.status === 401 || problem.status === 422;
            setText(error, wrong ? t("loginWrong") : problem.status === 429 ? t("loginBusy", { s: problem.retryAfterS ?? 10 }) : t("down"));
          }
        },
      },
      h("div", { class: "login-brand" }, h("img", { src: "/shared/icon.svg", alt: "", width: 30, height: 30 }), h("h1", {}, t("title"), h("span", {}, t("page")))),
      row("account", account),
      row("name", name),
      row("password", password),
      error,
      h("button", { class: "button primary wide", type: "submit" }, t("logIn")),
      h(
        "div",
        { class: "login-languages", role: "group", "aria-label": t("language") },
        LANGUAGES.map((each) => h("button", { class: "link", type: "button", lang: each, "aria-pressed": String(words.language === each), onclick: () => model.prefs.set({ language: each }) }, LANGUAGE_NAMES[each])),
      ),
    ),
  );
}

function showTheme() {
  const { theme } = model.prefs;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

addEventListener("hashchange", () => {
  open();
  page.main?.querySelector("h1")?.focus();
});
// what a colleague changed meanwhile
addEventListener("focus", () => model.loggedIn && !model.forbidden && !document.querySelector("dialog[open]") && model.refresh());
model.on("session", () => {
  const state = `${model.me} ${model.loggedIn} ${model.forbidden}`;
  if (state !== page.state) build();
  page.state = state;
  draw();
});
// the trail's own filter may be half written
model.on("entries", () => shownPage() !== "trail" && draw());
model.on("trail", draw);
model.on("prefs", () => {
  showTheme();
  if (page.language !== model.prefs.language) build();
});
showTheme();
words.language = model.prefs.language;
model.start();

export { model };

/** The desk: one model, the elements that show it, and the keyboard. */
import "./bar.js";
import "./composer.js";
import "./list.js";
import "./news.js";
import "./side.js";
import "./timeline.js";

import { fill, h, icon, setAttribute, setText } from "../shared/dom.js";
import { openHelp, openPresence, openSettings, openSnooze, openTransfer } from "./dialogs.js";
import { canJoin, openJoin } from "./join.js";
import { openSearch } from "./search.js";
import { canTag, openTags } from "./tags.js";
import { actOf } from "./keys.js";
import { Model } from "./model.js";
import { nameOf, channelName, stateName } from "./view.js";
import { t, words } from "./words.js";

const model = new Model();
const page = {};

function make(tag, props = {}) {
  return Object.assign(document.createElement(tag), props).with(model);
}

/** Build the page for who is logged in, or the log-in; again when the language changes. */
function build() {
  words.language = model.prefs.language;
  document.documentElement.lang = words.language === "zh" ? "zh-CN" : "en";
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  const root = document.getElementById("app");
  if (!model.loggedIn) {
    setAttribute(root, "class", "app");
    fill(root, make("rd-login"), (page.news = make("rd-news")));
    page.built = "";
    return;
  }
  page.built = words.language;
  page.list = make("rd-list");
  page.timeline = make("rd-timeline");
  page.composer = make("rd-composer");
  page.side = make("rd-side");
  page.news = make("rd-news");
  fill(
    root,
    h("header", {}, make("rd-bar")),
    (page.banner = h("p", { class: "banner", role: "status", hidden: true })),
    h(
      "div",
      { class: "panes" },
      (page.listPane = h("div", { class: "pane pane-list", "aria-label": t("mine") }, h("h1", { class: "unseen" }, t("mine")), page.list)),
      h(
        "main",
        { class: "pane pane-case", "aria-label": t("conversation") },
        caseHead(),
        (page.nothing = h("div", { class: "nothing" }, h("h1", { class: "empty-title" }, t("chooseOne")), h("p", { class: "muted" }, t("chooseHint")))),
        page.timeline,
        (page.typing = h("p", { class: "typing", "aria-live": "polite" })),
        page.composer,
      ),
      h("aside", { class: "pane pane-side", id: "side", "aria-label": t("about") }, sideHead(), page.side),
    ),
    page.news,
  );
  show();
}

function caseHead() {
  const tool = (word, symbol, act, letter) =>
    h(
      "button",
      { class: "button quiet", type: "button", title: `${t(word)} (${letter})`, "aria-label": t(word), onclick: () => acts[act]() },
      icon(symbol, 16),
      h("span", { class: "label" }, t(word)),
    );
  page.acts = [tool("transfer", "transfer", "transfer", "T"), tool("snooze", "clock", "snooze", "S"), tool("resolve", "check", "resolve", "E")];
  page.back = h("button", { class: "tool back", type: "button", "aria-label": t("back"), onclick: () => acts.escape() }, icon("back"));
  page.sideButton = h("button", { class: "tool", type: "button", "aria-controls": "side", onclick: () => acts.side() }, icon("side"));
  page.name = h("h1", { class: "case-name" });
  page.state = h("span", { class: "case-state muted" });
  page.channels = h("span", { class: "tags" });
  page.head = h(
    "header",
    { class: "case-head" },
    page.back,
    h("div", { class: "case-title" }, page.name, h("div", { class: "case-sub" }, page.channels, page.state)),
    h("span", { class: "spring" }),
    page.acts,
    page.sideButton,
  );
  return page.head;
}

function sideHead() {
  return h(
    "header",
    { class: "side-head" },
    h("h2", {}, t("about")),
    h("button", { class: "tool", type: "button", "aria-label": t("closeSide"), onclick: () => acts.side() }, icon("close")),
  );
}

/** Bring what belongs to no element up to date. */
function show() {
  if (!page.built) return;
  const found = model.current;
  const root = document.getElementById("app");
  root.className = `app ${found ? "has-case" : "no-case"}${sideShown() ? " has-side" : ""}`;
  // a phone shows one pane after the other: without a conversation the list is all there is, and no way to elsewhere
  setAttribute(page.listPane, "role", phone.matches && !found ? "main" : "navigation");
  page.nothing.hidden = Boolean(found);
  page.head.hidden = page.timeline.hidden = !found;
  const typing = found && model.isTyping(found.id);
  setText(page.typing, typing ? t("typingLong", { name: nameOf(found.record) }) : "");
  const broken = model.connection.ever && !model.online;
  page.banner.hidden = !broken;
  setText(page.banner, broken ? t("offlineLong") : "");
  if (!found) return;
  setText(page.name, nameOf(found.record));
  const channels = [...new Set((found.record.threads ?? []).map((each) => each.channel))];
  if (page.channels.dataset.shown !== channels.join()) {
    page.channels.dataset.shown = channels.join();
    fill(page.channels, channels.map((each) => h("span", { class: "tag" }, channelName(each))));
  }
  setText(page.state, stateName(found));
  const mine = found.held && found.record.state === "assigned";
  for (const button of page.acts) {
    button.hidden = !mine;
    button.disabled = !model.online || model.isActing(found.id);
  }
  const word = t(sideShown() ? "closeSide" : "openSide");
  setAttribute(page.sideButton, "aria-label", word);
  setAttribute(page.sideButton, "aria-expanded", String(sideShown()));
  page.sideButton.title = `${word} (I)`;
}

const narrow = matchMedia("(max-width: 1023px)");
const phone = matchMedia("(max-width: 719px)");
let sideOnNarrow = false;

function sideShown() {
  return narrow.matches ? sideOnNarrow : model.prefs.side;
}

function showTheme() {
  const { theme } = model.prefs;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

// -- what keys and buttons do ---------------------------------------------------------------------

const mine = () => model.online && model.current?.held && model.current.record.state === "assigned";
const offer = () => {
  const { current } = model;
  return current?.held && current.record.state === "offered" ? current : model.offers()[0];
};

const acts = {
  next: () => move(1),
  previous: () => move(-1),
  open() {
    if (!model.current) move(1);
    else page.composer.write(model.draft(model.selected).internal);
  },
  filter: () => page.list.search.focus(),
  end: () => page.timeline.goToEnd(),
  "page-down": () => page.timeline.page(1),
  "page-up": () => page.timeline.page(-1),
  async accept() {
    const found = offer();
    if (!found || !model.online) return;
    // what is typed from now on is meant for the answer, not for the keys
    pick(found.id, false);
    if (await model.accept(found.id)) pick(found.id, true);
  },
  decline() {
    const found = offer();
    if (found && model.online) model.decline(found.id);
  },
  transfer: () => mine() && openTransfer(model, model.current),
  snooze: () => mine() && openSnooze(model, model.current),
  async resolve() {
    if (!mine()) return;
    const { id } = model.current;
    const order = page.list.order();
    if ((await model.resolve(id)) && model.selected === id && narrow.matches) model.select("");
    else if (model.selected === id) moveFrom(order, id);
  },
  tags: () => model.current && canTag(model, model.current) && openTags(model, model.current),
  join: () => model.current && canJoin(model, model.current) && openJoin(model, model.current),
  search: () => openSearch(model, model.current),
  reply: () => page.composer.write(false),
  note: () => page.composer.write(true),
  emoji: () => page.composer.toggleEmoji(),
  attach: () => page.composer.choose(),
  suggest1: () => page.composer.suggest(1),
  suggest2: () => page.composer.suggest(2),
  suggest3: () => page.composer.suggest(3),
  presence: () => openPresence(model),
  settings: () => openSettings(model),
  help: () => openHelp(),
  side() {
    if (narrow.matches) sideOnNarrow = !sideOnNarrow;
    else model.prefs.set({ side: !model.prefs.side });
    show();
  },
  escape() {
    if (sideOnNarrow && narrow.matches) acts.side();
    else if (narrow.matches) model.select("");
    else page.list.focusList();
  },
  "leave-field": () => {
    document.activeElement.blur();
    page.list.focusList();
  },
  leave() {
    const { unsent } = model.outbox;
    if (!unsent || confirm(t("logOutUnsent", { n: unsent }))) model.logOut();
  },
};

function move(step) {
  const order = page.list.order();
  if (!order.length) return;
  const place = order.indexOf(model.selected);
  const next = place < 0 ? 0 : Math.min(order.length - 1, Math.max(0, place + step));
  pick(order[next], false);
}

/** After a case is done: the one that stood behind it, so that the next Enter goes on. */
function moveFrom(order, id) {
  const rest = order.filter((each) => each !== id && model.replica.cases.has(each));
  if (rest.length) pick(rest[Math.min(order.indexOf(id), rest.length - 1)], false);
}

function pick(id, write) {
  sideOnNarrow = false;
  model.select(id);
  page.list.reveal(id);
  if (write) page.composer.write(false);
  show();
}

document.addEventListener("pick", ({ detail }) => pick(detail.id, detail.write ?? false));
document.addEventListener("act", ({ detail }) => acts[detail]?.());
document.addEventListener("keydown", (event) => {
  if (!page.built || document.querySelector("dialog[open]")) return;
  const act = actOf(event);
  if (!act || !acts[act]) return;
  // a letter that is typed while an offer is being taken was meant for the answer
  if (model.isActing(model.selected) && !event.altKey) return;
  event.preventDefault();
  acts[act]();
});
document.addEventListener("visibilitychange", () => model.lookedAt());
addEventListener("focus", () => model.lookedAt());
addEventListener("beforeunload", (event) => {
  if (model.outbox?.unsent || model.files.any) event.preventDefault();
});
narrow.addEventListener("change", show);
phone.addEventListener("change", show);

model.on("session", build);
model.on("prefs", () => {
  showTheme();
  if (words.language !== model.prefs.language) build();
  show();
});
for (const topic of ["connection", "list", "selected", "typing", "account"]) model.on(topic, show);
model.on("case", (ids) => ids.includes(model.selected) && show());
showTheme();
words.language = model.prefs.language;
model.start();

export { model };

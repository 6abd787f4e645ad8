/** The dialogs: transfer, snooze, presence, settings, canned answers, keys. Native ones, so focus stays inside. */
import { fill, h, icon, setText } from "../shared/dom.js";
import { LANGUAGES, LANGUAGE_NAMES, STATUSES, THEMES } from "./bar.js";
import { KEYS } from "./keys.js";
import { nameOf } from "./view.js";
import { t, words } from "./words.js";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const THEME_WORDS = { auto: "themeAuto", light: "themeLight", dark: "themeDark" };

/** Open a dialog; it leaves the document when it is closed, and focus goes back to where it was. */
export function openDialog(title, build, { wide = false } = {}) {
  const before = document.activeElement;
  const dialog = h(
    "dialog",
    {
      class: `dialog${wide ? " wide" : ""}`,
      "aria-label": title,
      onclose: () => {
        dialog.remove();
        if (before?.isConnected) before.focus();
      },
      onclick: (event) => event.target === dialog && dialog.close(),
    },
  );
  const close = () => dialog.close();
  fill(
    dialog,
    h(
      "div",
      { class: "dialog-card" },
      h(
        "header",
        { class: "dialog-head" },
        h("h2", {}, title),
        h("button", { class: "tool", type: "button", "aria-label": t("close"), onclick: close }, icon("close")),
      ),
      build(close),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("[data-first]")?.focus();
  return dialog;
}

function choice(label, hint, act, { first = false, current = false, tone = "" } = {}) {
  return h(
    "button",
    { class: "choice", type: "button", "aria-current": current ? "true" : null, dataset: first ? { first: "" } : {}, onclick: act },
    tone && h("span", { class: `dot ${tone}` }),
    h("span", { class: "choice-label" }, label),
    hint && h("span", { class: "choice-hint" }, hint),
  );
}

/** Up and down move between the choices of a dialog. */
function arrows(element) {
  element.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.matches("input, select, textarea")) return;
    const all = [...element.querySelectorAll(".choice")];
    const place = all.indexOf(document.activeElement);
    event.preventDefault();
    all[(place + step + all.length) % all.length]?.focus();
  });
  return element;
}

export function openTransfer(model, found) {
  model.refreshAccount();
  return openDialog(`${t("transfer")} · ${nameOf(found.record)}`, (close) => {
    const to = async (target) => {
      close();
      await model.transfer(found.id, target);
    };
    const colleagues = h("div", { class: "choices" });
    const show = () => {
      const others = model.account.agents.filter((each) => each.name !== model.me);
      others.sort((one, other) => Number(other.here) - Number(one.here) || (one.name < other.name ? -1 : 1));
      const focused = colleagues.contains(document.activeElement);
      fill(
        colleagues,
        others.length
          ? others.map((each, index) =>
              choice(each.name, hintOf(each), () => to({ to_agent: each.name }), {
                first: index === 0,
                tone: each.here ? `is-${each.status}` : "is-offline",
              }),
            )
          : h("p", { class: "muted" }, t("noColleagues")),
      );
      if (focused) colleagues.querySelector("button")?.focus();
    };
    show();
    const stop = model.on("account", () => (colleagues.isConnected ? show() : stop()));
    const skills = model.account.skills.filter((each) => each !== found.record.skill);
    return arrows(
      h(
        "div",
        { class: "dialog-body" },
        h("h3", {}, t("colleague")),
        colleagues,
        h("h3", {}, t("skillGroup")),
        skills.length
          ? h("div", { class: "choices" }, skills.map((each) => choice(each, "", () => to({ to_skill: each }))))
          : h("p", { class: "muted" }, t("noSkills")),
      ),
    );
  });
}

function hintOf(colleague) {
  const status = STATUSES.find((each) => each[0] === colleague.status);
  const here = colleague.here ? t(status[1]) : t("notHere");
  return [here, colleague.here && colleague.reason, colleague.skills.join(", ")].filter(Boolean).join(" · ");
}

export function openSnooze(model, found) {
  return openDialog(`${t("snooze")} · ${nameOf(found.record)}`, (close) => {
    const now = model.clock.now();
    const until = async (ms) => {
      close();
      await model.snooze(found.id, ms);
    };
    const tomorrow = new Date(now);
    tomorrow.setDate(tomorrow.getDate() + 1);
    tomorrow.setHours(9, 0, 0, 0);
    const error = h("p", { class: "form-error", role: "alert" });
    const at = h("input", { class: "field", type: "datetime-local", id: "snooze-at", "aria-label": t("atTime") });
    return arrows(
      h(
        "div",
        { class: "dialog-body" },
        h(
          "div",
          { class: "choices" },
          choice(t("inMinutes", { n: 15 }), "", () => until(now + 15 * MINUTE_MS), { first: true }),
          choice(t("inHour"), "", () => until(now + HOUR_MS)),
          choice(t("inHours", { n: 4 }), "", () => until(now + 4 * HOUR_MS)),
          choice(t("tomorrow"), "", () => until(tomorrow.getTime())),
        ),
        h("label", { for: "snooze-at" }, t("atTime")),
        h(
          "div",
          { class: "form-line" },
          at,
          h(
            "button",
            {
              class: "button",
              type: "button",
              onclick: () => {
                const chosen = new Date(at.value).getTime();
                if (!(chosen > model.clock.now())) setText(error, t("inFuture"));
                else until(chosen);
              },
            },
            t("snooze"),
          ),
        ),
        error,
        h("p", { class: "muted" }, t("snoozeHint")),
      ),
    );
  });
}

export function openPresence(model) {
  return openDialog(t("presence"), (close) => {
    const reasons = ["reasonLunch", "reasonMeeting", "reasonTraining", "reasonBreak"];
    const reason = h("input", {
      class: "field",
      id: "presence-reason",
      maxLength: 128,
      value: model.presence.status === "online" ? "" : model.presence.reason,
      autocomplete: "off",
    });
    const choose = (status) => {
      close();
      model.setPresence(status, status === "online" ? "" : reason.value.trim());
    };
    return arrows(
      h(
        "div",
        { class: "dialog-body" },
        h(
          "div",
          { class: "choices" },
          STATUSES.map(([status, word, hint]) =>
            choice(t(word), t(hint), () => choose(status), {
              first: status === model.presence.status,
              current: status === model.presence.status,
              tone: `is-${status}`,
            }),
          ),
        ),
        h("label", { for: "presence-reason" }, t("reason")),
        reason,
        h(
          "div",
          { class: "chips" },
          reasons.map((key) => h("button", { class: "chip", type: "button", onclick: () => (reason.value = t(key)) }, t(key))),
        ),
      ),
    );
  });
}

export function openSettings(model) {
  return openDialog(t("settings"), (close) => {
    const { prefs } = model;
    const set = (changes) => {
      const languageChanges = "language" in changes && changes.language !== prefs.language;
      // another language builds the page anew; the dialog would stand there in the old one
      if (languageChanges) close();
      prefs.set(changes);
      if (!languageChanges) show();
    };
    const body = h("div", { class: "dialog-body" });
    const radio = (name, value, label) =>
      h(
        "label",
        { class: "radio" },
        h("input", { type: "radio", name, checked: prefs[name] === value, onchange: () => set({ [name]: value }) }),
        label,
      );
    const show = () =>
      fill(
        body,
        h("fieldset", {}, h("legend", {}, t("language")), LANGUAGES.map((each) => radio("language", each, LANGUAGE_NAMES[each]))),
        h("fieldset", {}, h("legend", {}, t("theme")), THEMES.map((each) => radio("theme", each, t(THEME_WORDS[each])))),
        h(
          "label",
          { class: "radio" },
          h("input", { type: "checkbox", checked: prefs.sound, onchange: (event) => set({ sound: event.target.checked }) }),
          t("sound"),
        ),
        model.role !== "agent" &&
          h(
            "button",
            {
              class: "button",
              type: "button",
              onclick: () => {
                close();
                openCanned(model);
              },
            },
            t("cannedManage"),
          ),
        model.role === "admin" && h("a", { class: "button", href: "/settings" }, t("settingsPages")),
      );
    show();
    return body;
  });
}

/** For supervisors: the answers that all agents of the account find by `/`. */
export function openCanned(model) {
  return openDialog(
    t("canned"),
    () => {
      const list = h("ul", { class: "canned-list" });
      const error = h("p", { class: "form-error", role: "alert" });
      const name = h("input", { class: "field", id: "canned-name", maxLength: 32, required: true, autocomplete: "off", dataset: { first: "" } });
      const text = h("textarea", { class: "field", id: "canned-text", rows: 3, maxLength: 4000, required: true });
      const tried = async (work) => {
        setText(error, "");
        try {
          await work();
        } catch (problem) {
          setText(error, problem.name === "LineBroken" ? t("notKnown") : problem.message);
        }
      };
      const show = () => {
        const { canned } = model.account;
        fill(
          list,
          canned.map((each) =>
            h(
              "li",
              {},
              h(
                "button",
                { class: "canned-edit", type: "button", onclick: () => ((name.value = each.name), (text.value = each.text), text.focus()) },
                h("span", { class: "canned-name" }, `/${each.name}`),
                h("span", { class: "canned-text" }, each.text),
              ),
              h(
                "button",
                { class: "tool", type: "button", "aria-label": t("cannedRemove", { name: each.name }), title: t("cannedRemove", { name: each.name }), onclick: () => tried(() => model.removeCanned(each.name)) },
                icon("close", 16),
              ),
            ),
          ),
          !canned.length && h("li", { class: "muted" }, t("cannedEmpty")),
        );
      };
      show();
      const stop = model.on("account", () => (list.isConnected ? show() : stop()));
      return h(
        "div",
        { class: "dialog-body" },
        h("p", { class: "muted" }, t("cannedHint")),
        list,
        h(
          "form",
          {
            class: "canned-form",
            onsubmit: (event) => {
              event.preventDefault();
              tried(async () => {
                await model.putCanned(name.value.trim().replace(/^\//, ""), text.value.trim());
                name.value = text.value = "";
                name.focus();
              });
            },
          },
          h("label", { for: "canned-name" }, t("cannedName")),
          name,
          h("label", { for: "canned-text" }, t("cannedText")),
          text,
          error,
          h("button", { class: "button primary", type: "submit" }, t("save")),
        ),
      );
    },
    { wide: true },
  );
}

export function openHelp() {
  return openDialog(
    t("keys"),
    () =>
      h(
        "div",
        { class: "dialog-body help" },
        KEYS.map(([group, keys]) =>
          h(
            "section",
            {},
            h("h3", {}, t(group)),
            h(
              "dl",
              {},
              keys.map(([word, ...caps]) => h("div", {}, h("dt", {}, t(word)), h("dd", {}, caps.map((cap) => h("kbd", {}, cap))))),
            ),
          ),
        ),
        h("p", { class: "muted help-hint" }, t("keysHint")),
      ),
    { wide: true },
  );
}

export const dialogsLanguage = () => words.language;

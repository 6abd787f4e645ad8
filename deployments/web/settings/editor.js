/**
 * The form of one entry, in a dialog. What the server refuses is shown at its field; where a colleague changed the same
 * meanwhile, the admin chooses: look at theirs, or save over it, knowing.
 */
import { fill, h, icon, setText } from "../shared/dom.js";
import { text, Unreadable } from "./fields.js";
import { KINDS, titleOf, valueOf } from "./sections.js";
import { t } from "./words.js";

/** Open a dialog; it leaves the document when it is closed, and focus goes back to where it was. */
function open(title, build) {
  const before = document.activeElement;
  const mark = before?.dataset?.entry;
  const dialog = h("dialog", {
    class: "dialog wide",
    "aria-label": title,
    onclose: () => {
      dialog.remove();
      // the list was drawn anew meanwhile
      const back = before?.isConnected ? before : mark && document.querySelector(`[data-entry="${CSS.escape(mark)}"]`);
      back?.focus();
    },
  });
  const close = () => dialog.close();
  const head = h(
    "header",
    { class: "dialog-head" },
    h("h2", {}, title),
    h("button", { class: "tool", type: "button", "aria-label": t("close"), onclick: close }, icon("close")),
  );
  fill(dialog, h("div", { class: "dialog-card" }, head, build(close)));
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("input, textarea, select")?.focus();
  return dialog;
}

/**
 * @param {Model} model
 * @param {string} section
 * @param {object|null} entry null for a new one.
 * @param {(word: string, change: object|null) => void} done is told what happened.
 */
export function edit(model, section, entry, done) {
  if (entry && !entry.value) return openFacts(entry);
  const title = entry ? titleOf(section, entry) : t(`new${section[0].toUpperCase()}${section.slice(1)}`);
  return open(title, (close) => {
    const body = h("div", { class: "dialog-body" });
    fill(body, form(model, section, entry, { close, done, body }), entry && section === "users" ? passwordForm(model, entry, { close, done }) : null);
    return body;
  });
}

function form(model, section, entry, { close, done, body }) {
  const kind = KINDS[section];
  const fields = kind.fields(model, entry);
  const error = h("p", { class: "form-error", role: "alert" });
  const conflict = h("div", { class: "conflict", role: "alert", hidden: true });
  const submit = h("button", { class: "button primary", type: "submit" }, t("save"));
  let version = entry?.version ?? "";

  const refused = (problem) => {
    if (problem.version !== undefined && problem.status === 409) return disagree(problem);
    let marked = null;
    for (const { field, detail } of problem.errors ?? []) {
      const place = field.replace(/^body\.(value\.)?/, "").replace(/^path\./, "");
      const found = fields.find((each) => place === each.place || place.startsWith(`${each.place}.`));
      const shown = found?.show(detail, place);
      marked ??= shown;
    }
    if (!problem.status) console.info(problem);
    setText(error, marked ? t("wrongFields") : problem.status ? problem.message : t("notReached"));
    marked?.focus();
    return undefined;
  };

  const disagree = (problem) => {
    const theirs = problem.version ? { ...entry, name: entry?.name ?? nameOf(), value: problem.current, version: problem.version, said: true } : null;
    if (entry) version = problem.version;
    setText(error, "");
    fill(
      conflict,
      h("p", {}, t(!entry ? "taken" : theirs ? "outdated" : "goneMeanwhile")),
      h(
        "div",
        { class: "form-line" },
        theirs && h("button", { class: "button", type: "button", onclick: () => fill(body, form(model, section, theirs, { close, done, body })) }, t("takeTheirs")),
        // a name that is taken is no quarrel: another name, or the one that is there
        entry && h("button", { class: "button", type: "submit" }, t("keepMine")),
      ),
    );
    conflict.hidden = false;
    conflict.querySelector("button").focus();
  };

  const nameOf = () => entry?.name ?? fields.find((each) => each.place === "name").value().replace(section === "canned" ? /^\// : /(?!)/, "");

  const tried = async (work) => {
    for (const each of fields) each.show("");
    setText(error, "");
    conflict.hidden = true;
    submit.disabled = true;
    try {
      await work();
    } catch (problem) {
      if (problem instanceof Unreadable) refused({ status: 422, errors: [{ field: problem.place, detail: problem.message }] });
      else if (problem.status || problem.name === "TimeoutError" || problem instanceof TypeError) refused(problem);
      else throw problem;
    } finally {
      submit.disabled = false;
    }
  };

  const save = () =>
    tried(async () => {
      const password = fields.find((each) => each.place === "password")?.value();
      const change = await model.put(section, nameOf(), valueOf(fields), version, password);
      close();
      done(change ? "saved" : "same", change);
    });

  const giveUp = () =>
    tried(async () => {
      if (kind.remove === "remove" && !confirm(t("removeSure", { name: titleOf(section, entry) }))) return;
      const change = await model.remove(section, entry.name, version);
      close();
      done("removed", change);
    });

  return h(
    "form",
    { class: "settings-form", novalidate: true, onsubmit: (event) => (event.preventDefault(), save()) },
    fields.map((each) => each.element),
    error,
    conflict,
    h(
      "div",
      { class: "form-line form-foot" },
      kind.remove && entry?.version && h("button", { class: "button quiet danger", type: "button", onclick: giveUp }, t(kind.remove)),
      h("span", { class: "spring" }),
      h("button", { class: "button", type: "button", onclick: close }, t("cancel")),
      submit,
    ),
  );
}

function passwordForm(model, entry, { close, done }) {
  const field = text("password", t("newPassword"), "", { type: "password", max: 1024, required: true, autocomplete: "new-password", hint: t("passwordHint") });
  return h(
    "form",
    {
      class: "settings-form password-form",
      novalidate: true,
      onsubmit: async (event) => {
        event.preventDefault();
        field.show("");
        try {
          const change = await model.setPassword(entry.name, field.value());
          close();
          done("passwordSet", { ...change, final: true });
        } catch (problem) {
          field.show(problem.status ? problem.message : t("notReached")).focus();
        }
      },
    },
    field.element,
    h("div", { class: "form-line form-foot" }, h("span", { class: "spring" }), h("button", { class: "button", type: "submit" }, t("setPassword"))),
  );
}

/** An inbox of a vendor: its facts, and of its secrets whether they are set. */
function openFacts(entry) {
  const shown = Object.entries(entry.about).map(([key, value]) =>
    h("div", {}, h("dt", {}, t(`fact_${key}`)), h("dd", {}, value === true ? t("isSet") : value === false ? t("isMissing") : value || "–")),
  );
  return open(entry.name, () => h("div", { class: "dialog-body" }, h("p", { class: "muted" }, t("vendor")), h("dl", { class: "pairs facts-list" }, shown)));
}

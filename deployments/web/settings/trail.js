/** The audit trail: who changed what, what was before, and how to take it back. */
import { fill, h } from "../shared/dom.js";
import { dateTime } from "../shared/dates.js";
import { spansText } from "./fields.js";
import { SECTIONS } from "./model.js";
import { t, words } from "./words.js";

/** What stands there before anybody says anything: such an entry is changed and set back, not added and removed. */
const BASED = new Set(["inboxes", "replies"]);

/** Say a change in one line. */
function sentence(change) {
  const params = { who: change.by, what: t(`of_${change.section}`, { name: change.name }) };
  if (change.note === "password") return t("passwordOf", params);
  if (change.undoes) return t("wasUndone", params);
  const based = BASED.has(change.section);
  if (!change.before) return t(based ? "changed" : "created", params);
  return t(change.after ? "changed" : based ? "setBack" : "deleted", params);
}

/** What differs between two values, as [place, before, after]. */
export function differences(before, after, place = "") {
  const isPlain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (isPlain(before) || isPlain(after)) {
    const keys = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]);
    return [...keys].flatMap((key) => differences(before?.[key], after?.[key], place ? `${place}.${key}` : key));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [[place, before, after]];
}

function side(tag, word, value, place) {
  return h(tag, {}, h("span", { class: "unseen" }, `${t(word)}: `), shown(value, place));
}

function shown(value, place) {
  if (Array.isArray(value) && place === "week") return value.map((each, index) => `${t(`day_${index}`)} ${spansText(each) || t("closedAllDay")}`).join("\n");
  if (Array.isArray(value) && place === "days") return value.map((each) => `${each.date} ${each.label} ${spansText(each.spans) || t("closedAllDay")}`).join("\n") || t("nothing");
  if (value === undefined || value === null || value === "" || (Array.isArray(value) && !value.length)) return t("nothing");
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value.join("\n");
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Draw the trail into an element; `undo(change)` takes one back. */
export function drawTrail(element, model, undo) {
  const { changes, before, filter } = model.trail;
  const focused = element.contains(document.activeElement) ? document.activeElement.name : "";
  const field = (name, props) => h("input", { class: "field small", name, value: filter[name], maxLength: 64, "aria-label": t(props), placeholder: t(props), autocomplete: "off", spellcheck: false });
  const form = h(
    "form",
    {
      class: "trail-filter",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        const of = (name) => form.elements[name].value.trim();
        model.filterTrail({ section: of("section"), name: of("name"), by: of("by") });
      },
    },
    h(
      "select",
      { class: "field small", name: "section", "aria-label": t("section"), onchange: () => form.requestSubmit() },
      h("option", { value: "" }, t("allSections")),
      SECTIONS.map((each) => h("option", { value: each, selected: each === filter.section }, t(each))),
    ),
    field("name", "name"),
    field("by", "byWhom"),
    h("button", { class: "button small", type: "submit" }, t("filter")),
  );
  fill(
    element,
    form,
    changes === null && h("p", { class: "muted", role: "status" }, t("loading")),
    changes !== null && !changes.length && h("p", { class: "muted" }, t("noChanges")),
    changes !== null && h("ol", { class: "changes" }, changes.map((each) => line(each, undo))),
    changes !== null && before && h("button", { class: "button", type: "button", onclick: () => model.readTrail(true) }, t("older")),
  );
  if (focused) form.elements[focused]?.focus();
}

function line({ change, undoable }, undo) {
  const what = sentence(change);
  const differs = change.note === "password" ? [] : differences(change.before, change.after);
  return h(
    "li",
    { class: "change", dataset: { change: change.id } },
    h(
      "div",
      { class: "change-head" },
      h("time", { class: "muted", dateTime: new Date(change.at_ms).toISOString() }, dateTime(words.language, change.at_ms)),
      h("span", { class: "change-what" }, what),
      h(
        "button",
        { class: "button small", type: "button", disabled: !undoable, title: undoable ? "" : t("cannotUndo"), "aria-label": t("undoNamed", { what }), onclick: () => undo(change) },
        t("undo"),
      ),
    ),
    differs.length > 0 &&
      h(
        "dl",
        { class: "differences" },
        differs.map(([place, before, after]) =>
          h(
            "div",
            {},
            h("dt", {}, place),
            h("dd", {}, change.before && side("del", "before", before, place), change.after && side("ins", "after", after, place)),
          ),
        ),
      ),
  );
}

/**
 * The fields of a form: each knows its place in the entry (as the server names it), its value, and how to show what is
 * wrong with it. A field whose text cannot be read throws `Unreadable` from `value()`.
 */
import { fill, h, icon, setText } from "../shared/dom.js";
import { t } from "./words.js";

export class Unreadable extends Error {
  constructor(place, message) {
    super(message);
    this.place = place;
  }
}

let serial = 0;

/** A label, what it labels, a hint, and room for what is wrong, joined for screen readers. */
function row(place, label, control, hint, { group = false } = {}) {
  const id = `f${(serial += 1)}`;
  const error = h("p", { class: "field-error", id: `${id}-error` });
  const hinted = hint ? h("p", { class: "field-hint", id: `${id}-hint` }, hint) : null;
  const described = [hint && `${id}-hint`, `${id}-error`].filter(Boolean).join(" ");
  let element;
  if (group) {
    element = h("fieldset", { class: "form-row group", "aria-describedby": described }, h("legend", {}, label), hinted, control, error);
  } else {
    control.id = id;
    control.setAttribute("aria-describedby", described);
    element = h("div", { class: "form-row" }, h("label", { for: id }, label), control, hinted, error);
  }
  element.dataset.place = place;
  return {
    place,
    element,
    show(message) {
      setText(error, message);
      const marked = group ? (element.querySelector("input, textarea, select") ?? element.querySelector("button")) : control;
      if (message) marked?.setAttribute("aria-invalid", "true");
      else for (const each of element.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
      return marked;
    },
  };
}

export function text(place, label, value, { hint = "", max = 64, lines = 0, required = false, type = "text", autocomplete = "off", disabled = false } = {}) {
  const common = { class: "field", value: value ?? "", maxLength: max, required, disabled };
  const control = lines
    ? h("textarea", { ...common, rows: lines })
    : h("input", { ...common, type, autocomplete, spellcheck: false });
  return { ...row(place, label, control, hint), value: () => (type === "password" ? control.value : control.value.trim()), control };
}

export function number(place, label, value, { hint = "", max = 1000 } = {}) {
  const control = h("input", { class: "field short", type: "number", min: 0, max, step: 1, value: String(value ?? 0), required: true });
  return { ...row(place, label, control, hint), value: () => Math.round(Number(control.value)) };
}

export function choice(place, label, value, options, { hint = "" } = {}) {
  const known = options.some(([each]) => each === value) ? options : [...options, [value, value]];
  const control = h("select", { class: "field" }, known.map(([each, name]) => h("option", { value: each, selected: each === value }, name)));
  return { ...row(place, label, control, hint), value: () => control.value };
}

/** One text of many that are known, or another one. */
export function combo(place, label, value, options, { hint = "" } = {}) {
  const list = h("datalist", { id: `list${(serial += 1)}` }, options.map((each) => h("option", { value: each })));
  const control = h("input", { class: "field", value: value ?? "", maxLength: 64, autocomplete: "off", spellcheck: false });
  control.setAttribute("list", list.id);
  const made = row(place, label, control, hint);
  made.element.append(list);
  return { ...made, value: () => control.value.trim() };
}

export function check(place, label, value) {
  const control = h("input", { type: "checkbox", checked: Boolean(value) });
  const error = h("p", { class: "field-error" });
  const element = h("div", { class: "form-row" }, h("label", { class: "radio" }, control, label), error);
  element.dataset.place = place;
  return { place, element, value: () => control.checked, show: (message) => (setText(error, message), control) };
}

/** Several texts: a tag each, and a field that proposes those that are known. */
export function tags(place, label, value, options, { hint = "", free = true } = {}) {
  let chosen = [...(value ?? [])];
  const shown = h("ul", { class: "chosen" });
  const list = h("datalist", { id: `list${(serial += 1)}` });
  const input = h("input", { class: "field", maxLength: 64, autocomplete: "off", spellcheck: false, "aria-label": `${label}: ${t("addHint")}`, placeholder: t("addHint") });
  input.setAttribute("list", list.id);
  const draw = () => {
    fill(
      shown,
      chosen.map((each) =>
        h(
          "li",
          { class: "chosen-tag" },
          h("span", {}, each),
          h("button", { class: "tool small", type: "button", "aria-label": t("removeNamed", { name: each }), onclick: () => drop(each) }, icon("close", 13)),
        ),
      ),
    );
    fill(list, options.filter((each) => !chosen.includes(each)).map((each) => h("option", { value: each })));
  };
  const drop = (name) => {
    chosen = chosen.filter((each) => each !== name);
    draw();
    input.focus();
  };
  const take = () => {
    const name = input.value.trim();
    if (!name) return;
    if (!free && !options.includes(name)) return;
    if (!chosen.includes(name)) chosen.push(name);
    input.value = "";
    draw();
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && input.value.trim()) {
      event.preventDefault();
      take();
    } else if (event.key === "Backspace" && !input.value && chosen.length) {
      drop(chosen.at(-1));
    }
  });
  // one that was picked from the list is taken at once
  input.addEventListener("input", (event) => event.inputType === undefined || event.inputType === "insertReplacementText" ? take() : undefined);
  input.addEventListener("change", take);
  draw();
  const made = row(place, label, h("div", { class: "tags-field" }, shown, input, list), hint, { group: true });
  return {
    ...made,
    show(message) {
      made.show(message);
      return input;
    },
    value() {
      take();
      if (input.value.trim()) throw new Unreadable(place, t("nothingFound", { text: input.value.trim() }));
      return chosen;
    },
  };
}

/** One text a line. */
export function lines(place, label, value, { hint = "", rows = 3 } = {}) {
  const made = text(place, label, (value ?? []).join("\n"), { hint, lines: rows, max: 8_000 });
  return { ...made, value: () => made.control.value.split(/\s*\n\s*/).map((each) => each.trim()).filter(Boolean) };
}

/** Several longer texts, in order. */
export function paragraphs(place, label, value, { hint = "", max = 300 } = {}) {
  const list = h("ol", { class: "paragraphs" });
  const add = (content) => {
    const area = h("textarea", { class: "field", rows: 4, maxLength: max, value: content });
    const item = h(
      "li",
      {},
      area,
      h("button", { class: "tool", type: "button", "aria-label": t("remove"), title: t("remove"), onclick: () => (item.remove(), name()) }, icon("close", 16)),
    );
    list.append(item);
    name();
    return area;
  };
  const name = () => [...list.querySelectorAll("textarea")].forEach((each, index) => each.setAttribute("aria-label", t("wording", { n: index + 1 })));
  for (const each of value ?? []) add(each);
  const more = h("button", { class: "button small", type: "button", onclick: () => add("").focus() }, t("addWording"));
  const made = row(place, label, h("div", {}, list, more), hint, { group: true });
  return { ...made, value: () => [...list.querySelectorAll("textarea")].map((each) => each.value.trim()).filter(Boolean) };
}

// -- times ------------------------------------------------------------------------------------------

const SPAN = /^(\d{1,2}:\d{2})\s*[-–—~至到]\s*(\d{1,2}:\d{2})$/;

export function spansText(spans) {
  return (spans ?? []).map(({ opens, closes }) => `${opens}-${closes}`).join(", ");
}

/** Read `09:00-12:00, 13:30-18:00`; throws Unreadable. */
export function readSpans(place, written) {
  const parts = written.split(/[,，;；]/).map((each) => each.trim()).filter(Boolean);
  return parts.map((part) => {
    const found = SPAN.exec(part);
    if (!found) throw new Unreadable(place, t("timesWrong"));
    const [opens, closes] = found.slice(1).map((each) => each.padStart(5, "0"));
    return { opens, closes };
  });
}

export function week(value) {
  const inputs = [];
  const days = Array.from({ length: 7 }, (_, index) => {
    const input = h("input", { class: "field", value: spansText(value?.[index]), placeholder: t("closedAllDay"), autocomplete: "off", spellcheck: false, maxLength: 120, id: `day${(serial += 1)}` });
    inputs.push(input);
    return h("div", { class: "week-day", dataset: { day: String(index) } }, h("label", { for: input.id }, t(`day_${index}`)), input);
  });
  const made = row("week", t("week"), h("div", { class: "week" }, days), t("weekHint"), { group: true });
  return {
    ...made,
    show(message, place = "week") {
      made.show(message);
      for (const each of inputs) each.removeAttribute("aria-invalid");
      const input = inputs[Number(place.split(".")[1] ?? 0)] ?? inputs[0];
      if (message) input.setAttribute("aria-invalid", "true");
      return input;
    },
    value: () => inputs.map((input, index) => readSpans(`week.${index}`, input.value)),
  };
}

export function days(value) {
  const list = h("ul", { class: "special-days" });
  const add = ({ date = "", label = "", spans = [] } = {}) => {
    const field = (key, props) => h("input", { class: "field", autocomplete: "off", "aria-label": t(key), dataset: { key }, ...props });
    const when = field("date", { type: "date", value: date, min: "2000-01-01", max: "2999-12-31", required: true });
    const item = h(
      "li",
      {},
      when,
      field("label", { value: label, maxLength: 64, placeholder: t("label") }),
      field("times", { value: spansText(spans), maxLength: 120, placeholder: t("closedAllDay"), spellcheck: false }),
      h("button", { class: "tool", type: "button", "aria-label": t("removeDay"), title: t("removeDay"), onclick: () => item.remove() }, icon("close", 16)),
    );
    list.append(item);
    return when;
  };
  for (const each of value ?? []) add(each);
  const more = h("button", { class: "button small", type: "button", onclick: () => add().focus() }, t("addDay"));
  const made = row("days", t("days"), h("div", {}, list, more), t("daysHint"), { group: true });
  const of = (item, key) => item.querySelector(`[data-key="${key}"]`).value.trim();
  const ordered = () => [...list.children].sort((one, other) => (of(one, "date") < of(other, "date") ? -1 : 1));
  return {
    ...made,
    show(message, place = "days") {
      made.show(message);
      const item = ordered()[Number(place.split(".")[1] ?? 0)];
      const key = { label: "label", spans: "times" }[place.split(".")[2]] ?? "date";
      const input = item?.querySelector(`[data-key="${key}"]`) ?? more;
      if (message) input.setAttribute("aria-invalid", "true");
      return input;
    },
    value: () =>
      ordered().map((item, index) => ({
        date: of(item, "date"),
        label: of(item, "label"),
        spans: readSpans(`days.${index}.spans`, of(item, "times")),
      })),
  };
}

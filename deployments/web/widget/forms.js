/** The form before the first message, the place in the queue, and the rating after the last one. */
import { fill, h } from "../shared/elements.js";
import { icon } from "./icons.js";

const STAR = "M12 3.6l2.6 5.400 5.900.8-4.300 4.100 1 5.900L12 17l-5.200 2.800 1-5.900L3.5 9.800l5.900-.8z";
const TYPES = { email: "email", phone: "tel" };
/** What may be asked before the chat, by the names of the attribute `pre-chat`. */
const FIELDS = ["name", "email", "phone", "order"];
const AUTOCOMPLETE = { name: "name", email: "email", phone: "tel" };

/** Return the fields of an attribute such as `name email? order?`; a question mark means optional. */
export function fieldsOf(text) {
  return (text ?? "")
    .split(/[\s,]+/)
    .map((word) => ({ name: word.replace("?", ""), optional: word.endsWith("?") }))
    .filter(({ name }) => FIELDS.includes(name));
}

/**
 * A form whose answers become a message, which agents see: `fields` and, if `asks`, what is wanted.
 *
 * `send` gets the text; `extra` are nodes below the button.
 */
export function askingForm(fields, words, send, { intro, submit, asks = true, extra = null }) {
  const inputs = fields.map((field) => ({ ...field, ...labelled(field, words) }));
  const wanted = { name: "question", optional: false };
  const question = asks ? { ...wanted, ...labelled(wanted, words, "textarea") } : null;
  const all = question ? [...inputs, question] : inputs;
  const form = h(
    "form",
    { class: "card", noValidate: true },
    h("p", {}, intro),
    all.map((each) => each.label),
    h("button", { type: "submit", class: "main" }, submit),
    extra,
  );
  for (const each of all) each.input.addEventListener("input", () => each.told.textContent && check(each, words));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wrong = all.filter((each) => !check(each, words));
    if (wrong.length) {
      wrong[0].input.focus();
      return;
    }
    const lines = inputs
      .filter((each) => each.input.value.trim())
      .map((each) => `${words.t(each.name)}: ${each.input.value.trim()}`);
    send(`${question?.input.value.trim() ?? ""}\n\n${lines.join("\n")}`.trim());
  });
  return form;
}

function labelled({ name, optional }, words, tag = "input") {
  const input = h(tag, { name, required: !optional, maxLength: tag === "input" ? 200 : 4000 });
  if (tag === "textarea") input.rows = 3;
  else input.type = TYPES[name] ?? "text";
  if (AUTOCOMPLETE[name]) input.autocomplete = AUTOCOMPLETE[name];
  const told = h("em", { role: "alert" });
  const mark = optional ? h("span", {}, ` (${words.t("optional")})`) : null;
  return { input, told, label: h("label", { class: "field" }, words.t(name), mark, input, told) };
}

function check({ input, told, optional, name }, words) {
  const value = input.value.trim();
  let wrong = "";
  if (!value && !optional) wrong = words.t("needed");
  else if (value && name === "email" && !input.checkValidity()) wrong = words.t("badEmail");
  told.textContent = wrong;
  input.setAttribute("aria-invalid", String(Boolean(wrong)));
  return !wrong;
}

/** What somebody who waits is told. */
export function queueCard(place, state, words) {
  let line = words.t("queueStatus");
  if (state === "offered") line = words.t("calling");
  else if (place?.ahead === 0) line = words.t("next");
  else if (place?.ahead > 0) {
    const minutes = Math.round((place.estimate_s ?? 0) / 60);
    const rest = place.estimate_s === null ? "" : `, ${words.t("estimate", { minutes })}`;
    line = words.t("ahead", { count: place.ahead }) + (words.language === "zh" ? rest.replace(", ", "，") : rest);
  }
  return waitingCard(line, words.t("stay"));
}

/** What somebody is told whose message waits until people are back. */
export function leftCard(line, words) {
  return waitingCard(words.t("left"), `${line} ${words.t("stay")}`);
}

function waitingCard(line, more) {
  const lines = h("div", {}, h("span", {}, line), h("small", {}, more));
  return h("div", { class: "card queue", role: "status" }, icon("clock", 20), lines);
}

/** The rating of a conversation that ended; `rate(score, comment)` resolves once it is stored. */
export function ratingCard(words, rate) {
  const comment = h("textarea", { name: "comment", rows: 2, maxLength: 1000 });
  const told = h("em", { role: "alert" });
  const submit = h("button", { type: "submit", class: "main", disabled: true }, words.t("rateSend"));
  let score = 0;
  let sending = false;
  const stars = [1, 2, 3, 4, 5].map((count) => {
    const input = h("input", { type: "radio", name: "score", value: String(count) });
    input.setAttribute("aria-label", words.t("stars", { count }));
    input.addEventListener("change", () => {
      score = count;
      submit.disabled = false;
      stars.forEach((each, index) => each.classList.toggle("on", index < count));
    });
    return h("label", {}, input, star());
  });
  const group = h("fieldset", { class: "stars", "aria-label": words.t("rate") }, stars);
  const field = h("label", { class: "field" }, words.t("comment"), comment, told);
  const form = h("form", { class: "card" }, h("h3", {}, words.t("rate")), group, field, submit);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    // not disabled meanwhile: a button that is loses the focus
    sending = true;
    told.textContent = "";
    try {
      await rate(score, comment.value.trim());
    } catch {
      told.textContent = words.t("rateFailed");
    } finally {
      sending = false;
    }
  });
  return form;
}

/** What stands in place of the rating once it was given. */
export function ratedCard(words) {
  return fill(h("div", { class: "system", role: "status" }), words.t("rated"));
}

function star() {
  const line = { d: STAR, fill: "inherit", stroke: "currentColor", "stroke-width": "1.5", "stroke-linejoin": "round" };
  return h("svg:svg", { viewBox: "0 0 24 24", fill: "none", "aria-hidden": "true" }, h("svg:path", line));
}

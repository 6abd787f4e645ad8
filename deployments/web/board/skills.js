/** The dialog in which an agent is put into other skill groups. */
import { fill, h, icon, setText } from "../shared/dom.js";
import { t } from "./words.js";

export function openSkills(model, name) {
  const agents = model.board?.agents ?? [];
  const agent = agents.find((each) => each.name === name);
  if (!agent) return;
  const known = [...new Set(agents.flatMap((each) => each.skills))].sort();
  const chosen = new Set(agent.skills);
  const error = h("p", { class: "form-error", role: "alert" });
  const choices = h("div", { class: "skill-choices" });
  const show = () =>
    fill(
      choices,
      known.map((skill) =>
        h(
          "label",
          { class: "radio" },
          h("input", { type: "checkbox", name: "skill", value: skill, checked: chosen.has(skill), onchange: (event) => (event.target.checked ? chosen.add(skill) : chosen.delete(skill)) }),
          skill,
        ),
      ),
    );
  const fresh = h("input", { class: "field", id: "skill-new", maxLength: 64, autocomplete: "off", spellcheck: false });
  const add = () => {
    const skill = fresh.value.trim();
    if (!skill) return;
    if (!known.includes(skill)) known.push(skill);
    chosen.add(skill);
    fresh.value = "";
    show();
  };
  const save = h("button", { class: "button primary", type: "submit" }, t("save"));
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "skills-title", onclose: () => dialog.remove() },
    h(
      "header",
      { class: "dialog-head" },
      h("h2", { id: "skills-title" }, t("skillsOf", { name })),
      h("button", { class: "tool", type: "button", "aria-label": t("close"), onclick: () => dialog.close() }, icon("close")),
    ),
    h(
      "form",
      {
        class: "dialog-body",
        onsubmit: async (event) => {
          event.preventDefault();
          add();
          save.disabled = true;
          setText(error, "");
          try {
            await model.setSkills(name, known.filter((skill) => chosen.has(skill)));
            dialog.close();
            model.toast("skillsSaved", { name });
          } catch (problem) {
            setText(error, problem.status ? problem.message : t("noAnswer"));
            save.disabled = false;
          }
        },
      },
      h("p", { class: "muted" }, t("skillsHint")),
      h("fieldset", {}, h("legend", {}, t("skillGroups")), choices),
      h("label", { for: "skill-new" }, t("skillNew")),
      h("div", { class: "form-line" }, fresh, h("button", { class: "button", type: "button", onclick: add }, t("add"))),
      error,
      h("div", { class: "dialog-acts" }, h("button", { class: "button", type: "button", onclick: () => dialog.close() }, t("cancel")), save),
    ),
  );
  fresh.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !fresh.value.trim()) return;
    event.preventDefault();
    add();
  });
  show();
  document.body.append(dialog);
  dialog.showModal();
}

/** The sections: what stands in a row of each list, and which fields its form has. */
import * as field from "./fields.js";
import { t } from "./words.js";

const ROLES = ["agent", "supervisor", "admin"];
const nameField = (entry, options = {}) => field.text("name", t("name"), entry?.name ?? "", { required: true, ...options });
const description = (value) => field.text("description", t("description"), value?.description, { max: 200 });

/**
 * By section. `create`: whether an entry can be added. `remove`: the word for giving one up, or null. `row`: what the
 * list shows of an entry: a line, and small tags. `fields`: those of the form; one of place `name` names a new entry,
 * one of place `password` is handed over apart. `value`: the entry, from what the fields give.
 */
export const KINDS = {
  users: {
    create: true,
    remove: null,
    row: ({ value }) => ({
      line: [...value.skills].join(", "),
      tags: [t(`role_${value.role}`), !value.active && t("inactive")],
      dim: !value.active,
    }),
    fields: (model, entry) => [
      ...(entry ? [] : [nameField(null), password()]),
      field.choice("role", t("role"), entry?.value.role ?? "agent", ROLES.map((each) => [each, t(`role_${each}`)]), { hint: t("roleHint") }),
      field.tags("skills", t("ownSkills"), entry?.value.skills, model.skills(), { hint: t("ownSkillsHint") }),
      field.number("capacity", t("capacity"), entry?.value.capacity, { hint: t("capacityHint") }),
      field.check("active", t("active"), entry?.value.active ?? true),
    ],
  },
  teams: {
    create: true,
    remove: "remove",
    row: ({ value }) => ({
      line: value.description || value.members.join(", "),
      tags: [t("memberCount", { n: value.members.length }), ...value.skills],
    }),
    fields: (model, entry) => [
      ...(entry ? [] : [nameField(null)]),
      description(entry?.value),
      field.tags("members", t("members"), entry?.value.members, model.names("users"), { free: false }),
      field.tags("skills", t("teamSkills"), entry?.value.skills, model.skills()),
    ],
  },
  skills: {
    create: true,
    remove: "remove",
    row: ({ value }) => ({ line: value.description, tags: [] }),
    fields: (model, entry) => [...(entry ? [] : [nameField(null)]), description(entry?.value)],
  },
  inboxes: {
    create: false,
    remove: "reset",
    row: ({ value, said, about }) =>
      value
        ? { line: value.title, tags: [about.channel, value.skill || t("anyAgent"), value.hours || t("alwaysOpen"), said ? t("changedHere") : t("fromFile")] }
        : { line: t("vendor"), tags: [about.channel, about.skill || t("anyAgent")] },
    fields: (model, { value }) => [
      field.text("title", t("inboxTitle"), value.title, { hint: t("inboxTitleHint") }),
      field.combo("skill", t("skill"), value.skill, model.skills(), { hint: t("skillHint") }),
      field.choice("hours", t("inboxHours"), value.hours, [["", t("alwaysOpen")], ...model.names("hours").map((each) => [each, each])]),
      field.lines("origins", t("origins"), value.origins, { hint: t("originsHint") }),
      field.text("greeting.en", t("greetingEn"), value.greeting.en, { lines: 2, max: 500, hint: t("greetingHint") }),
      field.text("greeting.zh", t("greetingZh"), value.greeting.zh, { lines: 2, max: 500 }),
    ],
  },
  hours: {
    create: true,
    remove: "remove",
    row: ({ value }) => ({
      line: weekText(value.week),
      tags: [value.zone, value.days.length && t("dayCount", { n: value.days.length })],
    }),
    fields: (model, entry) => [
      ...(entry ? [] : [nameField(null)]),
      field.combo("zone", t("zone"), entry?.value.zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone, Intl.supportedValuesOf("timeZone"), { hint: t("zoneHint") }),
      field.week(entry?.value.week ?? [...Array(5).fill([{ opens: "09:00", closes: "18:00" }]), [], []]),
      field.days(entry?.value.days),
    ],
  },
  canned: {
    create: true,
    remove: "remove",
    named: (name) => `/${name}`,
    row: ({ value }) => ({ line: value.text, tags: [] }),
    fields: (model, entry) => [
      ...(entry ? [] : [nameField(null, { max: 32, hint: t("cannedNameHint") })]),
      field.text("text", t("text"), entry?.value.text, { lines: 5, max: 4000, required: true }),
    ],
  },
  replies: {
    create: false,
    remove: "resetReply",
    named: (name, { about }) => `${about.zh && t("lang_zh") === "中文" ? about.zh : about.en || about.intent} · ${t(`lang_${about.language}`)}`,
    row: ({ value, said, about }) => ({
      line: value.wordings[0] ?? t("handsOver"),
      tags: [
        value.wordings.length ? t("wordingCount", { n: value.wordings.length }) : null,
        !about.answerable && t("suggestedOnly"),
        said ? t("changedHere") : t("fromShipped"),
      ],
    }),
    fields: (model, { value }) => [field.paragraphs("wordings", t("wordings"), value.wordings, { hint: t("wordingsHint") })],
  },
};

function password() {
  return field.text("password", t("password"), "", { type: "password", max: 1024, required: true, autocomplete: "new-password", hint: t("passwordHint") });
}

/** Name the days of a week by their times, those of the same times together. */
function weekText(week) {
  const groups = [];
  week.forEach((spans, index) => {
    const times = field.spansText(spans);
    const last = groups.at(-1);
    if (last?.times === times) last.to = index;
    else groups.push({ times, from: index, to: index });
  });
  const open = groups.filter((each) => each.times);
  if (!open.length) return t("closedAllDay");
  const name = ({ from, to }) => (from === to ? t(`day_${from}`) : `${t(`day_${from}`)} – ${t(`day_${to}`)}`);
  return open.map((each) => `${name(each)} ${each.times}`).join("; ");
}

/** What an entry is called in its list. */
export function titleOf(section, entry) {
  return KINDS[section].named?.(entry.name, entry) ?? entry.name;
}

/** Put what the fields give at their places. */
export function valueOf(fields) {
  const value = {};
  for (const each of fields) {
    if (each.place === "name" || each.place === "password") continue;
    const path = each.place.split(".");
    let at = value;
    for (const step of path.slice(0, -1)) at = at[step] ??= {};
    at[path.at(-1)] = each.value();
  }
  return value;
}

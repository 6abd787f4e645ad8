/** The right pane: who the contact is, what they want, what was found, and their conversations. */
import { shortDate } from "../shared/dates.js";
import { fill, h, icon } from "../shared/dom.js";
import { hueOf, shortCode } from "./standing.js";
import { canJoin } from "./join.js";
import { canTag, tagChips } from "./tags.js";
import { View, channelName, intentName, nameOf, recordState, stateName } from "./view.js";
import { t, words } from "./words.js";

const KINDS = [
  ["order_number", "orderNumber"],
  ["tracking_number", "trackingNumber"],
  ["phone", "phone"],
  ["email", "email"],
  ["amount", "amount"],
];

class SidePane extends View {
  build() {
    this.follow(["selected", "about", "account", "connection"], () => this.#show());
    this.follow(["case"], (ids) => ids.includes(this.model.selected) && this.#show());
    this.#show();
  }

  #show() {
    const found = this.model.current;
    this.hidden = !found;
    if (!found) return;
    const about = this.model.abouts.get(found.record.contact);
    // what did not change is not drawn again: a selection in it would be lost
    const key = JSON.stringify([found.record, stateName(found), about, this.model.account.intents.length, this.model.online]);
    if (this.shown === key) return;
    this.shown = key;
    const focused = document.activeElement?.dataset?.conversation;
    fill(
      this,
      this.#contact(found.record, about),
      this.#tags(found),
      this.#intent(found),
      this.#found(about),
      this.#state(found),
      this.#conversations(found, about),
    );
    if (focused) this.querySelector(`[data-conversation="${CSS.escape(focused)}"]`)?.focus();
  }

  #section(title, ...children) {
    return h("section", { class: "facts" }, h("h3", {}, title), ...children);
  }

  #contact(record, about) {
    const identities = about?.identities ?? record.threads ?? [];
    return h(
      "section",
      { class: "facts contact" },
      h(
        "div",
        { class: "contact-head" },
        h("span", { class: `avatar large hue-${hueOf(record.contact)}`, "aria-hidden": "true" }, shortCode(record.contact).slice(-2)),
        h("div", {}, h("h2", {}, nameOf(record)), about?.last_agent && h("p", { class: "muted" }, t("lastAgent", { name: about.last_agent }))),
      ),
      h("h3", {}, t("identities")),
      h(
        "ul",
        { class: "identities" },
        identities.map((each) =>
          h(
            "li",
            {},
            h("span", { class: "tag" }, channelName(each.channel)),
            h(
              "div",
              { class: "identity" },
              h("span", { title: each.external_id }, identityText(each)),
              h("span", { class: "muted inbox" }, each.inbox),
            ),
          ),
        ),
      ),
      !about && h("p", { class: "muted" }, t(this.model.online ? "loading" : "aboutOffline")),
      this.#joined(about),
      about && canJoin(this.model, this.model.current) && h("button", { class: "chip join-button", type: "button", title: `${t("join")} (U)`, onclick: () => this.dispatchEvent(new CustomEvent("act", { bubbles: true, detail: "join" })) }, t("join")),
    );
  }

  /** Who was joined with this contact by an agent, and what of it was undone, newest first. */
  #joined(about) {
    if (!about?.joined?.length) return null;
    const can = canJoin(this.model, this.model.current);
    return h(
      "ul",
      { class: "joined", "aria-label": t("joinedList") },
      [...about.joined].reverse().map((each) => {
        const name = nameOf({ contact: each.contact, threads: each.identities });
        const date = shortDate(words.language, each.at_ms);
        return h(
          "li",
          {},
          h("span", { class: "muted" }, each.undone_ms ? t("joinedUndone", { name, by: each.undone_by, date: shortDate(words.language, each.undone_ms) }) : t("joinedBy", { name, by: each.by, date })),
          !each.undone_ms && can && h("button", { class: "link", type: "button", "aria-label": `${t("part")}: ${name}`, onclick: () => this.#part(about.contact, each.contact, name) }, t("part")),
        );
      }),
    );
  }

  #part(contact, other, name) {
    if (confirm(t("partSure", { name }))) this.model.part(contact, other);
  }

  #tags(found) {
    const tags = found.record.tags ?? [];
    const can = canTag(this.model, found);
    return this.#section(
      t("tags"),
      h(
        "div",
        { class: "tag-line" },
        tags.length > 0 && h("ul", { class: "tag-chips" }, tagChips(tags, can ? (tag) => this.model.untag(found.id, tag) : null)),
        can
          ? h("button", { class: "chip", type: "button", title: `${t("tagAdd")} (L)`, onclick: () => this.dispatchEvent(new CustomEvent("act", { bubbles: true, detail: "tags" })) }, `+ ${t("tagAdd")}`)
          : !tags.length && h("span", { class: "muted" }, t("tagsNone")),
      ),
    );
  }

  #intent({ record }) {
    const { insight } = record;
    if (!insight) return this.#section(t("intent"), h("p", { class: "muted" }, t("intentNone")));
    const percent = Math.round(insight.confidence * 100);
    return this.#section(
      t("intent"),
      h("p", { class: "intent-name" }, intentName(this.model, insight.intent)),
      h("meter", { class: "confidence", min: 0, max: 100, low: 40, high: 75, optimum: 100, value: percent, "aria-label": t("confidence", { percent }) }),
      h(
        "p",
        { class: "muted" },
        t("confidence", { percent }),
        insight.seq ? ` · ${t("intentOf", { n: insight.seq })}` : "",
      ),
    );
  }

  #found(about) {
    const rows = KINDS.flatMap(([kind, word]) => (about?.found?.[kind] ?? []).map((value) => [t(word), value]));
    if (!rows.length) return null;
    return this.#section(
      t("found"),
      h(
        "dl",
        { class: "found" },
        rows.map(([word, value]) =>
          h(
            "div",
            {},
            h("dt", {}, word),
            h(
              "dd",
              {},
              h("span", {}, value),
              h(
                "button",
                { class: "tool small", type: "button", "aria-label": `${t("copy", { what: word })}: ${value}`, title: t("copy", { what: word }), onclick: () => this.#copy(value) },
                icon("copy", 14),
              ),
            ),
          ),
        ),
      ),
    );
  }

  async #copy(value) {
    try {
      await navigator.clipboard.writeText(value);
      this.model.toast("copied");
    } catch {
      // the browser gives pages from plain HTTP no clipboard; the text can be selected
    }
  }

  #state(found) {
    const { record } = found;
    const rows = [
      [t("conversation"), stateName(found)],
      [t("threads"), (record.threads ?? []).map((each) => channelName(each.channel)).join(", ")],
      record.skill && [t("skill"), record.skill],
      [t("openedAt"), shortDate(words.language, record.opened_at_ms)],
      record.snoozed_until_ms && [t("snoozeUntil"), shortDate(words.language, record.snoozed_until_ms)],
      record.rating && [t("rating"), t("ratingOf", { n: record.rating }), record.rating_comment],
    ].filter(Boolean);
    return this.#section(
      t("details"),
      h("dl", { class: "pairs" }, rows.map(([word, ...values]) => h("div", {}, h("dt", {}, word), h("dd", {}, values.filter(Boolean).join(" · "))))),
    );
  }

  #conversations(found, about) {
    if (!about?.conversations.length) return null;
    return this.#section(
      t("earlierOnes"),
      h(
        "ul",
        { class: "tree" },
        about.conversations.map((record) => {
          const current = record.id === found.id;
          const held = this.model.replica.cases.has(record.id);
          return h(
            "li",
            {},
            h(
              "button",
              {
                type: "button",
                class: "tree-row",
                "aria-current": current ? "true" : null,
                dataset: { conversation: record.id },
                onclick: () => this.model.openPast(record.id),
              },
              h("span", { class: "tree-date" }, shortDate(words.language, record.opened_at_ms)),
              h("span", { class: "tree-state" }, recordState(record, held)),
              h("span", { class: "tree-channels" }, (record.threads ?? []).map((each) => h("span", { class: "tag" }, channelName(each.channel)))),
            ),
          );
        }),
      ),
    );
  }
}

export function identityText(identity) {
  const { external_id } = identity;
  if (external_id.startsWith("user:")) return `${external_id.slice(5)} (${t("user")})`;
  if (identity.channel === "web") return t("anonymous");
  return external_id;
}

customElements.define("rd-side", SidePane);

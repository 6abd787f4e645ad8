/** Join two contacts that are one person: choose the other, see what comes along, confirm. */
import { shortDate } from "../shared/dates.js";
import { fill, h, setText } from "../shared/dom.js";
import { openDialog } from "./dialogs.js";
import { identityText } from "./side.js";
import { bodyText } from "./list.js";
import { preview } from "./standing.js";
import { channelName, nameOf } from "./view.js";
import { t, words } from "./words.js";

const WAIT_MS = 300;
/** More than these are found by their words sooner than by looking. */
const MOST_OFFERED = 12;

/** Whether contacts may be joined with the one on show, and parted; the server has the last word. */
export function canJoin(model, found) {
  return model.online && (model.role !== "agent" || (found.held && found.record.state === "assigned"));
}

export function openJoin(model, found) {
  return openDialog(t("join"), (close) => new Join(model, found, close).element, { wide: true });
}

class Join {
  #asked = 0;
  #timer = 0;

  constructor(model, found, close) {
    this.model = model;
    this.record = found.record;
    this.close = close;
    this.element = h("div", { class: "dialog-body" });
    this.#choose();
  }

  // -- the other one --------------------------------------------------------------------------------

  #choose() {
    this.list = h("div", { class: "choices" });
    this.status = h("p", { class: "muted", role: "status" });
    const input = h("input", {
      // not of type search: there Escape empties the field, and does not close
      type: "text",
      role: "searchbox",
      class: "field",
      id: "join-input",
      maxLength: 200,
      autocomplete: "off",
      spellcheck: false,
      dataset: { first: "" },
      oninput: () => {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#find(input.value.trim()), WAIT_MS);
      },
    });
    fill(
      this.element,
      h("p", {}, t("joinWho", { name: nameOf(this.record) })),
      h("label", { for: "join-input" }, t("joinFind")),
      input,
      this.status,
      this.list,
    );
    this.#offer(this.#near());
    if (this.element.isConnected) input.focus();
  }

  /** The contacts that are at hand: of the conversations on this desk and of those that lately left it. */
  #near() {
    const cases = [...this.model.mine(), ...this.model.offers(), ...this.model.lately()];
    return cases.map((each) => [each.record, bodyText(preview(each) ?? {})]);
  }

  async #find(query) {
    this.#asked += 1;
    const asked = this.#asked;
    setText(this.status, "");
    if (!query) {
      this.#offer(this.#near());
      return;
    }
    setText(this.status, t("searching"));
    try {
      const { found, cursor, until_ms } = await this.model.search(query, "", "");
      if (asked !== this.#asked) return;
      this.#offer(found.map((each) => [each.conversation, each.messages[0]?.excerpt ?? ""]));
      const date = until_ms ? shortDate(words.language, until_ms) : "";
      setText(this.status, cursor ? t("joinSearched", { date }) : "");
    } catch (error) {
      if (asked === this.#asked) setText(this.status, error.name === "LineBroken" ? t("searchOffline") : t("refused", { words: error.message }));
    }
  }

  #offer(pairs) {
    const seen = new Set([this.record.contact]);
    const others = pairs.filter(([record]) => !seen.has(record.contact) && seen.add(record.contact)).slice(0, MOST_OFFERED);
    fill(
      this.list,
      others.map(([record, said]) =>
        h(
          "button",
          { class: "choice", type: "button", onclick: () => this.#look(record.contact) },
          h("span", { class: "choice-label" }, nameOf(record)),
          h("span", { class: "tag" }, channelName((record.threads ?? []).at(-1)?.channel ?? "")),
          h("span", { class: "choice-hint join-said", dir: "auto" }, said),
        ),
      ),
      !others.length && h("p", { class: "muted" }, t("joinNobody")),
    );
  }

  // -- what comes along ------------------------------------------------------------------------------

  async #look(contact) {
    setText(this.status, t("loading"));
    try {
      const about = await this.model.about(contact);
      if (about.contact === this.record.contact) setText(this.status, t("joinSame"));
      else this.#confirm(about);
    } catch (error) {
      setText(this.status, error.name === "LineBroken" ? t("searchOffline") : t("refused", { words: error.message }));
    }
  }

  #confirm(about) {
    const going = about.conversations.find((each) => ["bot", "waiting", "offered", "assigned", "snoozed"].includes(each.state));
    const other = nameOf({ contact: about.contact, threads: about.identities });
    const name = nameOf(this.record);
    const error = h("p", { class: "form-error", role: "alert" });
    const join = h(
      "button",
      {
        class: "button primary",
        type: "button",
        onclick: async () => {
          join.disabled = true;
          setText(error, "");
          try {
            await this.model.join(this.record.contact, about.contact);
            this.close();
          } catch (problem) {
            join.disabled = false;
            setText(error, problem.name === "LineBroken" ? t("notKnown") : problem.message);
          }
        },
      },
      t("joinDo"),
    );
    fill(
      this.element,
      h("p", {}, t("joinPreview", { name, other })),
      h(
        "ul",
        { class: "join-list" },
        about.identities.map((each) => h("li", {}, h("span", { class: "tag" }, channelName(each.channel)), " ", identityText(each))),
      ),
      h(
        "ul",
        { class: "join-notes" },
        going && h("li", {}, going.agent && going.agent !== this.model.me ? t("joinOpenElsewhere", { agent: going.agent }) : t("joinOpen")),
        h("li", {}, t("joinPast", { n: about.conversations.length })),
        going && h("li", {}, t("joinReads")),
        h("li", {}, t("joinUndo")),
      ),
      error,
      h("div", { class: "form-line join-acts" }, h("button", { class: "button", type: "button", onclick: () => this.#choose() }, t("backToChoice")), join),
    );
    join.focus();
  }
}

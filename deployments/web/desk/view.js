/** What the elements of the desk share: a model to show, and words for what it holds. */
import { shortCode } from "./standing.js";
import { t, words } from "./words.js";

/** An element that shows a part of the model; it listens while it is in the document. */
export class View extends HTMLElement {
  #stops = [];

  /** @param {Model} model */
  with(model) {
    this.model = model;
    return this;
  }

  connectedCallback() {
    this.build();
  }

  disconnectedCallback() {
    for (const stop of this.#stops) stop();
    this.#stops = [];
    this.gone?.();
  }

  /** Call `show` when one of these topics changed. */
  follow(topics, show) {
    for (const topic of topics) this.#stops.push(this.model.on(topic, show));
  }
}

export function channelName(channel) {
  const key = `channel_${channel}`;
  return words.has(key) ? t(key) : channel;
}

/** What to call a contact: the shop's own name of a logged-in user, else a code that lasts. */
export function nameOf(record) {
  const user = (record.threads ?? []).find((thread) => thread.external_id.startsWith("user:"));
  return user ? user.external_id.slice(5) : t("visitor", { code: shortCode(record.contact) });
}

/** The name of an intent in the reader's language. */
export function intentName(model, intent) {
  const known = model.account.intents.find((each) => each.name === intent);
  return known?.[words.language] || known?.en || intent.replaceAll("_", " ");
}

const LEFT = {
  declined: "leftDeclined",
  transferred: "leftTransferred",
  resolved: "leftResolved",
  snoozed: "leftSnoozed",
  merged: "leftMerged",
  offer_expired: "leftOfferExpired",
  agent_away: "leftAgentAway",
  taken_over: "leftTakenOver",
  elsewhere: "leftElsewhere",
};

export function stateName(found) {
  if (!found.held && found.left) return t(LEFT[found.left] ?? "leftElsewhere");
  return recordState(found.record, found.held);
}

export function recordState(record, held = false) {
  const { state, agent } = record;
  if (state === "assigned" || state === "offered") {
    if (!held && agent) return t("stateElsewhere", { name: agent });
    return t(state === "assigned" ? "stateAssigned" : "stateOffered");
  }
  return t(`state${state[0].toUpperCase()}${state.slice(1)}`);
}

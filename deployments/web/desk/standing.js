/** Where a conversation stands, read off its record and messages: who speaks next, and since when one waits. */

/** The newest message that both sides see; null if there is none. */
function lastSaid(messages) {
  for (let index = messages.length - 1; index >= 0; index -= 1) {
    const message = messages[index];
    if (!message.internal && message.author !== "system") return message;
  }
  return null;
}

/** Whether the contact spoke after the last answer of a human. */
export function contactSpokeLast(found) {
  for (let index = found.messages.length - 1; index >= 0; index -= 1) {
    const message = found.messages[index];
    if (message.author === "agent" && !message.internal) return false;
    if (message.author === "contact") return true;
  }
  return true;
}

/**
 * Since when the contact waits for a human's answer, as Unix time in milliseconds; null when it does not.
 *
 * @param {Case} found
 * @param {Array} pending what the agent wrote and the store has not confirmed; an answer among it counts as given.
 */
export function waitingSince(found, pending = []) {
  if (pending.some((item) => !item.internal && item.state !== "refused")) return null;
  let since = null;
  for (let index = found.messages.length - 1; index >= 0; index -= 1) {
    const message = found.messages[index];
    if (message.author === "agent" && !message.internal) return since;
    if (message.author === "contact") since = message.at_ms;
  }
  // no human has answered yet, as far as is known
  return found.more && since !== null && found.record.state === "assigned"
    ? Math.max(found.record.waiting_since_ms, found.messages[0].at_ms)
    : found.record.waiting_since_ms;
}

/** What a list shows of a conversation: its newest message. */
export function preview(found) {
  return lastSaid(found.messages) ?? found.messages[found.messages.length - 1] ?? null;
}

/** A short, lasting code for a contact that has no name. */
export function shortCode(contact) {
  return contact.slice(-4).toUpperCase();
}

/** A number from 0 to 7 that a contact always gets: its colour. */
export function hueOf(contact) {
  let sum = 0;
  for (const char of contact) sum = (sum * 31 + char.codePointAt(0)) >>> 0;
  return sum % 8;
}

/** A vendor counts a long text as often as it is sent in parts; as models/channels/budget.py. */
const PART_BYTES = 2_048;
const costOf = (text) => Math.max(1, Math.ceil(new TextEncoder().encode(text).length / PART_BYTES));

/**
 * How many answers the vendor of a thread still takes, as the router counts them; null where nobody counts, or where
 * it is not known.
 *
 * @param {Case} found
 * @param {string} channel the channel of the answer; empty: where the contact wrote last.
 * @param {Array} budgets of the account: `{inbox, answers, within_s}`.
 * @param {Array} pending what the agent wrote and the store has not confirmed.
 * @returns {{channel, answers, left, until}|null} `until`: Unix time in milliseconds.
 */
export function replyBudget(found, channel, budgets, pending = []) {
  const threads = found.record.threads ?? [];
  const thread = channel ? threads.findLast((each) => each.channel === channel) : threads[threads.length - 1];
  const budget = thread && budgets.find((each) => each.inbox === thread.inbox);
  if (!budget) return null;
  let spent = 0;
  let since = null;
  for (let index = found.messages.length - 1; index >= 0 && since === null; index -= 1) {
    const message = found.messages[index];
    if (message.channel !== thread.channel || message.internal) continue;
    if (message.author === "contact") since = message.at_ms;
    else if (found.deliveries.get(message.id)?.state !== "failed") spent += costOf(message.text ?? "");
  }
  if (since === null) return null;
  const last = threads[threads.length - 1].channel;
  for (const item of pending) {
    const stored = found.messages.some((message) => message.source_id === item.client_id);
    if (!stored && !item.internal && item.state !== "refused" && (item.channel || last) === thread.channel) spent += costOf(item.text);
  }
  return { channel: thread.channel, answers: budget.answers, left: Math.max(0, budget.answers - spent), until: since + budget.within_s * 1000 };
}

/** Why an answer would be refused: `late`, `spent`, `long`; empty when it goes. */
export function overBudget(budget, text, now) {
  if (!budget) return "";
  if (now >= budget.until) return "late";
  if (budget.left <= 0) return "spent";
  return costOf(text) > budget.left ? "long" : "";
}

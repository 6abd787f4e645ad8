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

/**
 * What the agent wrote and the store has not confirmed: nothing is lost, nothing goes out twice.
 *
 * * A message keeps its client id from the moment it is written, over any break and any reload of the tab; the server
 *   takes each id once.
 * * Messages of one conversation go out one after the other, in the order in which they were written. One that is
 *   refused for good holds back those behind it until the agent decides, so that no answer overtakes another.
 * * A message is `waiting` (for the connection, or for those before it), `sending`, `stored` (its receipt came, its
 *   event has not yet) or `refused` (with the server's words).
 */

const PAUSE_MS = 1_000;

export class Outbox {
  #send;
  #changed;
  #storage;
  #key;
  #busy = new Set();
  #items = [];
  #open = false;

  /**
   * @param {object} options
   * @param {(item: object) => Promise<object>} options.send resolves with the receipt.
   * @param {(conversation: string) => void} options.changed is told of each change.
   * @param {Storage} options.storage keeps what waits while the tab lives.
   * @param {string} options.key where.
   */
  constructor({ send, changed, storage, key }) {
    this.#send = send;
    this.#changed = changed;
    this.#storage = storage;
    this.#key = key;
    try {
      this.#items = JSON.parse(storage.getItem(key) ?? "[]");
    } catch {
      this.#items = [];
    }
    // whether it happened is not known: it goes out again, under the same id
    for (const item of this.#items) if (item.state === "sending") item.state = "waiting";
  }

  /** How many the server has not confirmed. */
  get unsent() {
    return this.#items.filter((item) => item.state !== "stored").length;
  }

  of(conversation) {
    return this.#items.filter((item) => item.conversation === conversation);
  }

  all() {
    return [...this.#items];
  }

  /** Take a message on; it is shown as waiting at once, and goes out when it can. */
  add({ conversation, text, internal = false, channel = "", reply_to = "", at, files = [] }) {
    const item = { client_id: newId(), conversation, text, internal, channel, reply_to, at, state: "waiting", error: "" };
    if (files.length) item.files = files;
    this.#items.push(item);
    this.#kept(conversation);
    this.#next(conversation);
    return item;
  }

  /** The line is open, or not: send on, or hold. */
  setOpen(open) {
    this.#open = open;
    if (!open) return;
    for (const conversation of new Set(this.#items.map((item) => item.conversation))) this.#next(conversation);
  }

  /** Its event came: the timeline shows it now. */
  shown(conversation, clientId) {
    if (!clientId) return;
    const before = this.#items.length;
    this.#items = this.#items.filter((item) => item.client_id !== clientId);
    if (this.#items.length === before) return;
    this.#kept(conversation);
    this.#next(conversation);
  }

  /** Try again what was refused; under the same id, as what was refused did not happen. */
  retry(clientId) {
    const item = this.#items.find((each) => each.client_id === clientId);
    if (!item || item.state !== "refused") return;
    item.state = "waiting";
    item.error = "";
    this.#kept(item.conversation);
    this.#next(item.conversation);
  }

  /** Give a message up that did not go out; returns its text. */
  discard(clientId) {
    const item = this.#items.find((each) => each.client_id === clientId);
    if (!item || item.state === "sending" || item.state === "stored") return null;
    this.#items = this.#items.filter((each) => each !== item);
    this.#kept(item.conversation);
    this.#next(item.conversation);
    return item.text;
  }

  clear() {
    this.#items = [];
    this.#storage.removeItem(this.#key);
  }

  async #next(conversation) {
    if (!this.#open || this.#busy.has(conversation)) return;
    const item = this.#items.find((each) => each.conversation === conversation && each.state !== "stored");
    if (!item || item.state !== "waiting") return;
    this.#busy.add(conversation);
    item.state = "sending";
    this.#kept(conversation);
    let pauseMs = 0;
    try {
      const receipt = await this.#send(item);
      item.state = "stored";
      item.id = receipt.message;
    } catch (error) {
      if (error.name === "LineBroken") {
        item.state = "waiting";
        pauseMs = PAUSE_MS;
      } else if (error.passing) {
        item.state = "waiting";
        pauseMs = error.retryAfterS ? error.retryAfterS * 1000 : PAUSE_MS;
      } else {
        item.state = "refused";
        item.error = error.message;
      }
    }
    this.#busy.delete(conversation);
    this.#kept(conversation);
    if (item.state === "stored") this.#next(conversation);
    else if (pauseMs) setTimeout(() => this.#next(conversation), pauseMs);
  }

  #kept(conversation) {
    if (this.#items.length) this.#storage.setItem(this.#key, JSON.stringify(this.#items));
    else this.#storage.removeItem(this.#key);
    this.#changed(conversation);
  }
}

/** Make an id that nobody else makes. */
export function newId() {
  // randomUUID is missing where the page came over plain HTTP from another machine
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * What a browser remembers of a visitor between pages and visits, in the shop's own localStorage.
 *
 * Only a stranger's token is kept: it is the one proof that the earlier messages are this person's, the shop's
 * scripts could read the chat anyway, and the server lets it end. Of a signed user nothing is kept, as the shop's
 * page proves anew who that is; so the next person at this computer finds nothing after a log-out.
 */
export class Memory {
  #prefix;
  #fallback = new Map();

  /** @param {string} scope tells several servers and inboxes on one page apart. */
  constructor(scope) {
    this.#prefix = `raydesk ${scope} `;
  }

  get(name) {
    try {
      const text = localStorage.getItem(this.#prefix + name);
      return text === null ? (this.#fallback.get(name) ?? null) : JSON.parse(text);
    } catch {
      // storage is turned off, or holds what others wrote there
      return this.#fallback.get(name) ?? null;
    }
  }

  set(name, value) {
    try {
      localStorage.setItem(this.#prefix + name, JSON.stringify(value));
    } catch {
      this.#fallback.set(name, value);
    }
  }

  remove(name) {
    this.#fallback.delete(name);
    try {
      localStorage.removeItem(this.#prefix + name);
    } catch {
      // nothing was kept there
    }
  }

  /** List the names that begin with `start`. */
  names(start) {
    let kept = [];
    try {
      kept = Object.keys(localStorage)
        .filter((key) => key.startsWith(this.#prefix + start))
        .map((key) => key.slice(this.#prefix.length));
    } catch {
      // nothing is kept there
    }
    return [...new Set([...kept, ...[...this.#fallback.keys()].filter((name) => name.startsWith(start))])];
  }
}

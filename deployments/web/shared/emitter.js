/**
 * Topics that others listen to. What is announced within one task is told once, in a microtask after it: a frame
 * with twenty events draws once.
 */
export class Emitter {
  #listeners = new Map();
  #changed = new Map();

  /** Call `listener(details)` after topic changed; details are what was announced. Returns how to stop. */
  on(topic, listener) {
    if (!this.#listeners.has(topic)) this.#listeners.set(topic, new Set());
    this.#listeners.get(topic).add(listener);
    return () => this.#listeners.get(topic).delete(listener);
  }

  /** Announce that topic changed. */
  changed(topic, detail = undefined) {
    if (!this.#changed.size) queueMicrotask(() => this.#tell());
    if (!this.#changed.has(topic)) this.#changed.set(topic, []);
    if (detail !== undefined) this.#changed.get(topic).push(detail);
  }

  #tell() {
    const changed = this.#changed;
    this.#changed = new Map();
    for (const [topic, details] of changed) {
      for (const listener of this.#listeners.get(topic) ?? []) {
        try {
          listener(details);
        } catch (error) {
          // one part of the page that fails must not stop the others from showing the truth
          reportError(error);
        }
      }
    }
  }
}

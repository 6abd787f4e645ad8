/** What the reader chose for this browser: language, colours, sound. Not secret, so it may outlive the session. */
import { preferred } from "../shared/i18n.js";

const KEY = "raydesk.desk.prefs";
export const LANGUAGES = ["en", "zh"];
export const THEMES = ["auto", "light", "dark"];

export class Prefs {
  #changed;

  constructor(changed) {
    this.#changed = changed;
    this.#load();
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.#load();
      changed();
    });
  }

  #load() {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    } catch {
      // somebody else's words stood there
    }
    this.language = LANGUAGES.includes(kept.language) ? kept.language : preferred(LANGUAGES);
    this.theme = THEMES.includes(kept.theme) ? kept.theme : "auto";
    this.sound = kept.sound !== false;
    this.notify = kept.notify === true;
    this.side = kept.side !== false;
  }

  set(changes) {
    Object.assign(this, changes);
    const { language, theme, sound, notify, side } = this;
    localStorage.setItem(KEY, JSON.stringify({ language, theme, sound, notify, side }));
    this.#changed();
  }
}

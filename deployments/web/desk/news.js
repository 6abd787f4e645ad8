/** What tells an agent who looks elsewhere: notifications, a sound, the title's number, toasts, the live region. */
import { h, setText } from "../shared/dom.js";
import { bodyText } from "./list.js";
import { View, nameOf } from "./view.js";
import { t } from "./words.js";

const SHOWN_MS = 6_000;
const MOST_TOASTS = 3;
const TEXT_CHARS = 140;

class News extends View {
  #sound = null;

  build() {
    this.toasts = h("div", { class: "toasts", role: "status" });
    this.spoken = h("div", { class: "unseen", role: "log", "aria-live": "polite", "aria-relevant": "additions" });
    this.append(this.toasts, this.spoken);
    this.follow(["toast"], (toasts) => toasts.forEach((each) => this.#toast(t(each.word, each.params), each.tone)));
    this.follow(["news"], (news) => news.forEach((each) => this.#tell(each)));
    this.follow(["list", "session"], () => this.#showTitle());
    this.#showTitle();
  }

  #showTitle() {
    const waiting = this.model.offers().length + this.model.unreadInAll();
    const title = `${waiting ? `(${waiting}) ` : ""}${t("title")} · ${t("desk")}`;
    if (document.title !== title) document.title = title;
  }

  #tell({ kind, case: found, change, message }) {
    if (!found) return;
    const name = nameOf(found.record);
    if (kind === "offered") this.#alert(t("newOffer", { name }), previewOf(found), found.id, true);
    else if (kind === "message") this.#tellMessage(found, name, message);
    else if (kind === "removed" && change === "offer_expired") this.#toast(t("offerGone", { name }), "warn");
    else if (kind === "removed" && change === "agent_away") this.#toast(t("takenAway", { name }), "warn");
    else if (kind === "removed" && change === "taken_over") this.#toast(t("takenOver", { name }), "warn");
    else if (kind === "delivery" && found.deliveries.get(message)?.state === "failed") {
      this.#toast(t("failedDelivery", { name }), "warn", found.id);
    }
  }

  #tellMessage(found, name, message) {
    if (message.author !== "contact") return;
    const text = bodyText(message).slice(0, TEXT_CHARS);
    this.#say(t("newMessageFrom", { name, text }));
    if (found.id === this.model.selected && document.hasFocus()) return;
    this.#alert(name, text, found.id, false);
  }

  /** Let a screen reader say something; it keeps the last few. */
  #say(text) {
    this.spoken.append(h("p", {}, text));
    while (this.spoken.childElementCount > 5) this.spoken.firstChild.remove();
  }

  #alert(title, body, id, offer) {
    if (offer) this.#say(`${title}. ${body}`);
    this.#ring(offer);
    const { prefs } = this.model;
    if (!prefs.notify || document.hasFocus() || globalThis.Notification?.permission !== "granted") return;
    // the tag makes one of those that several tabs show
    const shown = new Notification(title, { body, tag: `raydesk:${id}`, renotify: true, silent: true });
    shown.onclick = () => {
      focus();
      shown.close();
      this.model.select(id);
    };
  }

  /** Two soft tones for an offer, one for a message; in one tab only. */
  #ring(offer) {
    if (!this.model.prefs.sound || !navigator.userActivation?.hasBeenActive) return;
    const play = () => {
      this.#sound ??= new AudioContext();
      const start = this.#sound.currentTime;
      (offer ? [660, 880] : [740]).forEach((pitch, index) => {
        const tone = this.#sound.createOscillator();
        const loud = this.#sound.createGain();
        const at = start + index * 0.16;
        tone.frequency.value = pitch;
        loud.gain.setValueAtTime(0, at);
        loud.gain.linearRampToValueAtTime(0.08, at + 0.02);
        loud.gain.exponentialRampToValueAtTime(0.0001, at + 0.35);
        tone.connect(loud).connect(this.#sound.destination);
        tone.start(at);
        tone.stop(at + 0.4);
      });
    };
    if (!navigator.locks) {
      play();
      return;
    }
    navigator.locks.request("raydesk.desk.sound", { ifAvailable: true }, async (lock) => {
      if (!lock) return;
      play();
      await new Promise((resolve) => setTimeout(resolve, 500));
    });
  }

  #toast(text, tone, id = "") {
    const shown = [...this.toasts.children].find((each) => each.textContent === text);
    shown?.remove();
    const toast = h(id ? "button" : "div", { class: `toast ${tone}`, onclick: () => id && this.model.select(id) });
    setText(toast, text);
    this.toasts.append(toast);
    while (this.toasts.childElementCount > MOST_TOASTS) this.toasts.firstChild.remove();
    setTimeout(() => toast.remove(), SHOWN_MS);
  }
}

function previewOf(found) {
  const message = [...found.messages].reverse().find((each) => each.author === "contact");
  return message ? bodyText(message).slice(0, TEXT_CHARS) : "";
}

customElements.define("rd-news", News);

/**
 * Files in the chat: choosing, sending in, and saving them. Loaded once a chat is open at a server that takes files, as
 * no other page needs it.
 *
 * A file is a message of its own. Its bytes are this page's alone until the server has them, so until then the browser
 * asks before the page is left.
 */
import { drawn, fill, h } from "../shared/elements.js";
import { NotTaken, readingUrl, sendIn, sizeText } from "../shared/upload.js";
import { Words } from "../shared/i18n.js";
import { icon } from "./icons.js";

const CLIP = "M19 11.500 11.800 18.700a4.600 4.600 0 0 1-6.500-6.500l7.700-7.700a3 3 0 0 1 4.300 4.300l-7.500 7.500a1.500 1.500 0 0 1-2.100-2.100l6.600-6.600";
const WORDS = {
  en: {
    attach: "Send a file",
    save: "Save {name}",
    sending: "Sending …",
    waiting: "Waiting for a connection",
    cancel: "Cancel",
    remove: "Remove",
    again: "Try again",
    failed: "Not sent.",
    empty: "Not sent: the file is empty.",
    large: "Not sent: a file may have at most {size}.",
    gone: "Not sent: choose the file again.",
    notNow: "Not available at the moment.",
  },
  zh: {
    attach: "发送文件",
    save: "保存 {name}",
    sending: "发送中…",
    waiting: "等待网络恢复",
    cancel: "取消",
    remove: "移除",
    again: "重试",
    failed: "发送失败。",
    empty: "发送失败：文件是空的。",
    large: "发送失败：文件最大 {size}。",
    gone: "发送失败：请重新选择文件。",
    notNow: "暂时无法打开。",
  },
};
const RULES = `
button.file { cursor: pointer; }
button.file bdi { text-decoration: underline; text-underline-offset: 2px; }
.file .bad { color: inherit; }
.foot progress { width: 72px; height: 6px; accent-color: var(--accent); }
.composer button.attach { margin-inline-end: -6px; background: none; color: var(--soft); }
`;
/** Trying again does not help, and nothing waits behind it. */
const HOPELESS = ["empty", "large", "gone", "unreadable"];
let sheet;

export class Files {
  /** The longest that may be sent. */
  mostBytes = 0;
  #visitor;
  #words;
  /** About a file -> {file, abort}: what is not in yet. */
  #here = new Map();
  #bars = new WeakMap();
  #leaving = (event) => {
    if (this.#here.size) event.preventDefault();
  };

  /** @param {Visitor} visitor */
  constructor(visitor) {
    this.#visitor = visitor;
    addEventListener("beforeunload", this.#leaving);
  }

  stop() {
    removeEventListener("beforeunload", this.#leaving);
    for (const { abort } of this.#here.values()) abort.abort();
    this.#here.clear();
  }

  // -- sending --------------------------------------------------------------------------------------

  send(file) {
    const about = { name: file.name, bytes: file.size, sent: 0 };
    const failed = !file.size ? "empty" : file.size > this.mostBytes ? "large" : "";
    if (!failed) this.#here.set(about, { file, abort: new AbortController() });
    this.#visitor.send("", { file: about, failed });
  }

  /** Have a file in, and note its proof. */
  async sendIn(about, server, token) {
    const here = this.#here.get(about);
    if (!here) throw new NotTaken("gone", "gone");
    const progress = (share) => {
      about.sent = share;
      // in place: a press on the button beside it must not be lost by drawing
      const bar = this.#bars.get(about);
      if (bar) bar.value = share;
    };
    const { id, name, kind, proof } = await sendIn(server, token, here.file, { progress, signal: here.abort.signal });
    Object.assign(about, { id, name, kind, proof });
    this.#here.delete(about);
  }

  /** Stop a file on its way. */
  cancel(about) {
    this.#here.get(about)?.abort.abort();
    this.#here.delete(about);
  }

  // -- showing --------------------------------------------------------------------------------------

  /** Speak the language of the panel, give it the button that chooses files, and take what is pasted or dropped. */
  join(panel, input, language) {
    this.#words = new Words(WORDS, language);
    sheet ??= new CSSStyleSheet();
    sheet.replaceSync(RULES);
    const root = panel.getRootNode();
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
    const name = this.#words.t("attach");
    const chooser = h("input", { type: "file", multiple: true, hidden: true, "aria-label": name });
    const button = h("button", { type: "button", class: "attach", "aria-label": name, title: name }, drawn(CLIP, 20));
    button.addEventListener("click", () => chooser.click());
    chooser.addEventListener("change", () => {
      this.#sendAll(chooser.files);
      // the same file may be chosen again
      chooser.value = "";
      input.focus();
    });
    // behind the line to write in: whoever goes back from there by keyboard comes to the answers, as without files
    input.after(button, chooser);
    input.addEventListener("paste", (event) => this.#brought(event, event.clipboardData));
    panel.addEventListener("dragover", (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());
    panel.addEventListener("drop", (event) => this.#brought(event, event.dataTransfer));
  }

  #brought(event, { files, types }) {
    // what is copied from a document comes as a picture too; its text is meant
    if (!files.length || types.includes("text/plain")) return;
    event.preventDefault();
    this.#sendAll(files);
  }

  #sendAll(files) {
    for (const file of files) this.send(file);
  }

  /** Return the row of a file that the server has. */
  row({ title, file, bytes }) {
    const name = title || file;
    const row = h("button", { type: "button", class: "file", title: this.#words.t("save", { name }) });
    fill(row, icon("file", 20), h("bdi", {}, name), h("small", {}, sizeText(this.#words.language, bytes)));
    row.addEventListener("click", () => this.#save(row, file));
    return row;
  }

  async #save(row, file) {
    row.querySelector(".bad")?.remove();
    try {
      const href = await this.#visitor.asOwner((server, token) => readingUrl(server, token, file));
      // in a tab of its own: an error must not take the place of the shop's page
      h("a", { href, target: "_blank", rel: "noopener noreferrer" }).click();
    } catch {
      row.append(h("small", { class: "bad", role: "status" }, this.#words.t("notNow")));
    }
  }

  /** Fill what stands under a file that is on its way. */
  foot(foot, { clientId, file, failed }, open) {
    const t = (word, params) => this.#words.t(word, params);
    const link = (word, onclick) => h("button", { type: "button", class: "link", onclick }, t(word));
    const drop = (word) => link(word, () => this.#visitor.discard(clientId));
    if (!failed) {
      const bar = h("progress", { max: 1, value: file.sent, "aria-label": t("sending"), hidden: !open });
      this.#bars.set(file, bar);
      return fill(foot, t(open ? "sending" : "waiting"), bar, drop("cancel"));
    }
    const word = failed === "unreadable" ? "gone" : HOPELESS.includes(failed) ? failed : "failed";
    const say = h("span", { class: "bad" }, t(word, { size: sizeText(this.#words.language, this.mostBytes) }));
    const again = word === "failed" ? link("again", () => this.#visitor.again(clientId)) : null;
    return fill(foot, say, again, drop("remove"));
  }
}

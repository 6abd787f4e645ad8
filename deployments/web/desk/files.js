/**
 * Files on their way in: those that stand in a draft, and those of messages that wait in the outbox.
 *
 * * A file goes in as soon as it is put into a draft; the message that brings it waits for it in the outbox, so that
 *   nothing written later overtakes it.
 * * A broken line costs no file: it goes in again when the line is back. The bytes are this page's alone, so a reload
 *   loses a file that was not in yet; then that is said, and the agent decides.
 * * A file is `waiting` (for the line), `sending`, `kept` (the server has it) or `refused` (with why).
 */
import { newId } from "./outbox.js";
import { sizeText } from "../shared/upload.js";
import { t, words } from "./words.js";

const AGAIN_MS = 2_000;
/** A proof that ends within this is not shown any more. */
const MARGIN_MS = 60_000;
/** So often an upload may break while the socket's line stands: then something between refuses it, and cannot say so. */
const MOST_BREAKS = 5;

export class Files {
  #post;
  #changed;
  #rules;
  #now;
  #drafts = new Map();
  /** key -> {file, abort}: what is only in this page. */
  #bytes = new Map();
  #running = new Map();
  #breaks = new Map();
  #open = false;

  /**
   * @param {object} options
   * @param {(file: File, options: object) => Promise<object>} options.post sends a file in.
   * @param {(conversation: string) => void} options.changed is told of each change.
   * @param {() => {bytes: number, most: number}} options.rules what the server takes.
   * @param {() => number} options.now the server's time.
   */
  constructor({ post, changed, rules, now }) {
    this.#post = post;
    this.#changed = changed;
    this.#rules = rules;
    this.#now = now;
  }

  /** The files of a draft. */
  of(conversation) {
    return this.#drafts.get(conversation) ?? [];
  }

  /** Whether a draft has one that no message brings yet. */
  get any() {
    return [...this.#drafts.values()].some((files) => files.length > 0);
  }

  /** Put files into a draft; returns how many were too many for one message. */
  add(conversation, given) {
    const { most } = this.#rules();
    const files = [...given];
    const room = Math.max(0, most - this.of(conversation).length);
    for (const file of files.slice(0, room)) this.#put(conversation, file);
    this.#changed(conversation);
    return files.length - Math.min(room, files.length);
  }

  #put(conversation, file) {
    const kind = file.type.startsWith("image/") ? "image" : "file";
    const item = { key: newId(), name: file.name || t("file"), bytes: file.size, kind, state: "waiting", sent: 0, error: "" };
    this.#drafts.set(conversation, [...this.of(conversation), item]);
    const { bytes } = this.#rules();
    if (!file.size) this.#refuse(item, t("fileEmpty"));
    else if (file.size > bytes) this.#refuse(item, t("fileTooLarge", { size: sizeText(words.language, bytes) }));
    else {
      this.#bytes.set(item.key, { file, abort: new AbortController() });
      this.#try(conversation, item);
    }
  }

  #refuse(item, why) {
    item.state = "refused";
    item.error = why;
  }

  /** Take a file out of a draft, or stop it on its way. */
  cancel(conversation, item) {
    this.#bytes.get(item.key)?.abort.abort();
    this.#bytes.delete(item.key);
    this.#drop(conversation, (each) => each === item);
    if (item.state !== "kept") this.#refuse(item, t("fileCancelled"));
    this.#changed(conversation);
  }

  /** Whether the bytes are here, so that it makes sense to try again. */
  has(item) {
    return this.#bytes.has(item.key);
  }

  retry(conversation, item) {
    if (!this.has(item)) return;
    item.state = "waiting";
    item.error = "";
    this.#try(conversation, item);
    this.#changed(conversation);
  }

  /** Hand a draft's files to the message that brings them. */
  take(conversation) {
    const files = this.of(conversation);
    this.#drafts.delete(conversation);
    return files;
  }

  /** Put the files of a message that is not sent back into the draft. */
  putBack(conversation, files) {
    // those whose bytes are gone cannot be sent by anything but a new choice
    const usable = files.filter((item) => item.state === "kept" || this.has(item));
    this.#drafts.set(conversation, [...usable, ...this.of(conversation)]);
    for (const item of usable.filter((each) => each.state !== "kept")) this.#try(conversation, item);
    this.#changed(conversation);
  }

  /** Forget what a message brought, or what is given up. */
  forget(files) {
    for (const item of files) {
      this.#bytes.get(item.key)?.abort.abort();
      this.#bytes.delete(item.key);
    }
  }

  clear() {
    for (const { abort } of this.#bytes.values()) abort.abort();
    this.#bytes.clear();
    this.#drafts.clear();
  }

  /** The line is open, or not: files of drafts go on, or wait. */
  setOpen(open) {
    this.#open = open;
    if (!open) return;
    this.#breaks.clear();
    for (const [conversation, files] of this.#drafts) {
      for (const item of files) if (item.state === "waiting") this.#try(conversation, item);
    }
  }

  /**
   * Resolve with the proofs of files once the server has all of them.
   *
   * @throws what `post` throws; the message waits or is refused accordingly.
   */
  async proofs(conversation, files) {
    for (const item of files) {
      const ends = item.state === "kept" && item.until * 1000 < this.#now() + MARGIN_MS;
      if (item.state !== "kept" || (ends && this.has(item))) await this.#go(conversation, item);
    }
    return files.map((item) => item.proof);
  }

  /** Send a draft's file in, and again while the line comes and goes. */
  async #try(conversation, item) {
    try {
      await this.#go(conversation, item);
    } catch (error) {
      if (item.state !== "waiting") return;
      const later = () => {
        if (this.#open && item.state === "waiting" && this.of(conversation).includes(item)) this.#try(conversation, item);
      };
      setTimeout(later, error.retryAfterS ? error.retryAfterS * 1000 : AGAIN_MS);
    }
  }

  #go(conversation, item) {
    if (!this.#running.has(item.key)) {
      this.#running.set(
        item.key,
        this.#send(conversation, item).finally(() => this.#running.delete(item.key)),
      );
    }
    return this.#running.get(item.key);
  }

  async #send(conversation, item) {
    const here = this.#bytes.get(item.key);
    if (!here) {
      if (item.state !== "refused") this.#refuse(item, t("fileLost"));
      this.#changed(conversation);
      throw new Error(item.error);
    }
    if (here.abort.signal.aborted) here.abort = new AbortController();
    Object.assign(item, { state: "sending", sent: 0, error: "" });
    const progress = (share) => {
      item.sent = share;
      this.#changed(conversation);
    };
    try {
      const { id, name, kind, proof, expires_at } = await this.#post(here.file, { progress, signal: here.abort.signal });
      Object.assign(item, { id, name, kind, proof, until: expires_at, state: "kept", sent: 1 });
    } catch (error) {
      if ((error.name === "LineBroken" && !this.#breaksForGood(item)) || error.passing) item.state = "waiting";
      else if (error.name === "LineBroken") this.#refuse(item, t("fileNotThrough"));
      else this.#refuse(item, WORDS[error.kind] ? t(WORDS[error.kind]) : error.message);
      if (item.state === "refused") throw new Error(item.error);
      throw error;
    } finally {
      this.#changed(conversation);
    }
  }

  #breaksForGood({ key }) {
    if (this.#open) this.#breaks.set(key, (this.#breaks.get(key) ?? 0) + 1);
    const often = this.#breaks.get(key) >= MOST_BREAKS;
    if (often) this.#breaks.delete(key);
    return often;
  }

  #drop(conversation, wanted) {
    const rest = this.of(conversation).filter((each) => !wanted(each));
    if (rest.length) this.#drafts.set(conversation, rest);
    else this.#drafts.delete(conversation);
  }
}

const WORDS = { cancelled: "fileCancelled", unreadable: "fileUnreadable", unauthorized: "sessionOver" };

/** Return the files that a drop or a paste brings; folders are none. */
export function filesIn(transfer) {
  const items = [...(transfer?.items ?? [])].filter((each) => each.kind === "file");
  return items.filter((each) => !each.webkitGetAsEntry?.()?.isDirectory).map((each) => each.getAsFile()).filter(Boolean);
}

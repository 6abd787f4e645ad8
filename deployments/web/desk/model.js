/**
 * What the page knows, and all that it can do; the elements only show it and call it.
 *
 * The log is the truth (replica.js), the outbox holds what it has not confirmed (outbox.js), and the line brings both
 * together. What only this agent's tabs need, drafts and what was read, the tabs tell each other. Topics that change:
 * `session`, `connection`, `list`, `case`, `draft`, `presence`, `account`, `about`, `typing`, `toast`, `news`, `prefs`.
 */
import { ServerClock } from "../shared/dates.js";
import { Emitter } from "../shared/emitter.js";
import { Line } from "../shared/line.js";
import { Files } from "./files.js";
import { Outbox } from "./outbox.js";
import { Prefs } from "./prefs.js";
import { Case, OutOfStep, Replica } from "./replica.js";
import { Session, Tabs } from "./session.js";
import { contactSpokeLast, overBudget, replyBudget, waitingSince } from "./standing.js";

const PAGE = 100;
/** More than this is not kept of a conversation that nobody looks at. */
const KEPT_MESSAGES = 300;
const FOUND_PAGE = 200;
const TYPING_SHOWN_MS = 6_000;
const TYPING_TOLD_MS = 3_000;
const ACK_MS = 1_000;
const ABOUT_FRESH_MS = 30_000;
const EVENT_WITHIN_MS = 3_000;

export class Model extends Emitter {
  constructor() {
    super();
    this.clock = new ServerClock();
    this.prefs = new Prefs(() => this.changed("prefs"));
    this.tabs = new Tabs();
    this.session = new Session(this.clock, this.tabs, () => this.#sessionOver());
    this.me = "";
    this.role = "";
    this.presence = { status: "online", reason: "" };
    this.connection = { state: "stopped", retryAt: 0, ever: false };
    /** What the account is made of: colleagues, skills, names of intents, canned answers. */
    this.account = {
      agents: [],
      skills: [],
      intents: [],
      canned: [],
      tags: [],
      budgets: [],
      answer_within_s: 120,
      files: { bytes: 0, most: 0, channels: [] },
    };
    this.selected = "";
    /** Conversations that were opened from the past, and are on no list. */
    this.past = new Map();
    this.line = null;
    this.#reset();
    this.#hearTabs();
    setInterval(() => this.#tick(), 1_000);
  }

  #reset() {
    this.replica = new Replica();
    this.outbox = null;
    this.files?.clear();
    this.files = new Files({
      post: (file, options) => this.session.sendIn(file, options),
      changed: (id) => {
        this.changed("files", id);
        this.changed("case", id);
      },
      rules: () => this.account.files,
      now: () => this.clock.now(),
    });
    this.drafts = new Map();
    this.read = new Map();
    this.abouts = new Map();
    this.typing = new Map();
    this.#loading = new Set();
    this.#ackedAt = 0;
    this.#toldSeen.clear();
    this.past.clear();
    this.selected = "";
  }

  #loading = new Set();
  #ackedAt = 0;
  #ackTimer = 0;
  #toldTyping = { id: "", at: 0 };
  #acting = new Set();
  #atEnd = false;
  #toldSeen = new Map();

  // -- logging in and out -------------------------------------------------------------------------

  async start() {
    if (await this.session.find()) this.#begin();
    else this.changed("session");
  }

  async logIn(account, name, password) {
    const before = this.me && this.session.owner;
    await this.session.logIn(account, name, password);
    if (before !== this.session.owner) this.#reset();
    this.#begin();
  }

  /** Leave this browser's tabs; what was not sent is given up, so the caller asks first. */
  logOut() {
    this.tabs.tell("left", this.session.owner);
    this.#left();
  }

  #left() {
    this.line?.stop();
    this.line = null;
    this.outbox?.clear();
    this.#store("drafts", null);
    this.#store("read", null);
    this.session.leave();
    this.me = "";
    this.#reset();
    this.changed("session");
  }

  get loggedIn() {
    return Boolean(this.session.value) && this.line !== null;
  }

  #sessionOver() {
    this.line?.stop();
    this.line = null;
    // the outbox and the drafts stay for the same agent's next log-in
    this.session.leave();
    this.changed("session");
    this.toast("sessionOver", {}, "warn");
  }

  #begin() {
    this.me = this.session.value.name;
    this.role = this.session.value.role;
    const owner = this.session.owner;
    this.outbox ??= new Outbox({
      send: (item) => this.#sendItem(item),
      changed: (id) => this.changed("case", id),
      storage: sessionStorage,
      key: `raydesk.desk.outbox:${owner}`,
    });
    this.drafts = new Map(this.#stored("drafts") ?? []);
    this.read = new Map(this.#stored("read") ?? []);
    this.tabs.tell("drafts?", owner);
    this.line = new Line({
      connect: () => this.session.connect(),
      open: (line) => this.#open(line),
      push: (method, params) => this.#push(method, params),
      state: (state, retryAt) => this.#connectionIs(state, retryAt),
      probe: () => ["desk.ack", { cursor: this.replica.cursor ?? 0 }],
    });
    this.changed("session");
    this.line.start();
  }

  #connectionIs(state, retryAt) {
    if (state === "over") {
      this.#sessionOver();
      return;
    }
    this.connection = { state, retryAt, ever: this.connection.ever || state === "open" };
    this.outbox?.setOpen(state === "open");
    this.files.setOpen(state === "open");
    if (state !== "open") this.typing.clear();
    this.changed("connection");
    this.changed("list");
    if (state === "open") this.#afterOpening();
  }

  get online() {
    return this.connection.state === "open";
  }

  // -- the log ------------------------------------------------------------------------------------

  async #open(line) {
    const token = this.session.value.token;
    let opened;
    try {
      opened = await line.call("desk.open", { token, cursor: this.replica.cursor }, { first: true });
    } catch (error) {
      // the store was set back behind what we know: only a snapshot tells what holds
      if (error.kind === "cursor_ahead") this.replica.cursor = null;
      throw error;
    }
    this.role = opened.role;
    if (opened.now_ms) this.clock.set(opened.now_ms);
    if (opened.presence !== this.presence.status) this.presence = { status: opened.presence, reason: "" };
    this.changed("presence");
    if (opened.snapshot) this.#restart(opened.cursor, opened.conversations ?? []);
  }

  async #afterOpening() {
    this.#loadAccount();
    for (const found of [...this.replica.cases.values()]) {
      // how long a contact waits is only known back to the last answer
      if (found.more && contactSpokeLast(found) && !found.messages.some((each) => each.author === "agent")) {
        await this.loadOlder(found.id);
      }
    }
    if (this.selected) this.#entered(this.selected);
    this.#tellSeen();
  }

  #restart(cursor, conversations) {
    const gone = this.replica.restart(cursor, conversations);
    for (const found of this.replica.cases.values()) this.#settleOutbox(found);
    for (const id of gone) this.changed("case", id);
    for (const id of this.replica.cases.keys()) this.changed("case", id);
    this.#forgetRead();
    this.changed("list");
    this.#ackSoon();
  }

  #push(method, params) {
    if (method === "desk.snapshot") this.#restart(params.cursor, params.conversations);
    else if (method === "event") this.#events(params);
  }

  #events({ cursor, events }) {
    if (cursor === undefined) {
      for (const each of this.replica.live(events)) this.#liveHappened(each);
      return;
    }
    let happened;
    try {
      happened = this.replica.apply(cursor, events);
    } catch (error) {
      if (!(error instanceof OutOfStep)) throw error;
      console.warn(error.message);
      this.replica.cursor = null;
      this.line.reconnect();
      return;
    }
    if (!happened) return;
    for (const each of happened) this.#hasHappened(each);
    this.#ackSoon();
  }

  #liveHappened({ kind, case: found }) {
    if (kind === "typing") {
      this.typing.set(found.id, performance.now() + TYPING_SHOWN_MS);
      this.changed("typing");
      this.changed("list");
    } else {
      this.changed("case", found.id);
    }
  }

  #hasHappened(each) {
    const { kind, id, case: found } = each;
    if (kind === "message") {
      const { message } = each;
      if (message.author === "agent" && message.inbox === `desk:${this.me}`) {
        this.outbox.shown(id, message.source_id);
        this.#markRead(id, message.seq);
      }
      if (message.author === "contact") {
        this.typing.delete(id);
        this.changed("typing");
        this.#dropAbout(found);
      }
      if (this.#watching(id)) this.#markRead(id, message.seq);
    }
    if (kind === "offered" || kind === "removed") this.#dropAbout(found);
    if (kind === "removed") {
      this.typing.delete(id);
      if (each.change !== "declined" || this.selected !== id) this.changed("news", each);
    } else if (kind === "offered" || kind === "message" || kind === "delivery") {
      this.changed("news", each);
    }
    this.changed("case", id);
    this.changed("list");
  }

  #ackSoon() {
    if (this.#ackTimer) return;
    const waitMs = Math.max(0, this.#ackedAt + ACK_MS - performance.now());
    this.#ackTimer = setTimeout(() => {
      this.#ackTimer = 0;
      this.#ackedAt = performance.now();
      if (this.replica.cursor !== null) this.line?.notify("desk.ack", { cursor: this.replica.cursor });
    }, waitMs);
  }

  // -- looking ------------------------------------------------------------------------------------

  /** Return a conversation: held, lately held, or opened from the past. */
  case(id) {
    return this.replica.find(id) ?? this.past.get(id) ?? null;
  }

  get current() {
    return this.selected ? this.case(this.selected) : null;
  }

  offers() {
    return this.#held((record) => record.state === "offered").sort(
      (one, other) => one.record.offer_expires_ms - other.record.offer_expires_ms,
    );
  }

  /** My conversations: those whose contact waits come first, the longest waiting on top; then by the newest message. */
  mine() {
    const rank = (found) => waitingSince(found, this.outbox?.of(found.id)) ?? Infinity;
    const last = (found) => found.messages[found.messages.length - 1]?.at_ms ?? 0;
    return this.#held((record) => record.state !== "offered")
      .map((found) => [rank(found), -last(found), found])
      .sort((one, other) => one[0] - other[0] || one[1] - other[1] || (one[2].id < other[2].id ? -1 : 1))
      .map((each) => each[2]);
  }

  lately() {
    return [...this.replica.recent.values()].reverse();
  }

  #held(wanted) {
    return [...this.replica.cases.values()].filter((found) => wanted(found.record));
  }

  waitingSince(found) {
    return found.held ? waitingSince(found, this.outbox?.of(found.id)) : null;
  }

  /** `calm`, `soon` or `late`, by how long the contact waits for an answer. */
  urgency(found) {
    const since = this.waitingSince(found);
    if (since === null) return "";
    const share = (this.clock.now() - since) / 1000 / this.account.answer_within_s;
    return share >= 1 ? "late" : share >= 0.5 ? "soon" : "calm";
  }

  /** How many messages of the contact were not shown to this agent. */
  unread(found) {
    const read = this.read.get(found.id) ?? 0;
    let count = 0;
    for (let index = found.messages.length - 1; index >= 0; index -= 1) {
      const message = found.messages[index];
      if (message.seq <= read || message.author === "agent") break;
      if (message.author === "contact") count += 1;
    }
    return count;
  }

  unreadInAll() {
    return this.#held(() => true).reduce((sum, found) => sum + this.unread(found), 0);
  }

  select(id) {
    const before = this.selected;
    if (before === id) return;
    this.selected = id;
    if (before) {
      this.case(before)?.trim(KEPT_MESSAGES);
      this.changed("case", before);
    }
    this.changed("case", id);
    this.changed("list");
    this.changed("selected");
    if (id) this.#entered(id);
  }

  /** Open a conversation that is on no desk of ours, to read in it. */
  async openPast(id) {
    if (!this.case(id)) {
      const known = [...this.abouts.values()].flatMap((about) => about.conversations).find((each) => each.id === id);
      if (!known) return;
      const found = new Case(known);
      found.held = false;
      this.past.clear();
      this.past.set(id, found);
    }
    this.select(id);
  }

  /** Open a conversation that a search found, at one of its messages; `seq` 0 is its end. */
  async openFound(record, seq) {
    if (!this.case(record.id)) {
      const found = new Case(record);
      found.held = false;
      this.past.clear();
      this.past.set(record.id, found);
    }
    this.select(record.id);
    if (!seq) return;
    const found = this.case(record.id);
    while (this.online && this.selected === record.id && (!found.messages.length || found.oldestSeq > seq)) {
      const before = found.oldestSeq;
      await this.#loaded(record.id);
      await this.loadOlder(record.id, FOUND_PAGE);
      if (found.messages.length && found.oldestSeq === before) break;
    }
    if (this.selected === record.id) this.changed("reveal", { id: record.id, seq });
  }

  /** Resolve when nothing of a conversation is being read any more. */
  async #loaded(id) {
    while (this.#loading.has(id)) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  #entered(id) {
    const found = this.case(id);
    if (!found) return;
    if (this.#watching(id)) this.#markRead(id, found.newestSeq);
    if (found.messages.length < 20 && found.more) this.loadOlder(id);
    this.loadAbout(found.record.contact);
  }

  #watching(id) {
    return id === this.selected && document.visibilityState === "visible" && document.hasFocus();
  }

  /** The page is looked at again. */
  lookedAt() {
    const found = this.current;
    if (found && this.#watching(found.id)) this.#markRead(found.id, found.newestSeq);
    this.#tellSeen();
  }

  /** The timeline was drawn: whether its newest message can be seen. */
  showsEnd(is) {
    this.#atEnd = is;
    this.#tellSeen();
  }

  /** Let the contact know that its newest message was read: it stands on a page that is looked at. */
  #tellSeen() {
    const found = this.current;
    if (!found?.held || !this.#atEnd || !this.online || !this.#watching(found.id)) return;
    const seq = found.messages.findLast((message) => message.author === "contact")?.seq ?? 0;
    if (seq <= (this.#toldSeen.get(found.id) ?? 0)) return;
    this.#toldSeen.set(found.id, seq);
    // what did not get through is told again with the next look
    this.line.call("conversation.seen", { conversation: found.id, seq }).catch(() => this.#toldSeen.delete(found.id));
  }

  #markRead(id, seq, told = false) {
    if ((this.read.get(id) ?? 0) >= seq) return;
    this.read.set(id, seq);
    if (!told) this.tabs.tell("read", { owner: this.session.owner, id, seq });
    this.#store("read", [...this.read]);
    this.changed("list");
  }

  #forgetRead() {
    for (const id of this.read.keys()) if (!this.replica.find(id)) this.read.delete(id);
    for (const id of this.#toldSeen.keys()) if (!this.replica.find(id)) this.#toldSeen.delete(id);
    for (const id of this.drafts.keys()) if (!this.replica.find(id)) this.drafts.delete(id);
  }

  // -- reading ------------------------------------------------------------------------------------

  /** Read a page of what came before; resolves when it is there, or could not be read. */
  async loadOlder(id, limit = PAGE) {
    const found = this.case(id);
    if (!found || !found.more || this.#loading.has(id) || !this.online) return;
    this.#loading.add(id);
    this.changed("case", id);
    try {
      const before = found.oldestSeq || null;
      const page = await this.line.call("history.page", { conversation: id, before, limit });
      found.prepend(page.messages);
      if (!found.held && !found.messages.length) found.era += 1;
    } catch (error) {
      if (error.name === "Refused") this.toast("refused", { words: error.message }, "warn");
    } finally {
      this.#loading.delete(id);
      this.changed("case", id);
      this.changed("list");
    }
  }

  isLoading(id) {
    return this.#loading.has(id);
  }

  async #loadAccount() {
    try {
      this.account = await this.line.call("account.about", {});
      this.changed("account");
      this.changed("list");
    } catch (error) {
      if (error.name !== "LineBroken") console.warn("account.about:", error.message);
    }
  }

  /** Ask again who is there: before a transfer is chosen. */
  refreshAccount() {
    return this.#loadAccount();
  }

  /** Read who a contact is; what is known shows at once, and is read again when it is old. */
  async loadAbout(contact) {
    const known = this.abouts.get(contact);
    if (!this.online || (known && performance.now() - known.readAt < ABOUT_FRESH_MS)) return;
    if (this.#loading.has(contact)) return;
    this.#loading.add(contact);
    try {
      const about = await this.line.call("contact.about", { contact });
      about.readAt = performance.now();
      this.abouts.set(contact, about);
      this.#noteSeen(about);
      this.#keepFewAbouts();
    } catch (error) {
      if (error.name !== "LineBroken") console.warn("contact.about:", error.message);
    } finally {
      this.#loading.delete(contact);
      this.changed("about", contact);
    }
  }

  #noteSeen(about) {
    const dash = (about.seen ?? "").lastIndexOf("-");
    const found = dash > 0 && this.case(about.seen.slice(0, dash));
    if (!found) return;
    found.seenSeq = Math.max(found.seenSeq, Number(about.seen.slice(dash + 1)));
    this.changed("case", found.id);
  }

  #keepFewAbouts() {
    for (const contact of this.abouts.keys()) {
      if (this.abouts.size <= 50) break;
      this.abouts.delete(contact);
    }
  }

  /** The contact wrote: what was found in its messages may have grown. */
  #dropAbout(found) {
    const about = this.abouts.get(found.record.contact);
    if (about) about.readAt = -Infinity;
    if (found.id === this.selected) this.loadAbout(found.record.contact);
  }

  // -- writing ------------------------------------------------------------------------------------

  draft(id) {
    return this.drafts.get(id) ?? { text: "", internal: false, channel: "" };
  }

  setDraft(id, draft, told = false) {
    if (draft.text || draft.internal || draft.channel) this.drafts.set(id, draft);
    else this.drafts.delete(id);
    this.#store("drafts", [...this.drafts]);
    if (told) this.changed("draft", id);
    else this.tabs.tell("draft", { owner: this.session.owner, id, draft });
    this.changed("list");
  }

  /** What the vendor still takes on the channel of a draft, and why it would not take it; null: nobody counts. */
  budget(id) {
    const found = this.case(id);
    const { text, channel } = this.draft(id);
    const budget = found && replyBudget(found, channel, this.account.budgets, this.outbox?.of(id) ?? []);
    return budget ? { ...budget, over: overBudget(budget, text, this.clock.now()) } : null;
  }

  /** Send what a draft says; it is on its way, or waits for the connection, when this returns. */
  send(id) {
    const { text, internal, channel } = this.draft(id);
    if (!this.canSend(id)) return false;
    const files = this.files.take(id);
    const said = text.trim() ? text : "";
    const item = this.outbox.add({ conversation: id, text: said, internal, channel, at: this.clock.now(), files });
    this.setDraft(id, { text: "", internal, channel });
    this.setDraft(id, { text: "", internal: false, channel });
    this.changed("draft", id);
    this.changed("sent", item.client_id);
    return true;
  }

  /** Whether a draft can be sent as it is: its vendor takes it, and the agent decided about a file that was refused. */
  canSend(id) {
    if (!this.draft(id).internal && this.budget(id)?.over) return false;
    const files = this.files.of(id);
    if (files.some((each) => each.state === "refused") || (files.length && !this.carriesFiles(id))) return false;
    return files.length > 0 || Boolean(this.draft(id).text.trim());
  }

  /** Whether files can go where a draft goes: to colleagues, or on a channel that carries them. */
  carriesFiles(id) {
    const { internal, channel } = this.draft(id);
    return internal || this.account.files.channels.includes(channel || this.lastChannel(id));
  }

  lastChannel(id) {
    return this.case(id)?.record.threads?.at(-1)?.channel ?? "";
  }

  /** Put files into a draft. */
  attach(id, files) {
    const tooMany = this.files.add(id, files);
    if (tooMany) this.toast("filesTooMany", { most: this.account.files.most }, "warn");
  }

  /** Return where a file can be read for some minutes; null if it cannot, which is said. */
  async readingUrl(file) {
    try {
      return await this.session.readingUrl(file);
    } catch (error) {
      this.toast(error.name === "NotTaken" ? "refused" : "notKnown", { words: error.message }, "warn");
      return null;
    }
  }

  async #sendItem({ conversation, client_id, text, internal, channel, reply_to, files = [] }) {
    const params = { conversation, client_id, text };
    if (files.length) params.attachments = await this.files.proofs(conversation, files);
    if (!internal && channel) params.channel = channel;
    if (!internal && reply_to) params.reply_to = reply_to;
    const receipt = await this.line.call(internal ? "conversation.note" : "message.send", params);
    this.files.forget(files);
    const found = this.replica.cases.get(conversation);
    // no event tells of what is said in a conversation that this desk does not hold
    if (!found || found.newestSeq >= receipt.seq) queueMicrotask(() => this.outbox.shown(conversation, client_id));
    return receipt;
  }

  #settleOutbox(found) {
    const own = `desk:${this.me}`;
    for (const message of found.messages) {
      if (message.inbox === own) this.outbox.shown(found.id, message.source_id);
    }
  }

  /** Say a failed answer once more, as a new one: what the vendor refused is not on its way any more. */
  sayAgain(id, message) {
    this.outbox.add({ conversation: id, text: message.text, channel: message.channel, at: this.clock.now() });
  }

  tellTyping(id) {
    const now = performance.now();
    const told = this.#toldTyping;
    if ((told.id === id && now - told.at < TYPING_TOLD_MS) || !this.replica.cases.has(id)) return;
    this.#toldTyping = { id, at: now };
    this.line?.notify("typing", { conversation: id });
  }

  isTyping(id) {
    return (this.typing.get(id) ?? 0) > performance.now();
  }

  // -- acting -------------------------------------------------------------------------------------

  /** Take an offer; resolves once the log says that it is taken, so that what is typed next goes into the answer. */
  accept(id) {
    return this.#act("conversation.accept", { conversation: id }, () => this.replica.cases.get(id)?.record.state !== "offered");
  }

  decline(id) {
    return this.#act("conversation.decline", { conversation: id });
  }

  resolve(id) {
    return this.#act("conversation.resolve", { conversation: id }, () => !this.replica.cases.has(id));
  }

  reopen(id) {
    return this.#act("conversation.reopen", { conversation: id });
  }

  snooze(id, untilMs) {
    return this.#act("conversation.snooze", { conversation: id, until_ms: Math.round(untilMs) });
  }

  transfer(id, target) {
    return this.#act("conversation.transfer", { conversation: id, ...target });
  }

  /**
   * Give a conversation tags and take others from it; resolves when that is stored.
   *
   * @throws {Refused|LineBroken}
   */
  async tag(id, add, remove) {
    await this.line.call("conversation.tag", { conversation: id, add, remove });
    const known = this.account.tags.map((tag) => tag.toLowerCase());
    const fresh = add.filter((tag) => !known.includes(tag.toLowerCase()));
    if (fresh.length) this.account = { ...this.account, tags: [...fresh, ...this.account.tags] };
    const found = this.case(id);
    // the log tells of what is on the desk; of another conversation this answer is all that there is
    if (found && !found.held) await this.#readRecord(found);
    this.changed("account");
  }

  async #readRecord(found) {
    const about = await this.line.call("contact.about", { contact: found.record.contact });
    const record = about.conversations.find((each) => each.id === found.id);
    if (record) found.record = record;
    about.readAt = performance.now();
    this.abouts.set(found.record.contact, about);
    this.changed("case", found.id);
    this.changed("about", found.record.contact);
    this.changed("list");
  }

  /** Take a tag away; a refusal is told. */
  async untag(id, tag) {
    try {
      await this.tag(id, [], [tag]);
    } catch (error) {
      this.#actFailed(error);
    }
  }

  /** Ask who a contact is, now. */
  about(contact) {
    return this.line.call("contact.about", { contact });
  }

  /** Let another contact be the same person as the one on show. */
  async join(contact, other) {
    await this.line.call("contact.join", { contact, other });
    await this.#aboutAgain(contact);
  }

  /** Undo that; a refusal is told. */
  async part(contact, other) {
    try {
      await this.line.call("contact.part", { contact, other });
      await this.#aboutAgain(contact);
    } catch (error) {
      this.#actFailed(error);
    }
  }

  async #aboutAgain(contact) {
    const about = this.abouts.get(contact);
    if (about) about.readAt = -Infinity;
    await this.loadAbout(contact);
  }

  /** Look through what was said in the account, or with one contact, from a cursor back. */
  search(query, contact, cursor) {
    return this.line.call("history.search", { query, contact, cursor });
  }

  async setPresence(status, reason = "") {
    const before = this.presence;
    this.presence = { status, reason };
    this.changed("presence");
    try {
      await this.line.call("presence.set", { status, reason });
      this.tabs.tell("presence", { owner: this.session.owner, presence: this.presence });
    } catch (error) {
      this.presence = before;
      this.changed("presence");
      this.#actFailed(error);
    }
  }

  async putCanned(name, text) {
    await this.line.call("canned.put", { name, text });
    await this.#loadAccount();
  }

  async removeCanned(name) {
    await this.line.call("canned.remove", { name });
    await this.#loadAccount();
  }

  /** Whether something was asked about a conversation that is not answered yet. */
  isActing(id) {
    return this.#acting.has(id);
  }

  async #act(method, params, done = () => true) {
    const id = params.conversation;
    if (this.#acting.has(id)) return false;
    this.#acting.add(id);
    this.changed("case", id);
    this.changed("list");
    try {
      await this.line.call(method, params);
      await this.#until(done);
      return done();
    } catch (error) {
      this.#actFailed(error);
      return false;
    } finally {
      this.#acting.delete(id);
      this.changed("case", id);
      this.changed("list");
    }
  }

  /** Wait for the log to say what an answer said already: the two come in any order. */
  async #until(done) {
    const deadline = performance.now() + EVENT_WITHIN_MS;
    while (!done() && performance.now() < deadline && this.online) {
      await new Promise((resolve) => {
        const stop = this.on("list", () => {
          stop();
          resolve();
        });
        setTimeout(resolve, 200);
      });
    }
  }

  #actFailed(error) {
    if (error.name === "LineBroken") this.toast("notKnown", {}, "warn");
    else this.toast("refused", { words: error.message }, "warn");
  }

  toast(word, params = {}, tone = "") {
    this.changed("toast", { word, params, tone });
  }

  // -- other tabs, storage, time ------------------------------------------------------------------

  #hearTabs() {
    const mine = (owner) => this.loggedIn && owner === this.session.owner;
    this.tabs.on("left", (owner) => mine(owner) && this.#left());
    this.tabs.on("read", ({ owner, id, seq }) => mine(owner) && this.#markRead(id, seq, true));
    this.tabs.on("draft", ({ owner, id, draft }) => mine(owner) && this.setDraft(id, draft, true));
    this.tabs.on("drafts?", (owner) => {
      if (mine(owner)) this.tabs.tell("drafts", { owner, drafts: [...this.drafts], read: [...this.read] });
    });
    this.tabs.on("drafts", ({ owner, drafts, read }) => {
      if (!mine(owner)) return;
      for (const [id, draft] of drafts) if (!this.drafts.has(id)) this.setDraft(id, draft, true);
      for (const [id, seq] of read) this.#markRead(id, seq, true);
    });
    this.tabs.on("presence", ({ owner, presence }) => {
      if (!mine(owner)) return;
      this.presence = presence;
      this.changed("presence");
    });
  }

  #store(what, value) {
    const key = `raydesk.desk.${what}:${this.session.owner}`;
    if (value === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify(value));
  }

  #stored(what) {
    return JSON.parse(sessionStorage.getItem(`raydesk.desk.${what}:${this.session.owner}`) ?? "null");
  }

  #tick() {
    if (!this.loggedIn) return;
    this.changed("tick");
    for (const [id, until] of this.typing) {
      if (until <= performance.now()) {
        this.typing.delete(id);
        this.changed("typing");
        this.changed("list");
      }
    }
    if (this.online) {
      this.session.renewIfDue().then((token) => token && this.line?.call("session.renew", { token }).catch(() => {}));
    }
  }
}

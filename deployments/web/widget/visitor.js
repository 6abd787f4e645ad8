/**
 * The visitor's end of the line: who it is, what it sends, and what it hears.
 *
 * * A message is kept with its client id until its receipt is here, also from page to page; it is sent again with the
 *   same id, one message at a time, so it is taken once and in order.
 * * A file goes in over HTTP when its turn comes; its message, with the proof, is kept as a text is (files.js).
 * * After any break the visit goes on at its cursor. What this person writes in another tab comes from that tab, what
 *   it writes on another device is fetched where a number is missing.
 */
import { Emitter } from "../shared/emitter.js";
import { Line, LineBroken, Refused, SessionOver } from "../shared/line.js";
import { Memory } from "./memory.js";
import { Talk, isAfter } from "./talk.js";

const CONNECT_MS = 10_000;
const TYPING_EVERY_MS = 3_000;
const TYPING_SHOWN_MS = 5_000;
/** Longer than the bot thinks by default (`bot.patience_ms`), with the way there and back. */
const BOT_SHOWN_MS = 2_500;
const LOOK_EVERY_MS = 10_000;
const PAGE = 50;
const AGAIN_MS = 1_000;
const MOST_BREAKS = 5;
/** A file that failed so can only be removed, and holds nothing back. */
const HOPELESS = new Set(["empty", "large", "gone", "unreadable"]);
const QUEUED = new Set(["waiting", "offered"]);
const HUMAN = new Set(["assigned", "snoozed"]);

export class Visitor extends Emitter {
  talk = new Talk();
  /** `idle`, `connecting`, `open`, `waiting`, `over`. */
  link = "idle";
  /** When to stop showing that somebody types, on the clock of `performance.now()`. */
  typingUntil = 0;
  typist = "";
  /** What sends and shows files; null until a server that takes some has said so. */
  files = null;
  /** What an admin says of the inbox: `title`, and `greeting` by language; known once there was a connection. */
  said = {};
  #server;
  #inbox;
  #user;
  #token = null;
  #memory;
  #line;
  #sending = false;
  #typedAt = -Infinity;
  #tabs = null;
  #watching = false;
  #looking = 0;
  #filling = false;
  #loading = false;

  /**
   * @param {string} server origin of the ingress.
   * @param {string} inbox id of the web inbox.
   * @param {{id: string, hash: string}|null} user whom the shop's backend vouches for.
   */
  constructor(server, inbox, user = null) {
    super();
    this.#server = server;
    this.#inbox = inbox;
    this.#user = user;
    this.#memory = new Memory(`${server} ${inbox}`);
    this.#line = new Line({
      connect: () => this.#connect(),
      open: (line) => this.#open(line),
      push: (method, params) => this.#push(method, params),
      state: (state) => this.#linked(state),
      probe: () => ["visit.place", {}],
    });
  }

  /** Whether this browser has been here before, so that there may be something to show. */
  get known() {
    return Boolean(this.#memory.get("token")) || this.#memory.get("talked") === this.#whose();
  }

  get unread() {
    const seen = this.#memory.get(`seen ${this.#whose()}`);
    return this.talk.messages.filter((each) => each.author !== "contact" && isAfter(each.id, seen)).length;
  }

  get queued() {
    return QUEUED.has(this.talk.state);
  }

  /** Whether a person is there, or was. */
  get withHuman() {
    return HUMAN.has(this.talk.state);
  }

  get ended() {
    return this.talk.state === "resolved" || this.talk.state === "merged";
  }

  /** Whether nobody is there at this hour; a conversation that somebody has goes on. */
  get closed() {
    return Boolean(this.talk.place?.closed) && !this.withHuman;
  }

  start() {
    if (this.#watching) return;
    this.#watching = true;
    for (const name of this.#memory.names("pending ")) {
      const kept = this.#memory.get(name);
      if (kept?.whose === this.#whose()) this.talk.wants(name.slice(8), kept.text, kept);
    }
    if (typeof BroadcastChannel === "function") {
      this.#tabs = new BroadcastChannel(`raydesk ${this.#server} ${this.#inbox} ${this.#whose()}`);
      this.#tabs.onmessage = (event) => this.#fromTab(event.data);
    }
    this.#line.start();
    this.#looking = setInterval(() => (this.queued || this.closed) && this.#askPlace(), LOOK_EVERY_MS);
  }

  stop() {
    this.#watching = false;
    clearInterval(this.#looking);
    this.files?.stop();
    this.#tabs?.close();
    this.#line.stop();
  }

  retryNow() {
    this.#line.retryNow();
  }

  // -- what the visitor does ------------------------------------------------------------------------

  /** Send a text, or a file that files.js brings, now or as soon as there is a line; for agents alone, the bot is silent. */
  send(text, { file = null, forAgents = false, failed = "" } = {}) {
    const clientId = newId();
    if (!file) this.#keep(clientId, { text, forAgents });
    this.#memory.set("talked", this.#whose());
    this.talk.wants(clientId, text, { file, forAgents, failed });
    this.changed("talk");
    this.#flush();
  }

  /** Send a message again that was refused. */
  again(clientId) {
    const message = this.talk.pending.find((each) => each.clientId === clientId);
    if (message) message.failed = "";
    this.changed("talk");
    this.#flush();
  }

  /** Take back a message that was refused. */
  discard(clientId) {
    this.files?.cancel(this.talk.pending.find((each) => each.clientId === clientId)?.file);
    this.#memory.remove(`pending ${clientId}`);
    this.talk.drop(clientId);
    this.changed("talk");
    this.#flush();
  }

  /** Ask the server something in this visitor's name. */
  asOwner(ask) {
    return ask(this.#server, this.#token);
  }

  typing() {
    const now = performance.now();
    if (this.talk.state !== "assigned" || now - this.#typedAt < TYPING_EVERY_MS) return;
    this.#typedAt = now;
    this.#line.notify("typing", { conversation: this.talk.conversation });
  }

  /** Say that all that is shown was seen. */
  saw() {
    const newest = this.talk.messages.findLast((each) => each.author !== "contact")?.id;
    const name = `seen ${this.#whose()}`;
    if (!newest || !isAfter(newest, this.#memory.get(name))) return;
    this.#memory.set(name, newest);
    this.#line.notify("visit.ack", { cursor: newest });
    this.changed("talk");
  }

  /** Rate the conversation that ended; resolves once that is stored. */
  async rate(score, comment) {
    const conversation = this.talk.conversation;
    await this.#line.call("conversation.rate", { conversation, score, comment });
    this.talk.place = { ...this.talk.place, conversation, rating: score };
    this.changed("talk");
  }

  /** Fetch the page before the oldest message. */
  async loadOlder() {
    const oldest = this.talk.messages[0];
    if (this.#loading || !oldest || !this.talk.older) return;
    this.#loading = true;
    try {
      const page = await this.#line.call("history.page", {
        conversation: oldest.conversation,
        before: oldest.seq,
        limit: PAGE,
      });
      this.talk.add(page.messages);
      this.talk.older = page.more;
    } catch (error) {
      if (!(error.name === "LineBroken" || error instanceof Refused)) throw error;
    } finally {
      this.#loading = false;
      this.changed("talk");
    }
  }

  // -- the line -------------------------------------------------------------------------------------

  #whose() {
    return this.#user ? `user ${this.#user.id}` : "";
  }

  async #connect() {
    const ask = () => this.#ask();
    // two tabs that open at once must become one visitor, not two
    const found = await (navigator.locks ? navigator.locks.request(`raydesk ${this.#inbox}`, ask) : ask());
    return found.gateway;
  }

  async #ask() {
    const token = this.#memory.get("token");
    const user = this.#user ? { user_id: this.#user.id, user_hash: this.#user.hash } : {};
    let answer = await this.#post({ inbox: this.#inbox, ...user, ...(token ? { token } : {}) });
    if (answer.status === 401 && token) {
      // the token has ended, or the server forgot its key: who wrote before cannot be proved any more
      this.#memory.remove("token");
      answer = await this.#post({ inbox: this.#inbox, ...user });
    }
    if (answer.status === 429 || answer.status >= 500) {
      throw Object.assign(new Error("not now"), { retryAfterS: Number(answer.headers.get("retry-after")) || 0 });
    }
    if (!answer.ok) throw new SessionOver(`${answer.status}`);
    const found = await answer.json();
    this.#token = found.token;
    this.said = { title: found.title, greeting: found.greeting };
    if (this.#user) this.#memory.remove("token");
    else this.#memory.set("token", found.token);
    return found;
  }

  #post(body) {
    return fetch(`${this.#server}/v1/connect`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(CONNECT_MS),
    });
  }

  async #open(line) {
    const params = { token: this.#token, cursor: this.talk.cursor };
    let visit;
    try {
      visit = await line.call("visit.open", params, { first: true });
    } catch (error) {
      if (!(error instanceof Refused) || !["cursor_ahead", "bad_request"].includes(error.kind)) throw error;
      // the store was set back: show what it has
      visit = await line.call("visit.open", { ...params, cursor: null }, { first: true });
    }
    this.#opened(visit);
  }

  #opened(visit) {
    if (visit.file_bytes) this.#takesFiles(visit.file_bytes);
    this.talk.opened(visit);
    for (const message of visit.messages) this.#arrived(message);
    this.changed("talk");
  }

  async #takesFiles(mostBytes) {
    try {
      const { Files } = await import("./files.js");
      this.files ??= new Files(this);
    } catch {
      return; // the next opening tries again
    }
    this.files.mostBytes = mostBytes;
    this.changed("talk");
  }

  #keep(clientId, message) {
    this.#memory.set(`pending ${clientId}`, { ...message, whose: this.#whose() });
  }

  #linked(state) {
    this.link = state === "stopped" ? "idle" : state;
    this.changed("link");
    if (state !== "open") return;
    this.#flush();
    this.#askPlace();
  }

  async #flush() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (let next = this.#next(); next && this.#line.open; next = this.#next()) await this.#sendOne(next);
    } finally {
      this.#sending = false;
    }
  }

  /** Return what goes out next: nothing overtakes a message that was refused. */
  #next() {
    const first = this.talk.pending.find((each) => !HOPELESS.has(each.failed));
    return first && !first.failed ? first : null;
  }

  async #sendOne(message) {
    try {
      const { clientId, text, file, forAgents } = message;
      if (file && !file.proof) {
        await this.files.sendIn(file, this.#server, this.#token);
        this.#keep(clientId, { text, file });
      }
      const params = { client_id: clientId, text };
      if (file) params.attachments = [file.proof];
      if (forAgents) params.for_agents = true;
      this.#stored(message, await this.#line.call("message.send", params));
    } catch (error) {
      if (error.name === "LineBroken") {
        // a file takes another way than the socket, which may be whole
        if (!this.#line.open || !message.file) return;
        message.breaks = (message.breaks ?? 0) + 1;
        if (message.breaks % MOST_BREAKS) await new Promise((done) => setTimeout(done, AGAIN_MS));
        else message.failed = "refused"; // something between does not let it through, and cannot say so
        this.changed("talk");
        return;
      }
      if (!(error instanceof Refused || error.name === "NotTaken")) throw error;
      if (message.file && error.kind === "not_found") error.kind = "gone";
      if (error.passing) await new Promise((done) => setTimeout(done, (error.retryAfterS ?? 1) * 1000 + 200));
      else message.failed = error.kind || "refused";
      this.changed("talk");
    }
  }

  #stored({ clientId, forAgents }, receipt) {
    this.#memory.remove(`pending ${clientId}`);
    const message = this.talk.received(clientId, receipt);
    if (message) this.#tabs?.postMessage(message);
    if (forAgents && !this.withHuman) this.talk.state = "waiting";
    if (this.talk.state === "bot" || this.talk.state === null) this.#shows("bot", BOT_SHOWN_MS);
    if (!this.withHuman) this.#askPlace();
    this.changed("talk");
  }

  async #askPlace() {
    try {
      const place = await this.#line.call("visit.place", {});
      this.talk.place = place;
      if (place.conversation) {
        this.talk.conversation = place.conversation;
        this.talk.state = place.state;
        this.talk.seenUpTo(place.conversation, place.seen_seq);
      }
      this.changed("talk");
    } catch (error) {
      if (!(error.name === "LineBroken" || error instanceof Refused)) throw error;
    }
  }

  // -- what comes in --------------------------------------------------------------------------------

  #push(method, params) {
    if (method === "visit.snapshot") this.#opened(params);
    if (method !== "event") return;
    for (const event of params.events) {
      if (event.type === "message") this.#said(event.message);
      else if (event.type === "seen") this.talk.seenUpTo(event.conversation, event.seq);
      else if (event.type === "typing" && event.author === "agent") this.#shows("agent", TYPING_SHOWN_MS);
    }
    this.changed("talk");
  }

  #said(message) {
    const { fresh, hole } = this.talk.pushed(message);
    if (!fresh.length) return;
    this.typingUntil = 0;
    this.#arrived(message);
    if (message.author === "agent") this.talk.state = "assigned";
    else this.#askPlace();
    if (hole > 0) this.#fill(message, hole);
    this.changed("news", message);
    this.changed("talk");
  }

  /** Fetch what this person wrote elsewhere; what agents keep to themselves has numbers too, and never comes. */
  async #fill(message, hole) {
    if (this.#filling) return;
    this.#filling = true;
    try {
      const { conversation, seq } = message;
      const page = await this.#line.call("history.page", { conversation, before: seq, limit: Math.min(hole, 200) });
      this.talk.add(page.messages);
      this.changed("talk");
    } catch (error) {
      if (!(error.name === "LineBroken" || error instanceof Refused)) throw error;
    } finally {
      this.#filling = false;
    }
  }

  /** A message is stored: what was kept to be sent again is not needed any more. */
  #arrived(message) {
    if (message.author === "contact" && message.source_id) this.#memory.remove(`pending ${message.source_id}`);
  }

  #fromTab(message) {
    if (this.talk.add([message]).length && message.conversation !== this.talk.conversation) {
      this.talk.conversation = message.conversation;
      this.talk.state = null;
    }
    this.changed("talk");
  }

  #shows(typist, forMs) {
    this.typist = typist;
    this.typingUntil = performance.now() + forMs;
    setTimeout(() => this.changed("talk"), forMs + 50);
    this.changed("talk");
  }
}

/** Return an id that nobody guesses; pages without TLS have no `randomUUID`. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

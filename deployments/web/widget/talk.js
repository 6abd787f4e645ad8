/**
 * What was said, as the visitor sees it: messages by id in their order, and behind them what is still on its way.
 *
 * Nothing here knows a socket or the page. A message is shown once, however often it comes and whoever brings it:
 * the receipt, a push, a resume, or another tab.
 */
const ADDRESS = /[^\s@]@[^\s@]+\.[^\s@]/;

export class Talk {
  #byId = new Map();
  #sorted = [];
  /** Id of the newest message that the server sent by itself; from here a resume goes on. */
  cursor = null;
  /** The conversation shown last, and where it stands; null: not known. */
  conversation = null;
  state = null;
  /** Where it stands in the queue, as `visit.place` told it. */
  place = null;
  /** Whether older messages of the oldest conversation shown may exist. */
  older = false;
  /** Conversation -> number of the newest message in it that an agent has seen. */
  #seen = new Map();
  /** @type {{clientId: string, text: string, file: object|null, forAgents: boolean, failed: string}[]} */
  pending = [];

  get messages() {
    return this.#sorted;
  }

  get newest() {
    return this.#sorted.at(-1) ?? null;
  }

  /** Take the answer of `visit.open`, or a `visit.snapshot`. */
  opened(visit) {
    if (visit.snapshot) {
      this.#byId.clear();
      this.#sorted = [];
      this.older = visit.messages.length > 0 && visit.messages[0].seq > 1;
    }
    this.conversation = visit.conversation;
    this.state = visit.state;
    if (visit.snapshot || visit.cursor) this.cursor = visit.cursor;
    this.add(visit.messages);
  }

  /** Take messages from wherever; returns those that are new here. */
  add(messages) {
    const fresh = messages.filter((message) => !this.#byId.has(message.id));
    if (!fresh.length) return fresh;
    for (const message of fresh) {
      this.#byId.set(message.id, message);
      if (message.author === "contact") this.#settle(message.source_id);
    }
    this.#sorted = [...this.#byId.values()].sort(inOrder);
    return fresh;
  }

  /** Take a push; returns those that are new, and the hole before them if something may be missing. */
  pushed(message) {
    const before = this.#sorted.findLast((each) => each.conversation === message.conversation);
    const hole = message.seq - (before?.seq ?? 0) - 1;
    const fresh = this.add([message]);
    if (!this.cursor || inOrder(split(this.cursor), message) < 0) this.cursor = message.id;
    if (message.conversation !== this.conversation) {
      this.conversation = message.conversation;
      this.state = null;
    }
    return { fresh, hole: fresh.length ? hole : 0 };
  }

  /** Take the receipt of a pending message; returns the message as it stands now, null if it is known. */
  received(clientId, receipt) {
    const sent = this.pending.find((each) => each.clientId === clientId);
    if (receipt.conversation !== this.conversation) {
      this.conversation = receipt.conversation;
      this.state = null;
    }
    this.#settle(clientId);
    if (!sent || this.#byId.has(receipt.message)) return null;
    const message = {
      id: receipt.message,
      conversation: receipt.conversation,
      seq: receipt.seq,
      at_ms: receipt.at_ms,
      author: "contact",
      text: sent.text,
      source_id: clientId,
      attachments: sent.file ? [{ kind: "file", title: sent.file.name, file: sent.file.id, bytes: sent.file.bytes }] : [],
    };
    this.add([message]);
    return message;
  }

  /** Note a message that is to be sent. */
  wants(clientId, text, { file = null, forAgents = false, failed = "" } = {}) {
    if (!this.pending.some((each) => each.clientId === clientId) && !this.#knows(clientId)) {
      this.pending.push({ clientId, text, file, forAgents, failed });
    }
  }

  /** Forget one that is not to be sent any more. */
  drop(clientId) {
    this.#settle(clientId);
  }

  forget() {
    Object.assign(this, { cursor: null, conversation: null, state: null, place: null, older: false, pending: [] });
    this.#byId.clear();
    this.#seen.clear();
    this.#sorted = [];
  }

  /** An agent has seen a conversation up to a message. */
  seenUpTo(conversation, seq) {
    this.#seen.set(conversation, Math.max(seq, this.#seen.get(conversation) ?? 0));
  }

  /** Return what became of a message: `read`, `answered` by an agent who did not tell of reading, or `sent`. */
  fate({ conversation, seq }) {
    if (seq <= this.#seen.get(conversation)) return "read";
    const later = (each) => each.author === "agent" && each.conversation === conversation && each.seq > seq;
    return this.#sorted.some(later) ? "answered" : "sent";
  }

  /** Whether the open conversation has an address to which an answer can go. */
  get reachable() {
    const own = this.#sorted.filter((each) => each.author === "contact" && each.conversation === this.conversation);
    return [...own, ...this.pending].some((each) => ADDRESS.test(each.text));
  }

  #knows(clientId) {
    return this.#sorted.some((each) => each.author === "contact" && each.source_id === clientId);
  }

  #settle(clientId) {
    this.pending = this.pending.filter((each) => each.clientId !== clientId);
  }
}

function split(id) {
  const at = id.lastIndexOf("-");
  return { conversation: id.slice(0, at), seq: Number(id.slice(at + 1)) };
}

/** Order by conversation, whose ids sort by time for one person, then by number. */
export function inOrder(one, other) {
  if (one.conversation !== other.conversation) return one.conversation < other.conversation ? -1 : 1;
  return one.seq - other.seq;
}

/** Order two message ids; null comes first. */
export function isAfter(id, other) {
  return Boolean(id) && (!other || inOrder(split(id), split(other)) > 0);
}

/**
 * What this desk holds, kept up by the entries of the agent's log; follows models/desk/state.py.
 *
 * * An entry that was applied before changes nothing.
 * * An entry that would leave a gap, or is about what this desk does not hold, is refused with `OutOfStep`, and nothing
 *   of it is applied.
 * * A snapshot replaces all; what was read of a conversation's past stays where it joins on without a gap.
 *
 * Nothing here knows of sockets, clocks or the document.
 */

/** This entry does not follow from what is known: a snapshot is needed. */
export class OutOfStep extends Error {}

/** A conversation, and the messages of it that are known: a stretch without gaps, oldest first. */
export class Case {
  constructor(record, messages = []) {
    this.record = record;
    this.messages = messages;
    /** Message id -> {state, detail}: what became of an answer on a vendor's channel. */
    this.deliveries = new Map();
    /** Number of the newest message that the contact is known to have seen. */
    this.seenSeq = 0;
    this.held = true;
    /** Why it left the desk. */
    this.left = "";
    /** Grows when messages are put before the others or replaced: what was made of them must be made anew. */
    this.era = 0;
  }

  get id() {
    return this.record.id;
  }

  get newestSeq() {
    return this.messages.length ? this.messages[this.messages.length - 1].seq : 0;
  }

  get oldestSeq() {
    return this.messages.length ? this.messages[0].seq : 0;
  }

  /** Whether older messages exist than those known. */
  get more() {
    return this.oldestSeq !== 1;
  }

  /** Put an older page before what is known; what does not join on is dropped. */
  prepend(page) {
    const older = this.messages.length ? page.filter((message) => message.seq < this.oldestSeq) : page;
    if (!older.length) return;
    if (this.messages.length && older[older.length - 1].seq !== this.oldestSeq - 1) return;
    this.messages = [...older, ...this.messages];
    this.era += 1;
  }

  /** Keep the newest messages only; the others can be read again. */
  trim(most) {
    if (this.messages.length <= most) return;
    this.messages = this.messages.slice(-most);
    this.era += 1;
  }

  /** Take the newest messages as a snapshot has them. */
  renew(record, newest) {
    this.record = record;
    this.held = true;
    this.left = "";
    const first = newest.length ? newest[0].seq : 1;
    if (this.messages.length && first <= this.newestSeq + 1 && first >= this.oldestSeq) {
      this.messages = [...this.messages.filter((message) => message.seq < first), ...newest];
    } else {
      this.messages = newest;
    }
    this.era += 1;
  }
}

const MOST_RECENT = 30;
const RECENT_MESSAGES = 30;

export class Replica {
  constructor() {
    /** The newest entry that was applied; null before the first snapshot. */
    this.cursor = null;
    /** SessionID -> Case, for what this desk holds. */
    this.cases = new Map();
    /** SessionID -> Case, for what left it lately, newest last. */
    this.recent = new Map();
  }

  /** Find a conversation that is or lately was on this desk. */
  find(id) {
    return this.cases.get(id) ?? this.recent.get(id) ?? null;
  }

  /** Replace all by a snapshot; returns the ids of what is no longer held. */
  restart(cursor, conversations) {
    const before = this.cases;
    this.cases = new Map();
    for (const { conversation, messages } of conversations) {
      const known = before.get(conversation.id) ?? this.recent.get(conversation.id);
      this.recent.delete(conversation.id);
      if (known) known.renew(conversation, messages);
      this.cases.set(conversation.id, known ?? new Case(conversation, messages));
    }
    const gone = [...before.values()].filter((each) => !this.cases.has(each.id));
    for (const each of gone) this.#leave(each, "elsewhere");
    this.cursor = cursor;
    return gone.map((each) => each.id);
  }

  /**
   * Apply one entry of the log, whole or not at all.
   *
   * @returns {Array|null} what happened, as `{kind, case, ...}`; null when it had been applied before.
   * @throws {OutOfStep}
   */
  apply(cursor, events) {
    if (this.cursor === null) throw new OutOfStep("no snapshot yet");
    if (cursor <= this.cursor) return null;
    if (cursor !== this.cursor + 1) throw new OutOfStep(`entry ${cursor} does not follow ${this.cursor}`);
    const draft = new Map();
    const happened = [];
    for (const event of events) STEPS[event.type]?.(this, draft, event, happened);
    for (const [id, state] of draft) this.#commit(id, state);
    for (const each of happened) each.case = this.find(each.id);
    this.cursor = cursor;
    return happened;
  }

  /** Show what is told without a cursor. */
  live(events) {
    const happened = [];
    for (const event of events) {
      const found = this.cases.get(event.conversation);
      if (!found) continue;
      if (event.type === "typing" && event.author === "contact") happened.push({ kind: "typing", case: found });
      if (event.type === "seen" && event.seq > found.seenSeq) {
        found.seenSeq = event.seq;
        happened.push({ kind: "seen", case: found });
      }
    }
    return happened;
  }

  /** What a conversation is like after the steps so far; null when this desk does not hold it. */
  now(draft, id) {
    if (draft.has(id)) return draft.get(id);
    const found = this.cases.get(id);
    return found ? { record: found.record, newest: found.newestSeq, added: [], deliveries: [] } : null;
  }

  #commit(id, state) {
    let found = this.cases.get(id);
    if (state.offered) {
      const known = found ?? this.recent.get(id);
      this.recent.delete(id);
      if (known) known.renew(state.record, state.offered);
      found = known ?? new Case(state.record, state.offered);
      this.cases.set(id, found);
    }
    if (!found) return;
    found.record = state.record;
    found.messages.push(...state.added);
    for (const [message, what] of state.deliveries) found.deliveries.set(message, what);
    if (state.left) this.#leave(found, state.left);
  }

  #leave(found, why) {
    this.cases.delete(found.id);
    found.held = false;
    found.left = why;
    found.trim(RECENT_MESSAGES);
    this.recent.delete(found.id);
    this.recent.set(found.id, found);
    for (const id of this.recent.keys()) {
      if (this.recent.size <= MOST_RECENT) break;
      this.recent.delete(id);
    }
  }
}

function held(replica, draft, id) {
  const state = replica.now(draft, id);
  if (!state || state.left) throw new OutOfStep(`conversation ${id} is not on this desk`);
  draft.set(id, state);
  return state;
}

const STEPS = {
  offered(replica, draft, event, happened) {
    const record = event.conversation;
    const newest = event.messages.length ? event.messages[event.messages.length - 1].seq : 0;
    draft.set(record.id, { record, newest, offered: event.messages, added: [], deliveries: [] });
    happened.push({ kind: "offered", id: record.id });
  },
  changed(replica, draft, event, happened) {
    const record = event.conversation;
    const state = held(replica, draft, record.id);
    if ((record.revision ?? 0) <= (state.record.revision ?? 0)) {
      throw new OutOfStep(`revision ${record.revision} of ${record.id} is not newer than what is shown`);
    }
    state.record = record;
    happened.push({ kind: event.change, id: record.id });
  },
  removed(replica, draft, event, happened) {
    const record = event.conversation;
    const state = held(replica, draft, record.id);
    state.record = record;
    state.left = event.change;
    happened.push({ kind: "removed", id: record.id, change: event.change });
  },
  message(replica, draft, event, happened) {
    const message = event.message;
    const state = held(replica, draft, message.conversation);
    if (message.seq !== state.newest + 1) {
      throw new OutOfStep(`message ${message.id} does not follow number ${state.newest}`);
    }
    state.newest = message.seq;
    state.added.push(message);
    happened.push({ kind: "message", id: message.conversation, message });
  },
  delivery(replica, draft, event, happened) {
    const id = event.message.slice(0, event.message.lastIndexOf("-"));
    const state = replica.now(draft, id);
    if (!state) return;
    draft.set(id, state);
    state.deliveries.push([event.message, { state: event.state, detail: event.detail ?? "" }]);
    happened.push({ kind: "delivery", id, message: event.message });
  },
};

/**
 * What the board knows and can do. It asks every two seconds, says of which moment its numbers are, and keeps showing
 * them when no newer ones come, with their age. Topics: `session`, `board`, `age`, `history`, `names`, `prefs`, `case`,
 * `toast`.
 */
import { ServerClock } from "../shared/dates.js";
import { Emitter } from "../shared/emitter.js";
import { Prefs } from "../desk/prefs.js";
import { Problem, Session, Tabs } from "../desk/session.js";
import { Rate } from "./rows.js";

const EVERY_MS = 2_000;
const HIDDEN_EVERY_MS = 20_000;
const LONGEST_WAIT_MS = 10_000;
const WITHIN_MS = 8_000;
/** Numbers that are older than this are shown as old. */
export const FRESH_MS = 7_000;

export class Model extends Emitter {
  #timer = 0;
  #asking = false;
  #failures = 0;
  /** Grows with each session, so that an answer of an earlier one is dropped. */
  #era = 0;

  constructor() {
    super();
    this.clock = new ServerClock();
    this.prefs = new Prefs(() => this.changed("prefs"));
    this.tabs = new Tabs();
    this.session = new Session(this.clock, this.tabs, () => this.#over());
    this.names = { intents: [] };
    this.rate = new Rate();
    this.#reset();
    this.tabs.on("left", (owner) => owner === this.session.owner && this.#left());
    setInterval(() => this.changed("age"), 1_000);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.askNow());
    addEventListener("online", () => this.askNow());
  }

  #reset() {
    this.#era += 1;
    /** The newest look, and `performance.now()` when it came. */
    this.board = null;
    this.heardAt = 0;
    /** Why there is no newer one: null, or the last failure. */
    this.failure = null;
    this.forbidden = false;
    this.history = { by: "hour", days: 1, found: null, failed: false, loading: false };
    /** The conversation that is listened to; empty for none. */
    this.opened = "";
    this.rate.clear();
    this.#failures = 0;
  }

  // -- the session --------------------------------------------------------------------------------

  async start() {
    if (await this.session.find()) this.#begin();
    else this.changed("session");
  }

  async logIn(account, name, password) {
    await this.session.logIn(account, name, password);
    this.#begin();
  }

  logOut() {
    this.tabs.tell("left", this.session.owner);
    this.#left();
  }

  get loggedIn() {
    return Boolean(this.session.value);
  }

  get me() {
    return this.session.value?.name ?? "";
  }

  #begin() {
    this.#reset();
    this.changed("session");
    this.askNow();
    this.#askNames();
  }

  #left() {
    clearTimeout(this.#timer);
    this.session.leave();
    this.#reset();
    this.changed("session");
  }

  #over() {
    this.#left();
    this.changed("toast", { word: "sessionOver", warn: true });
  }

  // -- asking -------------------------------------------------------------------------------------

  /** Call a route; answers its JSON, or the text of one that is none. */
  async call(method, path, body) {
    if (!this.loggedIn) throw new Problem(401, {});
    await this.session.renewIfDue();
    const { value } = this.session;
    if (!value) throw new Problem(401, {});
    const headers = { authorization: `Bearer ${value.token}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    const response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(WITHIN_MS),
    });
    if (response.ok && !(response.headers.get("content-type") ?? "").startsWith("application/json")) return response.text();
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const problem = new Problem(response.status, answer, Number(response.headers.get("retry-after")) || undefined);
    if (problem.status === 401) this.#over();
    throw problem;
  }

  /** Call a method of a desk. */
  async rpc(method, params) {
    const answer = await this.call("POST", "/rpc", { jsonrpc: "2.0", id: 1, method, params });
    if (answer.error) throw new Problem(409, { detail: answer.error.message, code: answer.error.data?.name });
    return answer.result;
  }

  /** Ask for the newest look without waiting for the next time. */
  askNow() {
    clearTimeout(this.#timer);
    if (this.loggedIn && !this.forbidden) this.#ask();
  }

  async #ask() {
    if (this.#asking) return;
    this.#asking = true;
    const era = this.#era;
    try {
      const board = await this.call("GET", "/v1/board");
      if (era === this.#era) this.#take(board);
    } catch (problem) {
      if (era === this.#era) this.#failed(problem);
    } finally {
      this.#asking = false;
      if (this.loggedIn && !this.forbidden) this.#again();
    }
  }

  #again() {
    clearTimeout(this.#timer);
    const usual = document.visibilityState === "hidden" ? HIDDEN_EVERY_MS : EVERY_MS;
    const wait = this.#failures ? Math.min(LONGEST_WAIT_MS, EVERY_MS * 2 ** (this.#failures - 1)) : usual;
    this.#timer = setTimeout(() => this.#ask(), wait * (0.9 + Math.random() * 0.2));
  }

  #take(board) {
    const off = board.at_ms - this.clock.now();
    // a look may be a second old when it comes, so the latest clock is the right one
    if (off > 0 || off < -3_000) this.clock.set(board.at_ms);
    this.board = board;
    this.heardAt = performance.now();
    this.failure = null;
    this.#failures = 0;
    this.rate.take(board.at_ms, board.hour, board.before);
    this.changed("board");
    this.changed("age");
  }

  #failed(problem) {
    this.#failures += 1;
    this.failure = problem;
    if (problem.status === 403) {
      this.forbidden = true;
      this.changed("session");
    }
    this.changed("age");
  }

  /** How old the numbers are, in milliseconds; null while there are none. */
  get ageMs() {
    return this.board ? performance.now() - this.heardAt : null;
  }

  get stale() {
    return this.board !== null && this.ageMs > FRESH_MS;
  }

  async #askNames() {
    try {
      this.names = await this.call("GET", "/v1/board/names");
      this.changed("names");
      this.changed("board");
    } catch {
      // names are a nicety: what has none is shown by its own
    }
  }

  // -- history ------------------------------------------------------------------------------------

  get historyQuery() {
    const { by, days } = this.history;
    return `by=${by}&days=${days}&utc_offset_min=${-new Date().getTimezoneOffset()}`;
  }

  /** Read the history of a range, and forget the one before. */
  async readHistory(by, days) {
    const history = { by, days, found: null, failed: false, loading: true };
    this.history = history;
    this.changed("history");
    try {
      history.found = await this.call("GET", `/v1/board/history?${this.historyQuery}`);
    } catch {
      history.failed = true;
    }
    history.loading = false;
    if (this.history === history) this.changed("history");
  }

  /** Return the history that is shown as CSV. */
  historyCsv() {
    return this.call("GET", `/v1/board/history.csv?${this.historyQuery}`);
  }

  // -- acting -------------------------------------------------------------------------------------

  /** Listen to a conversation; empty: to none. */
  openCase(id) {
    if (this.opened === id) return;
    this.opened = id;
    this.changed("case");
  }

  listen(conversation, after) {
    const query = after ? `?after=${after}` : "";
    return this.call("GET", `/v1/board/conversations/${encodeURIComponent(conversation)}${query}`);
  }

  earlier(conversation, before) {
    return this.call("GET", `/v1/conversations/${encodeURIComponent(conversation)}/messages?limit=100&before=${before}`);
  }

  async takeOver(conversation) {
    await this.rpc("conversation.take_over", { conversation });
    this.askNow();
  }

  async setSkills(name, skills) {
    await this.call("PUT", `/v1/board/agents/${encodeURIComponent(name)}/skills`, { skills });
    this.askNow();
  }

  toast(word, params = {}, warn = false) {
    this.changed("toast", { word, params, warn });
  }
}

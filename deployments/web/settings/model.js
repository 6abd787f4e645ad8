/**
 * What the settings page knows, all of it from the server: the entries of each section, and a stretch of the audit
 * trail. A change names the version that the admin saw, so nothing of a colleague is overwritten unseen.
 */
import { Prefs } from "../desk/prefs.js";
import { Problem, Session, Tabs } from "../desk/session.js";
import { ServerClock } from "../shared/dates.js";
import { Emitter } from "../shared/emitter.js";

export const SECTIONS = ["users", "teams", "skills", "inboxes", "hours", "canned", "replies"];
const BASE = "/v1/administration";
const WITHIN_MS = 15_000;

export class Model extends Emitter {
  #session;

  constructor() {
    super();
    this.clock = new ServerClock();
    this.prefs = new Prefs(() => this.changed("prefs"));
    this.#session = new Session(this.clock, new Tabs(), () => this.#over());
    this.#forget();
  }

  #forget() {
    /** By section: its entries, or null before they came. */
    this.entries = Object.fromEntries(SECTIONS.map((each) => [each, null]));
    this.trail = { changes: null, before: "", filter: { section: "", name: "", by: "" } };
    this.forbidden = false;
    this.trouble = null;
  }

  get loggedIn() {
    return Boolean(this.#session.value);
  }

  get me() {
    return this.#session.value?.name ?? "";
  }

  async start() {
    await this.#session.find();
    this.changed("session");
    if (this.loggedIn) await this.refresh();
  }

  async logIn(account, name, password) {
    await this.#session.logIn(account, name, password);
    this.#forget();
    this.changed("session");
    await this.refresh();
  }

  logOut() {
    this.#session.leave();
    this.#over();
  }

  #over() {
    this.#session.leave();
    this.#forget();
    this.changed("session");
  }

  // -- reading --------------------------------------------------------------------------------------

  /** Read all sections anew; what cannot be read keeps what was known, and the page says so. */
  async refresh() {
    try {
      await Promise.all(SECTIONS.map((each) => this.#read(each)));
      this.trouble = null;
    } catch (error) {
      this.#troubled(error);
    }
    this.changed("entries");
  }

  async #read(section) {
    this.entries[section] = (await this.#call("GET", `/${section}`)).entries;
  }

  /** Read the trail from its newest change on, or with `older` behind what is shown. */
  async readTrail(older = false) {
    const { filter } = this.trail;
    const wanted = new URLSearchParams({ limit: "30", ...(older ? { before: this.trail.before } : {}) });
    for (const [name, value] of Object.entries(filter)) if (value) wanted.set(name, value);
    try {
      const { changes, next_before } = await this.#call("GET", `/changes?${wanted}`);
      if (filter !== this.trail.filter) return; // another filter was set meanwhile
      const before = older ? (this.trail.changes ?? []) : [];
      this.trail = { filter, changes: [...before, ...changes], before: next_before };
      this.trouble = null;
    } catch (error) {
      this.#troubled(error);
    }
    this.changed("trail");
  }

  filterTrail(filter) {
    this.trail = { changes: null, before: "", filter };
    return this.readTrail();
  }

  entry(section, name) {
    return this.entries[section]?.find((each) => each.name === name) ?? null;
  }

  names(section) {
    return (this.entries[section] ?? []).map((each) => each.name);
  }

  /** Every skill that is written down or that somebody or something has. */
  skills() {
    const of = (section) => (this.entries[section] ?? []).flatMap((each) => each.value?.skills ?? each.value?.skill ?? []);
    return [...new Set([...this.names("skills"), ...of("users"), ...of("teams"), ...of("inboxes")])].filter(Boolean).sort();
  }

  // -- changing -------------------------------------------------------------------------------------

  /** Returns the change, null when everything was so already; throws a Problem. */
  async put(section, name, value, version, password) {
    const body = { value, version, ...(password ? { password } : {}) };
    return this.#made(section, await this.#call("PUT", `/${section}/${encodeURIComponent(name)}`, body));
  }

  async remove(section, name, version) {
    const query = new URLSearchParams({ version });
    return this.#made(section, await this.#call("DELETE", `/${section}/${encodeURIComponent(name)}?${query}`));
  }

  async setPassword(name, password) {
    return this.#made("users", await this.#call("POST", "/password", { name, password }));
  }

  async undo(change) {
    return this.#made(change.section, await this.#call("POST", "/undo", { change: change.id }));
  }

  async #made(section, { change }) {
    try {
      await this.#read(section);
    } catch (error) {
      this.#troubled(error);
    }
    this.changed("entries");
    if (this.trail.changes) await this.readTrail();
    return change;
  }

  // -- how ------------------------------------------------------------------------------------------

  #troubled(error) {
    if (error instanceof Problem && error.status === 401) return this.#over();
    if (error instanceof Problem && error.status === 403) this.forbidden = true;
    else if (!(error instanceof Problem)) console.info(error);
    this.trouble = error;
    this.changed("session");
    return undefined;
  }

  async #call(method, path, body) {
    await this.#session.renewIfDue();
    const response = await fetch(BASE + path, {
      method,
      headers: {
        authorization: `Bearer ${this.#session.value?.token ?? ""}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(WITHIN_MS),
    });
    const told = Date.parse(response.headers.get("date") ?? "");
    if (!Number.isNaN(told)) this.clock.hint(told);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      const problem = new Problem(response.status, answer, Number(response.headers.get("retry-after")) || undefined);
      throw Object.assign(problem, { errors: answer.errors ?? [], current: answer.current ?? null, version: answer.version });
    }
    return answer;
  }
}

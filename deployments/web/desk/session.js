/**
 * Who is logged in. The token lives in this tab's sessionStorage and nowhere else; a second tab asks the first one for
 * it. It is renewed while the session lasts, by the server's clock.
 */
import { SessionOver } from "../shared/line.js";
import { readingUrl, sendIn } from "../shared/upload.js";

const KEY = "raydesk.desk.session";
const ASK_MS = 200;
const RENEW_AT = 0.6;

/** A problem document (RFC 9457) that came in place of an answer. */
export class Problem extends Error {
  constructor(status, body, retryAfterS) {
    super(body.detail ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? "";
    this.retryAfterS = retryAfterS;
  }
}

export class Session {
  #clock;
  #tabs;
  #value;
  #over;
  #renewing = null;

  /**
   * @param {ServerClock} clock
   * @param {Tabs} tabs reaches the other tabs.
   * @param {() => void} over is told when the session ended and only a log-in helps.
   */
  constructor(clock, tabs, over) {
    this.#clock = clock;
    this.#tabs = tabs;
    this.#over = over;
    this.#value = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    tabs.on("session?", () => this.#value && tabs.tell("session", this.#value));
    tabs.on("session", (value) => this.#value && this.#isSame(value) && this.#keep(value));
  }

  get value() {
    return this.#value;
  }

  /** Names the agent's own things in storage. */
  get owner() {
    return this.#value ? `${this.#value.account}/${this.#value.name}` : "";
  }

  /** Return whether somebody is logged in, here or in another tab. */
  async find() {
    if (this.#value) return true;
    return new Promise((resolve) => {
      const stop = this.#tabs.on("session", (value) => {
        if (!this.#value) this.#keep(value);
        done(true);
      });
      const timer = setTimeout(() => done(false), ASK_MS);
      const done = (found) => {
        clearTimeout(timer);
        stop();
        resolve(found);
      };
      this.#tabs.tell("session?");
    });
  }

  async logIn(account, name, password) {
    const { token, expires_at, role } = await this.#post("/v1/login", { account, name, password });
    this.#keep({ account, name, role, token, expires_at, lifetime_s: expires_at - this.#clock.now() / 1000 });
  }

  leave() {
    this.#value = null;
    sessionStorage.removeItem(KEY);
  }

  /** Return the URL of a gateway's socket. */
  async connect() {
    try {
      await this.renewIfDue();
      return (await this.#post("/v1/connect", undefined, this.#value?.token)).gateway;
    } catch (error) {
      if (error instanceof Problem && error.status === 401) throw new SessionOver("log in again");
      throw error;
    }
  }

  /** Send a file in; see shared/upload.js. */
  async sendIn(file, options) {
    await this.renewIfDue();
    return sendIn("", this.#value.token, file, options);
  }

  /** Return a URL at which a file can be read for some minutes. */
  async readingUrl(file) {
    await this.renewIfDue();
    return readingUrl("", this.#value.token, file);
  }

  /** Renew the token when most of its life is over; returns the new one, or null. */
  async renewIfDue() {
    const left = this.#value.expires_at - this.#clock.now() / 1000;
    if (left > this.#value.lifetime_s * (1 - RENEW_AT) || this.#renewing) return null;
    this.#renewing = this.#post("/v1/refresh", undefined, this.#value.token);
    try {
      const { token, expires_at, role } = await this.#renewing;
      this.#keep({ ...this.#value, token, expires_at, role });
      this.#tabs.tell("session", this.#value);
      return token;
    } catch (error) {
      if (error instanceof Problem && error.status === 401 && left <= 0) this.#over();
      return null;
    } finally {
      this.#renewing = null;
    }
  }

  #isSame(value) {
    return value.account === this.#value.account && value.name === this.#value.name;
  }

  #keep(value) {
    this.#value = value;
    sessionStorage.setItem(KEY, JSON.stringify(value));
  }

  async #post(path, body, token) {
    const headers = {};
    if (token) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const response = await fetch(path, {
      method: "POST",
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(10_000),
    });
    const told = Date.parse(response.headers.get("date") ?? "");
    if (!Number.isNaN(told)) this.#clock.hint(told);
    const retryAfterS = Number(response.headers.get("retry-after")) || undefined;
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Problem(response.status, answer, retryAfterS);
    return answer;
  }
}

/** The other tabs of this browser: short messages by topic, to all of them. */
export class Tabs {
  #channel = new BroadcastChannel("raydesk.desk");
  #listeners = new Map();

  constructor() {
    this.#channel.onmessage = ({ data }) => {
      for (const listener of [...(this.#listeners.get(data.topic) ?? [])]) listener(data.value);
    };
  }

  on(topic, listener) {
    if (!this.#listeners.has(topic)) this.#listeners.set(topic, new Set());
    this.#listeners.get(topic).add(listener);
    return () => this.#listeners.get(topic).delete(listener);
  }

  tell(topic, value = null) {
    this.#channel.postMessage({ topic, value });
  }
}

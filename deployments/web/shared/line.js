/**
 * A JSON-RPC 2.0 line to a gateway that comes back by itself.
 *
 * * It asks where to connect anew each time, as the gateway may be another one, and waits a random moment before.
 * * Nothing is called before the session is open, and nothing is queued here: a call on a broken line is refused at
 *   once with `LineBroken`, and whoever must not lose it repeats it under the same client id.
 * * A line that went silent is asked, and one that does not answer is given up: a cut cable closes no socket.
 * * Pushes are handed over in the order of their frames; those of a line that was given up are dropped.
 */

/** The line broke, or was not there: whether the call happened is not known. */
export class LineBroken extends Error {
  constructor(message = "no connection") {
    super(message);
    this.name = "LineBroken";
  }
}

/** The other side refused a call. */
export class Refused extends Error {
  constructor(error) {
    super(error.message ?? "refused");
    this.name = "Refused";
    this.code = error.code;
    /** One of the names of docs/protocol.md, or empty for what is wrong with the call itself. */
    this.kind = error.data?.name ?? "";
    this.retryAfterS = error.data?.retry_after_s;
  }

  /** Whether the same call may succeed later. */
  get passing() {
    return this.kind === "unavailable" || this.kind === "rate_limited";
  }
}

/** Thrown by `connect` or `open`: no use in trying again without a new log-in. */
export class SessionOver extends Error {}

const TEXT_ONLY = "the frame is not text";

export class Line {
  #options;
  #socket = null;
  #calls = new Map();
  #next = 1;
  #opened = false;
  #running = false;
  #failures = 0;
  #retry = 0;
  #watch = 0;
  #heardAt = 0;
  #probing = false;

  // fields, not methods, as they are added and removed as listeners
  #wake = () => {
    if (document.visibilityState === "hidden") return;
    this.retryNow();
    if (this.#opened) this.#look();
  };
  #cut = () => {
    if (this.#socket) this.#lost();
  };

  /**
   * @param {object} options
   * @param {() => Promise<string>} options.connect returns the URL of the gateway's socket.
   * @param {(line: Line) => Promise<void>} options.open makes the first call; the line counts as open when it returns.
   * @param {(method: string, params: object) => void} options.push takes a notification.
   * @param {(state: string, retryAt: number) => void} options.state is told `connecting`, `open`, `waiting` (with the
   *     `performance.now()` of the next attempt), `over` and `stopped`.
   * @param {() => [string, object]} options.probe a call that costs nothing, to hear whether anybody is there.
   * @param {number} options.silenceMs after so long without a frame the other side is asked.
   * @param {number} options.answerMs and given up when it takes longer than this to answer.
   * @param {number} options.longestWaitMs between two attempts.
   */
  constructor(options) {
    this.#options = { silenceMs: 15_000, answerMs: 8_000, longestWaitMs: 10_000, ...options };
  }

  get open() {
    return this.#opened;
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    addEventListener("online", this.#wake);
    addEventListener("offline", this.#cut);
    document.addEventListener("visibilitychange", this.#wake);
    this.#attempt();
  }

  stop() {
    if (!this.#running) return;
    this.#running = false;
    removeEventListener("online", this.#wake);
    removeEventListener("offline", this.#cut);
    document.removeEventListener("visibilitychange", this.#wake);
    clearTimeout(this.#retry);
    this.#drop();
    this.#options.state("stopped", 0);
  }

  /** Connect now instead of at the next attempt. */
  retryNow() {
    if (!this.#running || this.#socket || !this.#retry) return;
    clearTimeout(this.#retry);
    this.#attempt();
  }

  /** Give this connection up and make another one. */
  reconnect() {
    if (this.#socket) this.#lost();
  }

  /**
   * Call a method; resolves with its result.
   *
   * @throws {LineBroken} it may or may not have happened.
   * @throws {Refused} it did not happen.
   */
  call(method, params, { first = false } = {}) {
    const socket = this.#socket;
    if (!socket || socket.readyState !== WebSocket.OPEN || !(this.#opened || first)) {
      return Promise.reject(new LineBroken());
    }
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#calls.delete(id);
        reject(new LineBroken("no answer"));
        if (this.#socket === socket) this.#lost();
      }, this.#options.answerMs);
      this.#calls.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ jsonrpc: "2.0", method, params, id }));
    });
  }

  /** Tell what needs no answer; lost when the line is not open. */
  notify(method, params) {
    if (this.#opened && this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ jsonrpc: "2.0", method, params }));
    }
  }

  // -- connecting ---------------------------------------------------------------------------------

  async #attempt() {
    this.#retry = 0;
    this.#options.state("connecting", 0);
    let url;
    try {
      url = await this.#options.connect();
    } catch (error) {
      this.#failed(error);
      return;
    }
    if (!this.#running || this.#socket) return;
    let socket;
    try {
      socket = this.#socket = new WebSocket(url);
    } catch (error) {
      this.#failed(error);
      return;
    }
    const timer = setTimeout(() => this.#socket === socket && this.#lost(), this.#options.answerMs);
    socket.onmessage = (event) => this.#socket === socket && this.#take(event.data);
    socket.onclose = (event) => {
      clearTimeout(timer);
      if (this.#socket === socket) this.#lost(event.code);
    };
    socket.onopen = async () => {
      clearTimeout(timer);
      if (this.#socket !== socket) return;
      try {
        await this.#options.open(this);
      } catch (error) {
        if (this.#socket !== socket) return;
        this.#drop();
        this.#failed(error);
        return;
      }
      if (this.#socket !== socket) return;
      this.#opened = true;
      this.#failures = 0;
      this.#heardAt = performance.now();
      this.#watch = setInterval(() => this.#look(), 1_000);
      this.#options.state("open", 0);
    };
  }

  #failed(error) {
    if (!this.#running) return;
    if (error instanceof SessionOver) {
      this.stop();
      this.#options.state("over", 0);
      return;
    }
    this.#waitAndRetry(error.retryAfterS ? error.retryAfterS * 1000 : 0);
  }

  #waitAndRetry(leastMs = 0) {
    const longest = Math.min(this.#options.longestWaitMs, 400 * 2 ** Math.min(this.#failures, 8));
    this.#failures += 1;
    const waitMs = Math.max(leastMs, longest * (0.5 + Math.random() / 2));
    this.#retry = setTimeout(() => this.#attempt(), waitMs);
    this.#options.state("waiting", performance.now() + waitMs);
  }

  #lost(code = 0) {
    this.#drop();
    if (!this.#running) return;
    if (code === 4401) {
      // the token that the socket was opened with has ended; `connect` knows whether there is a newer one
      this.#failures = Math.max(this.#failures, 1);
    }
    this.#waitAndRetry();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#opened = this.#probing = false;
    clearInterval(this.#watch);
    if (socket) {
      socket.onmessage = socket.onopen = socket.onclose = null;
      socket.close();
    }
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) {
      clearTimeout(call.timer);
      call.reject(new LineBroken());
    }
  }

  // -- frames -------------------------------------------------------------------------------------

  #take(data) {
    this.#heardAt = performance.now();
    if (typeof data !== "string") throw new TypeError(TEXT_ONLY);
    const frame = JSON.parse(data);
    for (const each of Array.isArray(frame) ? frame : [frame]) {
      if (each.method) this.#options.push(each.method, each.params);
      else this.#answered(each);
    }
  }

  #answered(answer) {
    const call = this.#calls.get(answer.id);
    if (!call) return;
    this.#calls.delete(answer.id);
    clearTimeout(call.timer);
    if (answer.error) call.reject(new Refused(answer.error));
    else call.resolve(answer.result);
  }

  #look() {
    if (this.#probing || performance.now() - this.#heardAt < this.#options.silenceMs) return;
    this.#probing = true;
    const [method, params] = this.#options.probe();
    this.call(method, params)
      .catch(() => {})
      .finally(() => {
        this.#probing = false;
      });
  }
}

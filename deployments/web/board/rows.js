/**
 * What is computed from the server's rows; nothing here knows of the document, of clocks or of the network.
 */

/** How many messages a row has: of contacts, agents and the bot. */
export const messagesOf = (row) => row.contact + row.agent + row.bot;

/** Part of a whole as a percentage; null where there is no whole: nothing is not zero. */
export const share = (part, whole) => (whole > 0 ? (100 * part) / whole : null);

/** The bot's share: of the questions that it was asked and the conversations that it handed on, those it answered. */
export const botShare = (row) => share(row.bot_answered, row.bot_answered + row.handed_over);

const KEPT_MS = 60_000;
const LEAST_MS = 5_000;

/** Messages a minute, from what two looks counted; the hour's change does not break it. */
export class Rate {
  #looks = [];

  /** Take a look: when, what its hour counted so far, and the hour before. */
  take(atMs, hour, before) {
    const last = this.#looks[this.#looks.length - 1];
    if (last && atMs <= last.atMs) return;
    this.#looks.push({ atMs, hour: hour.from_ms, n: messagesOf(hour), before: before.from_ms, all: messagesOf(before) });
    while (this.#looks.length > 2 && this.#looks[1].atMs <= atMs - KEPT_MS) this.#looks.shift();
    if (this.#looks.length > 1 && atMs - this.#looks[0].atMs > 5 * KEPT_MS) this.#looks.splice(0, this.#looks.length - 1);
  }

  /** Return the rate, or null while too little is known. */
  get perMinute() {
    const [first] = this.#looks;
    const last = this.#looks[this.#looks.length - 1];
    if (!first || last.atMs - first.atMs < LEAST_MS) return null;
    let n = null;
    if (first.hour === last.hour) n = last.n - first.n;
    else if (first.hour === last.before) n = last.all - first.n + last.n;
    return n === null || n < 0 ? null : (n * 60_000) / (last.atMs - first.atMs);
  }

  clear() {
    this.#looks = [];
  }
}

const EMPTY = {
  contact: 0, agent: 0, bot: 0, note: 0, opened: 0, bot_opened: 0, bot_answered: 0, handed_over: 0, bot_resolved: 0,
  resolved: 0, reopened: 0, taken_over: 0, answered: 0, late: 0, undelivered: 0, rated: 0,
};

/**
 * Fill the stretches in which nothing happened, from the first row on: what was never counted is not shown as zero.
 *
 * @param {Array} rows oldest first.
 * @param {(ms: number) => number} next returns when the stretch after the one that began at `ms` begins.
 * @param {number} untilMs the last stretch to show began before this.
 */
export function filled(rows, next, untilMs) {
  const found = [];
  for (let index = 0; index < rows.length; index += 1) {
    found.push(rows[index]);
    const end = rows[index + 1]?.from_ms ?? untilMs;
    for (let at = next(rows[index].from_ms); at < end; at = next(at)) {
      found.push({ ...EMPTY, from_ms: at, wait_p50_s: null, wait_p90_s: null, rating: null, intents: {} });
    }
  }
  return found;
}

/** Add rows up; percentiles do not add up and are left out. */
export function totalOf(rows) {
  const total = { ...EMPTY, stars: 0, intents: {} };
  for (const row of rows) {
    for (const name of Object.keys(EMPTY)) total[name] += row[name];
    total.stars += (row.rating ?? 0) * row.rated;
    for (const [intent, n] of Object.entries(row.intents)) total.intents[intent] = (total.intents[intent] ?? 0) + n;
  }
  return { ...total, rating: total.rated > 0 ? total.stars / total.rated : null };
}

/** Round steps for an axis from 0 to at least `greatest`: at most `most` of them. */
export function ticks(greatest, most = 5) {
  if (!(greatest > 0)) return [0, 1];
  const raw = greatest / (most - 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw * 0.999);
  const found = [0];
  while (found[found.length - 1] < greatest * 0.999) found.push(Number((found.length * step).toPrecision(10)));
  return found;
}

/**
 * Times as people read them. Instants come from the server; how long ago is counted against the server's clock, which
 * `ServerClock` follows, so a browser that is an hour off shows the same.
 */

/** The server's clock, as far as the newest word of it tells; never steps with the browser's own clock. */
export class ServerClock {
  #offset = Date.now() - performance.now();
  #heard = false;

  /** Hear the server's time; `nowMs` was right a moment ago. */
  set(nowMs) {
    this.#offset = nowMs - performance.now();
    this.#heard = true;
  }

  /** Hear a time that is only good to the second; counts until a better one comes. */
  hint(nowMs) {
    if (!this.#heard) this.#offset = nowMs - performance.now();
  }

  /** Unix time in milliseconds. */
  now() {
    return this.#offset + performance.now();
  }
}

const formats = new Map();

function format(language, name, options) {
  const key = `${language} ${name}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", options));
  return formats.get(key);
}

export function clockTime(language, ms) {
  return format(language, "time", { hour: "2-digit", minute: "2-digit" }).format(ms);
}

/** The day of an instant as a number that differs between days of the reader's time zone. */
export function dayOf(ms) {
  const date = new Date(ms);
  return date.getFullYear() * 10_000 + (date.getMonth() + 1) * 100 + date.getDate();
}

/** Name a day: `today` and `yesterday` in the words given, else its date. */
export function dayName(language, ms, nowMs, words) {
  if (dayOf(ms) === dayOf(nowMs)) return words.today;
  if (dayOf(ms) === dayOf(nowMs - 86_400_000)) return words.yesterday;
  const sameYear = new Date(ms).getFullYear() === new Date(nowMs).getFullYear();
  return format(language, sameYear ? "day" : "dayOfYear", {
    weekday: "long",
    day: "numeric",
    month: "long",
    ...(sameYear ? {} : { year: "numeric" }),
  }).format(ms);
}

export function dateTime(language, ms) {
  return format(language, "dateTime", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }).format(ms);
}

export function shortDate(language, ms) {
  return format(language, "shortDate", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(ms);
}

/** How long, in one unit that is coarse enough to stay calm: `45 s`, `12 min`, `3 h`, `2 d`. */
export function duration(language, ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const units = language === "zh" ? [" 秒", " 分钟", " 小时", " 天"] : [" s", " min", " h", " d"];
  if (s < 60) return s + units[0];
  if (s < 3_600) return Math.floor(s / 60) + units[1];
  if (s < 86_400) return Math.floor(s / 3_600) + units[2];
  return Math.floor(s / 86_400) + units[3];
}

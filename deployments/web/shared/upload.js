/**
 * Sending a file in over HTTP, with progress. It is kept when the promise resolves, and not before.
 *
 * A line that is cut closes nothing, so an upload that makes no progress for a while is given up; whoever wants the file
 * there sends it in again.
 */
import { LineBroken } from "./line.js";

const STALLED_MS = 30_000;

/** The file was not taken; `passing` says that the same may succeed later. */
export class NotTaken extends Error {
  constructor(message, kind, { passing = false, retryAfterS = 0 } = {}) {
    super(message);
    this.name = "NotTaken";
    /** `cancelled`, `unreadable`, or one of the names of docs/protocol.md. */
    this.kind = kind;
    this.passing = passing;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * Send a file in; resolves with what docs/protocol.md calls its answer, the `proof` among it.
 *
 * @param {string} server origin of the ingress; empty for this page's.
 * @param {string} token of the session.
 * @param {File} file
 * @param {{progress?: (share: number) => void, signal?: AbortSignal}} options `progress` is told 0 to 1.
 * @throws {LineBroken} it may or may not have come.
 * @throws {NotTaken}
 */
export function sendIn(server, token, file, { progress = () => {}, signal } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let stalled = 0;
    const watch = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALLED_MS);
    };
    request.open("POST", `${server}/v1/files`);
    request.responseType = "json";
    request.setRequestHeader("authorization", `Bearer ${token}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.setRequestHeader("x-file-name", encodeURIComponent(file.name.slice(-300)));
    request.upload.onprogress = ({ loaded }) => {
      watch();
      progress(Math.min(1, loaded / file.size));
    };
    request.onload = () => (request.status === 201 ? resolve(request.response) : reject(refusalOf(request)));
    request.onabort = () => reject(signal?.aborted ? new NotTaken("cancelled", "cancelled") : new LineBroken("no answer"));
    request.onerror = () => {
      // the browser says the same of a broken line and of a file that is gone from the disk
      const unreadable = () => reject(new NotTaken("unreadable", "unreadable"));
      file.slice(0, 1).arrayBuffer().then(() => reject(new LineBroken()), unreadable);
    };
    request.onloadend = () => clearTimeout(stalled);
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    watch();
    request.send(file);
  });
}

function refusalOf(request) {
  const { status, response } = request;
  const retryAfterS = Number(request.getResponseHeader("retry-after")) || 1;
  const passing = status === 429 || status >= 500;
  return new NotTaken(response?.detail ?? `HTTP ${status}`, response?.code ?? "", { passing, retryAfterS });
}

/** Ask where a file can be read; resolves with a URL that is good for some minutes. */
export async function readingUrl(server, token, file) {
  const answer = await fetch(`${server}/v1/files/${encodeURIComponent(file)}`, {
    headers: { authorization: `Bearer ${token}` },
    credentials: "omit",
    cache: "no-store",
    signal: AbortSignal.timeout(10_000),
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new NotTaken(found.detail ?? `HTTP ${answer.status}`, found.code ?? "");
  return server + found.path;
}

/** Say how long a file is, in the reader's language. */
export function sizeText(language, bytes) {
  const [unit, value] = bytes < 1_000_000 ? ["kilobyte", bytes / 1_000] : ["megabyte", bytes / 1_000_000];
  const digits = value < 10 ? 1 : 0;
  return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: digits }).format(Math.max(0.1, value));
}

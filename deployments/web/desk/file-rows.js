/** Rows of files, in a draft and under a message: what is going on moves in place, so that no press is lost by it. */
import { h, icon, setText } from "../shared/dom.js";
import { sizeText } from "../shared/upload.js";
import { t, words } from "./words.js";

/**
 * Show files in a list.
 *
 * @param {HTMLElement} list
 * @param {object[]} rows `key`, `name`, `bytes`, `kind`, `state` and `sent` as in files.js, `error`, `url` of a link,
 *     `picture` that is to be shown, `acts`: [word, act] pairs.
 */
export function showFiles(list, rows) {
  list.hidden = rows.length === 0;
  const known = new Map([...list.children].map((element) => [element.key, element]));
  const wanted = rows.map((row) => {
    const signature = JSON.stringify([row.name, row.bytes, row.kind, row.state, row.error, row.picture, row.acts.map(([word]) => word), words.language]);
    let element = known.get(row.key);
    if (element?.signature !== signature) {
      const focused = element?.contains(document.activeElement);
      const fresh = make(row);
      if (focused) element.replaceWith(fresh);
      element = Object.assign(fresh, { key: row.key, signature });
      if (focused) fresh.querySelector("button")?.focus();
    }
    if (element.bar) element.bar.value = row.sent;
    element.row = row;
    return element;
  });
  if (wanted.length !== list.children.length || wanted.some((element, place) => list.children[place] !== element)) {
    list.replaceChildren(...wanted);
  }
}

function make(row) {
  const element = h("li", { class: `file is-${row.state ?? "kept"}` });
  const name = row.url
    ? h("a", { class: "file-name", href: row.url, target: "_blank", rel: "noopener noreferrer" }, row.name)
    : h("bdi", { class: "file-name", title: row.name }, row.name);
  const size = row.bytes ? sizeText(words.language, row.bytes) : "";
  element.append(h("span", { class: "file-line" }, icon(row.kind === "image" ? "image" : "file", 16), name, h("span", { class: "file-size" }, size)));
  if (row.state === "sending") {
    element.bar = h("progress", { max: 1, value: row.sent, "aria-label": t("fileSending", { name: row.name }) });
    element.append(element.bar);
  }
  const say = h("span", { class: "file-say" });
  setText(say, row.error || (row.state === "waiting" ? t("fileWaiting") : ""));
  if (say.textContent) element.append(say);
  if (row.acts.length) element.append(h("span", { class: "file-acts" }, row.acts.map(([word], place) => button(element, word, place))));
  if (row.picture) element.append(picture(element, row));
  return element;
}

function button(element, word, place) {
  const label = `${t(word)}: ${element.querySelector(".file-name").textContent}`;
  return h("button", { class: "link", type: "button", "aria-label": label, onclick: () => element.row.acts[place][1]() }, t(word));
}

function picture(element, row) {
  return h("img", {
    class: "file-picture",
    src: row.picture,
    alt: row.name,
    decoding: "async",
    referrerPolicy: "no-referrer",
    onerror: () => element.row.gone?.(),
  });
}

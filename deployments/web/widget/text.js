/** What somebody wrote, as nodes: text as text, web addresses as links, very long texts folded. */
import { h } from "../shared/elements.js";

const ADDRESS = /https?:\/\/[^\s<>"'“”‘’，。；：！？、（）《》【】\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g;
/** What belongs to the sentence around an address rather than to it. */
const TAIL = /[.,;:!?)\]}*_~]+$/;
/** Marks upon other characters take no room of their own. */
const MARKS = /\p{M}/gu;
const LONG_LINES = 14;
const LONG_CHARACTERS = 900;

/** Return the nodes of a text. */
export function nodesOf(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(ADDRESS)) {
    const address = found[0].replace(TAIL, "");
    if (!isWeb(address)) continue;
    nodes.push(text.slice(end, found.index));
    nodes.push(h("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, address));
    end = found.index + address.length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((each) => each !== "");
}

function isWeb(address) {
  try {
    return ["http:", "https:"].includes(new URL(address).protocol);
  } catch {
    return false;
  }
}

/** Return the bubble of a message; a long text can be unfolded, and the rows of files stand under it. */
export function bubbleOf(text, mine, words, files = []) {
  const body = text || !files.length ? h("div", { class: "text", dir: "auto" }, nodesOf(text)) : null;
  const bubble = h("div", { class: mine ? "message mine" : "message" }, body, files);
  if (text.replace(MARKS, "").length > LONG_CHARACTERS || text.split("\n", LONG_LINES + 1).length > LONG_LINES) {
    const toggle = h("button", { type: "button", class: "link", "aria-expanded": "false" }, words.t("more"));
    toggle.addEventListener("click", () => {
      const folded = bubble.classList.toggle("clamped");
      toggle.setAttribute("aria-expanded", String(!folded));
      toggle.textContent = words.t(folded ? "more" : "less");
    });
    bubble.classList.add("clamped");
    bubble.append(toggle);
  }
  return bubble;
}

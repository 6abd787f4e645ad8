/**
 * The keyboard: one letter where nobody writes, Alt with the same letter anywhere. The table is what the page `?` shows.
 */
export const KEYS = [
  [
    "keysMove",
    [
      ["keyNext", "J", "↓"],
      ["keyPrevious", "K", "↑"],
      ["keyOpen", "Enter"],
      ["keyFilter", "F"],
      ["keySearch", "H"],
      ["keyEnd", "G"],
      ["keyEscape", "Esc"],
    ],
  ],
  [
    "keysAct",
    [
      ["keyAccept", "A"],
      ["keyDecline", "D"],
      ["keyTransfer", "T"],
      ["keySnooze", "S"],
      ["keyResolve", "E"],
      ["keyTags", "L"],
      ["keyJoin", "C"],
    ],
  ],
  [
    "keysWrite",
    [
      ["keyReply", "R"],
      ["keyNote", "N"],
      ["keySuggestion", "1", "2", "3"],
      ["keyCanned", "/"],
      ["keyEmoji", "M"],
      ["keyAttach", "U"],
      ["keySend", "Enter"],
      ["keyBreak", "Shift", "Enter"],
    ],
  ],
  [
    "keysPage",
    [
      ["keyPresence", "P"],
      ["keySide", "I"],
      ["keyHelp", "?"],
    ],
  ],
];

const BY_CODE = {
  KeyJ: "next",
  KeyK: "previous",
  KeyF: "filter",
  KeyG: "end",
  KeyA: "accept",
  KeyD: "decline",
  KeyT: "transfer",
  KeyS: "snooze",
  KeyE: "resolve",
  KeyL: "tags",
  KeyC: "join",
  KeyH: "search",
  KeyR: "reply",
  KeyN: "note",
  KeyM: "emoji",
  KeyU: "attach",
  KeyP: "presence",
  KeyI: "side",
  Digit1: "suggest1",
  Digit2: "suggest2",
  Digit3: "suggest3",
};

/** Name what a key asks for; empty for nothing. */
export function actOf(event) {
  if (event.isComposing || event.ctrlKey || event.metaKey) return "";
  const { target } = event;
  const writes = target instanceof HTMLElement && target.matches("input, textarea, select");
  if (writes && target.closest("dialog")) return "";
  if (event.key === "Escape") return writes ? "leave-field" : "escape";
  if (event.altKey) {
    if (event.key === "ArrowDown") return "next";
    if (event.key === "ArrowUp") return "previous";
    return BY_CODE[event.code] ?? (event.code === "Slash" ? "help" : "");
  }
  if (writes || target.closest?.("dialog")) return "";
  if (event.key === "?") return "help";
  if (event.shiftKey) return "";
  if (event.key === "ArrowDown") return "next";
  if (event.key === "ArrowUp") return "previous";
  if (event.key === "PageDown" || event.key === "PageUp") return event.key === "PageDown" ? "page-down" : "page-up";
  // Enter on a button presses it
  if (event.key === "Enter") return target.matches?.("button, a, summary") ? "" : "open";
  return BY_CODE[event.code] ?? "";
}

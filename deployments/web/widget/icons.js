/** The few icons of the widget: those of our pages would be a part of what every visitor loads. */
import { drawn } from "../shared/elements.js";

const ICONS = {
  send: "M3 11.5 20.5 4 14 20.5l-3-6.5-8-2.5Z M11 14l4-4",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z M12 7v5l3 2",
  check: "M4.500 12.500 10 18 20 6.500",
  close: "M6 6l12 12 M18 6 6 18",
  file: "M6.500 3.500h7l4 4v13h-11z M13.500 3.500v4h4",
};

/** Return a line icon by its name. */
export function icon(name, size = 18) {
  return drawn(ICONS[name], size);
}

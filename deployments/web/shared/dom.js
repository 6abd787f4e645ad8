/** What our own pages make elements of: those of elements.js, and icons by name. */
import { drawn } from "./elements.js";

export * from "./elements.js";

const ICONS = {
  clip: "M19 11.500 11.800 18.700a4.600 4.600 0 0 1-6.500-6.500l7.700-7.700a3 3 0 0 1 4.300 4.300l-7.500 7.500a1.500 1.500 0 0 1-2.100-2.100l6.600-6.600",
  file: "M6.500 3.500h7l4 4v13h-11z M13.500 3.500v4h4",
  image: "M4 5h16v14H4z M4 16l4.500-4.500 4 4 2.500-2.500 5 5 M15 9.500v.1",
  settings: "M4 7h9 M17 7h3 M15 5v4 M4 12h3 M11 12h9 M9 10v4 M4 17h9 M17 17h3 M15 15v4",
  send: "M3 11.5 20.5 4 14 20.5l-3-6.5-8-2.5Z M11 14l4-4",
  note: "M5 4h14v11l-5 5H5z M14 20v-5h5 M8.5 8.5h7 M8.5 12h4",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z M8.5 14.5c1 1.3 2.2 2 3.5 2s2.500-.7 3.500-2 M9 9.500v.5 M15 9.500v.5",
  transfer: "M4 8h13l-3.500-3.500 M20 16H7l3.500 3.500",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Z M12 7v5l3 2",
  check: "M4.500 12.500 10 18 20 6.500",
  back: "M15 5 8 12l7 7",
  side: "M4 5h16v14H4z M14.500 5v14",
  bell: "M6 17V11a6 6 0 0 1 12 0v6l1.500 1.500h-15z M10 21h4",
  bellOff: "M6 17V11a6 6 0 0 1 9-5.200 M18 11v6l1.500 1.500h-13 M10 21h4 M4 4l16 16",
  keys: "M3.500 6.500h17v11h-17z M7 10h.01 M10.300 10h.01 M13.700 10h.01 M17 10h.01 M8 14h8",
  leave: "M10 4H5v16h5 M14 8l4 4-4 4 M18 12H9",
  close: "M6 6l12 12 M18 6 6 18",
  down: "M12 5v14 M6 13l6 6 6-6",
  reopen: "M4 12a8 8 0 1 0 2.500-5.800 M4 4v4.500h4.500",
  warn: "M12 4 2.500 20h19z M12 10v4.500 M12 17.300v.2",
  search: "M10.500 17a6.500 6.500 0 1 0 0-13 6.500 6.500 0 0 0 0 13Z M15.500 15.500 20.500 20.500",
  copy: "M8.500 8.500h11v11h-11z M15.500 8.500v-4h-11v11h4",
};

/** Return a line icon by its name. */
export function icon(name, size = 18) {
  return drawn(ICONS[name], size);
}

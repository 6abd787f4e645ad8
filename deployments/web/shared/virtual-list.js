/**
 * A list of which only what can be seen is in the document, with rows of any height.
 *
 * * What the reader looks at stays where it is, whatever is put before or after it, and whatever height a row turns
 *   out to have. A reader at the end stays at the end.
 * * A row keeps its element as long as it is near the window, by its key: focus and selection in it survive.
 * * Ten thousand rows cost an array of offsets; a scroll costs the rows that come into the window.
 */

const MARGIN_PX = 400;
const AT_END_PX = 24;

export class VirtualList {
  #scroller;
  #canvas;
  #options;
  #items = [];
  #keys = [];
  #index = new Map();
  #heights = new Map();
  #offsets = new Float64Array(1);
  #shown = new Map();
  #measure;
  #width = 0;
  #atEnd = true;
  #drawing = 0;
  #settling = false;

  /**
   * @param {HTMLElement} scroller scrolls and is given one child.
   * @param {object} options
   * @param {(item: any) => string} options.key tells items apart.
   * @param {(item: any) => HTMLElement} options.make makes the element of a row.
   * @param {(element: HTMLElement, item: any, index: number) => void} options.update brings it up to date.
   * @param {(item: any, width: number) => number} options.estimate its height in pixels before it was measured.
   * @param {boolean} options.stick whether a reader at the end follows new rows.
   * @param {() => void} options.scrolled is told after each scroll.
   */
  constructor(scroller, options) {
    this.#scroller = scroller;
    this.#options = { stick: false, scrolled: () => {}, ...options };
    this.#canvas = document.createElement("div");
    this.#canvas.className = "virtual-canvas";
    if (options.role) this.#canvas.setAttribute("role", options.role);
    scroller.classList.add("virtual");
    scroller.append(this.#canvas);
    scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#measure = new ResizeObserver((entries) => this.#onResize(entries));
    this.#measure.observe(scroller);
  }

  get atEnd() {
    return this.#atEnd;
  }

  /** Whether the first row can be seen. */
  get atStart() {
    return this.#scroller.scrollTop < 200;
  }

  get length() {
    return this.#items.length;
  }

  /** Show these items; `jump` is "end" to go there whatever the reader looks at, "start" for the beginning. */
  set(items, jump = "") {
    const anchor = this.#anchor();
    this.#items = items;
    this.#keys = items.map(this.#options.key);
    this.#index = new Map(this.#keys.map((key, index) => [key, index]));
    if (this.#heights.size > 2 * items.length + 200) this.#forgetHeights();
    this.#layout();
    if (jump === "start") this.#scroller.scrollTop = 0;
    this.#draw(jump === "end" ? null : anchor, jump === "end" || (this.#options.stick && this.#atEnd && !jump));
  }

  /** Bring what is in the document up to date, without new items. */
  refresh() {
    this.#draw(this.#anchor(), this.#options.stick && this.#atEnd);
  }

  /** Forget what was measured: another language, another theme. */
  remeasure() {
    this.#heights.clear();
    this.#layout();
    this.refresh();
  }

  scrollToEnd() {
    this.#atEnd = true;
    this.#draw(null, true);
  }

  /** Make a row visible. */
  reveal(key) {
    const index = this.#index.get(key);
    if (index === undefined) return;
    const top = this.#offsets[index];
    const bottom = this.#offsets[index + 1];
    const view = this.#scroller.scrollTop;
    const height = this.#scroller.clientHeight;
    if (top < view) this.#scroller.scrollTop = top;
    else if (bottom > view + height) this.#scroller.scrollTop = bottom - height;
    this.#draw(null, false);
  }

  /** Scroll so that a row stands in the middle. */
  center(key) {
    const index = this.#index.get(key);
    if (index === undefined) return;
    this.#atEnd = false;
    this.#scroller.scrollTop = this.#offsets[index] - this.#scroller.clientHeight / 2;
    this.#draw(null, false);
  }

  /** The element of a row, if it is in the document. */
  element(key) {
    return this.#shown.get(key) ?? null;
  }

  // -- geometry -----------------------------------------------------------------------------------

  #layout() {
    const count = this.#items.length;
    if (this.#offsets.length < count + 1) this.#offsets = new Float64Array(Math.ceil((count + 1) * 1.5));
    const width = this.#scroller.clientWidth;
    let offset = 0;
    for (let index = 0; index < count; index += 1) {
      this.#offsets[index] = offset;
      offset += this.#heights.get(this.#keys[index]) ?? this.#options.estimate(this.#items[index], width);
    }
    this.#offsets[count] = offset;
    this.#canvas.style.height = `${offset}px`;
  }

  #forgetHeights() {
    for (const key of this.#heights.keys()) if (!this.#index.has(key)) this.#heights.delete(key);
  }

  /** The row at a height, by bisection. */
  #at(y) {
    let low = 0;
    let high = this.#items.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#offsets[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  #anchor() {
    if (!this.#items.length) return null;
    const top = this.#scroller.scrollTop;
    const index = this.#at(top);
    return { keys: this.#keys, index, past: top - this.#offsets[index] };
  }

  /** Where the reader must look to see what an anchor says; a row that is gone hands over to those behind it. */
  #place(anchor) {
    for (let index = anchor.index; index < anchor.keys.length; index += 1) {
      const found = this.#index.get(anchor.keys[index]);
      if (found !== undefined) return this.#offsets[found] + (index === anchor.index ? anchor.past : 0);
    }
    return null;
  }

  // -- drawing ------------------------------------------------------------------------------------

  /** Draw what can be seen, measure it, and do so again while heights turn out different. */
  #draw(anchor, toEnd) {
    this.#settling = true;
    for (let round = 0; round < 4; round += 1) {
      const height = this.#scroller.clientHeight;
      let top = this.#scroller.scrollTop;
      if (toEnd) top = Math.max(0, this.#offsets[this.#items.length] - height);
      else if (anchor) top = this.#place(anchor) ?? top;
      this.#window(top, height);
      if (!this.#measureShown()) {
        this.#settle(anchor, toEnd);
        break;
      }
      this.#layout();
      for (const [key, element] of this.#shown) this.#put(element, this.#index.get(key));
      this.#settle(anchor, toEnd);
    }
    this.#settling = false;
    this.#noteEnd();
  }

  #settle(anchor, toEnd) {
    const height = this.#scroller.clientHeight;
    const wanted = toEnd ? this.#offsets[this.#items.length] - height : anchor ? this.#place(anchor) : null;
    if (wanted !== null && Math.abs(this.#scroller.scrollTop - wanted) > 0.5) this.#scroller.scrollTop = wanted;
  }

  #window(top, height) {
    const first = this.#at(top - MARGIN_PX);
    const last = this.#items.length ? this.#at(top + height + MARGIN_PX) : -1;
    const wanted = new Set();
    for (let index = first; index <= last; index += 1) wanted.add(this.#keys[index]);
    for (const [key, element] of this.#shown) {
      if (!wanted.has(key)) {
        this.#measure.unobserve(element);
        element.remove();
        this.#shown.delete(key);
      }
    }
    let before = null;
    for (let index = first; index <= last; index += 1) {
      const key = this.#keys[index];
      const item = this.#items[index];
      let element = this.#shown.get(key);
      if (!element) {
        element = this.#options.make(item);
        element.classList.add("virtual-row");
        this.#shown.set(key, element);
        this.#measure.observe(element);
      }
      this.#options.update(element, item, index);
      this.#put(element, index);
      // the order in the document is the order that keyboard and screen reader follow
      const next = before ? before.nextSibling : this.#canvas.firstChild;
      if (next !== element) this.#canvas.insertBefore(element, next);
      before = element;
    }
  }

  #put(element, index) {
    if (index === undefined) return;
    const place = `translateY(${this.#offsets[index]}px)`;
    if (element.style.transform !== place) element.style.transform = place;
  }

  /** Note the heights of what is in the document; tells whether one differs from what was thought. */
  #measureShown() {
    let changed = false;
    for (const [key, element] of this.#shown) {
      const height = element.offsetHeight;
      const index = this.#index.get(key);
      if (!height || index === undefined) continue;
      if (Math.abs(this.#offsets[index + 1] - this.#offsets[index] - height) > 0.5) changed = true;
      this.#heights.set(key, height);
    }
    return changed;
  }

  #onScroll() {
    if (!this.#settling) this.#noteEnd();
    if (this.#drawing) return;
    this.#drawing = requestAnimationFrame(() => {
      this.#drawing = 0;
      this.#draw(this.#anchor(), this.#options.stick && this.#atEnd);
      this.#options.scrolled();
    });
  }

  #noteEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < AT_END_PX;
  }

  #onResize(entries) {
    if (this.#scroller.clientWidth !== this.#width) {
      this.#width = this.#scroller.clientWidth;
      this.#heights.clear();
    } else if (entries.every((entry) => entry.target !== this.#scroller && !this.#differs(entry.target))) {
      return;
    }
    const anchor = this.#anchor();
    const toEnd = this.#options.stick && this.#atEnd;
    this.#layout();
    this.#draw(anchor, toEnd);
  }

  #differs(element) {
    for (const [key, shown] of this.#shown) {
      if (shown === element) return Math.abs((this.#heights.get(key) ?? 0) - element.offsetHeight) > 0.5;
    }
    return false;
  }
}

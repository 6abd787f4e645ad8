/**
 * Words in the reader's language. A word is a text with `{name}` places, or a function of the parameters where the
 * language needs a plural. A key without a word in one language is a defect, which a test finds.
 */
export class Words {
  #dictionaries;
  #language;

  /** @param {Record<string, Record<string, string|Function>>} dictionaries by language code, the first is the default. */
  constructor(dictionaries, language) {
    this.#dictionaries = dictionaries;
    this.language = language;
  }

  get language() {
    return this.#language;
  }

  set language(wanted) {
    this.#language = wanted in this.#dictionaries ? wanted : Object.keys(this.#dictionaries)[0];
  }

  get languages() {
    return Object.keys(this.#dictionaries);
  }

  /** Return the word for a key, its places filled. */
  t(key, params = {}) {
    const word = this.#dictionaries[this.#language][key];
    if (word === undefined) return key;
    if (typeof word === "function") return word(params);
    return word.replace(/\{(\w+)\}/g, (place, name) => (name in params ? String(params[name]) : place));
  }

  has(key) {
    return key in this.#dictionaries[this.#language];
  }
}

/** Return the language that a browser asks for, of those that there are. */
export function preferred(languages) {
  for (const wanted of navigator.languages ?? []) {
    const found = languages.find((each) => wanted.toLowerCase().startsWith(each));
    if (found) return found;
  }
  return languages[0];
}

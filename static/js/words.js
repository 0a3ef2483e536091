// @ts-check
/**
 * The words of scripts. Owns: the catalogue of the page's language, loaded once from /words/{language}.json.
 * English sentences are the keys, so English needs no request; a sentence that is not in the catalogue stays English.
 *
 * The catalogue: { "words": { "sentence": "translation" | ["singular", "plural"] } }, keyed by a plural's singular.
 */

/** @typedef {Record<string, string | number>} Values */

/** @type {Map<string, string | string[]>} */
const catalogue = new Map();
const language = document.documentElement.lang || "en";
const plural = new Intl.PluralRules(language);
const CATALOGUE_WAIT_MS = 4000;

/** Settled once sentences can be asked for, also when the catalogue did not come. @type {Promise<void>} */
export const ready = load();

async function load() {
  if (language.startsWith("en")) return;
  try {
    const answer = await fetch(`/words/${encodeURIComponent(language)}.json`, { signal: AbortSignal.timeout(CATALOGUE_WAIT_MS) });
    if (!answer.ok) return;
    const { words } = await answer.json();
    for (const [key, value] of Object.entries(words ?? {})) catalogue.set(key, value);
  } catch {
    // The page goes on in English: a missing translation must not stop a call.
  }
}

/**
 * The sentence in the page's language, with {name} replaced by values.name.
 * @param {string} sentence
 * @param {Values} [values]
 * @returns {string}
 */
export function _(sentence, values) {
  const found = catalogue.get(sentence);
  return fill(typeof found === "string" && found ? found : sentence, values);
}

/**
 * The sentence for a number; {count} is the number in the page's language.
 * @param {string} one
 * @param {string} many
 * @param {number} count
 * @param {Values} [values]
 * @returns {string}
 */
export function ngettext(one, many, count, values) {
  const found = catalogue.get(one);
  const form = plural.select(count) === "one" ? 0 : 1;
  const sentence = Array.isArray(found) ? found[Math.min(form, found.length - 1)] : "";
  return fill(sentence || (form === 0 ? one : many), { count: count.toLocaleString(language), ...values });
}

/** @param {string} sentence @param {Values} [values] */
function fill(sentence, values) {
  if (!values) return sentence;
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// @ts-check
/** How good a connection is, in bars and in words: the same for faces and for the list of people. No socket. */

import { element } from "../parts.js";
import { _ } from "../words.js";
import { shortName } from "./people.js";

/** @typedef {import("./protocol.js").Grade} Grade */
/** @typedef {import("./quality.js").Word} Word */
/** @type {Record<Word, Grade>} */
const GRADES = { Good: "good", Weak: "weak", Bad: "bad" };

/**
 * What is known about one member's connection; null: nothing yet.
 * @param {import("./call.js").Call} call @param {import("./quality.js").Quality} quality
 * @param {import("./protocol.js").Member} member
 * @returns {{grade: Grade, words: string}|null}
 */
export function lineOf(call, quality, member) {
  if (member.member_id === call.me) return quality.word && { grade: GRADES[quality.word], words: ownWords(quality.word) };
  const known = call.qualities.get(member.member_id);
  if (!known || !member.connected) return null;
  return { grade: known.grade, words: wordsOf(shortName(member.name), known) };
}

/** @param {Word} word */
function ownWords(word) {
  return word === "Good" ? _("Your connection is good.") : _("Your connection is weak. Turning your camera off helps your voice.");
}

/** @param {string} name @param {import("./protocol.js").QualityOf} known */
function wordsOf(name, { grade, quality }) {
  if (grade === "good") return _("{name}: good connection.", { name });
  const lost = Math.round(quality.loss * 100);
  const values = { name, delay: Math.round(quality.round_trip_ms), lost };
  return grade === "weak"
    ? _("{name}’s connection is weak: {delay} ms to and fro, {lost} % lost.", values)
    : _("{name}’s connection is very weak: {delay} ms to and fro, {lost} % lost.", values);
}

/** Three bars; how many are full says the grade, and so do the words beside or behind them. @param {Grade} grade */
export function bars(grade) {
  return element("span", { className: "line-bars", "data-grade": grade, "aria-hidden": "true" },
    element("i"), element("i"), element("i"));
}

// @ts-check
/** How people are named and tinted in the call. One tint per role, in face, pointer, chat and name. */

import { _ } from "../words.js";

/** @typedef {import("./protocol.js").Role} Role */
/** @typedef {"expert"|"patient"|"family"|"doctor"|"clinic"} Tint */

/** @type {Record<Role, Tint>} */
const TINTS = {
  expert: "expert", patient: "patient", caregiver: "family", physician: "doctor", scheduler: "clinic", interpreter: "clinic",
};

/** @param {Role} role @returns {Tint} */
export function tintOf(role) {
  return TINTS[role] ?? "clinic";
}

/** @param {Role} role */
export function roleWord(role) {
  switch (role) {
    case "expert": return _("expert");
    case "patient": return _("patient");
    case "caregiver": return _("family");
    case "physician": return _("physician");
    case "interpreter": return _("interpreter");
    default: return _("clinic");
  }
}

/** "Dr Okafor" for "Dr Helen Okafor", "Ana" for "Ana Ruiz": short enough for a phone. @param {string} name */
export function shortName(name) {
  const parts = name.trim().split(/\s+/);
  const titled = parts.length > 1 && /^(dr|dra|prof|sr|sra|mr|mrs|ms)\.?$/i.test(parts[0]);
  return titled ? `${parts[0]} ${parts[parts.length - 1]}` : parts[0];
}

/** Names in one sentence, in the page's own way of joining. @param {string[]} names */
export function joinNames(names) {
  return new Intl.ListFormat(document.documentElement.lang || "en", { type: "conjunction" }).format(names);
}

/** @param {number} duration_ms as 14:32 or 1:02:03 */
export function clock(duration_ms) {
  const seconds = Math.max(0, Math.floor(duration_ms / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = parts[0] > 0 ? parts : parts.slice(1);
  return shown.map((part, place) => (place === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

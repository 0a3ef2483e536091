// @ts-check
/**
 * What this tab keeps over a reload: lines and answers that were not sent yet, the half-typed line, and what was seen last.
 * In sessionStorage, so that it ends with the tab; per call and seat, so that nobody sends what somebody else wrote.
 * Knows neither DOM nor socket.
 *
 * @typedef {{view: import("./protocol.js").View, on_ms: number, at_ms: number}} Seen what was on screen and how much was
 *   recorded when the room was heard last, at_ms on its clock
 * @typedef {{lines: import("./protocol.js").ChatLine[], wishes: [string, import("./protocol.js").Outgoing][], draft: string,
 *   seen: Seen|null}} Kept
 */

const PREFIX = "consult-call ";

/** @returns {Kept} */
const nothing = () => ({ lines: [], wishes: [], draft: "", seen: null });

export class Memory {
  #call;
  #key = "";
  #kept = nothing();

  /** @param {string} callId */
  constructor(callId) {
    this.#call = callId;
  }

  /** @returns {Readonly<Kept>} */
  get kept() {
    return this.#kept;
  }

  /** From now on this seat's; what was kept for it is in `kept`. @param {string} memberId */
  open(memberId) {
    const key = `${PREFIX}${this.#call} ${memberId}`;
    if (key === this.#key) return;
    const draft = this.#kept.draft;
    this.#key = key;
    this.#kept = { ...nothing(), ...read(key) };
    if (draft) this.keep({ draft });
  }

  /** @param {Partial<Kept>} changes */
  keep(changes) {
    this.#kept = { ...this.#kept, ...changes };
    if (!this.#key) return;
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(this.#kept));
    } catch {
      // A browser that lets nothing be kept still makes calls; only a reload forgets.
    }
  }

  /** The call is over: nothing of it stays in this tab. */
  forget() {
    this.#kept = nothing();
    try {
      for (const key of Object.keys(sessionStorage)) if (key.startsWith(`${PREFIX}${this.#call} `)) sessionStorage.removeItem(key);
    } catch {
      // See keep.
    }
  }
}

/** @param {string} key @returns {Partial<Kept>} */
function read(key) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "{}");
    return typeof kept === "object" && kept !== null ? kept : {};
  } catch {
    return {};
  }
}

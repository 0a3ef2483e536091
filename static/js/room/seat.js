// @ts-check
/**
 * Asks the application for a seat: a ticket that opens the room's socket once, within a minute.
 * @typedef {{ticket: string, socket: string}} Seat
 */

const LIMIT_MS = 10_000;

/** The application said no, and asking again at once would not help. */
export class SeatRefused extends Error {
  /** @param {number} status @param {string} code @param {string} detail @param {string} reference */
  constructor(status, code, detail, reference) {
    super(detail);
    this.status = status;
    this.code = code;
    this.reference = reference;
  }
}

/**
 * @param {string} url
 * @param {string} csrf
 * @returns {Promise<Seat>}
 * @throws {SeatRefused} or another error when it is worth trying again (no network, a server that restarts)
 */
export async function fetchSeat(url, csrf) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "X-CSRF": csrf, Accept: "application/json" },
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  if (response.ok && !response.redirected) return await response.json();
  if (response.redirected) throw new SeatRefused(401, "sign_in_needed", "", "");
  if (response.status >= 500 || response.status === 429 || response.status === 408) throw new Error(String(response.status));
  /** @type {{code?: string, detail?: string, reference?: string}} */
  const problem = await response.json().catch(() => ({}));
  throw new SeatRefused(response.status, problem.code ?? "", problem.detail ?? "", problem.reference ?? "");
}

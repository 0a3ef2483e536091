// @ts-check
/**
 * Asks the application for a seat: a ticket that opens the room's socket once, within a minute.
 * @typedef {{ticket: string, socket: string}} Seat
 */

import { ApiError, post } from "../api.js";

/** The application said no, and asking again at once would not help. */
export class SeatRefused extends Error {
  /** @param {ApiError} cause */
  constructor(cause) {
    super(cause.message);
    this.status = cause.status;
    this.code = cause.code;
    this.reference = cause.reference;
  }
}

/**
 * @param {string} url
 * @returns {Promise<Seat>}
 * @throws {SeatRefused} or another error when it is worth trying again: no network, a server that restarts
 */
export async function fetchSeat(url) {
  try {
    return await post(url);
  } catch (error) {
    if (error instanceof ApiError && isFinal(error.status)) throw new SeatRefused(error);
    throw error;
  }
}

/** @param {number} status 0: no answer came; 408 and 429: later */
function isFinal(status) {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

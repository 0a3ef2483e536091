// @ts-check
/**
 * Requests from scripts to this server. Owns: the proof against forged requests, the time limit, and turning every
 * failure into one ApiError with a sentence that a person can read.
 */

import { _ } from "./words.js";

const WAIT_MS = 20_000;

/** A failed request. message can be shown as it is. */
export class ApiError extends Error {
  /** @param {{code: string, message: string, status: number, reference?: string, fields?: Record<string, string>}} problem */
  constructor({ code, message, status, reference = "", fields = {} }) {
    super(message);
    this.name = "ApiError";
    /** Stable name of the failure; "network" and "timeout" are the browser's own. */
    this.code = code;
    /** HTTP status; 0 when no answer came. */
    this.status = status;
    /** What the clinic can look up; empty when the server was not reached. */
    this.reference = reference;
    /** What to mend, by the name of the field. */
    this.fields = fields;
  }
}

/** The page's proof that a request comes from it. */
export function csrf() {
  return document.querySelector('meta[name="csrf"]')?.getAttribute("content") ?? "";
}

/**
 * Send data as JSON and return the JSON answer (null for an empty one).
 * @param {string} url
 * @param {unknown} [data]
 * @returns {Promise<any>}
 */
export function post(url, data = {}) {
  return request(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF": csrf() },
    body: JSON.stringify(data),
  });
}

/**
 * Return the JSON at url.
 * @param {string} url
 * @returns {Promise<any>}
 */
export function get(url) {
  return request(url, {});
}

/** @param {string} url @param {RequestInit} options @returns {Promise<any>} */
async function request(url, options) {
  let answer;
  let text;
  try {
    answer = await fetch(url, {
      ...options,
      headers: { Accept: "application/json", ...options.headers },
      credentials: "same-origin",
      signal: AbortSignal.timeout(WAIT_MS),
    });
    text = await answer.text();
  } catch (error) {
    throw withoutAnswer(error);
  }
  return read(answer.status, answer.ok, text);
}

/**
 * Read an answer's text: the JSON in it, or an ApiError for a problem. Also used for uploads.
 * @param {number} status
 * @param {boolean} ok
 * @param {string} text
 * @returns {any}
 */
export function read(status, ok, text) {
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    // Something between us and the server answered with a page.
    ok = false;
  }
  if (ok) return content;
  throw new ApiError({
    code: content?.code ?? "unexpected_answer",
    message: content?.detail ?? content?.title ?? _("Something went wrong on our side. Nothing you wrote is lost."),
    status,
    reference: content?.reference,
    fields: content?.fields,
  });
}

/** @param {unknown} error */
function withoutAnswer(error) {
  const slow = error instanceof DOMException && error.name === "TimeoutError";
  return new ApiError({
    code: slow ? "timeout" : "network",
    message: slow
      ? _("The server is taking long to answer. Nothing you wrote is lost. Please try again.")
      : _("You seem to be offline. Nothing you wrote is lost. Please try again when you are connected."),
    status: 0,
  });
}

// @ts-check
/**
 * Keeps a board as it is now: a stream says that something changed, then the page is asked for again and its board taken.
 * Once a minute it is asked for in any case. A request that no person caused says so, and keeps nobody signed in.
 *
 * When the server does not answer, what was there stays in sight with its time, and is asked for again calmly.
 */

import { serverNow } from "./clock.js";

const MINUTE_MS = 60_000;
const RETRY_MS = 10_000;
const SPREAD_MS = 3_000; // after a restart not everybody comes back in the same moment
const WAIT_MS = 20_000;

/**
 * @param {object} board
 * @param {(fresh: Element) => void} board.take makes the board what the server sent
 * @param {(isOld: boolean) => void} board.showAge says whether the board is old by now
 * @returns {{ask: () => void}} ask: bring the board up to date at once
 */
export function keepLive({ take, showAge }) {
  /** @type {EventSource | null} */
  let stream = null;
  /** @type {number | undefined} */
  let timer;
  let isAsking = false;
  let askAgain = false;
  let hasActed = false; // a person did something since the last request

  for (const kind of ["pointerdown", "keydown", "wheel"]) {
    window.addEventListener(kind, (event) => (hasActed = hasActed || event.isTrusted), { capture: true, passive: true });
  }

  async function ask() {
    if (isAsking) {
      askAgain = true;
      return;
    }
    isAsking = true;
    askAgain = false;
    const acted = hasActed;
    hasActed = false;
    let wait_ms = RETRY_MS;
    try {
      const fresh = await fetchBoard(acted);
      if (!fresh) return;
      take(fresh);
      showAge(false);
      wait_ms = MINUTE_MS - (serverNow() % MINUTE_MS) + 500;
    } catch {
      hasActed = hasActed || acted;
      showAge(true);
    } finally {
      isAsking = false;
      window.clearTimeout(timer);
      if (!document.hidden) timer = window.setTimeout(ask, askAgain ? 0 : wait_ms);
    }
  }

  function openStream() {
    if (stream || document.hidden) return;
    const opened = new EventSource("/board/events");
    stream = opened;
    opened.addEventListener("hello", ask); // since the page was made something may have changed
    opened.addEventListener("changed", ask);
    opened.addEventListener("signed-out", () => window.location.reload());
    opened.addEventListener("error", () => {
      if (stream !== opened) return;
      closeStream();
      void ask();
      window.setTimeout(openStream, RETRY_MS + Math.random() * SPREAD_MS);
    });
  }

  function closeStream() {
    stream?.close();
    stream = null;
  }

  // A browser has few connections to one server: a board that nobody sees holds none.
  document.addEventListener("visibilitychange", () => {
    window.clearTimeout(timer);
    if (document.hidden) closeStream();
    else openStream();
    if (!document.hidden) void ask();
  });
  window.addEventListener("pagehide", closeStream);
  window.addEventListener("pageshow", (event) => event.persisted && openStream());
  openStream();
  timer = window.setTimeout(ask, MINUTE_MS - (serverNow() % MINUTE_MS) + 500);
  return { ask };
}

/**
 * Return the board as it is now, null if nobody is signed in any more: then the page goes, and the names on it.
 * @param {boolean} byPerson
 */
async function fetchBoard(byPerson) {
  const answer = await fetch(window.location.href, {
    headers: byPerson ? { Accept: "text/html" } : { Accept: "text/html", "X-By-Itself": "1" },
    credentials: "same-origin",
    cache: "no-store",
    redirect: "manual",
    signal: AbortSignal.timeout(WAIT_MS),
  });
  if (answer.type === "opaqueredirect" || answer.status === 403) {
    window.location.reload();
    return null;
  }
  if (!answer.ok) throw new Error(`board: ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
  if (!fresh) throw new Error("board: none");
  return fresh;
}

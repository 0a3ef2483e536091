// @ts-check
/** The server's time, carried on by this page's own stopwatch, so that the browser's clock does not matter. */

let server_ms = Date.now();
let readAt_ms = performance.now();

/** Set what the server's clock showed just now. @param {number} now_ms since 1970 UTC */
export function setServerNow(now_ms) {
  server_ms = now_ms;
  readAt_ms = performance.now();
}

/** The server's time in ms since 1970 UTC. */
export function serverNow() {
  return server_ms + performance.now() - readAt_ms;
}

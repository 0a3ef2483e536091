// @ts-check
/**
 * What was written before a room had to open again. The room forgot it and the page of somebody just let in never had it; the
 * application has it, as soon as it has heard that they were let in.
 */

import { get } from "../api.js";

const TRIES_AFTER_MS = [0, 1000, 3000, 8000];

/** @param {(lines: import("./protocol.js").ChatLine[]) => void} take */
export async function fetchEarlierLines(take) {
  for (const wait_ms of TRIES_AFTER_MS) {
    await new Promise((done) => setTimeout(done, wait_ms));
    const answer = await get("/visit/chat").catch(() => null);
    if (!answer?.chat.length) continue;
    take(answer.chat);
    return;
  }
}

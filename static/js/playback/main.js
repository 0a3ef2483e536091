// @ts-check
/**
 * The calls of a case page: a player for each, and while text is still being made, news about it without a reload.
 * Somebody who watches keeps their place: only the text is renewed then.
 */

import { get } from "../api.js";
import { ready } from "../words.js";
import { mountPlayer } from "./player.js";

const ASK_EVERY_MS = 2500;
const MOST_FAILURES = 20;
const BUSY = new Set(["filing", "waiting", "running"]);

/** @type {Map<string, ReturnType<typeof mountPlayer>>} */
const players = new Map();

await ready;
for (const section of sections()) mount(section);
void watch();

function sections() {
  return /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-consultation]")]);
}

/** @param {HTMLElement} section */
function mount(section) {
  players.get(section.id)?.unmount();
  players.set(section.id, mountPlayer(section));
}

/**
 * What a section shows at present, to be compared with the server's news.
 * @param {HTMLElement} section @param {"text-state" | "video"} name
 */
function shownState(section, name = "text-state") {
  const part = section.querySelector(`[data-part="${name}"]`);
  return part instanceof HTMLElement ? part.dataset : {};
}

async function watch() {
  let failures = 0;
  while (failures < MOST_FAILURES && sections().some((one) => isBusy(one))) {
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
    if (document.hidden) continue;
    try {
      await askOnce();
      failures = 0;
    } catch {
      failures += 1; // the old state stays in sight; the next question may be answered
    }
  }
}

/** Busy, or a call that may still bring something. @param {HTMLElement} section */
function isBusy(section) {
  const states = [shownState(section).state, shownState(section, "video").state];
  return states.some((state) => BUSY.has(state ?? "")) || section.dataset.running === "true";
}

async function askOnce() {
  const caseId = sections()[0]?.dataset.case ?? "";
  const { consultations } = await get(`/cases/${encodeURIComponent(caseId)}/progress`);
  const changed = consultations.filter((/** @type {any} */ news) => {
    const section = document.getElementById(`call-${news.id}`);
    if (!section) return false;
    const shown = shownState(section);
    const video = shownState(section, "video");
    const videoChanged = video.state && (video.state !== news.video || Number(video.done) !== (news.video_done_ms ?? 0));
    return (
      videoChanged || shown.state !== news.state || shown.done !== String(news.done_ms) ||
      shown.segments !== String(news.segments)
    );
  });
  if (changed.length) await renew(changed.map((/** @type {any} */ news) => `call-${news.id}`));
}

/** Take the newest version of some sections out of the page as the server sees it now. @param {string[]} ids */
async function renew(ids) {
  const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ids) {
    const old = document.getElementById(id);
    const fresh = page.getElementById(id);
    if (!old || !fresh) continue;
    const sameVideos = segmentCount(old) === segmentCount(fresh);
    if (sameVideos || players.get(id)?.playing()) renewText(old, fresh);
    else {
      const section = document.importNode(fresh, true);
      old.replaceWith(section);
      mount(section);
    }
  }
}

/** @param {HTMLElement} section */
function segmentCount(section) {
  return JSON.parse(section.dataset.consultation ?? "{}").segments?.length ?? 0;
}

/** @param {HTMLElement} old @param {HTMLElement} fresh */
function renewText(old, fresh) {
  for (const part of ["text-state", "turns", "video"]) {
    const before = old.querySelector(`[data-part="${part}"]`);
    const after = fresh.querySelector(`[data-part="${part}"]`);
    if (!(before instanceof HTMLElement) || !(after instanceof HTMLElement)) continue;
    before.replaceChildren(...document.importNode(after, true).childNodes);
    for (const [name, value] of Object.entries(after.dataset)) before.dataset[name] = value;
  }
  players.get(old.id)?.renewTurns();
}

// @ts-check
/** One call on the case page: puts clock, pictures, lanes and turns together and answers buttons and keys. */

import { find, showIcon } from "../parts.js";
import { _ } from "../words.js";
import { PlaybackClock } from "./clock.js";
import { mountLanes, shownName } from "./lanes.js";
import { Participant } from "./screen.js";
import { clockText } from "./times.js";
import { mountTurns } from "./turns.js";

const TICK_MS = 100;
const BACK_MS = 15_000;
const STEP_MS = 5_000;
const LEAST_GAP_MS = 1500; // a shorter gap is simply played through

/**
 * Start the player of one call; return what the page needs to go on with it.
 * @param {HTMLElement} section
 */
export function mountPlayer(section) {
  const data = JSON.parse(section.dataset.consultation ?? "{}");
  const root = section.querySelector('[data-part="player"]');
  const turnsRoot = /** @type {HTMLElement} */ (find(section, '[data-part="turns"]'));
  if (!(root instanceof HTMLElement) || !data.segments.length) return { playing: () => false, renewTurns() {}, unmount() {} };
  const player = new Player(section, root, turnsRoot, data);
  return { playing: () => player.clock.playing, renewTurns: () => player.renewTurns(), unmount: () => player.unmount() };
}

class Player {
  /** @param {HTMLElement} section @param {HTMLElement} root @param {HTMLElement} turnsRoot @param {any} data */
  constructor(section, root, turnsRoot, data) {
    this.section = section;
    this.root = root;
    this.turnsRoot = turnsRoot;
    this.data = data;
    this.clock = new PlaybackClock(data.length_ms);
    this.people = /** @type {HTMLElement[]} */ ([...root.querySelectorAll(".play-person")]).map(
      (figure) => new Participant(figure, data.segments.filter((/** @type {any} */ one) => one.person === figure.dataset.person)),
    );
    this.go = find(root, '[data-do="toggle"]', HTMLButtonElement);
    this.seekBar = find(root, '[data-do="seek"]', HTMLInputElement);
    this.speed = find(root, '[data-do="speed"]', HTMLSelectElement);
    this.now = /** @type {HTMLElement} */ (find(root, '[data-part="now"]'));
    this.shows = /** @type {HTMLElement} */ (find(root, '[data-part="shows"]'));
    this.notice = /** @type {HTMLElement} */ (find(root, '[data-part="notice"]'));
    this.wrong = /** @type {HTMLElement} */ (find(root, '[data-part="wrong"]'));
    this.noticeUntil = 0;
    this.abort = new AbortController();
    this.listen();
    this.renewTurns();
    root.hidden = false;
    this.clock.seek(firstRecorded(data));
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.tick();
  }

  renewTurns() {
    const seek = (/** @type {number} */ atMs) => this.seekAndPlay(atMs);
    this.turns = mountTurns(this.turnsRoot, seek);
    this.lanes = mountLanes(/** @type {HTMLElement} */ (find(this.root, '[data-part="lanes"]')), this.data, this.turns.voices, seek);
  }

  listen() {
    const options = { signal: this.abort.signal };
    this.go.addEventListener("click", () => this.toggle(), options);
    find(this.root, '[data-do="back"]').addEventListener("click", () => this.seek(this.clock.atMs - BACK_MS), options);
    this.seekBar.addEventListener("input", () => this.seek(Number(this.seekBar.value)), options);
    this.speed.addEventListener("change", () => this.clock.setRate(Number(this.speed.value)), options);
    this.section.addEventListener("keydown", (event) => this.answerKey(event), options);
  }

  /** Space plays and pauses, arrows step; keys that a control needs itself stay with it. @param {KeyboardEvent} event */
  answerKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.target instanceof Element)) return;
    const takesKeys = event.target.closest("select, input, textarea, summary, a");
    if (event.key === " " && !takesKeys && !event.target.closest("button")) this.toggle();
    else if (event.key === "ArrowLeft" && !takesKeys) this.seek(this.clock.atMs - STEP_MS);
    else if (event.key === "ArrowRight" && !takesKeys) this.seek(this.clock.atMs + STEP_MS);
    else return;
    event.preventDefault();
  }

  toggle() {
    if (this.clock.playing) this.clock.pause();
    else this.clock.play();
    this.tick();
  }

  /** @param {number} atMs */
  seek(atMs) {
    this.clock.seek(atMs);
    this.tick();
  }

  /** @param {number} atMs */
  seekAndPlay(atMs) {
    this.clock.seek(atMs);
    this.clock.play();
    this.tick();
  }

  tick() {
    const nowMs = performance.now();
    if (this.clock.playing) this.passGap();
    if (this.clock.ended && this.clock.playing) this.clock.pause();
    const { atMs, playing } = this.clock;
    const late = this.people.map((person) => person.isLate(playing, nowMs)).some(Boolean);
    this.clock.hold(late);
    for (const person of this.people) person.follow(atMs, playing && !(late && person.waitingSinceMs === 0), this.clock.rate);
    this.draw(atMs, playing, nowMs);
  }

  /** Nothing was recorded here: go on where something was, and say so. */
  passGap() {
    const atMs = this.clock.atMs;
    const gap = this.data.gaps.find((/** @type {any} */ one) => atMs >= one.start_ms && atMs < one.end_ms);
    if (!gap || gap.end_ms - atMs < LEAST_GAP_MS) return;
    this.clock.seek(gap.end_ms);
    const times = { start: clockText(gap.start_ms), end: clockText(gap.end_ms) };
    this.say(gap.paused ? _("Recording was paused from {start} to {end}.", times) : _("Nothing was recorded from {start} to {end}.", times));
  }

  /** @param {string} words */
  say(words) {
    this.notice.textContent = words;
    this.notice.hidden = false;
    this.noticeUntil = performance.now() + 4000;
  }

  /** @param {number} atMs @param {boolean} playing @param {number} nowMs */
  draw(atMs, playing, nowMs) {
    const time = clockText(atMs);
    if (this.now.textContent !== time) this.now.textContent = time;
    this.seekBar.value = String(Math.round(atMs));
    this.seekBar.setAttribute("aria-valuetext", time);
    const words = playing ? _("Pause") : _("Play");
    const label = this.go.querySelector("span");
    if (label && label.textContent !== words) {
      label.textContent = words;
      showIcon(find(this.go, "svg"), playing ? "pause" : "play");
    }
    if (!this.notice.hidden && nowMs > this.noticeUntil) this.notice.hidden = true;
    const speaking = this.turns?.speaking(atMs) ?? new Set();
    for (const person of this.people) person.figure.classList.toggle("is-speaking", speaking.has(person.person));
    this.turns?.show(atMs, playing);
    this.lanes?.show(atMs);
    this.drawShown(atMs);
    const broken = this.people.some((person) => person.failed);
    if (broken === this.wrong.hidden) {
      this.wrong.hidden = !broken;
      this.wrong.textContent = broken ? _("A part of the recording cannot be played in this browser. The file itself is safe; it is listed below.") : "";
    }
  }

  /** @param {number} atMs */
  drawShown(atMs) {
    const shown = this.data.shown.find((/** @type {any} */ one) => atMs >= one.start_ms && atMs < one.end_ms);
    const words = shown ? shownName(shown) : "";
    this.shows.hidden = !shown;
    const label = this.shows.querySelector("span");
    if (label && label.textContent !== words) label.textContent = words;
  }

  unmount() {
    clearInterval(this.timer);
    this.abort.abort();
    for (const person of this.people) person.stop();
  }
}

/** @param {any} data */
function firstRecorded(data) {
  return Math.min(...data.segments.map((/** @type {any} */ one) => one.offset_ms));
}

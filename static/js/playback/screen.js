// @ts-check
/**
 * Everybody's picture and sound, in step with the clock. One <video> per participant; its source changes from segment to
 * segment. Small drift is mended by a slightly different speed, large drift by a jump.
 */

import { _ } from "../words.js";

/** @typedef {{id: string, person: string, offset_ms: number, duration_ms: number, picture: boolean, url: string}} Segment */

const SMALL_DRIFT_MS = 80;
const LARGE_DRIFT_MS = 400;
const CATCH_UP = 0.06; // how much faster or slower, as a part of the speed
const LONGEST_HOLD_MS = 4000; // a picture that does not come must not stop the others for ever

export class Participant {
  /** @param {HTMLElement} figure @param {Segment[]} segments in the order of time */
  constructor(figure, segments) {
    this.figure = figure;
    this.person = figure.dataset.person ?? "";
    this.segments = segments;
    this.video = /** @type {HTMLVideoElement} */ (figure.querySelector("video"));
    this.why = /** @type {HTMLElement} */ (figure.querySelector('[data-part="why"]'));
    /** @type {Segment | null} */
    this.current = null;
    this.failed = false;
    this.waitingSinceMs = 0;
    this._onError = () => {
      this.failed = this.current !== null;
    };
    this.video.addEventListener("error", this._onError);
  }

  /** @param {number} atMs */
  segmentAt(atMs) {
    return this.segments.find((one) => atMs >= one.offset_ms && atMs < one.offset_ms + one.duration_ms) ?? null;
  }

  /** Bring this picture to the clock. @param {number} atMs @param {boolean} playing @param {number} rate */
  follow(atMs, playing, rate) {
    const segment = this.segmentAt(atMs);
    if (segment !== this.current) this._load(segment);
    this._describe(segment);
    if (!segment || this.failed || this.video.readyState === 0) return;
    const wantedMs = atMs - segment.offset_ms;
    const driftMs = this.video.currentTime * 1000 - wantedMs;
    if (Math.abs(driftMs) > (playing ? LARGE_DRIFT_MS : SMALL_DRIFT_MS / 2) && !this.video.seeking) {
      this.video.currentTime = wantedMs / 1000;
    }
    this.video.playbackRate = Math.abs(driftMs) <= SMALL_DRIFT_MS ? rate : rate * (1 - Math.sign(driftMs) * CATCH_UP);
    if (playing && this.video.paused && !this.video.ended) this.video.play().catch(() => undefined);
    if (!playing && !this.video.paused) this.video.pause();
  }

  /** Whether the clock should wait for this picture. @param {boolean} playing @param {number} nowMs */
  isLate(playing, nowMs) {
    const ready = this.video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA && !this.video.seeking;
    if (!playing || !this.current || this.failed || ready || this.video.ended) {
      this.waitingSinceMs = 0;
      return false;
    }
    this.waitingSinceMs ||= nowMs;
    return nowMs - this.waitingSinceMs < LONGEST_HOLD_MS;
  }

  stop() {
    this.video.removeEventListener("error", this._onError);
    this._load(null);
  }

  /** @param {Segment | null} segment */
  _load(segment) {
    this.current = segment;
    this.failed = false;
    if (segment) {
      this.video.src = segment.url;
    } else {
      this.video.pause();
      this.video.removeAttribute("src");
    }
    this.video.load();
  }

  /** @param {Segment | null} segment */
  _describe(segment) {
    const picture = Boolean(segment?.picture) && !this.failed && this.video.readyState > 1;
    this.figure.classList.toggle("has-picture", picture);
    const words = this.failed ? _("This part cannot be played.") : !segment ? _("Not recorded here") : segment.picture ? "" : _("Sound only");
    if (this.why.textContent !== words) this.why.textContent = words;
  }
}

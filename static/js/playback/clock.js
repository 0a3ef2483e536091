// @ts-check
/**
 * The one clock of a playback: where we are in the consultation, in ms. Knows no DOM and no media; everything else follows it.
 * While held (a picture is still loading) it stands, without forgetting that it plays.
 */

export class PlaybackClock {
  /** @param {number} lengthMs @param {() => number} [now] ms, never going back */
  constructor(lengthMs, now = () => performance.now()) {
    this.lengthMs = lengthMs;
    this.playing = false;
    this.rate = 1;
    this._held = false;
    this._now = now;
    this._placeMs = 0;
    this._sinceMs = now();
  }

  get atMs() {
    const moved = this.playing && !this._held ? (this._now() - this._sinceMs) * this.rate : 0;
    return Math.min(this.lengthMs, this._placeMs + moved);
  }

  get ended() {
    return this.atMs >= this.lengthMs;
  }

  play() {
    if (this.ended) this.seek(0);
    this._settle();
    this.playing = true;
  }

  pause() {
    this._settle();
    this.playing = false;
  }

  /** @param {number} placeMs */
  seek(placeMs) {
    this._placeMs = Math.min(this.lengthMs, Math.max(0, placeMs));
    this._sinceMs = this._now();
  }

  /** @param {number} rate */
  setRate(rate) {
    this._settle();
    this.rate = rate;
  }

  /** @param {boolean} held */
  hold(held) {
    if (held === this._held) return;
    this._settle();
    this._held = held;
  }

  _settle() {
    this._placeMs = this.atMs;
    this._sinceMs = this._now();
  }
}

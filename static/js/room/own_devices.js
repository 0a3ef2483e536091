// @ts-check
/**
 * This person's own camera and microphone during the call: which tracks are open, whether they are wanted, what went
 * wrong. Opens through devices.js; who gets the tracks is media.js's business.
 *
 * The microphone off is a silenced track, so that speaking again is instant; the camera off is a stopped one, so that the
 * light beside it goes out.
 */

import { openDevices, saveChoice, savedChoice, stopAll } from "../devices.js";
import { Emitter } from "./emitter.js";

/** @typedef {"microphone"|"camera"} Kind */
/** @extends {Emitter<{changed: OwnDevices}>} */
export class OwnDevices extends Emitter {
  /** @type {MediaStreamTrack|null} */
  audio = null;
  /** @type {MediaStreamTrack|null} */
  video = null;
  /** @type {unknown} */
  audioError = null;
  /** @type {unknown} */
  videoError = null;
  microphoneWanted = savedChoice().microphone !== false;
  cameraWanted = savedChoice().camera !== false;
  opening = false;

  /** What others get from this page. */
  get sends() {
    return { microphone: this.microphoneWanted && !!this.audio, camera: this.cameraWanted && !!this.video };
  }

  /** Opens what is wanted and not open yet. */
  async open() {
    if (this.opening) return;
    this.opening = true;
    const choice = savedChoice();
    const needs = { audio: !this.audio, video: this.cameraWanted && !this.video };
    try {
      const opened = await openDevices({
        // The microphone is opened even when it begins silent: its button then answers at once.
        microphone: needs.audio ? choice.microphone || "" : false,
        camera: needs.video ? choice.camera || "" : false,
      });
      if (needs.audio) this.#takeAudio(opened.audio, opened.audioError);
      if (needs.video) this.#takeVideo(opened.video, opened.videoError);
    } finally {
      this.opening = false;
    }
    this.emit("changed", this);
  }

  /** @param {boolean} wanted */
  async setMicrophone(wanted) {
    this.microphoneWanted = wanted;
    if (this.audio) this.audio.enabled = wanted;
    this.emit("changed", this);
    if (wanted && !this.audio) await this.open();
  }

  /** @param {boolean} wanted */
  async setCamera(wanted) {
    this.cameraWanted = wanted;
    if (!wanted) this.#takeVideo(null, null);
    this.emit("changed", this);
    if (wanted && !this.video) await this.open();
  }

  /** Another device, remembered for the next call. @param {Kind} kind @param {string} id */
  async choose(kind, id) {
    saveChoice({ [kind]: id });
    if (kind === "microphone") this.#takeAudio(null, null);
    if (kind === "camera") {
      this.#takeVideo(null, null);
      this.cameraWanted = true;
    }
    await this.open();
  }

  /** Everything off, for good. */
  stop() {
    stopAll([this.audio, this.video]);
    this.audio = this.video = null;
  }

  /** @param {MediaStreamTrack|null} track @param {unknown} error */
  #takeAudio(track, error) {
    if (this.audio !== track) this.audio?.stop();
    this.audio = track;
    this.audioError = error;
    if (!track) return;
    track.enabled = this.microphoneWanted;
    track.contentHint = "speech";
    track.onended = () => this.#unplugged(track);
  }

  /** @param {MediaStreamTrack|null} track @param {unknown} error */
  #takeVideo(track, error) {
    if (this.video !== track) this.video?.stop();
    this.video = track;
    this.videoError = error;
    if (!track) return;
    track.contentHint = "motion";
    track.onended = () => this.#unplugged(track);
  }

  /** A cable was pulled or a permission taken back: say so, and try what else is there. @param {MediaStreamTrack} track */
  #unplugged(track) {
    if (track === this.audio) this.#takeAudio(null, new DOMException("ended", "NotFoundError"));
    else if (track === this.video) this.#takeVideo(null, new DOMException("ended", "NotFoundError"));
    else return;
    this.emit("changed", this);
    void this.open();
  }
}

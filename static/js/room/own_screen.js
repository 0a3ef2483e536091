// @ts-check
/** This person's screen, while they show it: asked for by a press, ended by another, or in the browser's own bar. No DOM. */

import { Emitter } from "./emitter.js";

const WANTED = { video: { frameRate: { max: 15 }, width: { max: 1920 }, height: { max: 1200 } }, audio: false };

/** @extends {Emitter<{changed: OwnScreen, ended: void}>} */
export class OwnScreen extends Emitter {
  /** @type {MediaStreamTrack|null} */
  track = null;

  /** Phones cannot. */
  static get possible() {
    return "mediaDevices" in navigator && "getDisplayMedia" in navigator.mediaDevices;
  }

  /** @returns {Promise<"shown"|"cancelled"|"failed">} */
  async start() {
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia(WANTED);
      const [track] = stream.getVideoTracks();
      track.contentHint = "detail";
      track.onended = () => {
        this.stop();
        this.emit("ended", undefined);
      };
      this.track = track;
    } catch (error) {
      // The same name for somebody who changed their mind and for a computer that allows it nobody.
      const cancelled = error instanceof DOMException && error.name === "NotAllowedError" && !/system/i.test(error.message);
      return cancelled ? "cancelled" : "failed";
    }
    this.emit("changed", this);
    return "shown";
  }

  stop() {
    if (!this.track) return;
    this.track.onended = null;
    this.track.stop();
    this.track = null;
    this.emit("changed", this);
  }
}

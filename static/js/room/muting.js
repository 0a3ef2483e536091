// @ts-check
/**
 * A host silences somebody, and they are told: a band that stays until they speak again, which only they can decide. The server
 * has silenced them already; here the microphone follows, so that its button says what is so.
 */

import { find } from "../parts.js";
import { _ } from "../words.js";
import { shortName } from "./people.js";

/**
 * @param {HTMLElement} root the room
 * @param {{call: import("./call.js").Call, own: import("./own_devices.js").OwnDevices}} given
 * @returns {() => void}
 */
export function mount(root, { call, own }) {
  const band = find(root, '[data-band="muted"]', HTMLElement);
  const words = find(band, "[data-band-text]", HTMLElement);
  const stop = new AbortController();

  function draw() {
    const muted = call.myself?.muted === true;
    if (muted && band.hidden) {
      words.textContent ||= _("You are muted. Unmute when you speak.");
      if (own.microphoneWanted) void own.setMicrophone(false);
    }
    if (!muted) {
      if (band.contains(document.activeElement)) find(root, '[data-control="microphone"]', HTMLElement).focus();
      words.textContent = "";
    }
    band.hidden = !muted;
  }

  const off = [
    call.on("muted", (by) => {
      words.textContent = by ? _("{name} muted you. Unmute when you speak.", { name: shortName(by.name) }) : "";
      draw();
    }),
    call.on("members", draw),
    // Whichever way the microphone is switched on again.
    own.on("changed", () => call.myself?.muted && !band.hidden && own.microphoneWanted && call.unmute()),
  ];
  find(band, "[data-unmute]", HTMLElement).addEventListener("click", () => void own.setMicrophone(true), { signal: stop.signal });
  draw();
  return () => {
    stop.abort();
    off.forEach((one) => one());
  };
}

// @ts-check
/**
 * The question about recording: a band with two equal answers. It covers nothing and stops nothing; the call goes on while
 * it stands. Whoever answered is not asked again.
 */

import { find } from "../parts.js";

/**
 * @param {HTMLElement} root
 * @param {{call: import("./call.js").Call}} given
 * @returns {() => void}
 */
export function mount(root, { call }) {
  const band = find(root, '[data-band="consent"]', HTMLElement);
  const stop = new AbortController();

  function draw() {
    const asked = call.recording.awaiting.includes(call.me);
    if (!asked && band.contains(document.activeElement)) find(root, "[data-recording-button]", HTMLElement).focus();
    band.hidden = !asked;
  }

  band.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-consent]") : null;
    if (button) call.answerConsent(button.getAttribute("data-consent") === "yes");
  }, { signal: stop.signal });
  const off = call.on("recording", draw);
  draw();
  return () => {
    stop.abort();
    off();
  };
}

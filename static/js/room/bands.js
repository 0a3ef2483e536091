// @ts-check
/**
 * The bands under the head that tell of trouble which mends itself or wants a press: the line is lost, the line is weak, a
 * device does not open, the browser keeps silent, the server could not do something. Consent and knocks have files of
 * their own.
 */

import { explainDeviceError } from "../devices.js";
import { element, find } from "../parts.js";
import { _ } from "../words.js";
import { faultWords } from "./faults.js";

const FAULT_MS = 9000;
const SLOW_MS = 1000;
const LONG_MS = 9000;
const SETTLE_MS = 400; // a line that is back within it is not worth a word

/**
 * @param {HTMLElement} root
 * @param {{call: import("./call.js").Call, own: import("./own_devices.js").OwnDevices,
 *   quality: import("./quality.js").Quality}} given
 */
export function mountBands(root, { call, own, quality }) {
  const stop = new AbortController();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let losing;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let fading;
  /** @type {string|null} */
  let told = "";

  /** @param {string} name */
  const band = (name) => find(root, `[data-band="${name}"]`, HTMLElement);
  /** @param {string} name @param {string} words */
  function say(name, words) {
    const one = band(name);
    find(one, "[data-band-text]", HTMLElement).textContent = words;
    one.hidden = !words;
  }

  /** @param {import("./connection.js").ConnectionState} state */
  function line(state) {
    root.dataset.connectionState = state;
    clearTimeout(losing);
    if (state === "reconnecting") {
      losing = setTimeout(() => say("line", _("We lost you for a moment. Your seat is kept. Trying again…")), SETTLE_MS);
    } else if (state === "connecting") {
      losing = setTimeout(() => {
        say("line", _("Opening the call…"));
        losing = setTimeout(() => say("line", _("The server does not answer yet. We keep trying.")), LONG_MS);
      }, SLOW_MS);
    } else say("line", "");
  }

  function devices() {
    const { audioError, videoError } = own;
    const kind = audioError && videoError ? "both" : audioError ? "microphone" : videoError ? "camera" : null;
    const trouble = kind ? explainDeviceError(audioError ?? videoError, kind) : null;
    const now = trouble ? `${kind} ${trouble.reason}` : "";
    if (now === told) return;
    told = now;
    say("devices", trouble?.sentence ?? "");
    find(band("devices"), "[data-band-steps]", HTMLElement).replaceChildren(
      ...(trouble?.steps ?? []).map((step) => element("li", {}, step)),
    );
  }

  function weak() {
    const { word } = quality;
    band("weak").hidden = word !== "Weak" && word !== "Bad";
    find(band("weak"), "[data-weak-advice]", HTMLElement).hidden = !own.sends.camera;
    find(band("weak"), "[data-weak-camera]", HTMLElement).hidden = !own.sends.camera;
  }

  root.addEventListener("click", (event) => {
    const close = event.target instanceof Element ? event.target.closest("[data-band-close]") : null;
    const closed = close?.closest("[data-band]");
    if (closed instanceof HTMLElement) closed.hidden = true;
  }, { signal: stop.signal });
  find(root, "[data-try-devices]", HTMLElement).addEventListener("click", () => {
    told = null;
    void own.open();
  }, { signal: stop.signal });

  find(root, "[data-weak-camera]", HTMLElement).addEventListener("click", () => void own.setCamera(false), { signal: stop.signal });

  const off = [
    call.on("line", line),
    // Patients wait in the waiting room; a host who comes with a second device waits here.
    call.on("waiting", (message) => say("line", message.second_device
      ? _("You are in this call on another device already. Let this one in there.") : _("You wait to be let in."))),
    call.on("welcome", () => say("line", "")),
    own.on("changed", devices),
    own.on("changed", weak),
    quality.on("word", weak),
    call.on("fault", (fault) => {
      if (fault.of === "quality") return; // nobody asked for it, nobody misses it
      clearTimeout(fading);
      say("fault", faultWords(fault));
      fading = setTimeout(() => say("fault", ""), FAULT_MS);
    }),
  ];
  line(call.line);
  devices();
  return {
    /** @param {boolean} blocked */
    silent(blocked) {
      band("hear").hidden = !blocked;
    },
    unmount() {
      stop.abort();
      clearTimeout(losing);
      clearTimeout(fading);
      off.forEach((one) => one());
    },
  };
}

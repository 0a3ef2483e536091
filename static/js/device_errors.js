// @ts-check
/**
 * What to say when a camera or microphone does not open: what happened, and what to do in this browser.
 * Owns the sentences and which browser this is; opens nothing itself.
 */

import { _ } from "./words.js";

/** @typedef {"camera" | "microphone" | "both"} What */
/** @typedef {"refused" | "dismissed" | "refused_by_system" | "missing" | "in_use" | "unsupported" | "no_answer" | "unknown"} Reason */
/** @typedef {"safari_ios" | "other_ios" | "safari" | "firefox" | "firefox_android" | "edge" | "chrome_android" | "chrome" | "in_app" | "unknown"} Browser */
/** @typedef {{reason: Reason, sentence: string, steps: string[]}} Explanation */

/**
 * What happened in one sentence, and what to do, step by step, in this browser.
 * @param {unknown} error what openDevices gave
 * @param {What} what
 * @returns {Explanation}
 */
export function explainDeviceError(error, what) {
  const reason = reasonOf(error);
  const words = SENTENCES[reason];
  return { reason, sentence: words[what](), steps: stepsFor(reason, what, whichBrowser()) };
}

/** @param {unknown} error @returns {Reason} */
export function reasonOf(error) {
  const name = error instanceof DOMException || error instanceof Error ? error.name : "";
  const message = error instanceof Error || error instanceof DOMException ? error.message.toLowerCase() : "";
  switch (name) {
    case "NotAllowedError":
      if (message.includes("system")) return "refused_by_system";
      return message.includes("dismissed") ? "dismissed" : "refused";
    case "SecurityError":
      return "refused";
    case "NotFoundError":
    case "OverconstrainedError":
    case "DevicesNotFoundError":
      return "missing";
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return "in_use";
    case "NotSupportedError":
    case "TypeError":
      return "unsupported";
    case "TimeoutError":
      return "no_answer";
    default:
      return "unknown";
  }
}

/** @type {Record<Reason, Record<What, () => string>>} */
const SENTENCES = {
  refused: {
    camera: () => _("Your browser keeps the camera closed."),
    microphone: () => _("Your browser keeps the microphone closed."),
    both: () => _("Your browser keeps the camera and the microphone closed."),
  },
  dismissed: {
    camera: () => _("Your browser asked about the camera, and the question was closed."),
    microphone: () => _("Your browser asked about the microphone, and the question was closed."),
    both: () => _("Your browser asked about the camera and the microphone, and the question was closed."),
  },
  refused_by_system: {
    camera: () => _("This device does not let your browser use the camera."),
    microphone: () => _("This device does not let your browser use the microphone."),
    both: () => _("This device does not let your browser use the camera and the microphone."),
  },
  missing: {
    camera: () => _("We find no camera on this device."),
    microphone: () => _("We find no microphone on this device."),
    both: () => _("We find no camera and no microphone on this device."),
  },
  in_use: {
    camera: () => _("The camera is being used by something else, or did not start."),
    microphone: () => _("The microphone is being used by something else, or did not start."),
    both: () => _("The camera and the microphone are being used by something else, or did not start."),
  },
  unsupported: {
    camera: () => _("This browser cannot use the camera on this page."),
    microphone: () => _("This browser cannot use the microphone on this page."),
    both: () => _("This browser cannot use the camera and the microphone on this page."),
  },
  no_answer: {
    camera: () => _("The camera did not answer."),
    microphone: () => _("The microphone did not answer."),
    both: () => _("The camera and the microphone did not answer."),
  },
  unknown: {
    camera: () => _("The camera did not start."),
    microphone: () => _("The microphone did not start."),
    both: () => _("The camera and the microphone did not start."),
  },
};

/** @param {Reason} reason @param {What} what @param {Browser} browser @returns {string[]} */
function stepsFor(reason, what, browser) {
  switch (reason) {
    case "refused":
      return allow(browser, what);
    case "dismissed":
      return [_("Press “Try again”, and when your browser asks, press “Allow”.")];
    case "refused_by_system":
      return allowInSystem();
    case "missing":
      return missing(what);
    case "in_use":
      return [
        _("Close other programs and browser tabs that may be in a call, such as Zoom, Teams or FaceTime."),
        _("Then press “Try again”. If that does not help, restart this device."),
      ];
    case "unsupported":
      return unsupported(browser);
    default:
      return [_("Press “Try again”. If it happens again, restart this device, or open the link on another one.")];
  }
}

/** Where each browser keeps its permission. @param {Browser} browser @param {What} what @returns {string[]} */
function allow(browser, what) {
  const reload = _("Then press “Try again”. If nothing changes, reload this page.");
  switch (browser) {
    case "safari_ios":
      return [_("Press the sign at the left end of the address bar, then “Website Settings”."), allowThere(what), reload];
    case "other_ios":
      return [_("Open the Settings app of this phone or tablet and find your browser in the list of apps."), allowThere(what), reload];
    case "safari":
      return [_("In the menu bar at the top, open Safari, then “Settings for This Website”."), allowThere(what), reload];
    case "firefox":
      return [_("Press the crossed-out camera or microphone sign beside the address, and take away the block."), reload];
    case "firefox_android":
      return [_("Press the lock sign beside the address, then the blocked entries, so that they say “Allowed”."), reload];
    case "edge":
      return [_("Press the lock sign beside the address, then “Permissions for this site”."), allowThere(what), reload];
    case "chrome_android":
      return [_("Press the sign at the left of the address, then “Permissions”."), allowThere(what), reload];
    case "chrome":
      return [_("Press the camera sign, or the sign with two sliders, beside the address."), allowThere(what), reload];
    case "in_app":
      return [_("This page is open inside another app. Open the link in Safari or Chrome instead: copy it, or use the app's menu.")];
    default:
      return [_("Press the camera sign or the lock beside the address."), allowThere(what), reload];
  }
}

/** @param {What} what */
function allowThere(what) {
  if (what === "camera") return _("Set “Camera” to “Allow”.");
  if (what === "microphone") return _("Set “Microphone” to “Allow”.");
  return _("Set “Camera” and “Microphone” to “Allow”.");
}

/** @returns {string[]} */
function allowInSystem() {
  const agent = navigator.userAgent;
  const again = _("Then close your browser, open it again and come back with the same link.");
  if (/Mac OS X/.test(agent) && !isTouchApple()) {
    return [_("Open System Settings, then “Privacy & Security”, and let your browser use the camera and the microphone."), again];
  }
  if (/Windows/.test(agent)) {
    return [_("Open the Windows settings, then “Privacy & security”, and let apps use the camera and the microphone."), again];
  }
  return [_("Open the settings of this device, find your browser under apps, and let it use the camera and the microphone."), again];
}

/** @param {What} what @returns {string[]} */
function missing(what) {
  if (what === "camera") {
    return [
      _("If you have a camera with a cable, plug it in. If your laptop has a slider or a key that closes the camera, open it."),
      _("Then press “Try again”. You can also have the call without a picture: you are heard, and you see everything."),
    ];
  }
  if (what === "microphone") {
    return [
      _("If you have headphones with a microphone, plug them in."),
      _("Then press “Try again”, or open the link on a phone. Without a microphone, nobody hears you, but you can write."),
    ];
  }
  return [_("Plug in a camera or headphones with a microphone and press “Try again”, or open the link on a phone.")];
}

/** @param {Browser} browser @returns {string[]} */
function unsupported(browser) {
  if (browser === "in_app") {
    return [_("This page is open inside another app. Open the link in Safari or Chrome instead: copy it, or use the app's menu.")];
  }
  if (browser === "other_ios") return [_("Open the link in Safari instead.")];
  return [_("Open the link in a new version of Chrome, Edge, Firefox or Safari, or on a phone.")];
}

/** iPads call themselves Macs, but have a touch screen. */
function isTouchApple() {
  return /iPhone|iPad|iPod/.test(navigator.userAgent) || (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1);
}

/** Which browser this is. Only the way to a permission depends on it. @returns {Browser} */
export function whichBrowser() {
  const agent = navigator.userAgent;
  if (/FBAN|FBAV|Instagram|Line\/|WhatsApp|; wv\)|GSA\//.test(agent)) return "in_app";
  if (isTouchApple()) return /CriOS|FxiOS|EdgiOS/.test(agent) ? "other_ios" : "safari_ios";
  const android = /Android/.test(agent);
  if (/Firefox\//.test(agent)) return android ? "firefox_android" : "firefox";
  if (/Edg\//.test(agent)) return android ? "chrome_android" : "edge";
  if (/Chrome\//.test(agent)) return android ? "chrome_android" : "chrome";
  return /Safari\//.test(agent) ? "safari" : "unknown";
}

// @ts-check
/**
 * Step 3: can we see and hear you? Camera, microphone, loudspeaker and connection, each with its state in words, what to
 * do where one does not work, and a choice where there are several. Nothing leaves this browser.
 */

import { get } from "./api.js";
import { LevelMeter, VOICE_LEVEL, explainDeviceError, listDevices, openDevices, permission, saveChoice, savedChoice, stopAll,
  watchDevices } from "./devices.js";
import { element, find, showState } from "./parts.js";
import { play } from "./sounds.js";
import { _, ready } from "./words.js";

/** @typedef {import("./devices.js").OpenedDevices} OpenedDevices */
/** @typedef {import("./devices.js").Device} Device */

const SLOW_MS = 600;
const SERVER_TRIES = 3;

class DeviceTest {
  /** @type {OpenedDevices} */
  #opened = { audio: null, video: null, audioError: null, videoError: null };
  /** @type {LevelMeter | null} */
  #meter = null;
  #heard = false;
  #busy = false;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.video = find(root, "[data-self]", HTMLVideoElement);
  }

  async begin() {
    find(this.root, '[data-action="play"]').addEventListener("click", () => void this.#playSound());
    for (const kind of /** @type {const} */ (["camera", "microphone", "speaker"])) {
      find(this.root, `[data-choice="${kind}"]`, HTMLSelectElement).addEventListener("change", (event) => {
        saveChoice({ [kind]: /** @type {HTMLSelectElement} */ (event.target).value });
        if (kind !== "speaker") void this.open();
      });
    }
    const unwatch = watchDevices(() => void this.#listChoices());
    window.addEventListener("pagehide", () => {
      unwatch();
      this.#stop();
    });
    void this.#testConnection();
    await this.open();
  }

  /** Open both and show what came of it. */
  async open() {
    if (this.#busy) return;
    this.#busy = true;
    this.#stop();
    this.#heard = false;
    const asks = (await permission("camera")) === "prompt" || (await permission("microphone")) === "prompt";
    this.#say("camera", "", asks ? _("Your browser asks") : _("Starting"), "wait");
    this.#say("microphone", "", asks ? _("Your browser asks") : _("Starting"), "wait");
    const choice = savedChoice();
    // Somebody who comes back to this page wants to test, whatever was switched off before.
    this.#opened = await openDevices({ camera: choice.camera || "", microphone: choice.microphone || "" });
    this.#busy = false;
    this.#showCamera();
    this.#showMicrophone();
    await this.#listChoices();
  }

  #stop() {
    this.#meter?.stop();
    this.#meter = null;
    stopAll([this.#opened.audio, this.#opened.video]);
  }

  #showCamera() {
    const { video, videoError } = this.#opened;
    this.video.hidden = !video;
    find(this.root, "[data-self-empty]", HTMLElement).hidden = !!video;
    find(this.root, "[data-self-note]", HTMLElement).hidden = !video;
    this.#trouble("camera", video ? null : videoError);
    saveChoice({ camera: video ? savedChoice().camera || "" : savedChoice().camera });
    if (!video) {
      this.video.srcObject = null;
      find(this.root, "[data-self-words]").textContent = _("No picture. You can also have the call without one.");
      this.#say("camera", "wait", _("No picture"), "camera-off");
      return;
    }
    this.video.srcObject = new MediaStream([video]);
    void this.video.play().catch(() => undefined);
    video.addEventListener("ended", () => void this.open());
    this.#say("camera", "", _("Starting"), "wait");
    this.video.onplaying = () => this.#say("camera", "good", _("We see you"), "check");
    if (this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) this.#say("camera", "good", _("We see you"), "check");
  }

  #showMicrophone() {
    const { audio, audioError } = this.#opened;
    this.#trouble("microphone", audio ? null : audioError);
    const bar = find(this.root, "[data-level]", HTMLElement);
    bar.style.transform = "scaleX(0)";
    if (!audio) {
      this.#say("microphone", "wait", _("No sound"), "mic-off");
      return;
    }
    audio.addEventListener("ended", () => void this.open());
    this.#say("microphone", "", _("Say a few words"), "mic");
    this.#meter = new LevelMeter(audio, (level) => {
      bar.style.transform = `scaleX(${level.toFixed(3)})`;
      if (level < VOICE_LEVEL || this.#heard) return;
      this.#heard = true;
      this.#say("microphone", "good", _("We hear you"), "check");
    });
  }

  /**
   * @param {"camera" | "microphone" | "connection"} test
   * @param {"good" | "wait" | "bad" | ""} kind
   * @param {string} words
   * @param {string} iconName
   */
  #say(test, kind, words, iconName) {
    const target = find(this.root, `[data-test="${test}"] > .state`);
    if (target.textContent !== words) showState(target, kind, words, iconName);
  }

  /** What happened, what to do in this browser, and one more try. @param {"camera" | "microphone"} kind @param {unknown} error */
  #trouble(kind, error) {
    const place = find(this.root, `[data-test="${kind}"] [data-trouble]`, HTMLElement);
    // What is wrong with both is said once, with the camera.
    const same = this.#sameTrouble();
    place.hidden = !error || (kind === "microphone" && same);
    if (place.hidden) return;
    const { sentence, steps } = explainDeviceError(error, same ? "both" : kind);
    const again = element("button", { className: "button", type: "button" }, _("Try again"));
    again.addEventListener("click", () => void this.open());
    place.replaceChildren(
      element("b", {}, sentence),
      element("ol", {}, ...steps.map((step) => element("li", {}, step))),
      again,
    );
  }

  #sameTrouble() {
    const { audio, video, audioError, videoError } = this.#opened;
    if (audio || video || !audioError || !videoError) return false;
    return explainDeviceError(audioError, "both").reason === explainDeviceError(videoError, "both").reason;
  }

  async #listChoices() {
    const found = await listDevices();
    this.#fill("camera", found.cameras, this.#opened.video);
    this.#fill("microphone", found.microphones, this.#opened.audio);
    this.#fill("speaker", found.speakers, null);
  }

  /** @param {"camera" | "microphone" | "speaker"} kind @param {Device[]} devices @param {MediaStreamTrack | null} track */
  #fill(kind, devices, track) {
    const select = find(this.root, `[data-choice="${kind}"]`, HTMLSelectElement);
    const named = devices.filter((device) => device.name);
    find(this.root, `.test-choice:has([data-choice="${kind}"])`, HTMLElement).hidden = named.length < 2;
    select.replaceChildren(...named.map((device) => element("option", { value: device.id }, device.name)));
    const chosen = track?.getSettings().deviceId ?? savedChoice()[kind];
    if (typeof chosen === "string" && named.some((device) => device.id === chosen)) select.value = chosen;
  }

  async #playSound() {
    const said = find(this.root, "[data-sound-said]");
    said.textContent = _("Playing. Do you hear it?");
    const played = await play("test", savedChoice().speaker);
    said.textContent = played
      ? _("If you heard nothing, turn up the volume, or plug headphones in or out, and play it again.")
      : _("Your browser kept this page silent. Press once more.");
  }

  /** Only what is really tried here is said: the browser's abilities and how fast the server answers. */
  async #testConnection() {
    const said = find(this.root, "[data-connection-said]");
    if (!("RTCPeerConnection" in window) || !("WebSocket" in window)) {
      this.#say("connection", "bad", _("Not possible here"), "alert");
      said.textContent = _("This browser cannot make video calls. Open the link in a new version of Chrome, Edge, Firefox or Safari.");
      return;
    }
    try {
      const times = [];
      for (let number = 0; number < SERVER_TRIES; number += 1) {
        const begun = performance.now();
        await get("/healthz");
        times.push(performance.now() - begun);
      }
      const middle = times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
      const good = middle < SLOW_MS;
      this.#say("connection", good ? "good" : "wait", good ? _("Answers quickly") : _("Answers slowly"), good ? "check" : "alert");
      said.textContent = good
        ? _("This browser can make video calls, and the clinic's server answers quickly.")
        : _("This browser can make video calls, but the clinic's server answers slowly. Go closer to your router, or pause downloads.");
    } catch {
      this.#say("connection", "wait", _("No answer"), "alert");
      said.textContent = _("The clinic's server did not answer just now. Look whether you are online, then reload this page.");
    }
  }
}

void ready.then(() => new DeviceTest(find(document, "[data-test-devices]", HTMLElement)).begin());

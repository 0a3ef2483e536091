// @ts-check
/**
 * Camera, microphone and loudspeaker. Owns: opening them, the remembered choice (ids only, in localStorage), the list
 * to choose from, and the loudness of a microphone. What to say when one does not open is in device_errors.js.
 * Draws nothing; used by the page before the call and by the call.
 */

import { audioContext } from "./sounds.js";

export { explainDeviceError } from "./device_errors.js";

/**
 * What the person chose. An empty id leaves the choice to the browser; false means to go without.
 * @typedef {object} DeviceChoice
 * @property {string | false} camera
 * @property {string | false} microphone
 * @property {string} speaker
 */

/**
 * What opened. A missing track has its error beside it; both are null when the person chose to go without.
 * @typedef {object} OpenedDevices
 * @property {MediaStreamTrack | null} audio
 * @property {MediaStreamTrack | null} video
 * @property {unknown} audioError
 * @property {unknown} videoError
 */

/** @typedef {{id: string, name: string}} Device */
/** @typedef {{cameras: Device[], microphones: Device[], speakers: Device[]}} DeviceList */

const CHOICE_KEY = "consult.devices";
/** A permission question may stand open while somebody reads it; a device that never answers must not. */
const OPEN_WAIT_MS = 90_000;
const PICTURE = { width: { ideal: 960 }, height: { ideal: 540 }, frameRate: { ideal: 30, max: 30 } };
const VOICE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** @returns {DeviceChoice} */
export function savedChoice() {
  /** @type {DeviceChoice} */
  const choice = { camera: "", microphone: "", speaker: "" };
  try {
    const saved = JSON.parse(localStorage.getItem(CHOICE_KEY) ?? "{}");
    for (const kind of /** @type {const} */ (["camera", "microphone"])) {
      if (typeof saved[kind] === "string" || saved[kind] === false) choice[kind] = saved[kind];
    }
    if (typeof saved.speaker === "string") choice.speaker = saved.speaker;
  } catch {
    // Storage is closed in some private windows; then nothing is remembered.
  }
  return choice;
}

/** @param {Partial<DeviceChoice>} change */
export function saveChoice(change) {
  try {
    localStorage.setItem(CHOICE_KEY, JSON.stringify({ ...savedChoice(), ...change }));
  } catch {
    // See savedChoice.
  }
}

/**
 * Open what was chosen. Never throws: what did not open is named by its error.
 * Asks for both at once, so that the browser asks the person one question; if that fails, for each alone, so that a
 * missing camera does not cost the microphone.
 * @param {Pick<DeviceChoice, "camera" | "microphone">} choice
 * @returns {Promise<OpenedDevices>}
 */
export async function openDevices(choice) {
  const wanted = { audio: choice.microphone !== false, video: choice.camera !== false };
  /** @type {OpenedDevices} */
  const opened = { audio: null, video: null, audioError: null, videoError: null };
  if (wanted.audio && wanted.video) {
    try {
      const stream = await ask(constraints(choice, true, true));
      return { ...opened, audio: stream.getAudioTracks()[0] ?? null, video: stream.getVideoTracks()[0] ?? null };
    } catch (error) {
      if (isRefusal(error)) return openWhatIsAllowed(choice, error);
    }
  }
  if (wanted.audio) await openOne(opened, choice, "audio");
  if (wanted.video) await openOne(opened, choice, "video");
  return opened;
}

/**
 * A refusal of both may be a refusal of one. Only what the browser says is allowed is asked for again, because asking
 * somebody the same question twice in a row is rude.
 * @param {Pick<DeviceChoice, "camera" | "microphone">} choice
 * @param {unknown} error
 */
async function openWhatIsAllowed(choice, error) {
  /** @type {OpenedDevices} */
  const opened = { audio: null, video: null, audioError: error, videoError: error };
  if ((await permission("microphone")) === "granted") await openOne(opened, choice, "audio");
  if ((await permission("camera")) === "granted") await openOne(opened, choice, "video");
  return opened;
}

/**
 * @param {OpenedDevices} opened
 * @param {Pick<DeviceChoice, "camera" | "microphone">} choice
 * @param {"audio" | "video"} kind
 */
async function openOne(opened, choice, kind) {
  try {
    const stream = await ask(constraints(choice, kind === "audio", kind === "video"));
    opened[kind] = stream.getTracks()[0] ?? null;
    opened[kind === "audio" ? "audioError" : "videoError"] = null;
  } catch (error) {
    opened[kind === "audio" ? "audioError" : "videoError"] = error;
  }
}

/**
 * @param {Pick<DeviceChoice, "camera" | "microphone">} choice
 * @param {boolean} audio
 * @param {boolean} video
 * @returns {MediaStreamConstraints}
 */
function constraints(choice, audio, video) {
  // "ideal", because a remembered device may be unplugged today and another one does as well.
  return {
    audio: audio && { ...VOICE, ...(choice.microphone ? { deviceId: { ideal: choice.microphone } } : {}) },
    video: video && { ...PICTURE, ...(choice.camera ? { deviceId: { ideal: choice.camera } } : { facingMode: "user" }) },
  };
}

/** @param {MediaStreamConstraints} wanted @returns {Promise<MediaStream>} */
async function ask(wanted) {
  if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("no media devices", "NotSupportedError");
  /** @type {number | undefined} */
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new DOMException("no answer", "TimeoutError")), OPEN_WAIT_MS);
  });
  const asked = navigator.mediaDevices.getUserMedia(wanted);
  try {
    return await /** @type {Promise<MediaStream>} */ (Promise.race([asked, late]));
  } catch (error) {
    // Whatever still opens after we stopped waiting must not stay on.
    void asked.then(stopAll, () => undefined);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** @param {unknown} error */
function isRefusal(error) {
  return error instanceof DOMException && (error.name === "NotAllowedError" || error.name === "SecurityError");
}

/**
 * What the browser already knows: "granted", "denied" or "prompt" ("prompt" also where it cannot tell).
 * @param {"camera" | "microphone"} name
 * @returns {Promise<PermissionState>}
 */
export async function permission(name) {
  try {
    return (await navigator.permissions.query({ name: /** @type {PermissionName} */ (name) })).state;
  } catch {
    return "prompt";
  }
}

/** Stop every track, so that the light beside the camera goes out. @param {MediaStream | (MediaStreamTrack | null)[]} tracks */
export function stopAll(tracks) {
  for (const track of Array.isArray(tracks) ? tracks : tracks.getTracks()) track?.stop();
}

/** What there is to choose from. Names are empty until one device has been opened. @returns {Promise<DeviceList>} */
export async function listDevices() {
  /** @type {DeviceList} */
  const list = { cameras: [], microphones: [], speakers: [] };
  const found = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
  const groups = { videoinput: list.cameras, audioinput: list.microphones, audiooutput: list.speakers };
  for (const device of found) if (device.deviceId) groups[device.kind].push({ id: device.deviceId, name: device.label });
  if (!canChooseSpeaker()) list.speakers = [];
  return list;
}

/** Safari and Firefox on some systems leave the loudspeaker to the system. */
export function canChooseSpeaker() {
  return "setSinkId" in HTMLMediaElement.prototype;
}

/** Call whenever something is plugged in or out. @param {() => void} changed @returns {() => void} stop */
export function watchDevices(changed) {
  const media = navigator.mediaDevices;
  media?.addEventListener("devicechange", changed);
  return () => media?.removeEventListener("devicechange", changed);
}

const METER_MS = 50;
const QUIET_DB = -58;
const LOUD_DB = -14;

/**
 * The loudness of one audio track, told about 20 times a second as a number from 0 (silence) to 1 (loud).
 * Stop it when it is no longer shown.
 */
export class LevelMeter {
  #source;
  #analyser;
  #samples;
  #timer;
  #level = 0;

  /** @param {MediaStreamTrack} track @param {(level: number) => void} told */
  constructor(track, told) {
    const audio = audioContext();
    this.#source = audio.createMediaStreamSource(new MediaStream([track]));
    this.#analyser = new AnalyserNode(audio, { fftSize: 1024 });
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#source.connect(this.#analyser);
    this.#timer = setInterval(() => told(this.#read()), METER_MS);
  }

  #read() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let power = 0;
    for (const sample of this.#samples) power += sample * sample;
    const loudnessDb = 10 * Math.log10(power / this.#samples.length + 1e-12);
    const now = Math.min(1, Math.max(0, (loudnessDb - QUIET_DB) / (LOUD_DB - QUIET_DB)));
    // Up at once, down slowly: a bar that follows every sample flickers.
    this.#level = Math.max(now, this.#level * 0.85);
    return this.#level;
  }

  stop() {
    clearInterval(this.#timer);
    this.#source.disconnect();
  }
}

/** Above this level somebody is speaking rather than breathing. */
export const VOICE_LEVEL = 0.35;

// @ts-check
/**
 * The wire between this page and its room: the shapes of messages, made and read. Knows no DOM and no socket.
 * Times in ms are on the room's clock. Coordinates x, y run from 0 to 1 over the page as it is stored (not rotated).
 *
 * @typedef {"patient"|"expert"|"scheduler"|"physician"|"interpreter"|"caregiver"} Role
 * @typedef {"host"|"publish"|"show"} Grant
 * @typedef {"off"|"asking"|"on"|"paused"|"failed"} RecordingState
 * @typedef {"ended"|"refused"|"removed"|"superseded"|"expired"|"idle"|"cancelled"|"restarting"} EndReason
 * @typedef {{record_id: string|null, page: number, zoom: number, x: number, y: number, rotation: 0|90|180|270}} View
 * @typedef {{member_id: string, person_id: string, name: string, role: Role, grants: Grant[], admitted: boolean,
 *   connected: boolean, microphone: boolean, camera: boolean, second_device: boolean, muted: boolean}} Member
 * @typedef {{state: RecordingState, awaiting: string[], refused: string[], on_ms: number, wording: string}} Recording
 * @typedef {{line_id: string, member_id: string, name: string, role: Role, text: string, at_ms: number}} ChatLine
 * @typedef {{mid: string, kind: "audio"|"video", member_id: string|null, source: "camera"|"screen"}} Slot
 * @typedef {"good"|"weak"|"bad"} Grade
 * @typedef {{round_trip_ms: number, loss: number, sent_bps: number, received_bps: number, freezes: number}} Quality
 *
 * @typedef {{type: "waiting", member_id: string, host_present: boolean, second_device: boolean,
 *   room_full: boolean}} Waiting
 * @typedef {{type: "knock", member: Member}} Knock
 * @typedef {{type: "knock_gone", member_id: string}} KnockGone
 * @typedef {{type: "welcome", member_id: string, now_ms: number, started_at: string, members: Member[], knocks: Member[],
 *   view: View, view_by: string|null, recording: Recording, chat: ChatLine[], ice_servers: RTCIceServer[],
 *   media_attempt: number|null, reopened_ms: number|null, screen: string|null, ice_policy: RTCIceTransportPolicy}} Welcome
 * @typedef {{type: "ice_servers", ice_servers: RTCIceServer[], ice_policy: RTCIceTransportPolicy}} IceServers
 * @typedef {{type: "joined", member: Member}} Joined
 * @typedef {{type: "changed", member: Member}} Changed
 * @typedef {{type: "left", member_id: string, reason: string}} Left
 * @typedef {{type: "answer", sdp: string, attempt: number}} Answer
 * @typedef {{type: "slots", attempt: number, slots: Slot[]}} Slots
 * @typedef {{type: "view", view: View, by: string, revision: number}} ViewChanged
 * @typedef {{type: "pointed", member_id: string, x: number, y: number, visible: boolean}} Pointed
 * @typedef {{type: "screen", member_id: string|null}} ScreenChanged
 * @typedef {{type: "muted", by: string}} Muted
 * @typedef {{type: "quality_of", member_id: string, grade: Grade, quality: Quality}} QualityOf
 * @typedef {{type: "said", line: ChatLine}} Said
 * @typedef {{type: "recording", recording: Recording, now_ms: number}} RecordingChanged
 * @typedef {{type: "ended", reason: EndReason}} Ended
 * @typedef {{type: "error", code: string, message: string, reference: string, of: string|null}} Fault
 * @typedef {{type: "pong", n: number}} Pong
 * @typedef {Waiting|Knock|KnockGone|Welcome|Joined|Changed|Left|Answer|Slots|ViewChanged|Pointed|Said|RecordingChanged
 *   |Ended|Fault|Pong|ScreenChanged|Muted|QualityOf|IceServers} Incoming
 *
 * @typedef {{type: string, [field: string]: unknown}} Outgoing
 */

export const VERSION = 1;
/** The sentence people answer; the server counts an answer to another sentence as none. */
export const CONSENT_WORDING = "recording-1";
export const MAX_CHAT_CHARS = 2000;

/** @type {View} */
export const NOTHING_SHOWN = Object.freeze({ record_id: null, page: 1, zoom: 1, x: 0.5, y: 0.5, rotation: 0 });

const INCOMING = new Set([
  "waiting", "knock", "knock_gone", "welcome", "joined", "changed", "left", "answer", "slots", "view", "pointed", "said",
  "recording", "ended", "error", "pong", "screen", "muted", "quality_of", "ice_servers",
]);

/**
 * The message that the server sent, or null if this page does not know its type (a newer server may say more).
 * @param {string} text
 * @returns {Incoming|null}
 */
export function decode(text) {
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || !("type" in value)) return null;
  if (typeof value.type !== "string" || !INCOMING.has(value.type)) return null;
  return /** @type {Incoming} */ (value);
}

/** @param {Outgoing} message */
export function encode(message) {
  return JSON.stringify(message);
}

/** @param {string} ticket @returns {Outgoing} */
export const hello = (ticket) => ({ type: "hello", version: VERSION, ticket });
/** @param {string} sdp @param {number} attempt @returns {Outgoing} */
export const offer = (sdp, attempt) => ({ type: "offer", sdp, attempt });
/** @param {string} memberId @returns {Outgoing} */
export const admit = (memberId) => ({ type: "admit", member_id: memberId });
/** @param {string} memberId @returns {Outgoing} */
export const refuse = (memberId) => ({ type: "refuse", member_id: memberId });
/** @param {boolean} given @param {string} wording @returns {Outgoing} */
export const setConsent = (given, wording) => ({ type: "set_consent", given, wording });
/** @param {boolean} wanted @returns {Outgoing} */
export const setRecording = (wanted) => ({ type: "set_recording", wanted });
/** @param {View} view @param {number} revision @returns {Outgoing} */
export const show = (view, revision) => ({ type: "show", view: tidyView(view), revision });
/** @param {{view: View, on_ms: number, at_ms: number}} seen @returns {Outgoing} */
export const recall = ({ view, on_ms, at_ms }) => ({ type: "recall", view: tidyView(view), on_ms: whole(on_ms), at_ms: whole(at_ms) });
/** @param {number} x @param {number} y @param {boolean} visible @returns {Outgoing} */
export const point = (x, y, visible) => ({ type: "point", x: unit(x), y: unit(y), visible });
/** @param {string} text @param {string} lineId @returns {Outgoing} */
export const say = (text, lineId) => ({ type: "say", text, line_id: lineId });
/** @param {boolean} microphone @param {boolean} camera @returns {Outgoing} */
export const setDevices = (microphone, camera) => ({ type: "set_devices", microphone, camera });
/** @param {boolean} wanted @returns {Outgoing} */
export const shareScreen = (wanted) => ({ type: "share_screen", wanted });
/** @param {string} memberId @returns {Outgoing} */
export const mute = (memberId) => ({ type: "mute", member_id: memberId });
/** @returns {Outgoing} */
export const unmute = () => ({ type: "unmute" });
/** @param {Quality} quality @returns {Outgoing} */
export const quality = ({ round_trip_ms, loss, sent_bps, received_bps, freezes }) => ({
  type: "quality", round_trip_ms: Math.min(60_000, whole(round_trip_ms)), loss: unit(loss), sent_bps: Math.min(1e9, whole(sent_bps)),
  received_bps: Math.min(1e9, whole(received_bps)), freezes: Math.min(1000, whole(freezes)),
});
/** @returns {Outgoing} */
export const leave = () => ({ type: "leave" });
/** @returns {Outgoing} */
export const end = () => ({ type: "end" });
/** @param {number} n @returns {Outgoing} */
export const ping = (n) => ({ type: "ping", n });
/** @returns {Outgoing} */
export const askIceServers = () => ({ type: "ask_ice_servers" });

/**
 * A View within the limits of the wire.
 * @param {View} view
 * @returns {View}
 */
export function tidyView(view) {
  return {
    record_id: view.record_id,
    page: Math.max(1, Math.round(view.page)),
    zoom: Math.min(32, Math.max(0.1, round(view.zoom))),
    x: unit(view.x),
    y: unit(view.y),
    rotation: view.rotation,
  };
}

/** @param {number} value */
function whole(value) {
  return Math.max(0, Math.round(value));
}

/** @param {number} value */
function unit(value) {
  return Math.min(1, Math.max(0, round(value)));
}

/** @param {number} value four decimals: a tenth of a pixel on the largest screen */
function round(value) {
  return Math.round(value * 10000) / 10000;
}

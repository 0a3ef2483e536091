// @ts-check
/** The waiting room: which of its states stands, whether devices work, and its buttons. The page's words are in _lobby.html. */

import { find, showState } from "../parts.js";
import { _ } from "../words.js";
import { faultWords } from "./faults.js";

const LONG_MS = 15_000;

/** @typedef {"connecting"|"too-early"|"expert-absent"|"expert-told"|"second-device"|"room-full"|"admitted"|"reconnecting"|"refused"|
 *   "superseded"|"closed"|"failed"} LobbyState */

/**
 * @param {HTMLElement} root
 * @param {{call: import("./call.js").Call, own: import("./own_devices.js").OwnDevices, firstState: LobbyState}} given
 * @returns {() => void}
 */
export function mount(root, { call, own, firstState }) {
  const stop = new AbortController();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let long;

  /** @param {LobbyState} state */
  function show(state) {
    root.dataset.lobbyNow = state;
    for (const one of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-lobby-state]"))) {
      one.hidden = one.dataset.lobbyState !== state;
    }
    const waits = ["connecting", "expert-absent", "expert-told", "second-device", "room-full", "reconnecting"].includes(state);
    const step = find(root, '[data-lobby-step="wait"]', HTMLElement);
    step.classList.toggle("is-waiting", waits);
    // Whoever is not here any more waits for nothing.
    for (const one of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-lobby-while-here]"))) {
      one.hidden = ["closed", "refused", "superseded"].includes(state);
    }
    find(root, '[data-action="leave-lobby"]', HTMLElement).hidden = !waits && state !== "failed";
  }

  function devices() {
    const sends = own.sends;
    works("camera", sends.camera, own.videoError, own.cameraWanted);
    works("microphone", sends.microphone, own.audioError, own.microphoneWanted);
    works("connection", call.line === "open", null, true);
    const title = root.querySelector("[data-lobby-devices-title]");
    const good = sends.camera && sends.microphone && call.line === "open";
    if (title instanceof HTMLElement) title.textContent = (good ? title.dataset.allGood : title.dataset.otherwise) ?? "";
  }

  /** @param {string} name @param {boolean} good @param {unknown} error @param {boolean} wanted */
  function works(name, good, error, wanted) {
    const state = root.querySelector(`[data-lobby-device="${name}"] > .state`);
    if (!state) return;
    if (good) showState(state, "good", name === "connection" ? _("Good") : _("Works"), "check");
    else if (error) showState(state, "wait", _("Does not open"), "alert");
    else if (!wanted) showState(state, "", _("Off"), "circle");
    else showState(state, "", _("Opening…"), "circle");
  }

  /** @param {import("./connection.js").ConnectionState} state */
  function line(state) {
    devices();
    clearTimeout(long);
    if (call.phase === "inside" || call.phase === "over") return;
    if (state === "reconnecting") show("reconnecting");
    if (state === "reconnecting" || state === "connecting") long = setTimeout(() => show("failed"), LONG_MS);
  }

  /** @param {import("./call.js").Ending} ending */
  function over({ reason, refusal, fault }) {
    clearTimeout(long);
    if (reason === "refused" || reason === "removed") show("refused");
    else if (reason === "superseded") show("superseded");
    else if (reason === "no_seat") refused(refusal, fault);
    else show("closed");
  }

  /** @param {import("./seat.js").SeatRefused|undefined} refusal @param {import("./protocol.js").Fault|undefined} fault */
  function refused(refusal, fault) {
    if (refusal?.code === "visit.too_early") return show("too-early");
    const words = root.querySelector("[data-lobby-reason]");
    if (words) words.textContent = fault ? faultWords(fault) : (refusal?.message ?? words.textContent);
    show("failed");
  }

  /** @type {Record<string, () => void>} */
  const acts = {
    "leave-lobby": () => call.leave(),
    return: () => again(),
    "take-back": () => again(),
    "try-now": () => again(),
  };
  function again() {
    show("connecting");
    call.enter();
  }
  root.addEventListener("click", (event) => {
    const pressed = event.target instanceof Element ? event.target.closest("[data-action]") : null;
    acts[pressed?.getAttribute("data-action") ?? ""]?.();
  }, { signal: stop.signal });

  const off = [
    call.on("waiting", (message) => {
      clearTimeout(long);
      show(message.second_device ? "second-device" : message.room_full ? "room-full"
        : message.host_present ? "expert-told" : "expert-absent");
    }),
    call.on("phase", (phase) => {
      if (phase === "inside") show("admitted");
      if (phase === "joining") show("connecting");
    }),
    call.on("line", line),
    call.on("over", over),
    own.on("changed", devices),
  ];
  show(firstState);
  devices();
  return () => {
    stop.abort();
    clearTimeout(long);
    off.forEach((one) => one());
  };
}

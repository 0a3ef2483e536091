// @ts-check
/**
 * The call page's beginning: reads what the page was given, puts the parts together and moves between waiting room, room and
 * ending, without a reload. The only file that knows all parts.
 */

import { savedChoice } from "../devices.js";
import { find } from "../parts.js";
import { play } from "../sounds.js";
import { ready } from "../words.js";
import { mountBands } from "./bands.js";
import { Call } from "./call.js";
import * as chat from "./chat.js";
import { fetchEarlierLines } from "./earlier_lines.js";
import { Connection } from "./connection.js";
import * as consent from "./consent.js";
import * as controls from "./controls.js";
import * as devicesDialog from "./devices_dialog.js";
import { Dialogs } from "./dialogs.js";
import { showEnding } from "./ending.js";
import { mountFaces } from "./faces.js";
import * as head from "./head.js";
import * as knocks from "./knocks.js";
import * as lobby from "./lobby.js";
import { Looking } from "./looking.js";
import { Media } from "./media.js";
import { Memory } from "./memory.js";
import * as muting from "./muting.js";
import { OwnDevices } from "./own_devices.js";
import { OwnScreen } from "./own_screen.js";
import { Panels } from "./panels.js";
import * as peopleDialog from "./people_dialog.js";
import { mountPointers } from "./pointer.js";
import { Quality } from "./quality.js";
import * as recording from "./recording.js";
import * as screen from "./screen.js";
import { Stage } from "./stage.js";
import { mountHands } from "./stage_hands.js";
import * as viewBar from "./view_bar.js";

/**
 * @typedef {{call_id: string, is_staff: boolean, is_open: boolean, seat_url: string, after_url: string, host_name: string, ends_at: string,
 *   records: import("./stage.js").CaseRecord[], chat: import("./protocol.js").ChatLine[]}} Given
 */

// Beside the scripts, so that it carries the same fingerprint in its address.
const PDF_BASE = new URL("../../vendor/pdfjs/", import.meta.url).href;

await ready;
/** @type {Given} */
const given = JSON.parse(document.body.dataset.call ?? "{}");
const room = find(document, ".room", HTMLElement);
const ending = find(document, '[data-part="ending"]', HTMLElement);
const connection = new Connection(given.seat_url);
const memory = new Memory(given.call_id);
const call = new Call(connection, memory, given.chat);
const own = new OwnDevices();
const ownScreen = new OwnScreen();
const media = new Media(own);
const quality = new Quality(media, () => call.me);
/** @type {(() => void)|null} */
let unmountRoom = null;

/** @param {"lobby"|"room"|"ending"} part */
function showPart(part) {
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-part]"))) {
    one.hidden = one.dataset.part !== part;
  }
  // The room is grey and dark; everything around it is paper.
  if (part === "room") document.body.dataset.surround = "room";
  else delete document.body.dataset.surround;
}

function mountRoom() {
  const record = find(room, "[data-record]", HTMLElement);
  const looking = new Looking(call);
  const panels = new Panels(room);
  const dialogs = new Dialogs(room);
  const stage = new Stage(find(room, "[data-stage]", HTMLElement), { looking, records: given.records, pdfBase: PDF_BASE });
  const pointers = mountPointers(find(room, "[data-pointers]", HTMLElement), { call, looking, stage });
  const hands = mountHands(stage, looking, pointers.pointing);
  const bands = mountBands(room, { call, own, quality });
  const faces = mountFaces(find(room, "[data-faces]", HTMLElement), { call, media, own, quality, blocked: bands.silent });
  const hear = () => void faces.hear();
  find(room, "[data-hear]", HTMLElement).addEventListener("click", hear);
  const showing = () => {
    const seen = call.screen !== null && call.screen !== call.me;
    room.dataset.showing = looking.view.record_id === null && !seen ? "faces" : "record";
  };
  const unmounts = [
    viewBar.mount(record, { call, looking, stage, act: hands.act, hostName: given.host_name }),
    chat.mount(room, { call, panels, memory }),
    consent.mount(room, { call }),
    recording.mount(room, { call, dialogs }),
    knocks.mount(room, { call }),
    controls.mount(room, { call, own, panels, dialogs, looking }),
    devicesDialog.mount(room, { own, useSpeaker: faces.useSpeaker }),
    head.mount(room, { endsAt: given.ends_at, quality, media }),
    screen.mount(room, { call, media, own: ownScreen }),
    muting.mount(room, { call, own }),
    peopleDialog.mount(room, { call, quality, dialogs }),
    looking.on("changed", showing),
    call.on("screen", showing),
    () => wide.removeEventListener("change", narrowed),
    () => find(room, "[data-hear]", HTMLElement).removeEventListener("click", hear),
  ];
  showing();
  // A desktop has room for the questions; on a phone they would cover the record.
  const wide = matchMedia("(min-width: 800px) and (min-height: 520px)");
  if (wide.matches && room.querySelector(".ask-list")) panels.toggle("questions", { focus: false });
  const narrowed = () => !wide.matches && panels.open && panels.toggle(null, { focus: false });
  wide.addEventListener("change", narrowed);
  quality.start();
  return () => {
    [...unmounts, ...[faces, bands, hands, pointers, stage, panels, dialogs].map((one) => () => one.unmount())].forEach((one) => one());
    quality.stop();
    if (panels.open) panels.toggle(null, { focus: false });
  };
}

function enterRoom() {
  showPart("room");
  unmountRoom ??= mountRoom();
  find(room, "[data-room-title]", HTMLElement).focus();
  if (!given.is_staff) void play("admitted", savedChoice().speaker).catch(() => undefined);
}

/** @param {import("./call.js").Ending} how @param {boolean} wasInside */
function leaveRoom(how, wasInside) {
  media.stop();
  own.stop();
  unmountRoom?.();
  unmountRoom = null;
  if (!given.is_staff && !wasInside && how.reason !== "ended" && how.reason !== "cancelled") return showPart("lobby");
  showPart("ending");
  showEnding(ending, { ending: how, isStaff: given.is_staff, afterUrl: given.after_url, again: enter });
}

function enter() {
  showPart(given.is_staff ? "room" : "lobby");
  if (given.is_staff) unmountRoom ??= mountRoom();
  void own.open();
  call.enter();
}

let inside = false;
call.on("phase", (phase) => {
  document.body.dataset.phase = phase;
  if (phase === "joining" && !own.audio) void own.open();
  if (phase === "inside") {
    inside = true;
    enterRoom();
  }
  if (phase === "waiting") {
    inside = false;
    if (!given.is_staff) showPart("lobby");
  }
});
call.on("welcome", (message) => {
  // Staff had the lines with the page; somebody who was let in since did not.
  if (message.reopened_ms !== null && !given.is_staff) void fetchEarlierLines((lines) => call.takeEarlierLines(lines));
  call.setDevices(own.sends);
  media.start(message, message.media_attempt);
});
call.on("over", (how) => {
  leaveRoom(how, inside);
  inside = false;
});
call.on("answer", (answer) => void media.takeAnswer(answer));
call.on("slots", (slots) => media.takeSlots(slots));
media.on("silent", () => connection.prove());
media.on("offer", ({ sdp, attempt }) => void call.offer(sdp, attempt));
media.on("stale", () => call.askIceServers());
call.on("ice", (message) => media.takeIceServers(message));
media.on("state", (state) => (room.dataset.mediaState = state));
own.on("changed", () => call.setDevices(own.sends));
quality.on("word", (word) => word && media.adapt(word));
quality.on("measured", (measured) => call.phase === "inside" && call.tellQuality(measured));
addEventListener("pagehide", () => connection.close());
addEventListener("pageshow", (event) => event.persisted && location.reload());

const lobbyRoot = document.querySelector("[data-lobby]");
if (lobbyRoot instanceof HTMLElement) {
  const firstState = /** @type {import("./lobby.js").LobbyState} */ (given.is_open ? "connecting" : "too-early");
  lobby.mount(lobbyRoot, { call, own, firstState });
}
if (given.is_open || given.is_staff) enter();

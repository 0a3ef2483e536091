// @ts-check
/**
 * Whether the call is recorded, always in sight: the button in the head, one sentence beside it, and behind it who said
 * what and how to stop. Told once to screen readers when it changes; the running time never.
 */

import { element, find, icon } from "../parts.js";
import { _, ngettext } from "../words.js";
import { clock, joinNames, shortName } from "./people.js";

/**
 * @param {HTMLElement} root the room
 * @param {{call: import("./call.js").Call, dialogs: import("./dialogs.js").Dialogs}} given
 * @returns {() => void}
 */
export function mount(root, { call, dialogs }) {
  const button = find(root, "[data-recording-button]", HTMLButtonElement);
  const word = find(root, "[data-recording-word]", HTMLElement);
  const time = find(root, "[data-recording-time]", HTMLElement);
  const sentence = find(root, "[data-recording-sentence]", HTMLElement);
  const announce = find(root, "[data-announce]", HTMLElement);
  const dialog = find(root, '[data-dialog="recording"]', HTMLDialogElement);
  const full = find(dialog, "[data-recording-full]", HTMLElement);
  const people = find(dialog, "[data-recording-people]", HTMLElement);
  const failed = find(root, '[data-band="failed"]', HTMLElement);
  const stop = new AbortController();
  let announced = "";

  function draw() {
    const { state } = call.recording;
    root.dataset.recordingState = state;
    word.textContent = shortWord(call);
    const words = sentenceFor(call);
    sentence.textContent = state === "on" ? allSaidYes(call) : words;
    full.textContent = words;
    if (call.phase === "inside" && announced !== words) announce.textContent = announced = words;
    tick();
    drawPeople();
    const host = call.may("host");
    const mine = answerOf(call, call.me);
    /** @param {string} name @param {boolean} shown */
    const act = (name, shown) => (find(dialog, `[data-recording-act="${name}"]`, HTMLElement).hidden = !shown);
    act("withdraw", mine === "yes");
    act("agree", mine !== "yes");
    act("pause", host && state === "on");
    act("resume", host && (state === "paused" || state === "failed"));
    if (state !== "failed" && failed.contains(document.activeElement)) button.focus();
    failed.hidden = state !== "failed";
    find(failed, "[data-failed-host]", HTMLElement).hidden = !host;
    find(failed, "[data-failed-others]", HTMLElement).hidden = host;
    find(failed, "[data-record-again]", HTMLElement).hidden = !host;
  }

  function drawPeople() {
    people.replaceChildren(...[...call.members.values()].map((member) => {
      const answer = answerOf(call, member.member_id);
      const name = member.member_id === call.me ? _("You") : member.name;
      const words = { yes: _("said yes"), no: _("said no"), waiting: _("no answer yet") }[answer];
      return element("li", { className: `said-${answer}` },
        icon({ yes: "check-circle", no: "close", waiting: "circle" }[answer]), element("b", {}, name), " ", element("span", {}, words));
    }));
  }

  function tick() {
    const shown = call.recorded_ms >= 1000 || call.recording.state === "on";
    time.textContent = shown ? clock(call.recorded_ms) : "";
  }

  /** @type {Record<string, () => unknown>} */
  const acts = {
    withdraw: () => call.answerConsent(false),
    agree: () => call.answerConsent(true),
    pause: () => call.setRecording(false),
    resume: () => call.setRecording(true),
  };
  button.addEventListener("click", () => dialogs.open("recording"), { signal: stop.signal });
  dialog.addEventListener("click", (event) => {
    const pressed = event.target instanceof Element ? event.target.closest("[data-recording-act]") : null;
    if (!pressed) return;
    acts[pressed.getAttribute("data-recording-act") ?? ""]?.();
    dialog.close();
  }, { signal: stop.signal });

  find(failed, "[data-record-again]", HTMLElement).addEventListener("click", () => call.setRecording(true), { signal: stop.signal });

  const timer = setInterval(tick, 500);
  const off = [call.on("recording", draw), call.on("members", draw)];
  draw();
  return () => {
    clearInterval(timer);
    stop.abort();
    off.forEach((one) => one());
  };
}

/** @param {import("./call.js").Call} call @param {string} id @returns {"yes"|"no"|"waiting"} */
function answerOf({ recording }, id) {
  if (recording.awaiting.includes(id)) return "waiting";
  return recording.refused.includes(id) ? "no" : "yes";
}

/** @param {import("./call.js").Call} call */
function shortWord({ recording }) {
  switch (recording.state) {
    case "on": return _("Recording");
    case "paused": return _("Paused");
    case "failed": return _("Recording stopped");
    default: return _("Not recording");
  }
}

/** @param {import("./call.js").Call} call */
function sentenceFor(call) {
  const { state, on_ms, awaiting, refused } = call.recording;
  switch (state) {
    case "on": return _("This call is being recorded.");
    case "paused": return _("Recording is paused. Nothing is kept until it goes on.");
    case "failed": return _("Recording stopped because of a fault on our side. The call goes on, and what was recorded is kept.");
    case "asking": {
      const names = namesOf(call, awaiting);
      if (!names) return on_ms > 0 ? _("Recording is paused until you say yes or no.") : _("Nothing is recorded until everybody has answered.");
      const count = awaiting.length;
      return on_ms > 0
        ? ngettext("Recording is paused until {names} says yes or no.", "Recording is paused until {names} say yes or no.", count, { names })
        : ngettext("Nothing is recorded yet. {names} has not answered.", "Nothing is recorded yet. {names} have not answered.", count, { names });
    }
    default: return on_ms > 0 || refused.length ? _("Recording is off. Nothing is kept from now on.") : _("Nothing is recorded.");
  }
}

/** Others only: oneself is asked by the band. @param {import("./call.js").Call} call @param {string[]} ids */
function namesOf(call, ids) {
  const others = ids.filter((id) => id !== call.me).map((id) => shortName(call.members.get(id)?.name ?? ""));
  return ids.includes(call.me) ? "" : joinNames(others.filter(Boolean));
}

/** @param {import("./call.js").Call} call */
function allSaidYes(call) {
  return call.members.size < 2 ? _("You said yes.") : _("Everybody said yes.");
}

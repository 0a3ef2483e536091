// @ts-check
/** The controls at the bottom and what stands behind More on a phone. */

import { find, showIcon } from "../parts.js";
import { _ } from "../words.js";

/**
 * @param {HTMLElement} root the room
 * @param {{call: import("./call.js").Call, own: import("./own_devices.js").OwnDevices, panels: import("./panels.js").Panels,
 *   dialogs: import("./dialogs.js").Dialogs, looking: import("./looking.js").Looking}} given
 * @returns {() => void}
 */
export function mount(root, { call, own, panels, dialogs, looking }) {
  const stop = new AbortController();
  /** @param {string} name */
  const control = (name) => find(root, `[data-control="${name}"]`, HTMLButtonElement);

  /** @type {Record<string, () => void>} */
  const acts = {
    microphone: () => void own.setMicrophone(!own.sends.microphone),
    camera: () => void own.setCamera(!own.sends.camera),
    records: () => dialogs.open("records"),
    questions: () => panels.toggle("questions"),
    chat: () => panels.toggle("chat"),
    devices: () => dialogs.open("devices"),
    recording: () => dialogs.open("recording"),
    screen: () => {}, // its own file hears the press
    more: () => dialogs.open("more"),
    end: () => dialogs.open("end"),
    leave: () => call.leave(),
  };

  function drawDevices() {
    const { microphone, camera } = own.sends;
    draw("microphone", microphone, microphone ? _("Mic") : _("Mic is off"), microphone ? "mic" : "mic-off");
    draw("camera", camera, camera ? _("Camera") : _("Camera is off"), camera ? "camera" : "camera-off");
  }

  /** @param {string} name @param {boolean} on @param {string} words @param {string} drawing */
  function draw(name, on, words, drawing) {
    const button = control(name);
    button.setAttribute("aria-pressed", String(on));
    find(button, "span", HTMLElement).textContent = words;
    const sign = button.querySelector(".icon");
    if (sign) showIcon(sign, drawing);
  }

  root.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    const pressed = event.target.closest("[data-control]");
    if (pressed) return acts[pressed.getAttribute("data-control") ?? ""]?.();
    const more = event.target.closest("[data-more]");
    if (more) {
      dialogs.closeAll();
      return acts[more.getAttribute("data-more") ?? ""]?.();
    }
    if (event.target.closest("[data-end-yes]")) {
      dialogs.closeAll();
      call.endForEveryone();
    }
    const record = event.target.closest("[data-record-id]");
    if (record instanceof HTMLElement && record.dataset.recordId) {
      dialogs.closeAll();
      looking.open(record.dataset.recordId);
    }
    if (event.target.closest("[data-stop-showing]")) {
      dialogs.closeAll();
      looking.stop();
    }
  }, { signal: stop.signal });

  function drawRecords() {
    const shown = looking.view.record_id;
    for (const item of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-record-id]"))) {
      if (item.dataset.recordId === shown) item.setAttribute("aria-current", "true");
      else item.removeAttribute("aria-current");
    }
    const ending = root.querySelector("[data-stop-showing]");
    if (ending instanceof HTMLElement) ending.hidden = shown === null;
  }

  const off = [own.on("changed", drawDevices), looking.on("changed", drawRecords)];
  drawDevices();
  drawRecords();
  return () => {
    stop.abort();
    off.forEach((one) => one());
  };
}

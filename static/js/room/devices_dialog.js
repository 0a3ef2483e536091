// @ts-check
/** The choice of camera, microphone and loudspeaker, during the call. A choice takes effect at once. */

import { listDevices, saveChoice, savedChoice, watchDevices } from "../devices.js";
import { element, find } from "../parts.js";
import { _ } from "../words.js";

/**
 * @param {HTMLElement} root
 * @param {{own: import("./own_devices.js").OwnDevices, useSpeaker: () => void}} given
 * @returns {() => void}
 */
export function mount(root, { own, useSpeaker }) {
  const dialog = find(root, '[data-dialog="devices"]', HTMLDialogElement);
  const stop = new AbortController();
  /** @param {string} kind */
  const field = (kind) => find(dialog, `[data-choose="${kind}"]`, HTMLSelectElement);

  async function fill() {
    const list = await listDevices();
    const choice = savedChoice();
    offer(field("camera"), list.cameras, own.video?.getSettings().deviceId ?? choice.camera, _("Camera"));
    offer(field("microphone"), list.microphones, own.audio?.getSettings().deviceId ?? choice.microphone, _("Microphone"));
    offer(field("speaker"), list.speakers, choice.speaker || "default", _("Loudspeaker"));
    find(dialog, "[data-speaker-field]", HTMLElement).hidden = list.speakers.length === 0;
  }

  dialog.addEventListener("change", (event) => {
    const chosen = event.target;
    if (!(chosen instanceof HTMLSelectElement)) return;
    if (chosen.dataset.choose === "speaker") {
      saveChoice({ speaker: chosen.value });
      useSpeaker();
    } else if (chosen.dataset.choose === "camera" || chosen.dataset.choose === "microphone") {
      void own.choose(chosen.dataset.choose, chosen.value);
    }
  }, { signal: stop.signal });

  const off = [watchDevices(() => void fill()), own.on("changed", () => void fill())];
  void fill();
  return () => {
    stop.abort();
    off.forEach((one) => one());
  };
}

/** @param {HTMLSelectElement} field @param {import("../devices.js").Device[]} devices @param {string|false|undefined} chosen
 * @param {string} kind */
function offer(field, devices, chosen, kind) {
  field.replaceChildren(...devices.map(({ id, name }, place) => element("option", { value: id }, name || `${kind} ${place + 1}`)));
  field.disabled = devices.length === 0;
  if (devices.length === 0) field.append(element("option", {}, _("None found")));
  else if (chosen && devices.some(({ id }) => id === chosen)) field.value = chosen;
}

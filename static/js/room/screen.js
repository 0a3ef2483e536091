// @ts-check
/**
 * A screen that somebody shows to all: large in the record's place, faces beside it. The one who shows it sees their own page
 * on, with a band that says so. The record comes back when the screen goes.
 */

import { find, showIcon } from "../parts.js";
import { _ } from "../words.js";
import { OwnScreen } from "./own_screen.js";
import { shortName } from "./people.js";

/**
 * @param {HTMLElement} root the room
 * @param {{call: import("./call.js").Call, media: import("./media.js").Media, own: OwnScreen}} given
 * @returns {() => void}
 */
export function mount(root, { call, media, own }) {
  const section = find(root, "[data-screen-section]", HTMLElement);
  const video = find(section, "video", HTMLVideoElement);
  const title = find(section, "[data-screen-title]", HTMLElement);
  const band = find(root, '[data-band="screen"]', HTMLElement);
  const control = find(root, '[data-control="screen"]', HTMLButtonElement);
  const items = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-screen-item]"));
  const announce = find(root, "[data-announce-people]", HTMLElement);
  const stop = new AbortController();
  for (const item of items) item.hidden = !OwnScreen.possible;

  function draw() {
    const mine = call.screen !== null && call.screen === call.me;
    const seen = call.screen !== null && !mine;
    const by = call.members.get(call.screen ?? "");
    root.dataset.screen = mine ? "mine" : seen ? "seen" : "none";
    section.hidden = !seen;
    band.hidden = !mine;
    title.textContent = seen ? _("The screen of {name}", { name: by?.name ?? "" }) : "";
    find(section, "[data-screen-stop]", HTMLElement).hidden = !call.may("host");
    const stream = seen ? media.screen : null;
    if (video.srcObject !== stream) video.srcObject = stream;
    if (stream) void video.play().catch(() => undefined);
    drawControl();
  }

  function drawControl() {
    const shown = own.track !== null;
    control.setAttribute("aria-pressed", String(shown));
    find(control, "span", HTMLElement).textContent = shown ? _("Stop showing") : _("Show screen");
    const drawing = control.querySelector(".icon");
    if (drawing) showIcon(drawing, shown ? "close" : "screen");
  }

  /** @param {string|null} memberId */
  function told(memberId) {
    if (memberId === call.me && own.track) media.putScreen(own.track);
    else if (memberId === call.me) call.shareScreen(false); // this page was loaded anew: its track is gone
    else end();
    const name = shortName(call.members.get(memberId ?? "")?.name ?? "");
    if (memberId !== call.me) announce.textContent = memberId ? _("{name} shows their screen.", { name }) : "";
    draw();
  }

  function end() {
    media.putScreen(null);
    own.stop();
  }

  async function press() {
    if (own.track) {
      end();
      return call.shareScreen(false);
    }
    if (call.screen !== null && call.screen !== call.me) return call.complain("screen.taken");
    const outcome = await own.start();
    if (outcome === "failed") call.complain("screen.failed");
    if (outcome === "shown" && !call.shareScreen(true)) {
      end();
      call.complain("line.lost");
    }
  }

  root.addEventListener("click", (event) => {
    if (!(event.target instanceof Element)) return;
    if (event.target.closest("[data-screen-press]")) void press();
    if (event.target.closest("[data-screen-stop]")) call.shareScreen(false);
  }, { signal: stop.signal });

  const off = [
    call.on("screen", told),
    call.on("members", draw),
    // A server that restarted has forgotten it; the track is still live here.
    call.on("welcome", (message) => void (own.track && message.screen === null && call.shareScreen(true))),
    call.on("fault", ({ of }) => of === "share_screen" && end()),
    own.on("ended", () => {
      media.putScreen(null);
      call.shareScreen(false);
    }),
    own.on("changed", drawControl),
    media.on("screen", draw),
  ];
  draw();
  return () => {
    stop.abort();
    off.forEach((one) => one());
    end();
    video.srcObject = null;
  };
}

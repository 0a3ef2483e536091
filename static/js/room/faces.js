// @ts-check
/**
 * Faces: a tile per member with picture or initials, name, role, and what is off. Others first, oneself last and mirrored.
 * Sound comes out of the same elements; when the browser keeps the page silent, `blocked` is told.
 */

import { savedChoice } from "../devices.js";
import { element, icon, initials } from "../parts.js";
import { _ } from "../words.js";
import { bars, lineOf } from "./line_words.js";
import { roleWord, shortName, tintOf } from "./people.js";

/** @typedef {import("./protocol.js").Member} Member */
/** @typedef {{figure: HTMLElement, video: HTMLVideoElement, caption: HTMLElement, line: HTMLElement, drawnAs: string}} Tile */

/**
 * @param {HTMLElement} root
 * @param {{call: import("./call.js").Call, media: import("./media.js").Media, own: import("./own_devices.js").OwnDevices,
 *   quality: import("./quality.js").Quality, blocked: (blocked: boolean) => void}} given
 */
export function mountFaces(root, { call, media, own, quality, blocked }) {
  /** @type {Map<string, Tile>} */
  const tiles = new Map();
  /** @type {MediaStream|null} */
  let mirror = null;

  function draw() {
    for (const id of tiles.keys()) if (!call.members.has(id)) take(id);
    const order = [...call.members.values()].sort((one, other) => rank(one, call.me) - rank(other, call.me));
    order.forEach((member, place) => {
      const tile = tiles.get(member.member_id) ?? make(member);
      if (root.children[place] !== tile.figure) root.insertBefore(tile.figure, root.children[place] ?? null);
      tile.figure.classList.toggle("tile-first", place === 0);
      describe(tile, member);
      drawLine(tile, member);
      feed(tile, member);
    });
    root.dataset.count = String(order.length);
  }

  /** @param {Member} member @returns {Tile} */
  function make(member) {
    const mine = member.member_id === call.me;
    const video = element("video", { className: "tile-video", playsinline: true, autoplay: true, tabindex: "-1", "aria-hidden": "true" });
    video.muted = mine;
    const figure = element(
      "figure", { className: `tile is-${tintOf(member.role)}`, "data-member-id": member.member_id },
      element("span", { className: "tile-face", "aria-hidden": "true" }, initials(member.name)), video,
    );
    const caption = figure.appendChild(element("figcaption"));
    const line = figure.appendChild(element("div", { className: "tile-line", hidden: true }));
    figure.classList.toggle("is-me", mine);
    const tile = { figure, video, caption, line, drawnAs: "" };
    for (const name of ["loadeddata", "resize", "emptied", "playing"]) video.addEventListener(name, () => picture(tile));
    void chooseSpeaker(video);
    tiles.set(member.member_id, tile);
    return tile;
  }

  /** @param {Tile} tile @param {Member} member */
  function describe(tile, member) {
    const mine = member.member_id === call.me;
    const as = JSON.stringify([member.name, member.role, member.microphone, member.muted, member.camera, member.connected]);
    if (tile.drawnAs === as) return;
    tile.drawnAs = as;
    Object.assign(tile.figure.dataset, {
      microphone: member.microphone ? "on" : "off", camera: member.camera ? "on" : "off", connected: String(member.connected),
    });
    const name = element("b", {}, mine ? _("You") : element("span", { className: "tile-long" }, member.name));
    if (!mine) name.append(element("span", { className: "tile-short", "aria-hidden": "true" }, shortName(member.name)));
    tile.caption.replaceChildren(
      name,
      ...(mine ? [] : [element("span", { className: "tile-role" }, roleWord(member.role))]),
      element("span", { className: "tile-signs" },
        ...(member.connected ? [] : [element("span", { className: "tile-away" }, _("coming back…"))]),
        ...(member.camera ? [] : [sign("camera-off", _("camera off"))]),
        ...(member.microphone ? [] : [sign("mic-off", member.muted ? _("muted") : _("microphone off"))])),
    );
  }

  /** Three bars, and the words on hover and focus; a press leads to the list of people. @param {Tile} tile @param {Member} member */
  function drawLine(tile, member) {
    const line = lineOf(call, quality, member);
    tile.line.hidden = !line;
    if (!line || tile.line.dataset.words === line.words) return;
    tile.line.dataset.words = line.words;
    const focused = tile.line.contains(document.activeElement);
    const words = element("span", { className: "tile-line-words" }, line.words);
    const button = element("button", { className: "tile-line-button", type: "button", "data-open-people": true }, bars(line.grade), words);
    tile.line.replaceChildren(button);
    if (focused) button.focus();
  }

  /** @param {Tile} tile @param {Member} member */
  function feed(tile, member) {
    const mine = member.member_id === call.me;
    const stream = mine ? mirrored() : (media.streams.get(member.member_id) ?? null);
    if (tile.video.srcObject !== stream) tile.video.srcObject = stream;
    if (stream && tile.video.paused) void play(tile.video);
    picture(tile);
  }

  function mirrored() {
    if (!own.video) return (mirror = null);
    if (mirror?.getVideoTracks()[0] !== own.video) mirror = new MediaStream([own.video]);
    return mirror;
  }

  /** Initials stay until there is something to see. @param {Tile} tile */
  function picture(tile) {
    const seen = tile.figure.dataset.camera === "on" && tile.video.videoWidth > 0 && tile.video.readyState >= 2;
    tile.figure.classList.toggle("has-picture", seen);
  }

  /** @param {HTMLVideoElement} video */
  async function play(video) {
    try {
      await video.play();
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotAllowedError") blocked(true);
    }
  }

  /** @param {string} id */
  function take(id) {
    const tile = tiles.get(id);
    if (!tile) return;
    tile.video.srcObject = null;
    tile.figure.remove();
    tiles.delete(id);
  }

  /** @param {Set<string>} speaking */
  function ring(speaking) {
    for (const [id, { figure }] of tiles) {
      figure.classList.toggle("is-speaking", speaking.has(id) && call.members.get(id)?.microphone !== false);
    }
  }

  const off = [
    call.on("members", draw), media.on("streams", draw), own.on("changed", draw), quality.on("speaking", ring),
    call.on("qualities", draw), quality.on("word", draw),
  ];
  draw();
  return {
    /** After a press: the browser lets the page sound. */
    async hear() {
      blocked(false);
      await Promise.all([...tiles.values()].map(({ video }) => play(video)));
    },
    useSpeaker() {
      for (const { video } of tiles.values()) void chooseSpeaker(video);
    },
    unmount() {
      off.forEach((one) => one());
      [...tiles.keys()].forEach(take);
    },
  };
}

/** The host first, then others as they came, oneself last. @param {Member} member @param {string} me */
function rank(member, me) {
  return member.member_id === me ? 2 : member.grants.includes("host") ? 0 : 1;
}

/** @param {string} name @param {string} words */
function sign(name, words) {
  return element("span", { className: "tile-sign" }, icon(name, "small"), element("span", { className: "out-of-sight" }, words));
}

/** @param {HTMLMediaElement} media */
async function chooseSpeaker(media) {
  const { speaker } = savedChoice();
  if ("setSinkId" in media) await media.setSinkId(speaker).catch(() => undefined);
}

// @ts-check
/**
 * Sound and picture: one RTCPeerConnection at a time to the room's media relay. Owns the connection, its eleven sections and
 * making a new one when it fails. Faces get a MediaStream per member; how good the line is, is measured in quality.js.
 *
 * The offer leaves at once, without waiting for candidates: the relay learns this browser's address from its checks. A
 * broken connection is never mended but replaced (`attempt` counts), because the relay takes no ICE restart.
 */

import { countBytes } from "./bytes.js";
import { Emitter } from "./emitter.js";

const MORE_OTHERS = 4; // the first one's sound and picture come in where one's own go out
const PATIENCE_MS = 3000; // "disconnected" often mends itself
const CONNECTING_MS = 10_000;
const SILENT_MS = 2000; // the relay reports every second; browsers themselves give a dead way up only after 5 s and more
const LISTEN_MS = 250;
const SLEPT_MS = 1500; // since this page last ran: what came meanwhile is not counted yet
const ICE_FRESH_MS = 5 * 60_000; // TURN credentials open new relays for ten minutes
const ICE_PATIENCE_MS = 2000;
const PICTURE = {
  Good: { maxBitrate: 1_200_000, scaleResolutionDownBy: 1, maxFramerate: 30 },
  Weak: { maxBitrate: 350_000, scaleResolutionDownBy: 2, maxFramerate: 20 },
  Bad: { maxBitrate: 90_000, scaleResolutionDownBy: 4, maxFramerate: 8 },
};
const SCREEN = {
  Good: { maxBitrate: 1_500_000, maxFramerate: 15 },
  Weak: { maxBitrate: 500_000, maxFramerate: 5 },
  Bad: { maxBitrate: 200_000, maxFramerate: 2 },
};
const SOUND_BPS = 40_000;

/** @typedef {import("./quality.js").Word} Word */
/** @typedef {"idle"|"connecting"|"connected"|"failed"} MediaState */
/** @typedef {{ice_servers: RTCIceServer[], ice_policy: RTCIceTransportPolicy}} Ice */
/**
 * @extends {Emitter<{offer: {sdp: string, attempt: number}, state: MediaState, streams: Map<string, MediaStream>,
 *   screen: MediaStream|null, stale: void, silent: void}>}
 */
export class Media extends Emitter {
  /** @type {RTCPeerConnection|null} */
  peer = null;
  attempt = 0;
  /** @type {MediaState} */
  state = "idle";
  /** @type {Map<string, MediaStream>} */
  streams = new Map();
  /** @type {MediaStream|null} the screen that somebody else shows */
  screen = null;
  /** @type {Ice} */
  #ice = { ice_servers: [], ice_policy: "all" };
  #iceAt_ms = 0;
  /** @type {RTCRtpTransceiver|null} */
  #audio = null;
  /** @type {RTCRtpTransceiver|null} */
  #video = null;
  /** @type {RTCRtpTransceiver|null} */
  #screen = null;
  /** @type {MediaStreamTrack|null} */
  #ownScreen = null;
  #own;
  /** @type {Word} */
  #word = "Good";
  #active = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #patience;

  /** @param {import("./own_devices.js").OwnDevices} own */
  constructor(own) {
    super();
    this.#own = own;
    own.on("changed", () => void this.#putTracks());
  }

  /**
   * A connection that works on both sides outlives the loss of the line: nobody's picture or recording is cut.
   * @param {Ice} ice @param {number|null} kept the attempt that stands for the relay
   */
  start(ice, kept) {
    this.#keepIce(ice);
    this.#active = true;
    if (this.attempt !== kept || this.peer?.connectionState !== "connected") this.restart();
  }

  stop() {
    this.#active = false;
    this.#close();
    this.#become("idle");
  }

  /** A new connection in place of the old one. */
  restart() {
    this.#close();
    if (!this.#active) return;
    this.attempt += 1;
    this.#become("connecting");
    if (!this.#ice.ice_servers.length || performance.now() - this.#iceAt_ms < ICE_FRESH_MS) return this.#connect();
    this.emit("stale", undefined);
    this.#patience = setTimeout(() => this.#connect(), ICE_PATIENCE_MS);
  }

  /** Fresh credentials, asked for by `stale`. @param {Ice} ice */
  takeIceServers(ice) {
    this.#keepIce(ice);
    if (this.peer || !this.#active || this.state !== "connecting") return;
    clearTimeout(this.#patience);
    this.#connect();
  }

  #connect() {
    const { ice_servers: iceServers, ice_policy: iceTransportPolicy } = this.#ice;
    const peer = new RTCPeerConnection({ iceServers, iceTransportPolicy, bundlePolicy: "max-bundle" });
    this.peer = peer;
    this.#addSections(peer);
    peer.onconnectionstatechange = () => this.#watch(peer);
    this.#giveUpAfter(peer, CONNECTING_MS);
    void this.#offer(peer, this.attempt);
  }

  /** @param {import("./protocol.js").Answer} answer */
  async takeAnswer(answer) {
    const peer = this.peer;
    if (!peer || answer.attempt !== this.attempt || peer.signalingState !== "have-local-offer") return;
    try {
      await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      await this.#setLimits();
    } catch (error) {
      console.error("the answer could not be used", error);
      if (peer === this.peer) this.#become("failed");
    }
  }

  /** Sorts the received tracks into one stream per member. @param {import("./protocol.js").Slots} message */
  takeSlots(message) {
    if (!this.peer || message.attempt !== this.attempt) return;
    /** @type {Map<string, MediaStreamTrack[]>} */
    const tracks = new Map();
    let screen = null;
    for (const { mid, member_id, source } of message.slots) {
      const transceiver = this.peer.getTransceivers().find((one) => one.mid === mid);
      if (!transceiver || member_id === null) continue;
      if (source === "screen") {
        screen = transceiver.receiver.track;
        continue;
      }
      tracks.set(member_id, [...(tracks.get(member_id) ?? []), transceiver.receiver.track]);
    }
    for (const id of this.streams.keys()) if (!tracks.has(id)) this.streams.delete(id);
    for (const [id, wanted] of tracks) this.#fill(id, wanted);
    this.emit("streams", this.streams);
    this.#takeScreen(screen);
  }

  /** Sends this person's screen to all, or no longer. @param {MediaStreamTrack|null} track */
  putScreen(track) {
    this.#ownScreen = track;
    void this.#putTracks().then(() => this.#setLimits());
  }

  /** @param {MediaStreamTrack|null} track */
  #takeScreen(track) {
    if ((this.screen?.getVideoTracks()[0] ?? null) === track) return;
    this.screen = track && new MediaStream([track]);
    this.emit("screen", this.screen);
  }

  /** The received sound of each member, for their loudness. @returns {Map<string, RTCRtpReceiver>} */
  audioReceivers() {
    /** @type {Map<string, RTCRtpReceiver>} */
    const found = new Map();
    for (const { receiver } of this.peer?.getTransceivers() ?? []) {
      if (receiver.track.kind !== "audio") continue;
      for (const [id, stream] of this.streams) if (stream.getTracks().includes(receiver.track)) found.set(id, receiver);
    }
    return found;
  }

  get audioSender() {
    return this.#audio?.sender ?? null;
  }

  /** Rest the picture before the sound when the line is weak. @param {Word} word */
  adapt(word) {
    if (word === this.#word) return;
    this.#word = word;
    void this.#setLimits();
  }

  /** @param {Ice} ice */
  #keepIce(ice) {
    this.#ice = ice;
    this.#iceAt_ms = performance.now();
  }

  /** @param {RTCPeerConnection} peer */
  #addSections(peer) {
    const { audio, video } = this.#own;
    this.#audio = peer.addTransceiver(audio ?? "audio", { direction: "sendrecv" });
    this.#video = peer.addTransceiver(video ?? "video", { direction: "sendrecv" });
    for (let other = 0; other < MORE_OTHERS; other++) {
      peer.addTransceiver("audio", { direction: "recvonly" });
      peer.addTransceiver("video", { direction: "recvonly" });
    }
    this.#screen = peer.addTransceiver(this.#ownScreen ?? "video", { direction: "sendrecv" });
    for (const transceiver of peer.getTransceivers()) preferCodecs(transceiver);
  }

  /** @param {RTCPeerConnection} peer @param {number} attempt */
  async #offer(peer, attempt) {
    await describe(peer);
    if (peer !== this.peer || !peer.localDescription) return;
    await this.#putTracks();
    this.emit("offer", { sdp: peer.localDescription.sdp, attempt });
  }

  async #putTracks() {
    if (!this.peer) return;
    const { audio, video } = this.#own;
    await Promise.all([
      this.#audio?.sender.track === audio ? null : this.#audio?.sender.replaceTrack(audio),
      this.#video?.sender.track === video ? null : this.#video?.sender.replaceTrack(video),
      this.#screen?.sender.track === this.#ownScreen ? null : this.#screen?.sender.replaceTrack(this.#ownScreen),
    ]).catch((error) => console.warn("a track could not be sent", error));
  }

  async #setLimits() {
    await Promise.all([
      limit(this.#audio?.sender, { maxBitrate: SOUND_BPS, priority: "high", networkPriority: "high" }),
      limit(this.#video?.sender, { ...PICTURE[this.#word], priority: "low", networkPriority: "low" }),
      limit(this.#screen?.sender, { ...SCREEN[this.#word], priority: "medium", networkPriority: "medium" }),
    ]);
  }

  /** @param {string} memberId @param {MediaStreamTrack[]} wanted */
  #fill(memberId, wanted) {
    const stream = this.streams.get(memberId) ?? new MediaStream();
    for (const track of stream.getTracks()) if (!wanted.includes(track)) stream.removeTrack(track);
    for (const track of wanted) if (!stream.getTracks().includes(track)) stream.addTrack(track);
    this.streams.set(memberId, stream);
  }

  /** @param {RTCPeerConnection} peer */
  #watch(peer) {
    if (peer !== this.peer) return;
    clearTimeout(this.#patience);
    if (peer.connectionState === "connected") {
      this.#become("connected");
      void this.#listen(peer);
    }
    if (peer.connectionState === "disconnected") this.#giveUpAfter(peer, PATIENCE_MS);
    if (peer.connectionState === "failed") this.restart();
    if (peer.connectionState === "connecting") this.#giveUpAfter(peer, CONNECTING_MS);
  }

  /** @param {RTCPeerConnection} peer @param {number} wait_ms */
  #giveUpAfter(peer, wait_ms) {
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => {
      if (peer === this.peer && peer.connectionState !== "connected") this.restart();
    }, wait_ms);
  }

  /** After a change of networks the old way is dead: go a new one as soon as that is clear. @param {RTCPeerConnection} peer */
  async #listen(peer) {
    let bytes = -1;
    let [heardAt_ms, looked_ms] = [performance.now(), performance.now()];
    while (peer === this.peer && peer.connectionState === "connected") {
      const [now_ms, counted] = [performance.now(), countBytes(await peer.getStats())];
      const received = counted?.received ?? NaN; // which equals nothing: who cannot count is not silent
      if (received !== bytes || now_ms - looked_ms > SLEPT_MS) heardAt_ms = now_ms;
      [bytes, looked_ms] = [received, now_ms];
      if (now_ms - heardAt_ms > SILENT_MS && peer === this.peer) {
        this.emit("silent", undefined);
        return this.restart();
      }
      await new Promise((done) => setTimeout(done, LISTEN_MS));
    }
  }

  #close() {
    clearTimeout(this.#patience);
    const peer = this.peer;
    this.peer = this.#audio = this.#video = this.#screen = null;
    if (!peer) return;
    peer.onconnectionstatechange = null;
    peer.close();
  }

  /** @param {MediaState} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.emit("state", state);
  }
}

/** What the relay forwards; VP8 before H.264, which some browsers decode only later or never. @param {RTCRtpTransceiver} one */
function preferCodecs(one) {
  const wanted = one.receiver.track.kind === "audio" ? ["audio/opus"] : ["video/vp8", "video/h264", "video/rtx"];
  const codecs = RTCRtpReceiver.getCapabilities(one.receiver.track.kind)?.codecs ?? [];
  const kept = wanted.flatMap((name) => codecs.filter((codec) => codec.mimeType.toLowerCase() === name && isForwarded(codec)));
  if (kept.length && "setCodecPreferences" in one) one.setCodecPreferences(kept);
}

/** Of H.264, baseline in packets of any size. @param {{mimeType: string, sdpFmtpLine?: string}} codec */
function isForwarded({ mimeType, sdpFmtpLine = "" }) {
  if (mimeType.toLowerCase() !== "video/h264") return true;
  return /packetization-mode=1/.test(sdpFmtpLine) && /profile-level-id=42/.test(sdpFmtpLine);
}

/**
 * Lost sound may be asked for again: browsers can repeat it, but none offers so by itself.
 * @param {RTCPeerConnection} peer
 */
async function describe(peer) {
  const { type, sdp = "" } = await peer.createOffer();
  const opus = /^a=rtpmap:(\d+) opus\/48000/m.exec(sdp)?.[1];
  const asked = opus ? sdp.replaceAll(`a=rtpmap:${opus} opus/48000/2\r\n`, `$&a=rtcp-fb:${opus} nack\r\n`) : sdp;
  await peer.setLocalDescription({ type, sdp: asked }).catch(() => peer.setLocalDescription({ type, sdp }));
}

/** @param {RTCRtpSender|undefined} sender @param {Record<string, unknown>} limits */
async function limit(sender, limits) {
  if (!sender) return;
  const parameters = sender.getParameters();
  if (!parameters.encodings?.length) return;
  Object.assign(parameters.encodings[0], limits);
  // A browser that knows one of these not (Firefox: networkPriority) must still send.
  await sender.setParameters(parameters).catch(() => undefined);
}

// @ts-check
/**
 * How good this person's line is, in one word, measured every 2 s; and who is speaking, measured five times a second.
 * Reads statistics of media.js. Who speaks is told to nobody but this page.
 *
 * @typedef {"Good"|"Weak"|"Bad"} Word
 * @typedef {{at_ms: number, received: number, lost: number, sentLoss: number, roundTrip_ms: number, sentBytes: number,
 *   receivedBytes: number, freezes: number}} Sample sentLoss: share of what was sent, as the relay said last
 * @typedef {import("./protocol.js").Quality} Measured
 */

import { countBytes } from "./bytes.js";
import { Emitter } from "./emitter.js";

const MEASURE_MS = 2000;
const LISTEN_MS = 200;
const SPEAKING = 0.02; // of full scale; breathing stays below
const HOLD_MS = 700; // the ring stays through the pauses between words
const FEW = 20; // packets, of which a share says nothing
const WORSE = /** @type {const} */ ([["Bad", 0.1, 800], ["Weak", 0.03, 350]]);

/** What happened between two samples. @param {Sample} before @param {Sample} now @returns {Measured} */
export function measure(before, now) {
  const seconds = Math.max(0.1, (now.at_ms - before.at_ms) / 1000);
  const received = Math.max(0, now.received - before.received);
  const lost = Math.max(0, now.lost - before.lost);
  const receivedLoss = received + lost > FEW ? lost / (received + lost) : 0;
  return {
    round_trip_ms: now.roundTrip_ms,
    loss: Math.max(receivedLoss, now.sentLoss),
    sent_bps: (Math.max(0, now.sentBytes - before.sentBytes) * 8) / seconds,
    received_bps: (Math.max(0, now.receivedBytes - before.receivedBytes) * 8) / seconds,
    freezes: Math.max(0, now.freezes - before.freezes),
  };
}

/** @param {Measured} measured @returns {Word} */
export function judge({ loss, round_trip_ms }) {
  for (const [word, mostLost, longest_ms] of WORSE) if (loss > mostLost || round_trip_ms > longest_ms) return word;
  return "Good";
}

/** @extends {Emitter<{word: Word|null, measured: Measured, speaking: Set<string>}>} */
export class Quality extends Emitter {
  /** @type {Word|null} null: not connected */
  word = null;
  /** @type {Set<string>} */
  speaking = new Set();
  #media;
  #me;
  /** @type {Sample|null} */
  #before = null;
  /** @type {RTCPeerConnection|null} */
  #measured = null;
  /** @type {Word[]} */
  #recent = [];
  /** @type {Map<string, number>} member → when last heard */
  #heardAt = new Map();
  /** @type {ReturnType<typeof setInterval>[]} */
  #timers = [];

  /** @param {import("./media.js").Media} media @param {() => string} me */
  constructor(media, me) {
    super();
    this.#media = media;
    this.#me = me;
    media.on("state", (state) => state !== "connected" && this.#say(null));
  }

  start() {
    this.stop();
    this.#timers = [
      setInterval(() => void this.#measure(), MEASURE_MS),
      setInterval(() => void this.#listen(), LISTEN_MS),
    ];
  }

  stop() {
    this.#timers.forEach(clearInterval);
  }

  async #measure() {
    const peer = this.#media.peer;
    if (!peer || peer.connectionState !== "connected") return;
    const now = await sample(peer);
    if (this.#measured === peer && this.#before) {
      const measured = measure(this.#before, now);
      this.emit("measured", measured);
      this.#recent = [...this.#recent.slice(-1), judge(measured)];
      // One bad reading is no news: the better of the last two is told.
      this.#say(this.#recent.includes("Good") ? "Good" : this.#recent.includes("Weak") ? "Weak" : "Bad");
    } else {
      this.#say("Good");
    }
    this.#measured = peer;
    this.#before = now;
  }

  async #listen() {
    const now = performance.now();
    const levels = [...this.#media.audioReceivers()].map(async ([id, receiver]) => {
      const direct = receiver.getSynchronizationSources()[0]?.audioLevel;
      if ((direct ?? (await levelOf(receiver))) > SPEAKING) this.#heardAt.set(id, now);
    });
    const sender = this.#media.audioSender;
    if (sender?.track?.enabled && (await levelOf(sender)) > SPEAKING) this.#heardAt.set(this.#me(), now);
    await Promise.all(levels);
    const speaking = new Set([...this.#heardAt].filter(([, at]) => now - at < HOLD_MS).map(([id]) => id));
    const same = speaking.size === this.speaking.size && [...speaking].every((id) => this.speaking.has(id));
    this.speaking = speaking;
    if (!same) this.emit("speaking", speaking);
  }

  /** @param {Word|null} word */
  #say(word) {
    if (word === this.word) return;
    this.word = word;
    if (word === null) this.#recent = [];
    this.emit("word", word);
  }
}

/** @param {RTCRtpReceiver|RTCRtpSender} end @returns {Promise<number>} */
async function levelOf(end) {
  let level = 0;
  const report = await end.getStats().catch(() => null);
  report?.forEach((/** @type {any} */ entry) => {
    if (entry.type === "inbound-rtp" || entry.type === "media-source") level = Math.max(level, entry.audioLevel ?? 0);
  });
  return level;
}

/** @param {RTCPeerConnection} peer @returns {Promise<Sample>} */
async function sample(peer) {
  const found = {
    at_ms: performance.now(), received: 0, lost: 0, sentLoss: 0, roundTrip_ms: 0, sentBytes: 0, receivedBytes: 0, freezes: 0,
  };
  const report = await peer.getStats();
  const bytes = countBytes(report);
  if (bytes) [found.sentBytes, found.receivedBytes] = [bytes.sent, bytes.received];
  report.forEach((/** @type {any} */ entry) => {
    if (entry.type === "inbound-rtp") {
      found.received += entry.packetsReceived ?? 0;
      found.lost += entry.packetsLost ?? 0;
      found.freezes += entry.freezeCount ?? 0;
    }
    if (entry.type === "remote-inbound-rtp") found.sentLoss = Math.max(found.sentLoss, entry.fractionLost ?? 0);
    if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) {
      found.roundTrip_ms = Math.max(found.roundTrip_ms, entry.currentRoundTripTime * 1000);
    }
  });
  return found;
}

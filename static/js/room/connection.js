// @ts-check
/**
 * One person's line to the room: fetches a seat, opens the socket, says hello, keeps it alive and opens it again when it
 * breaks. Owns the socket and its timers; what messages mean is decided in call.js.
 *
 * States: connecting (first time) → open ⇄ reconnecting; refused (the application gives no seat) and closed are final until
 * `open()` is called again.
 */

import { Emitter } from "./emitter.js";
import { decode, encode, hello, ping } from "./protocol.js";
import { SeatRefused, fetchSeat } from "./seat.js";

const PING_MS = 3000;
const SILENCE_MS = 7000; // two pings unanswered: a dead network gives no close event for minutes
const PROOF_MS = 1500;
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5000;
const OPENING_MS = 10_000;

/** @typedef {"connecting"|"open"|"reconnecting"|"refused"|"closed"} ConnectionState */
/**
 * @extends {Emitter<{message: import("./protocol.js").Incoming, state: ConnectionState, refused: SeatRefused}>}
 */
export class Connection extends Emitter {
  /** @type {ConnectionState} */
  state = "closed";
  #seatUrl;
  /** @type {WebSocket|null} */
  #socket = null;
  #failures = 0;
  #pings = 0;
  #heardAt = 0;
  #wanted = false;
  #generation = 0;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #retry;
  /** @type {ReturnType<typeof setInterval>|undefined} */
  #heartbeat;

  /** @param {string} seatUrl */
  constructor(seatUrl) {
    super();
    this.#seatUrl = seatUrl;
    addEventListener("online", () => this.prove());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#hurry());
  }

  open() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#failures = 0;
    this.#become("connecting");
    void this.#attempt();
  }

  /** Closes for good; the seat stays. */
  close() {
    this.#wanted = false;
    this.#drop();
    if (this.state !== "refused") this.#become("closed");
  }

  /** Closes this socket and opens the next: after a message that says the server is about to restart. */
  renew() {
    this.#drop();
    this.#tryLater();
  }

  /**
   * @param {import("./protocol.js").Outgoing} message
   * @returns {boolean} false: there is no line at the moment; nothing is kept for later here
   */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(encode(message));
    return true;
  }

  /** Asks for an answer now. @returns {number} what `pong` will say */
  ping() {
    this.send(ping(++this.#pings));
    return this.#pings;
  }

  async #attempt() {
    const generation = ++this.#generation;
    try {
      const seat = await fetchSeat(this.#seatUrl);
      if (generation !== this.#generation || !this.#wanted) return;
      this.#openSocket(seat);
    } catch (error) {
      if (generation !== this.#generation || !this.#wanted) return;
      if (error instanceof SeatRefused) {
        this.#wanted = false;
        this.#become("refused");
        this.emit("refused", error);
      } else {
        this.#tryLater();
      }
    }
  }

  /** @param {import("./seat.js").Seat} seat */
  #openSocket(seat) {
    const url = new URL(seat.socket, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    this.#socket = socket;
    const opening = setTimeout(() => this.#lost(socket), OPENING_MS);
    socket.onopen = () => {
      this.#heardAt = performance.now();
      socket.send(encode(hello(seat.ticket)));
      this.#heartbeat = setInterval(() => this.#beat(socket), PING_MS);
    };
    socket.onmessage = (event) => {
      if (socket !== this.#socket) return;
      this.#heardAt = performance.now();
      const message = decode(String(event.data));
      if (!message) return;
      if (message.type === "waiting" || message.type === "welcome") {
        clearTimeout(opening);
        this.#failures = 0;
        this.#become("open");
      }
      this.emit("message", message);
    };
    socket.onclose = () => {
      clearTimeout(opening);
      this.#lost(socket);
    };
  }

  /** Something says that the network changed: a line that does not answer now is opened anew, without waiting for pings. */
  prove() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return this.#hurry();
    const asked_ms = performance.now();
    this.ping();
    setTimeout(() => this.#heardAt < asked_ms && this.#lost(socket), PROOF_MS);
  }

  /** @param {WebSocket} socket */
  #beat(socket) {
    if (performance.now() - this.#heardAt > SILENCE_MS) return this.#lost(socket);
    this.ping();
  }

  /** @param {WebSocket} socket */
  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#drop();
    this.#tryLater();
  }

  #drop() {
    ++this.#generation;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #tryLater() {
    if (!this.#wanted) return;
    this.#become(this.state === "connecting" ? "connecting" : "reconnecting");
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 1.5 ** this.#failures++);
    // Jitter, so that after a restart not everybody comes back in the same instant.
    const wait_ms = longest * (0.5 + Math.random() / 2);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#attempt(), wait_ms);
  }

  /** The network is back or somebody looks at the page again: do not sit out the wait. */
  #hurry() {
    if (!this.#wanted) return;
    if (this.#socket) {
      if (this.#socket.readyState === WebSocket.OPEN) this.ping();
      return;
    }
    this.#failures = 0;
    clearTimeout(this.#retry);
    void this.#attempt();
  }

  /** @param {ConnectionState} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.emit("state", state);
  }
}

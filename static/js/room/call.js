// @ts-check
/**
 * The call as this page knows it: who is here, what is recorded, shown and said, and what may be done about it.
 * Takes wire messages in, tells views by topic, and turns their wishes into wire messages. Knows no DOM; views know no
 * socket.
 *
 * @typedef {import("./protocol.js").Member} Member
 * @typedef {import("./protocol.js").ChatLine & {pending?: boolean}} Line
 * @typedef {"joining"|"waiting"|"inside"|"over"} Phase
 * @typedef {{
 *   phase: Phase, welcome: import("./protocol.js").Welcome, waiting: import("./protocol.js").Waiting,
 *   members: Map<string, Member>, joined: Member, left: {member: Member, reason: string}, knocks: Map<string, Member>,
 *   recording: import("./protocol.js").Recording, view: {view: import("./protocol.js").View, by: string|null},
 *   pointed: import("./protocol.js").Pointed, chat: Line[], said: Line, slots: import("./protocol.js").Slots,
 *   answer: import("./protocol.js").Answer, fault: import("./protocol.js").Fault,
 *   screen: string|null, muted: Member|undefined, qualities: Map<string, wire.QualityOf>,
 *   line: import("./connection.js").ConnectionState, over: Ending, ice: import("./protocol.js").IceServers,
 * }} Topics
 * @typedef {import("./protocol.js").EndReason | "left" | "no_seat"} EndingReason
 * @typedef {{reason: EndingReason, refusal?: import("./seat.js").SeatRefused, fault?: import("./protocol.js").Fault}} Ending
 */

import { Emitter } from "./emitter.js";
import * as wire from "./protocol.js";
import { Wishes } from "./wishes.js";

/** @type {Set<EndingReason>} endings after which nothing typed here is of use any more */
const OVER = new Set(/** @type {const} */ (["ended", "expired", "refused", "removed", "idle", "cancelled"]));
const NO_PLACE = new Set(["room.full", "lobby.full", "version.unsupported"]);

/** @extends {Emitter<Topics>} */
export class Call extends Emitter {
  /** @type {Phase} */
  phase = "joining";
  me = "";
  /** @type {Map<string, Member>} everybody in the room, me included, in the order they came */
  members = new Map();
  /** @type {Map<string, Member>} */
  knocks = new Map();
  /** @type {import("./protocol.js").Recording} */
  recording = { state: "off", awaiting: [], refused: [], on_ms: 0, wording: wire.CONSENT_WORDING };
  /** @type {import("./protocol.js").View} what everybody is shown */
  view = wire.NOTHING_SHOWN;
  /** @type {string|null} */
  viewBy = null;
  /** @type {string|null} whose screen everybody sees */
  screen = null;
  /** @type {Map<string, wire.QualityOf>} how good others' connections are */
  qualities = new Map();
  /** @type {Line[]} */
  chat = [];
  /** Room's clock: add to performance.now() for ms since the start. */
  #clockOffset_ms = 0;
  #recordingAt_ms = 0;
  #revision = 0;
  /** @type {{microphone: boolean, camera: boolean}} */
  #devices = { microphone: false, camera: false };
  #heardAt = 0;
  #connection;
  #memory;
  #wishes;

  /**
   * @param {import("./connection.js").Connection} connection
   * @param {import("./memory.js").Memory} memory
   * @param {import("./protocol.js").ChatLine[]} [chat] what was written before this page; a room that had to open again forgot it
   */
  constructor(connection, memory, chat = []) {
    super();
    this.#connection = connection;
    this.#memory = memory;
    this.#wishes = new Wishes(connection, memory);
    this.#keepLines(chat);
    connection.on("message", (message) => this.#take(message));
    connection.on("state", (state) => this.emit("line", state));
    connection.on("refused", (refusal) => this.#finish({ reason: "no_seat", refusal }));
  }

  get line() {
    return this.#connection.state;
  }

  get myself() {
    return this.members.get(this.me);
  }

  /** @param {import("./protocol.js").Grant} grant */
  may(grant) {
    return this.myself?.grants.includes(grant) ?? false;
  }

  get now_ms() {
    return performance.now() + this.#clockOffset_ms;
  }

  /** How much is recorded up to this moment. */
  get recorded_ms() {
    const running = this.recording.state === "on" ? Math.max(0, this.now_ms - this.#recordingAt_ms) : 0;
    return this.recording.on_ms + running;
  }

  // What a person may do ------------------------------------------------------------------------------------------------

  enter() {
    if (this.phase === "over") this.#become("joining");
    this.#connection.open();
  }

  leave() {
    this.#connection.send(wire.leave());
    this.#finish({ reason: "left" });
  }

  endForEveryone() {
    this.#sendNow(wire.end());
  }

  /** @param {string} memberId */
  admit(memberId) {
    this.#sendNow(wire.admit(memberId));
  }

  /** @param {string} memberId */
  refuse(memberId) {
    this.#sendNow(wire.refuse(memberId));
  }

  /** @param {boolean} given */
  answerConsent(given) {
    this.#wish("consent", wire.setConsent(given, this.recording.wording));
  }

  /** @param {boolean} wanted */
  setRecording(wanted) {
    this.#wish("recording", wire.setRecording(wanted));
  }

  /** Move what everybody sees; it moves here at once. @param {import("./protocol.js").View} view */
  show(view) {
    this.view = wire.tidyView(view);
    this.viewBy = this.me;
    const message = wire.show(this.view, ++this.#revision);
    if (!this.#connection.send(message)) this.#wishes.keep("show", message);
    this.emit("view", { view: this.view, by: this.me });
  }

  /** @param {number} x @param {number} y @param {boolean} visible */
  point(x, y, visible) {
    this.#connection.send(wire.point(x, y, visible));
  }

  /** @param {string} text */
  say(text) {
    const me = this.myself;
    /** @type {Line} */
    const line = {
      line_id: crypto.randomUUID(),
      member_id: this.me,
      name: me?.name ?? "",
      role: me?.role ?? "patient",
      text,
      at_ms: Math.max(0, Math.round(this.now_ms)),
      pending: true,
    };
    this.chat = [...this.chat, line];
    this.emit("chat", this.chat);
    this.#keepPending();
    this.#connection.send(wire.say(text, line.line_id));
  }

  /** @param {{microphone: boolean, camera: boolean}} devices what this page sends at the moment */
  setDevices(devices) {
    this.#devices = devices;
    const me = this.myself;
    if (me) this.#put({ ...me, ...devices });
    this.#connection.send(wire.setDevices(devices.microphone, devices.camera));
  }

  /** What was written before this page came in, and this room does not know. @param {wire.ChatLine[]} lines */
  takeEarlierLines(lines) {
    const known = new Set(this.chat.map(nameOf));
    this.#keepLines(lines.filter((line) => !known.has(nameOf(line))));
  }

  /** @param {boolean} wanted */
  shareScreen(wanted) {
    return this.#connection.send(wire.shareScreen(wanted));
  }

  /** Silences somebody, for all. @param {string} memberId */
  mute(memberId) {
    this.#sendNow(wire.mute(memberId));
  }

  /** Speaks again after a host's wish. */
  unmute() {
    this.#wish("unmute", wire.unmute());
  }

  /** @param {wire.Quality} quality of this page's connection */
  tellQuality(quality) {
    this.#connection.send(wire.quality(quality));
  }

  /** @param {string} sdp @param {number} attempt */
  offer(sdp, attempt) {
    return this.#connection.send(wire.offer(sdp, attempt));
  }

  askIceServers() {
    return this.#connection.send(wire.askIceServers());
  }

  // What waits for the line ---------------------------------------------------------------------------------------------

  /** A word of this page's own. @param {string} code as in faults.js */
  complain(code) {
    this.emit("fault", fault(code));
  }

  /** What makes no sense later: whoever pressed must know that nothing happened. @param {wire.Outgoing} message */
  #sendNow(message) {
    if (!this.#connection.send(message)) this.complain("line.lost");
  }

  /** What was decided counts also when the line is down, and after a reload. @param {string} name
   * @param {wire.Outgoing} message */
  #wish(name, message) {
    if (!this.#wishes.make(name, message)) this.complain("line.kept");
  }

  #keepPending() {
    const lines = this.chat.filter((line) => line.pending);
    if (lines.length || this.#memory.kept.lines.length) this.#memory.keep({ lines });
  }

  // What the server says ------------------------------------------------------------------------------------------------

  /** @param {import("./protocol.js").Incoming} message */
  #take(message) {
    this.#heardAt = performance.now();
    switch (message.type) {
      case "waiting":
        this.me = message.member_id;
        this.#become("waiting");
        return this.emit("waiting", message);
      case "welcome":
        return this.#enter(message);
      case "knock":
        this.knocks.set(message.member.member_id, message.member);
        return this.emit("knocks", this.knocks);
      case "knock_gone":
        this.knocks.delete(message.member_id);
        return this.emit("knocks", this.knocks);
      case "joined":
        this.#put(message.member);
        return this.emit("joined", message.member);
      case "changed":
        return this.#put(message.member);
      case "left":
        return this.#takeAway(message);
      case "view":
        return this.#takeView(message);
      case "recording":
        return this.#takeRecording(message.recording, message.now_ms);
      case "said":
        this.#keepLines([message.line]);
        return this.emit("said", message.line);
      case "ended":
        return message.reason === "restarting" ? this.#connection.renew() : this.#finish({ reason: message.reason });
      case "pointed":
        return this.emit("pointed", message);
      case "screen":
        return this.#takeScreen(message.member_id);
      case "muted":
        return this.emit("muted", this.members.get(message.by));
      case "quality_of":
        this.qualities.set(message.member_id, message);
        return this.emit("qualities", this.qualities);
      case "slots":
        return this.emit("slots", message);
      case "answer":
        return this.emit("answer", message);
      case "error":
        return this.#takeFault(message);
      case "ice_servers":
        return this.emit("ice", message);
      case "pong":
        this.#wishes.confirm(message.n);
        this.#keepSeen();
    }
  }

  /** @param {import("./protocol.js").Fault} message */
  #takeFault(message) {
    // A full room stays full for a while: say so, instead of knocking at it every few seconds.
    if (message.of === "hello" && NO_PLACE.has(message.code)) this.#finish({ reason: "no_seat", fault: message });
    else if (message.of !== "hello") this.emit("fault", message);
  }

  /** @param {import("./protocol.js").Welcome} message */
  #enter(message) {
    this.me = message.member_id;
    this.#memory.open(this.me);
    const { seen, lines } = this.#memory.kept;
    this.#clockOffset_ms = message.now_ms - performance.now();
    this.members = new Map(message.members.map((member) => [member.member_id, member]));
    this.knocks = new Map(message.knocks.map((member) => [member.member_id, member]));
    this.view = message.view;
    this.viewBy = message.view_by;
    this.#revision = 0; // no echo of this socket is older; that of a recall, which counts as 0, must reach the stage
    const known = new Set([...this.chat, ...message.chat].map(nameOf));
    this.#keepLines([...message.chat, ...lines.filter((line) => !known.has(nameOf(line)))]);
    this.#become("inside");
    this.emit("welcome", message);
    this.emit("members", this.members);
    this.emit("knocks", this.knocks);
    this.emit("view", { view: this.view, by: this.viewBy });
    this.#takeRecording(message.recording, message.now_ms);
    this.#takeScreen(message.screen);
    this.setDevices(this.#devices);
    // The room had to open again and has forgotten what everybody was looking at.
    if (seen && message.reopened_ms !== null && seen.at_ms <= message.reopened_ms) {
      this.#connection.send(wire.recall(seen));
      this.#memory.keep({ seen }); // should this socket be lost before it is heard
    }
    // Moved while the line was down; somebody else's later move counts more.
    if (message.view_by !== null && message.view_by !== this.me) this.#wishes.drop("show");
    this.#wishes.send();
    for (const line of this.chat) if (line.pending) this.#connection.send(wire.say(line.text, line.line_id));
  }

  /** @param {string|null} memberId */
  #takeScreen(memberId) {
    this.screen = memberId;
    this.emit("screen", memberId);
  }

  /** @param {import("./protocol.js").ViewChanged} message */
  #takeView(message) {
    // My own echo, overtaken by what I did since: it would throw the page back.
    if (message.by === this.me && message.revision < this.#revision) return;
    this.view = message.view;
    this.viewBy = message.by;
    this.emit("view", { view: message.view, by: message.by });
    this.#keepSeen();
  }

  /** @param {import("./protocol.js").Recording} recording @param {number} now_ms */
  #takeRecording(recording, now_ms) {
    this.recording = recording;
    this.#recordingAt_ms = now_ms;
    this.#clockOffset_ms = now_ms - performance.now();
    this.emit("recording", recording);
    this.#keepSeen();
  }

  /** Kept for a room that has to open again, also when this page is loaded anew at that moment. */
  #keepSeen() {
    if (this.phase !== "inside") return;
    const silent_ms = performance.now() - this.#heardAt;
    this.#memory.keep({
      seen: {
        view: this.view,
        on_ms: Math.round(this.recorded_ms - (this.recording.state === "on" ? silent_ms : 0)),
        at_ms: Math.round(this.now_ms - silent_ms),
      },
    });
  }

  /** @param {import("./protocol.js").Left} message */
  #takeAway(message) {
    const member = this.members.get(message.member_id);
    if (!member) return;
    this.members.delete(message.member_id);
    this.qualities.delete(message.member_id);
    this.emit("members", this.members);
    this.emit("left", { member, reason: message.reason });
  }

  /** @param {Member} member */
  #put(member) {
    this.members.set(member.member_id, member);
    this.emit("members", this.members);
  }

  /** @param {import("./protocol.js").ChatLine[]} lines from the page, a welcome or one said: each is kept once */
  #keepLines(lines) {
    const known = new Map(this.chat.map((line) => [nameOf(line), line]));
    for (const line of lines) known.set(nameOf(line), line);
    this.chat = [...known.values()].sort((one, other) => one.at_ms - other.at_ms);
    this.emit("chat", this.chat);
    this.#keepPending();
  }

  /** @param {Ending} ending */
  #finish(ending) {
    this.#connection.close();
    if (OVER.has(ending.reason)) this.#memory.forget();
    this.#become("over");
    this.emit("over", ending);
  }

  /** @param {Phase} phase */
  #become(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this.emit("phase", phase);
  }
}

/** As if the room had said it. @param {string} code @returns {wire.Fault} */
function fault(code) {
  return { type: "error", code, message: "", reference: "", of: null };
}

/** What tells a line from all others; a line_id is its writer's own choice. @param {Line} line */
export function nameOf(line) {
  return `${line.member_id} ${line.line_id}`;
}

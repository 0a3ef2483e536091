// The call as a page knows it, against a line that only says what was sent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Call } from "../../static/js/room/call.js";
import { Emitter } from "../../static/js/room/emitter.js";
import { Memory } from "../../static/js/room/memory.js";

const NOTHING = { record_id: null, page: 1, zoom: 1, x: 0.5, y: 0.5, rotation: 0 };
const SCAN = { ...NOTHING, record_id: "scan", page: 3 };
const REPORT = { ...NOTHING, record_id: "report" };

class Line extends Emitter {
  state = "open";
  sent = [];
  #pings = 0;

  send(message) {
    this.sent.push(message);
    return true;
  }

  ping() {
    return ++this.#pings;
  }

  open() {}

  hear(message) {
    this.emit("message", message);
  }
}

const welcome = (over = {}) => ({
  type: "welcome", member_id: "me", now_ms: 1000, reopened_ms: null, view: NOTHING, view_by: null, chat: [], knocks: [],
  members: [{ member_id: "me", grants: ["host", "show"] }, { member_id: "ana", grants: ["show"] }],
  recording: { state: "off", awaiting: [], refused: [], on_ms: 0, wording: "w" }, screen: null, ...over,
});

function enter() {
  const line = new Line();
  const call = new Call(line, new Memory("call"));
  line.hear(welcome());
  return { line, call };
}

/** What a page sent of one kind since the last welcome. */
const last = (line, type) => line.sent.filter((message) => message.type === type).at(-1);

test("a View shown before the server was lost comes back by the echo of this page's own recall", () => {
  const { line, call } = enter();
  call.show(REPORT);
  call.show(SCAN);
  line.hear({ type: "view", view: SCAN, by: "me", revision: 2 });
  line.hear(welcome({ now_ms: 9000, reopened_ms: 8000 }));
  assert.equal(call.view.record_id, null, "the room has forgotten it");
  const recalled = last(line, "recall").view;
  assert.deepEqual(recalled, SCAN);
  line.hear({ type: "view", view: recalled, by: "me", revision: 0 });
  assert.equal(call.view.record_id, "scan");
});

test("a late echo does not throw back who has moved on, after a recall neither", () => {
  const { line, call } = enter();
  call.show(REPORT);
  line.hear(welcome({ now_ms: 9000, reopened_ms: 8000 }));
  call.show(SCAN);
  line.hear({ type: "view", view: REPORT, by: "me", revision: 0 });
  assert.equal(call.view.record_id, "scan");
  line.hear({ type: "view", view: SCAN, by: "me", revision: last(line, "show").revision });
  assert.equal(call.view.record_id, "scan");
});

test("what somebody else recalled is shown", () => {
  const { line, call } = enter();
  call.show(REPORT);
  line.hear(welcome({ now_ms: 9000, reopened_ms: 8000 }));
  line.hear({ type: "view", view: SCAN, by: "ana", revision: 0 });
  assert.equal(call.view.record_id, "scan");
});

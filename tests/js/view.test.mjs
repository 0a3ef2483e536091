// Run with: node --test tests/js
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, show, tidyView } from "../../static/js/room/protocol.js";
import { judge, measure } from "../../static/js/room/quality.js";
import { drag, place, rotate, sameView, toPage, toStage, unrotate, zoomTo } from "../../static/js/room/view.js";

const PAGE = { width: 600, height: 800 };
const WIDE = { width: 1000, height: 500 };
const TALL = { width: 320, height: 600 };
const VIEW = { record_id: "r", page: 1, zoom: 1, x: 0.5, y: 0.5, rotation: 0 };

/** @param {number} one @param {number} other */
const near = (one, other) => assert.ok(Math.abs(one - other) < 1e-6, `${one} is not ${other}`);

test("zoom 1 shows the whole page on any stage", () => {
  for (const stage of [WIDE, TALL]) {
    for (const rotation of [0, 90, 180, 270]) {
      const placed = place({ ...VIEW, rotation }, PAGE, stage);
      assert.ok(placed.width <= stage.width + 1e-6 && placed.height <= stage.height + 1e-6);
    }
  }
});

test("a point goes to the stage and back, turned or not", () => {
  for (const rotation of [0, 90, 180, 270]) {
    const view = { ...VIEW, zoom: 3, x: 0.4, y: 0.6, rotation };
    const at = toStage({ x: 0.41, y: 0.58 }, view, PAGE, WIDE);
    const back = toPage(at, view, PAGE, WIDE);
    near(back.x, 0.41);
    near(back.y, 0.58);
    const turned = unrotate(rotate({ x: 0.2, y: 0.9 }, rotation), rotation);
    near(turned.x, 0.2);
    near(turned.y, 0.9);
  }
});

test("what is under the mouse stays there while zooming", () => {
  const at = { x: 600, y: 260 };
  const view = zoomTo(VIEW, 2, at, PAGE, WIDE);
  const before = toPage(at, { ...view, zoom: 4, ...zoomTo(view, 4, at, PAGE, WIDE) }, PAGE, WIDE);
  const first = toPage(at, view, PAGE, WIDE);
  near(before.x, first.x);
  near(before.y, first.y);
});

test("a page cannot be dragged off the stage", () => {
  const view = drag({ ...VIEW, zoom: 4 }, { x: 9000, y: 9000 }, PAGE, WIDE);
  const corner = toStage({ x: 0, y: 0 }, view, PAGE, WIDE);
  assert.ok(corner.x <= 1 && corner.y <= 1);
  assert.ok(sameView(drag(VIEW, { x: 50, y: 50 }, PAGE, WIDE), VIEW), "a page that fits stays in the middle");
});

test("a view that leaves is within the limits of the wire", () => {
  const view = tidyView({ ...VIEW, page: 0.4, zoom: 99, x: -1, y: 1.2 });
  assert.deepEqual([view.page, view.zoom, view.x, view.y], [1, 32, 0, 1]);
  assert.equal(show(VIEW, 3).revision, 3);
});

test("a message that is no message, or of a type this page does not know, is nothing", () => {
  for (const text of ["", "null", "[]", "{", '{"type": 3}', '{"type": "tomorrow"}']) assert.equal(decode(text), null);
  assert.equal(decode('{"type": "pong", "n": 1, "more": true}')?.type, "pong");
});

test("a line is judged by what was lost and how long a round trip takes", () => {
  const before = { at_ms: 0, received: 1000, lost: 0, sentLoss: 0, roundTrip_ms: 0, sentBytes: 0, receivedBytes: 0, freezes: 0 };
  const word = (received, lost, roundTrip_ms) =>
    judge(measure(before, { ...before, at_ms: 2000, received, lost, roundTrip_ms }));
  assert.equal(word(1300, 2, 60), "Good");
  assert.equal(word(1300, 20, 60), "Weak");
  assert.equal(word(1200, 90, 60), "Bad");
  assert.equal(word(1300, 0, 500), "Weak");
  assert.equal(word(1008, 5, 60), "Good", "a few packets say nothing");
});

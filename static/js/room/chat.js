// @ts-check
/** Chat: lines with who and when. A line that could not be sent stays, says so, and goes out with the next connection. */

import { element, face, find } from "../parts.js";
import { _, ngettext } from "../words.js";
import { nameOf } from "./call.js";
import { clock, tintOf } from "./people.js";

/**
 * @param {HTMLElement} root the room
 * @param {{call: import("./call.js").Call, panels: import("./panels.js").Panels,
 *   memory: import("./memory.js").Memory}} given
 * @returns {() => void}
 */
export function mount(root, { call, panels, memory }) {
  const list = find(root, "[data-chat-lines]", HTMLElement);
  const empty = find(root, "[data-chat-empty]", HTMLElement);
  const form = find(root, "[data-chat-form]", HTMLFormElement);
  const field = find(form, "input", HTMLInputElement);
  const counts = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-chat-count], [data-more-count]"));
  const stop = new AbortController();
  /** @type {Map<string, HTMLElement>} */
  const drawn = new Map();
  let unread = 0;

  function draw() {
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    call.chat.forEach((line, place) => {
      const known = drawn.get(nameOf(line));
      if (known && (known.dataset.pending === "true") === !!line.pending) return;
      const made = drawLine(line, line.member_id === call.me);
      drawn.set(nameOf(line), made);
      if (known) known.replaceWith(made);
      else list.insertBefore(made, list.children[place] ?? null);
    });
    empty.hidden = call.chat.length > 0;
    list.hidden = call.chat.length === 0;
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  function count() {
    for (const one of counts) {
      one.hidden = unread === 0;
      one.replaceChildren(
        element("span", { "aria-hidden": "true" }, String(unread)),
        element("span", { className: "out-of-sight" }, ngettext("{count} new message", "{count} new messages", unread)),
      );
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return field.focus();
    call.say(text);
    field.value = "";
    memory.keep({ draft: "" });
    list.scrollTop = list.scrollHeight;
  }, { signal: stop.signal });

  field.addEventListener("input", () => memory.keep({ draft: field.value }), { signal: stop.signal });

  const off = [
    call.on("chat", draw),
    call.on("welcome", () => (field.value ||= memory.kept.draft)),
    call.on("said", (line) => {
      if (line.member_id === call.me || panels.open === "chat") return;
      unread += 1;
      count();
    }),
    panels.on("opened", (name) => {
      if (name !== "chat") return;
      unread = 0;
      count();
      list.scrollTop = list.scrollHeight;
    }),
  ];
  draw();
  field.value ||= memory.kept.draft;
  return () => {
    stop.abort();
    off.forEach((one) => one());
  };
}

/** @param {import("./call.js").Line} line @param {boolean} mine */
function drawLine(line, mine) {
  return element(
    "div", { className: `chat-line is-${tintOf(line.role)}`, "data-line-id": line.line_id, "data-pending": String(!!line.pending) },
    face(line.name, tintOf(line.role)),
    element("p", { className: "chat-from" },
      element("b", {}, mine ? _("You") : line.name),
      element("span", { className: "chat-when" }, line.pending ? _("not sent yet") : clock(line.at_ms))),
    element("p", { className: "chat-text" }, line.text),
  );
}

// @ts-check
/**
 * Questions in step 2: added without leaving the page, and kept in this tab while they are being written, so that neither
 * a reload nor a failed request loses a word. Without this script the form still works.
 */

import { ApiError, post } from "./api.js";
import { element, find } from "./parts.js";
import { _, ready } from "./words.js";

/** This tab alone: what somebody asks a doctor must not lie around in a shared browser. */
const KEY = "consult.question";

/** @param {string} text */
function keep(text) {
  try {
    if (text) sessionStorage.setItem(KEY, text);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage is closed in some private windows; the field itself still holds the text.
  }
}

function kept() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} text @param {string} remove the address that takes it back @param {number} number */
function line(text, remove, number) {
  const button = element("button", { className: "button button-quiet", type: "submit" }, _("Remove"));
  button.setAttribute("aria-label", _("Remove question {number}", { number }));
  const token = document.querySelector('meta[name="csrf"]')?.getAttribute("content") ?? "";
  return element(
    "li",
    { className: "question-line" },
    element("span", { className: "question-number" }, String(number)),
    element("p", { className: "question-text" }, text),
    element("form", { method: "post", action: remove }, element("input", { type: "hidden", name: "csrf", value: token }), button),
  );
}

/** @param {HTMLFormElement} form */
function mount(form) {
  const field = find(form, "textarea", HTMLTextAreaElement);
  const said = find(form, "[data-ask-said]", HTMLElement);
  const button = find(form, "button", HTMLButtonElement);
  const list = find(document, "[data-questions]", HTMLElement);
  if (!field.value) field.value = kept();
  field.addEventListener("input", () => keep(field.value));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    try {
      const asked = await post(form.action, { question: text });
      const known = [...list.querySelectorAll(".question-text")].some((place) => place.textContent === asked.text);
      if (!known) list.append(line(asked.text, asked.remove, list.children.length + 1));
      list.hidden = false;
      find(document, "[data-questions-empty]", HTMLElement).hidden = true;
      field.value = "";
      keep("");
      tell(said, field, _("Your question is saved."), false);
    } catch (error) {
      const words = error instanceof ApiError ? (error.fields.question ?? error.message) : _("Please try again.");
      tell(said, field, words, true);
    } finally {
      button.ariaDisabled = "false";
    }
    field.focus();
  });
}

/** @param {HTMLElement} said @param {HTMLElement} field @param {string} words @param {boolean} wrong */
function tell(said, field, words, wrong) {
  said.className = wrong ? "field-wrong" : "ask-saved";
  said.textContent = words;
  if (wrong) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

void ready.then(() => mount(find(document, "[data-ask]", HTMLFormElement)));

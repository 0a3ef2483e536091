// @ts-check
/**
 * Sends records of a case one after another, each with its own progress and its own failure. Without this script the form
 * sends one file by itself. What failed stays in the list and can be tried again; the page is shown anew when all is well.
 */

import { ApiError, csrf, read } from "./api.js";
import { element } from "./parts.js";
import { _ } from "./words.js";

const STALLED_MS = 60_000;

const form = document.querySelector("form[data-upload]");
if (form instanceof HTMLFormElement) mount(form);

/** @param {HTMLFormElement} form */
function mount(form) {
  const input = form.elements.namedItem("file");
  const list = form.querySelector("[data-uploads]");
  const said = form.querySelector("[data-upload-said]");
  const button = form.querySelector("button[type=submit]");
  if (!(input instanceof HTMLInputElement) || !(list instanceof HTMLElement) || !said || !(button instanceof HTMLElement)) return;
  button.hidden = true;
  let running = 0;
  let failed = 0;

  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
  input.addEventListener("change", async () => {
    const files = [...(input.files ?? [])];
    input.value = "";
    list.hidden = false;
    for (const file of files) await take(file);
  });

  /** @param {File} file @param {HTMLLIElement} [again] */
  async function take(file, again) {
    const bar = element("progress", { max: 1, value: 0, "aria-label": _("Sending {file}", { file: file.name }) });
    const line = element("li", {}, element("span", {}, file.name), bar);
    if (again) again.replaceWith(line);
    else list?.append(line);
    running += 1;
    try {
      await send(form.action, file, (part) => { bar.value = part; });
      bar.remove();
      line.append(element("span", {}, _("Arrived.")));
      tell(_("{file} arrived.", { file: file.name }));
    } catch (error) {
      failed += 1;
      bar.remove();
      const reason = error instanceof ApiError ? error.message : _("Please try again.");
      const retry = element("button", { type: "button", className: "button" }, _("Try again"));
      retry.addEventListener("click", () => { failed -= 1; void take(file, line); });
      // A file that was refused is refused again: only what failed on the way has a second try.
      const passing = !(error instanceof ApiError) || error.status === 0 || error.status === 429 || error.status >= 500;
      line.append(element("p", { className: "field-wrong" }, _("“{file}” did not arrive. {reason}", { file: file.name, reason })));
      if (passing) line.append(retry);
      tell(_("“{file}” did not arrive. {reason}", { file: file.name, reason }));
    } finally {
      running -= 1;
    }
    if (running === 0 && failed === 0) {
      location.hash = "records";
      location.reload();
    }
  }

  /** @param {string} sentence */
  function tell(sentence) {
    if (said) said.textContent = sentence;
  }
}

/**
 * @param {string} url
 * @param {File} file
 * @param {(part: number) => void} onProgress
 * @returns {Promise<unknown>}
 */
function send(url, file, onProgress) {
  return new Promise((resolve, reject) => {
    const body = new FormData();
    body.append("csrf", csrf());
    body.append("file", file, file.name);
    const request = new XMLHttpRequest();
    let moved = Date.now();
    const watch = setInterval(() => { if (Date.now() - moved > STALLED_MS) request.abort(); }, 5_000);
    request.upload.addEventListener("progress", (event) => {
      moved = Date.now();
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    request.addEventListener("loadend", () => {
      clearInterval(watch);
      if (request.status === 0) {
        const message = _("The connection was lost. Your other files are safe.");
        reject(new ApiError({ code: "network", message, status: 0 }));
        return;
      }
      try {
        resolve(read(request.status, request.status < 300, request.responseText));
      } catch (error) {
        reject(error);
      }
    });
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRF", csrf());
    request.send(body);
  });
}

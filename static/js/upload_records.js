// @ts-check
/**
 * Records in step 2: each file goes alone, shows how far it is, and can be tried again by itself. Files can also be
 * dropped. Without this script the form sends them all at once.
 */

import { ApiError, csrf, read } from "./api.js";
import { element, find, icon, showState } from "./parts.js";
import { _, ngettext, ready } from "./words.js";

const MAX_FILE_BYTES = 50 * 1024 * 1024;
/** Two at a time: a phone's network carries more only more slowly. */
const AT_ONCE = 2;
/** A file that has not moved for so long is given up and can be tried again. */
const STALLED_MS = 60_000;

/** @typedef {{id: string, title: string, facts: string, icon: string, open: string, remove: string}} Arrived */
/** @typedef {{file: File, row: HTMLLIElement}} Job */

/** @type {Job[]} */
const queue = [];
let running = 0;
let failed = false;
/** The form of "Continue", pressed while files were on their way. @type {HTMLFormElement | null} */
let going = null;

/** @param {HTMLFormElement} form */
function mount(form) {
  const input = find(form, 'input[type="file"]', HTMLInputElement);
  find(form, "[data-upload-send]", HTMLElement).hidden = true;
  input.addEventListener("change", () => {
    // Copied first: emptying the field empties its list.
    const files = [...(input.files ?? [])];
    input.value = "";
    take(form, files);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("is-over");
  });
  form.addEventListener("dragleave", () => form.classList.remove("is-over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("is-over");
    take(form, [...(event.dataTransfer?.files ?? [])]);
  });
  window.addEventListener("beforeunload", (event) => {
    if (running || queue.length) event.preventDefault();
  });
  const onward = document.querySelector(".step-end form");
  onward?.addEventListener("submit", (event) => {
    if (!(onward instanceof HTMLFormElement) || (!running && !queue.length)) return;
    event.preventDefault();
    wait(onward);
  });
}

/** Keep the person here until the files have arrived. @param {HTMLFormElement} onward */
function wait(onward) {
  if (going) return;
  going = onward;
  failed = false;
  const stay = element("button", { className: "button", type: "button" }, _("Stay on this page"));
  stay.addEventListener("click", () => stopWaiting());
  const title = element("p", { className: "notice-title" }, _("Your files are still on their way."));
  const words = element("p", {}, _("We go on when they are here."));
  const notice = element("div", { className: "notice notice-here", role: "status" }, icon("wait"), title, element("div", {}, words, stay));
  notice.dataset.uploadWait = "";
  onward.after(notice);
}

function stopWaiting() {
  going = null;
  document.querySelector("[data-upload-wait]")?.remove();
}

/** Everything has come to rest: go on if somebody wanted to, and if nothing is missing. */
function goOn() {
  const onward = going;
  if (!onward || running || queue.length) return;
  stopWaiting();
  if (!failed) onward.submit();
}

/** @param {HTMLFormElement} form @param {File[]} files */
function take(form, files) {
  const list = find(document, "[data-records]", HTMLElement);
  for (const file of files) {
    const row = element("li", { className: "record-line" });
    list.append(row);
    begin(form, { file, row });
  }
  list.hidden = list.children.length === 0;
  find(document, "[data-records-empty]", HTMLElement).hidden = list.children.length > 0;
}

/** @param {HTMLFormElement} form @param {Job} job */
function begin(form, job) {
  if (job.file.size > MAX_FILE_BYTES) {
    fail(form, job, _("This file is larger than 50 MB. Please choose a smaller one or split it."), false);
    return;
  }
  drawRunning(job, _("Waiting"));
  queue.push(job);
  next(form);
}

/** @param {HTMLFormElement} form */
function next(form) {
  while (running < AT_ONCE) {
    const job = queue.shift();
    if (!job) break;
    running += 1;
    void send(form, job).finally(() => {
      running -= 1;
      next(form);
      if (running === 0) announce();
      goOn();
    });
  }
}

/** @param {HTMLFormElement} form @param {Job} job */
async function send(form, job) {
  const { bar, words } = drawRunning(job, _("On its way"));
  try {
    const arrived = await upload(form.action, job.file, (part) => {
      bar.value = part;
      words.textContent = part < 1 ? `${Math.floor(part * 100)} %` : _("We are looking at the file.");
    });
    drawArrived(job.row, arrived);
  } catch (error) {
    const words = error instanceof ApiError ? error.message : _("Something went wrong on the way.");
    // What the server has looked at and refused is refused again; the network and the server's own trouble pass.
    const refused = error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429;
    fail(form, job, words, !refused);
  }
}

/**
 * Send one file. fetch() cannot tell how much has gone, so this is an XMLHttpRequest.
 * @param {string} url @param {File} file @param {(part: number) => void} progress from 0 to 1
 * @returns {Promise<Arrived>}
 */
function upload(url, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    /** @type {number | undefined} */
    let watch;
    const moved = () => {
      clearTimeout(watch);
      watch = setTimeout(() => request.abort(), STALLED_MS);
    };
    const lost = () => {
      clearTimeout(watch);
      reject(new ApiError({ code: "network", status: 0, message: _("The connection was lost on the way.") }));
    };
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRF", csrf());
    request.upload.addEventListener("progress", (event) => {
      moved();
      if (event.lengthComputable) progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      clearTimeout(watch);
      try {
        resolve(read(request.status, request.status >= 200 && request.status < 300, request.responseText));
      } catch (error) {
        reject(error);
      }
    });
    request.addEventListener("error", lost);
    request.addEventListener("abort", lost);
    const body = new FormData();
    body.append("file", file, file.name);
    moved();
    request.send(body);
  });
}

/** @param {Job} job @param {string} said */
function drawRunning(job, said) {
  const words = element("span", {}, said);
  const bar = element("progress", { max: 1, "aria-label": job.file.name });
  bar.value = 0;
  job.row.replaceChildren(
    icon("upload"),
    element("p", { className: "record-title" }, job.file.name),
    element("p", { className: "record-facts" }, words),
    element("div", { className: "record-progress" }, bar),
  );
  return { bar, words };
}

/** @param {HTMLLIElement} row @param {Arrived} arrived */
function drawArrived(row, arrived) {
  const button = element("button", { className: "button button-quiet", type: "submit" }, _("Remove"));
  button.setAttribute("aria-label", _("Remove {title}", { title: arrived.title }));
  const remove = element("form", { method: "post", action: arrived.remove });
  remove.append(element("input", { type: "hidden", name: "csrf", value: csrf() }), button);
  row.dataset.record = arrived.id;
  row.replaceChildren(
    icon(arrived.icon),
    element("a", { className: "record-title", href: arrived.open }, arrived.title),
    element("p", { className: "record-facts" }, arrived.facts),
    remove,
  );
}

/** @param {HTMLFormElement} form @param {Job} job @param {string} why @param {boolean} again whether another try can help */
function fail(form, job, why, again) {
  failed = true;
  const state = element("span", { className: "state" });
  showState(state, "bad", _("Did not arrive"), "alert");
  const button = element("button", { className: "button", type: "button" }, again ? _("Try again") : _("Remove"));
  button.addEventListener("click", () => {
    if (again) begin(form, job);
    else job.row.remove();
  });
  job.row.replaceChildren(
    icon("missing"),
    element("p", { className: "record-title" }, job.file.name),
    button,
    state,
    element("p", { className: "record-why" }, `${why} ${_("Your other files are safe.")}`),
  );
  announce();
}

/** One sentence for screen readers when everything has come to rest. */
function announce() {
  if (running || queue.length) return;
  const arrived = document.querySelectorAll("[data-record]").length;
  find(document, "[data-upload-said]").textContent = ngettext("{count} record is here.", "{count} records are here.", arrived);
}

void ready.then(() => mount(find(document, "[data-upload]", HTMLFormElement)));

// @ts-check
/** Brings a form that was sent back to its summary of errors, so that nobody has to look for them. */

const summary = document.querySelector("[data-error-summary]");
if (summary instanceof HTMLElement) summary.focus();

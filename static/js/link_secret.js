// @ts-check
/** The secret of a link that was opened: out of the address bar at once, and in this tab alone, for a reload of it. */

/** The secret that the address bar holds; "" also if it names a place of this page: "Go to the content" was pressed. */
export function secretInAddress() {
  const text = location.hash.slice(1);
  return text && document.getElementById(text) ? "" : text;
}

/** @param {string} key what the tab keeps it under @returns {string} "" if there is none */
export function takeSecret(key) {
  const secret = secretInAddress();
  try {
    if (!secret) return sessionStorage.getItem(key) ?? "";
    sessionStorage.setItem(key, secret);
  } catch {
    // Storage is closed in some private windows: then a reload needs the link again.
  }
  if (secret) history.replaceState(null, "", location.pathname);
  return secret;
}

/** As soon as the link was used. @param {string} key */
export function forgetSecret(key) {
  try {
    sessionStorage.removeItem(key);
  } catch {
    // See takeSecret.
  }
}

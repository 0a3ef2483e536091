// @ts-check
// The demonstration's door: takes the secret out of the address and shows the button of the person it belongs to.

const [role, secret] = window.location.hash.slice(1).split(".", 2);
history.replaceState(null, "", window.location.pathname);

for (const form of document.querySelectorAll("form[data-role]")) {
  const field = form.querySelector("input[name=secret]");
  if (!(form instanceof HTMLFormElement) || !(field instanceof HTMLInputElement)) continue;
  if (form.dataset.role !== role || !secret) continue;
  field.value = secret;
  form.hidden = false;
  document.querySelector("[data-without]")?.setAttribute("hidden", "");
}

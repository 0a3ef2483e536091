// @ts-check
/**
 * Small parts that scripts draw: elements, icons, faces, states. The same parts as templates/_partials/parts.html.
 * Text goes in as text, never as HTML.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * The element that matches, or an error that names what the page lacks.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} [kind]
 * @returns {T}
 */
export function find(root, selector, kind) {
  const found = root.querySelector(selector);
  if (!found || (kind && !(found instanceof kind))) throw new Error(`This page lacks ${selector}`);
  return /** @type {T} */ (found);
}

/**
 * A new element with attributes and children. className, and attributes whose value is true or a text.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes]
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    made.setAttribute(name === "className" ? "class" : name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/**
 * A drawing from icons.svg. It never stands without a word in sight or a hidden name on its control.
 * @param {string} name
 * @param {"" | "small" | "large"} [size]
 */
export function icon(name, size = "") {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", size ? `icon icon-${size}` : "icon");
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("focusable", "false");
  drawing.append(document.createElementNS(SVG, "use"));
  showIcon(drawing, name);
  return drawing;
}

/** Change which drawing an icon shows. @param {Element} drawing @param {string} name */
export function showIcon(drawing, name) {
  const sprite = document.documentElement.dataset.icons ?? "/static/icons.svg";
  drawing.querySelector("use")?.setAttribute("href", `${sprite}#i-${name}`);
}

const TITLES = new Set(["Dr", "Dr.", "Dra.", "Prof", "Prof.", "Mr", "Mrs", "Ms", "Sr.", "Sra."]);

/** First and last letter of a name, without its titles. @param {string} name */
export function initials(name) {
  const parts = name.split(/\s+/).filter((part) => part && !TITLES.has(part));
  const last = parts.length > 1 ? parts[parts.length - 1] : "";
  return [parts[0] ?? "", last].map((part) => [...part][0] ?? "").join("");
}

/**
 * A face: initials on the person's tint. Its name stands beside it, so it is hidden from screen readers.
 * @param {string} name
 * @param {"expert" | "patient" | "family" | "doctor" | "clinic"} role
 */
export function face(name, role) {
  return element("span", { className: `face is-${role}`, "aria-hidden": "true" }, initials(name));
}

/**
 * Fill a state: a word with an icon on a soft ground.
 * @param {Element} target an element with class "state"
 * @param {"good" | "wait" | "bad" | "here" | ""} kind
 * @param {string} words
 * @param {string} iconName
 */
export function showState(target, kind, words, iconName) {
  target.setAttribute("class", kind ? `state state-${kind}` : "state");
  target.replaceChildren(icon(iconName), words);
}

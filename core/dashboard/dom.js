// Builds and updates what is on the page. Texts go in as texts alone: nothing from outside is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== null && child !== false) node.append(child);
  }
  return node;
}

// h("p", { class: "hint" }, "text", node)
export const h = (name, properties, ...children) => fill(document.createElement(name), properties, children);
export const svg = (name, properties, ...children) => fill(document.createElementNS(SVG, name), properties, children);

// A name such as provider/family/model, which may go on in another line behind each slash: h("td", {}, parted(id))
export const parted = (name) =>
  name.split(/(?<=\/)/).flatMap((part, index) => (index === 0 ? [part] : [h("wbr"), part]));

export const at = (id) => document.getElementById(id);

export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, name, value) {
  if (value === undefined || value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function show(node, is_shown) {
  if (node.hidden === is_shown) node.hidden = !is_shown;
}

const pieces = new WeakMap();

// Makes the children of parent those of the list, in its order: what is there already stays, and with it the focus.
// make(item) answers a node; update(node, item) brings it up to date.
export function keyed(parent, items, key_of, make, update) {
  const before = pieces.get(parent) || new Map(),
    wanted = new Map();
  for (const item of items) wanted.set(key_of(item), item);
  for (const [key, node] of before) if (!wanted.has(key)) node.remove();
  const after = new Map();
  let place = parent.firstElementChild;
  for (const [key, item] of wanted) {
    const node = before.get(key) || make(item);
    update(node, item);
    after.set(key, node);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  pieces.set(parent, after);
}

export const head = (heads) =>
  h(
    "thead",
    {},
    h(
      "tr",
      {},
      heads.map(([text, kind]) => h("th", { scope: "col", class: kind }, text)),
    ),
  );

// A table, yet hidden, that goes by the title of its part of the page; each head is [text, classes].
export const table = (id, title, heads, body) =>
  h(
    "table",
    { id, hidden: true, "aria-labelledby": title },
    head(heads),
    body,
  );

// How many columns of a table the width of the screen leaves.
export const columns = (table) =>
  [...table.tHead.rows[0].cells].filter((cell) => getComputedStyle(cell).display !== "none").length;

// Options of a select; what was chosen stays chosen where it is still there.
export function choices(select, entries) {
  const text = JSON.stringify(entries);
  if (select.dataset.entries === text) return;
  const chosen = select.value;
  select.dataset.entries = text;
  select.replaceChildren(...entries.map(([value, label]) => h("option", { value }, label)));
  if (entries.some(([value]) => value === chosen)) select.value = chosen;
}

// Building the page out of nodes. Nothing here, or anywhere in the console, turns a string into markup.

export const byId = (id) => document.getElementById(id);

/** Make an element. Properties that start with "on" are listeners, "data-" and "aria-" are attributes. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) setProperty(node, name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function setProperty(node, name, value) {
  if (value === null || value === undefined) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name.includes("-") || name === "role") node.setAttribute(name, value);
  else node[name] = value;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** A button that shows only an icon: the label is for screen readers and the tooltip. */
export function iconButton(name, label, onclick) {
  return el("button", { type: "button", className: "icon-button", title: label, "aria-label": label, onclick }, icon(name));
}

/** Say something to screen readers without moving anything on the page. */
export function announce(text) {
  byId("live").textContent = text;
}

/** Ask in a modal dialog; resolves to whether the person agreed. Escape means no. */
export function confirmDelete(title, detail) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-detail").textContent = detail;
  return new Promise((resolve) => {
    const close = (agreed) => () => {
      dialog.returnValue = agreed ? "yes" : "";
      dialog.close();
    };
    byId("confirm-no").onclick = close(false);
    byId("confirm-yes").onclick = close(true);
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
    byId("confirm-no").focus();
  });
}

// SPDX-License-Identifier: Apache-2.0
const svgNamespace = 'http://www.w3.org/2000/svg';

function dress(node, { text, on, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : String(value));
  }
  if (text !== undefined) node.textContent = text;
  for (const [event, listener] of Object.entries(on ?? {})) node.addEventListener(event, listener);
  node.append(...children);
  return node;
}

/** Makes an element. Texts are texts: what others have chosen never becomes markup. */
export const element = (tag, options = {}, ...children) => dress(document.createElement(tag), options, children);

/** Makes an element of a drawing. */
export const drawing = (tag, options = {}, ...children) =>
  dress(document.createElementNS(svgNamespace, tag), options, children);

/** The element of the page with an identifier. */
export const byId = (id) => document.getElementById(id);

/** Sets a text, and touches nothing where that is the text already. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

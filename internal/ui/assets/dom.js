// Elements from data. Whatever comes from a cluster becomes text or an attribute, never markup.

const svgNamespace = 'http://www.w3.org/2000/svg';

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

// h makes an element of HTML, s one of SVG.
export const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => build(document.createElementNS(svgNamespace, tag), attributes, children);

// What a reader has chosen stays as it is: opened details, checked boxes.
const theirs = new Set(['open']);

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName &&
    (a.nodeType !== Node.ELEMENT_NODE || a.getAttribute('data-key') === b.getAttribute('data-key'));
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !theirs.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !theirs.has(name)) old.setAttribute(name, value);
  }
}

// morph turns the children of a node into fresh ones and keeps those that are still the same,
// so that focus, selection and scroll positions survive an update.
export function morph(parent, fresh) {
  const wanted = [...fresh];
  wanted.forEach((node, i) => {
    let old = parent.childNodes[i];
    const key = node.nodeType === Node.ELEMENT_NODE && node.getAttribute('data-key');
    if (key && old && !alike(old, node)) {
      const moved = [...parent.childNodes].slice(i + 1).find((other) => alike(other, node));
      if (moved) {
        parent.insertBefore(moved, old);
        old = moved;
      }
    }
    if (!old) {
      parent.append(node);
    } else if (!alike(old, node)) {
      key ? parent.insertBefore(node, old) : old.replaceWith(node);
    } else if (node.nodeType === Node.TEXT_NODE) {
      if (old.data !== node.data) old.data = node.data;
    } else {
      morphAttributes(old, node);
      morph(old, node.childNodes);
    }
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

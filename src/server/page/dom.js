// dom.js — elements made without markup: h(), icon(), and small helpers around them.

// An element. Of `props`: functions named on… are listeners, `class` and names with a hyphen are
// attributes, others properties; null and undefined are left out. Children: nodes or text.
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'class' || name === 'role' || name === 'for' || name.includes('-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined));
  return element;
}

export function icon(name) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(space, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

// A button that shows an icon alone; `label` is its name and tooltip.
export function iconButton(name, label, onclick, props = {}) {
  return h('button', {type: 'button', class: 'ghost', 'aria-label': label, title: label, onclick, ...props}, icon(name));
}

export const byId = id => document.getElementById(id);
export const number = value => Math.round(value).toLocaleString('en');
export const seconds = value => value < 10 ? `${value.toFixed(1)} s` : value < 90 ? `${Math.round(value)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;

// Says `text` to those who listen instead of looking.
export function announce(text) {
  byId('live').textContent = text;
}

// A word at the foot of the page, with one thing to do about it, gone after a while.
export function toast(text, action, act) {
  const element = h('div', {class: 'toast'}, text);
  const close = () => element.remove();
  if (action) element.append(h('button', {type: 'button', onclick: () => { close(); act(); }}, action));
  byId('toasts').replaceChildren(element);
  let timer = setTimeout(close, 8000);
  // Nothing vanishes under the hand that reaches for it.
  for (const [event, wait] of [['mouseenter', 0], ['focusin', 0], ['mouseleave', 4000], ['focusout', 4000]]) {
    element.addEventListener(event, () => { clearTimeout(timer); if (wait) timer = setTimeout(close, wait); });
  }
}

export async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Only secure pages have a clipboard; http://192.168… is none.
    const area = h('textarea', {value: text, class: 'hidden', readOnly: true});
    (button.closest('dialog') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    button.focus();
  }
  const before = [...button.childNodes];
  button.replaceChildren(icon('done'), ...before.filter(node => node.nodeType === Node.TEXT_NODE).map(() => 'Copied'));
  announce('Copied');
  setTimeout(() => button.replaceChildren(...before), 1500);
}

export function download(name, value) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(value, null, 1)], {type: 'application/json'}));
  h('a', {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

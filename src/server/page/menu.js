// menu.js — a menu that opens beside a button: [[label, act]…].

import {h} from './dom.js';

export function openMenu(button, entries) {
  const close = refocus => {
    menu.remove();
    button.setAttribute('aria-expanded', 'false');
    removeEventListener('pointerdown', outside, true);
    if (refocus) button.focus();
  };
  const outside = event => { if (!menu.contains(event.target)) close(false); };
  const items = entries.map(([label, act, kind]) => h('button', {
    type: 'button', role: 'menuitem', tabIndex: -1, class: kind, onclick: () => { close(true); act(); }}, label));
  const menu = h('div', {class: 'menu', role: 'menu', onkeydown: event => {
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    const here = items.indexOf(document.activeElement);
    if (step) items[(here + step + items.length) % items.length].focus();
    else if (event.key === 'Home') items[0].focus();
    else if (event.key === 'End') items.at(-1).focus();
    else if (event.key === 'Escape') close(true);
    else if (event.key === 'Tab') return close(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }}, items);
  document.body.append(menu);
  button.setAttribute('aria-expanded', 'true');
  const at = button.getBoundingClientRect();
  const {offsetWidth: width, offsetHeight: height} = menu;
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  menu.style.top = `${at.bottom + height + 8 > innerHeight ? Math.max(8, at.top - height - 4) : at.bottom + 4}px`;
  addEventListener('pointerdown', outside, true);
  items[0].focus();
}

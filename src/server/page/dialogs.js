// dialogs.js — the settings of a conversation, the server's key, and the list of shortcuts.

import {fields, readField} from './settings.js';
import {h, iconButton} from './dom.js';

// Opens a dialog over the page; resolves when it is closed, to what `close` was called with.
function openDialog(title, build, className = '') {
  return new Promise(resolve => {
    let result = null;
    const before = document.activeElement;
    const close = value => {
      result = value;
      dialog.close();
    };
    const dialog = h('dialog', {class: className, 'aria-label': title},
      h('div', {class: 'title'}, h('h2', {}, title), iconButton('close', 'Close', () => close(null))), build(close));
    dialog.addEventListener('close', () => {
      dialog.remove();
      before?.focus?.();
      resolve(result);
    });
    // A press beside it closes it.
    dialog.addEventListener('pointerdown', event => {
      const box = dialog.getBoundingClientRect();
      const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
      if (event.target === dialog && !inside) close(null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function fieldInput(field, value) {
  const id = `set-${field.name}`;
  const common = {id, 'aria-describedby': `${id}-hint`};
  if (field.kind === 'choice') {
    return h('select', {...common, value}, Object.entries(field.options).map(([key, label]) =>
      h('option', {value: key, selected: key === value}, label)));
  }
  if (field.kind === 'text') return h('textarea', {...common, rows: field.name === 'system' ? 4 : 2, value, spellcheck: !field.code, class: field.code ? 'mono' : ''});
  return h('input', {...common, type: 'text', inputMode: 'decimal', value, placeholder: 'auto', autocomplete: 'off'});
}

// Lets the reader change `settings` in place: what is right is taken at once, what is not is said
// beside its field. `change` is called after each; `makeDefault` for new conversations.
export function settingsDialog(settings, change, makeDefault) {
  return openDialog('Settings', () => {
    const rows = fields.map(field => {
      const input = fieldInput(field, settings[field.name] === undefined ? '' : String(settings[field.name]));
      const hint = h('small', {id: `${input.id}-hint`}, field.hint ?? '');
      input.addEventListener('input', () => {
        try {
          const value = readField(field, input.value);
          if (value === undefined) delete settings[field.name];
          else settings[field.name] = value;
          input.removeAttribute('aria-invalid');
          hint.textContent = field.hint ?? '';
          change();
        } catch (error) {
          input.setAttribute('aria-invalid', 'true');
          hint.textContent = error.message;
        }
      });
      return h('div', {class: `field ${field.kind}`}, h('label', {for: input.id}, field.label), input, hint);
    });
    const done = h('button', {type: 'button', class: 'wide-button', onclick: () => { makeDefault(); done.textContent = 'New conversations begin like this'; }},
      'Use for new conversations');
    return h('div', {class: 'body'}, h('p', {class: 'lead'}, 'For this conversation. What is empty is left to the model.'), rows, done);
  }, 'panel');
}

// Resolves to the key typed, or null.
export function keyDialog() {
  return openDialog('This server wants a key', close => {
    const input = h('input', {id: 'key', type: 'password', autocomplete: 'off', required: true, autofocus: true});
    return h('form', {class: 'body', onsubmit: event => { event.preventDefault(); close(input.value.trim()); }},
      h('p', {class: 'lead'}, 'It is kept until this tab closes, and sent to this server alone.'),
      h('div', {class: 'field'}, h('label', {for: 'key'}, 'API key'), input),
      h('div', {class: 'buttons'}, h('button', {type: 'button', onclick: () => close(null)}, 'Cancel'),
        h('button', {type: 'submit', class: 'primary'}, 'Use the key')));
  });
}

export const shortcuts = [
  ['Enter', 'Send the message'], ['Shift Enter', 'New line'], ['Esc', 'Stop the answer'],
  ['↑ in the empty field', 'Edit your last message'],
  ['Ctrl Shift O', 'New conversation'], ['Ctrl K', 'Search conversations'], ['Ctrl B', 'Show or hide the list'],
  ['Ctrl ,', 'Settings'], ['Ctrl Shift D', 'Dashboard and back'], ['Ctrl /', 'These shortcuts'],
  ['↑ ↓ on a message', 'Walk through the messages'], ['← → on a message', 'Its other versions'],
  ['C, E, R on a message', 'Copy, edit, answer again'], ['F2, Delete in the list', 'Rename, delete'],
];

export function shortcutsDialog() {
  return openDialog('Keyboard', () => h('dl', {class: 'body keys'}, shortcuts.map(([keys, what]) =>
    h('div', {}, h('dt', {}, what), h('dd', {}, h('kbd', {}, keys))))));
}

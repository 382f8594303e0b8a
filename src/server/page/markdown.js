// markdown.js — a model's text as elements: markdown, formulas, coloured code. A model is not
// trusted: nothing of its text is ever parsed as markup. marked splits it into tokens, and elements
// are made one by one from those; addresses are of three kinds; the page's policy forbids the rest.

import * as vendor from './vendor.js';
import {copyText, h, icon} from './dom.js';

// Formulas as TeX and Pandoc write them; bounded, so that unpaired marks cost little.
const formulas = [
  [/^\$\$([\s\S]{1,4000}?)\$\$/, true],
  [/^\\\[([\s\S]{1,4000}?)\\\]/, true],
  [/^\\\(([\s\S]{1,2000}?)\\\)/, false],
  [/^\$(?![\s$])((?:\\[\s\S]|[^\\$\n]){1,1000}?)(?<!\s)\$(?!\d)/, false],
];
function mathExtension(level) {
  const block = level === 'block';
  return {
    name: `math-${level}`, level,
    start: source => source.match(block ? /\n(?:\$\$|\\\[)/ : /\$|\\[([]/)?.index,
    tokenizer(source) {
      for (const [pattern, display] of formulas) {
        const found = (display || !block) && pattern.exec(source);
        // A block stands alone on its lines.
        if (found && (!block || /^[ \t]*(\n|$)/.test(source.slice(found[0].length)))) {
          return {type: `math-${level}`, raw: found[0], text: found[1].trim(), display};
        }
      }
    },
  };
}

// Some texts cost the lexer more than their length: it gives up when its time is over.
const patience = 400;  // milliseconds
let deadline = 0;
function watchTime() {
  if (performance.now() > deadline) throw new Error('out of time');
  return false;  // as marked does it
}

let lexer = null;  // marked's, once it has come
// Resolves when text can be shown as more than text, or cannot for good.
export const ready = vendor.marked().then(marked => {
  const steps = ['list', 'paragraph', 'blockquote', 'emStrong', 'link', 'reflink', 'codespan', 'inlineText'];
  marked?.use({
    extensions: [mathExtension('block'), mathExtension('inline')],
    tokenizer: Object.fromEntries(steps.map(step => [step, watchTime])),
  });
  lexer = marked?.lexer ?? null;
});

const entities = {amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0', copy: '©', mdash: '—', ndash: '–', hellip: '…',
  times: '×', rarr: '→', larr: '←', le: '≤', ge: '≥', ne: '≠', deg: '°', middot: '·', bull: '•'};
const decode = text => text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,8}));/gi, (all, decimal, hex, name) => {
  if (name) return Object.hasOwn(entities, name) ? entities[name] : all;
  const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : all;
});

// A link opens apart and tells its target nothing; an address of another kind is text.
function linkTo(href, title, children) {
  let address = null;
  try {
    address = new URL(decode(href));
  } catch { /* relative: to nowhere of ours */ }
  if (!['http:', 'https:', 'mailto:'].includes(address?.protocol)) return h('span', {}, children);
  return h('a', {href: address.href, target: '_blank', rel: 'noopener noreferrer nofollow', title: decode(title || '') || null}, children);
}

// Another host would learn that, and with the address perhaps what, was read: only images that the
// text carries itself are shown.
function image({href, text, title}) {
  const alt = decode(text ?? '');
  return /^data:image\/(png|jpeg|gif|webp);base64,/.test(href) ? h('img', {src: href, alt}) : linkTo(href, title, alt || 'image');
}

function formula({text, display}) {
  const element = h('span', {class: display ? 'math display' : 'math'}, text);
  vendor.katex().then(library => {
    try {
      library?.render(text, element, {displayMode: display, trust: false, maxSize: 20, maxExpand: 200});
    } catch (error) {
      element.textContent = text;  // no TeX, or not whole yet: as it was written
      element.title = error.message;
    }
  });
  return element;
}

// Bare tags that models are fond of. Others are shown as they were written.
const tags = ['b', 'i', 'u', 's', 'em', 'strong', 'sub', 'sup', 'kbd', 'mark', 'small'];
const tagPattern = new RegExp(`(</?(?:br|${tags.join('|')}) ?/?>)`, 'i');

// Puts what tags and other nodes come to into `target`; an open tag holds what follows it.
class Filler {
  constructor(target) { this.stack = [target]; }
  add(...nodes) { this.stack.at(-1).append(...nodes); }
  html(text) {
    for (const part of text.split(tagPattern)) {
      const name = tagPattern.test(part) ? /\w+/.exec(part)[0].toLowerCase() : null;
      if (!name) this.add(part);
      else if (name === 'br') this.add(h('br'));
      else if (part[1] === '/') {
        if (this.stack.length > 1 && this.stack.at(-1).localName === name) this.stack.pop();
      } else {
        const element = h(name);
        this.add(element);
        this.stack.push(element);
      }
    }
  }
}

function inline(target, tokens) {
  const filler = new Filler(target);
  for (const token of tokens ?? []) {
    switch (token.type) {
      case 'html': filler.html(token.raw); break;
      case 'strong': case 'em': case 'del': filler.add(inline(h(token.type), token.tokens)); break;
      case 'codespan': filler.add(h('code', {}, decode(token.text))); break;
      case 'br': filler.add(h('br')); break;
      case 'link': filler.add(linkTo(token.href, token.title, inline(h('span'), token.tokens))); break;
      case 'image': filler.add(image(token)); break;
      case 'math-inline': filler.add(formula(token)); break;
      default: filler.add(decode(token.text ?? token.raw));
    }
  }
  return target;
}

function table(token) {
  const row = (cells, tag) => h('tr', {}, cells.map((cell, index) =>
    inline(h(tag, {class: token.align[index] ?? null}), cell.tokens)));
  return h('div', {class: 'wide', tabIndex: 0, role: 'region', 'aria-label': 'Table'},
    h('table', {}, h('thead', {}, row(token.header, 'th')), h('tbody', {}, token.rows.map(cells => row(cells, 'td')))));
}

function list(token) {
  return h(token.ordered ? 'ol' : 'ul', token.ordered ? {start: Number(token.start) || 1} : {}, token.items.map(item =>
    h('li', {class: item.task ? 'task' : null}, item.task ? h('input', {type: 'checkbox', disabled: true, checked: item.checked, 'aria-label': item.checked ? 'done' : 'to do'}) : null,
      item.tokens.map(block))));
}

function block(token) {
  switch (token.type) {
    case 'paragraph': return inline(h('p'), token.tokens);
    case 'text': return token.tokens ? inline(h('span'), token.tokens) : decode(token.text);
    case 'heading': return inline(h(`h${token.depth}`), token.tokens);
    case 'code': return codeBlock(token.text, /^[\w+#.-]{1,30}/.exec(token.lang ?? '')?.[0].toLowerCase());
    case 'blockquote': return h('blockquote', {}, token.tokens.map(block));
    case 'list': return list(token);
    case 'table': return table(token);
    case 'hr': return h('hr');
    case 'math-block': return formula(token);
    case 'space': case 'def': return null;
    default: {
      const element = h('p');
      new Filler(element).html(token.raw.trim());
      return element;
    }
  }
}

// The highlighter's markup is spans and escaped text, and is taken for nothing else.
function colour(code, text, language) {
  // Colours of a very long text cost more than they tell.
  if (!language || text.length > 60000) return;
  vendor.highlighter().then(library => {
    if (!library?.getLanguage(language)) return;
    const stack = [document.createDocumentFragment()];
    for (const [, name, end, words] of library.highlight(language, text, true).value.matchAll(/<span class="([\w -]*)">|(<\/span>)|([^<]+)/g)) {
      if (words) stack.at(-1).append(decode(words));
      else if (end) stack.length > 1 && stack.pop();
      else {
        const span = h('span', {class: name});
        stack.at(-1).append(span);
        stack.push(span);
      }
    }
    code.replaceChildren(stack[0]);
  });
}

// A block of code with its language and a button that copies it.
export function codeBlock(text, language) {
  const code = h('code', {}, text);
  colour(code, text, language);
  const copy = h('button', {type: 'button', class: 'ghost', onclick: () => copyText(text, copy)}, icon('copy'), 'Copy');
  return h('figure', {class: 'code'},
    h('figcaption', {}, h('span', {}, language || 'text'), copy),
    h('pre', {tabIndex: 0, role: 'region', 'aria-label': `Code, ${language || 'text'}`}, code));
}

const shown = new WeakMap();    // element -> {text, whole, exact, blocks}, what it shows
const tooHard = new WeakMap();  // element -> length of a text that the lexer gave up on

// The blocks of text[from…]: {raw, end, token}, `end` in text. `exact`: each token tells its place.
function blocksOf(text, from) {
  deadline = performance.now() + patience;
  let end = from;
  const all = lexer(text.slice(from)).map(token => ({raw: token.raw, end: end += token.raw.length, token}));
  return {exact: end === text.length, blocks: all.filter(({token}) => token.type !== 'space' && token.type !== 'def')};
}

function showPlain(target, text) {
  shown.delete(target);
  target.classList.add('plain');
  target.textContent = text;
}

// Shows `text` in `target`. Blocks that are as they were stay.
export function showMarkdown(target, text, from = 0, kept = []) {
  const last = shown.get(target);
  if (last?.whole && last.text === text) return;
  if (!lexer || text.length >= tooHard.get(target)) return showPlain(target, text);
  let found;
  try {
    found = blocksOf(text, from);
  } catch {
    tooHard.set(target, text.length);  // of time, or of nesting
    return showPlain(target, text);
  }
  target.classList.remove('plain');
  const before = last?.blocks ?? [];
  if (!before.length) target.textContent = '';
  const blocks = [...kept, ...found.blocks].map(({raw, end, token, element}, index) => {
    if (element) return before[index];
    const old = before[index];
    if (old?.raw === raw) return {...old, end};
    const made = h('div', {}, block(token));
    if (old) old.element.replaceWith(made);
    else target.append(made);
    return {raw, end, element: made};
  });
  for (const old of before.slice(blocks.length)) old.element.remove();
  shown.set(target, {text, whole: from === 0, exact: found.exact, blocks});
}

// The same while a text grows: what stands before its last blocks is not read again. It may then
// differ from showMarkdown's where an early block names a reference that comes late.
export function growMarkdown(target, text) {
  const {text: before, exact, blocks} = shown.get(target) ?? {};
  if (!exact || blocks.length < 4 || !text.startsWith(before)) return showMarkdown(target, text);
  const kept = blocks.slice(0, -2);
  showMarkdown(target, text, kept.at(-1).end, kept);
}

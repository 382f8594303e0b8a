// message_view.js — MessageView: one message on the page.

import {codeBlock, growMarkdown, showMarkdown} from './markdown.js';
import {copyText, h, icon, iconButton, number, seconds} from './dom.js';
import {versions} from './tree.js';

const names = {user: 'You', assistant: 'Assistant', tool: 'Result of a call'};
const finishes = {
  length: 'The answer reached its longest length.',
  cancelled: 'Stopped.',
  content_filter: 'The answer was withheld.',
  insufficient_system_resource: 'The server ran out of room.',
};

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;  // not whole yet, or no JSON
  }
}

export class MessageView {
  // `acts`: regenerate(node), proceed(node), edit(node, text), switchVersion(node, step).
  constructor(conversation, node, acts) {
    Object.assign(this, {conversation, node, acts});
    this.body = h('div', {class: node.role === 'assistant' ? 'prose' : 'prose plain'});
    this.status = h('div', {class: 'status'});
    this.foot = h('div', {class: 'foot'});
    this.element = h('article', {class: `message ${node.role}`, tabIndex: -1, 'aria-label': names[node.role]});
    this.element.messageView = this;
    if (node.role === 'tool') this.#buildResult();
    else this.element.append(this.body, this.status, this.foot);
    this.update(null);
  }

  // Shows the message as it is now; `generation` makes it, or is null.
  update(generation) {
    const {node} = this;
    this.element.setAttribute('aria-busy', generation ? 'true' : 'false');
    if (node.role === 'tool') return;
    if (node.role === 'user') this.body.textContent = node.content;
    else {
      this.#showReasoning(generation);
      (generation ? growMarkdown : showMarkdown)(this.body, node.content);
      this.#showCalls();
      this.#showStatus(generation);
    }
    this.#showFoot(generation);
  }

  #buildResult() {
    this.element.append(h('details', {class: 'fold'},
      h('summary', {}, `Result of ${this.node.name || 'a call'}`), codeBlock(pretty(this.node.content), 'json')));
  }

  #showReasoning(generation) {
    const {node} = this;
    if (!node.reasoning) return;
    if (!this.reasoning) {
      this.reasoningLabel = h('summary', {});
      this.reasoningBody = h('div', {class: 'prose'});
      this.reasoning = h('details', {class: 'fold', ontoggle: () => this.#fillReasoning()}, this.reasoningLabel, this.reasoningBody);
      this.element.prepend(this.reasoning);
    }
    const since = generation?.thinkingSince;
    this.reasoning.classList.toggle('busy', since !== undefined);
    const label = since !== undefined ? `Thinking, ${Math.floor((performance.now() - since) / 1000)} s`
      : node.seconds === undefined ? 'Thoughts' : `Thought for ${seconds(node.seconds)}`;
    if (this.reasoningLabel.textContent !== label) this.reasoningLabel.textContent = label;
    this.#fillReasoning();
  }

  // What is folded costs nothing.
  #fillReasoning() {
    if (this.reasoning.open) growMarkdown(this.reasoningBody, this.node.reasoning);
  }

  #showCalls() {
    for (const [index, call] of (this.node.calls ?? []).entries()) {
      if (!call) continue;
      this.calls ??= [];
      let view = this.calls[index];
      if (!view) {
        view = this.calls[index] = {label: h('summary', {}), content: h('div', {})};
        this.status.before(h('details', {class: 'fold call'}, view.label, view.content));
      }
      if (view.text === call.text + call.name) continue;
      view.text = call.text + call.name;
      view.label.textContent = `Call of ${call.name || '…'}`;
      view.content.replaceChildren(codeBlock(pretty(call.text), 'json'));
    }
  }

  #showStatus(generation) {
    const {node} = this;
    let parts = [];
    if (generation?.state === 'retrying') {
      const wait = Math.max(0, Math.ceil((generation.retryAt - performance.now()) / 1000));
      parts = [h('p', {class: 'warn', role: 'alert'}, `${generation.reason} Next try in ${wait} s.`),
        h('button', {type: 'button', onclick: () => generation.tryNow()}, 'Try now')];
      // Rebuilding would take the button from under the pointer.
      if (this.statusKind === 'retrying') return void (this.status.firstChild.textContent = parts[0].textContent);
    } else if (generation && ['waiting', 'queued'].includes(generation.state)) {
      parts = [h('p', {class: 'pulse'}, generation.state === 'queued' ? 'Waiting in the queue' : 'Waiting for the model')];
    } else if (!generation && (node.error || finishes[node.finish])) {
      const button = (label, act) => h('button', {type: 'button', onclick: () => this.acts[act](node)}, label);
      parts = node.error ? [h('p', {class: 'warn', role: 'alert'}, node.error), button('Try again', 'regenerate')]
        : [h('p', {}, finishes[node.finish])];
      if (node.content && !node.calls) parts.push(button('Go on', 'proceed'));
    }
    const kind = generation ? generation.state : `${node.error ?? ''}${node.finish ?? ''}`;
    if (this.statusKind === kind) return;
    this.statusKind = kind;
    this.status.replaceChildren(...parts);
  }

  #showFoot(generation) {
    const {node} = this;
    const {index, count} = versions(this.conversation, node);
    const busy = Boolean(generation);
    const key = `${busy} ${index} ${count} ${Boolean(node.error)}`;
    if (this.footKey !== key) {
      this.footKey = key;
      this.counter = h('span', {class: 'counter'});
      const copy = iconButton('copy', 'Copy', () => copyText(node.content, copy));
      this.foot.replaceChildren(...[
        count > 1 && h('span', {class: 'versions', role: 'group', 'aria-label': 'Versions of this message'},
          iconButton('left', 'Earlier version', () => this.acts.switchVersion(node, -1), {disabled: index === 0}),
          h('span', {}, `${index + 1} / ${count}`),
          iconButton('right', 'Later version', () => this.acts.switchVersion(node, 1), {disabled: index === count - 1})),
        !busy && node.content && copy,
        !busy && node.content && iconButton('edit', 'Edit', () => this.edit()),
        !busy && node.role === 'assistant' && !node.error && iconButton('again', 'Answer again', () => this.acts.regenerate(node)),
        this.counter].filter(Boolean));
    }
    this.counter.replaceChildren(...this.#counts(generation).map((text, index) => h('span', {}, index ? ` · ${text}` : text)));
    if (node.usage) {
      this.counter.title = `Prompt ${number(node.usage.prompt)} tokens, of them ${number(node.usage.cached)} from the cache`;
    }
  }

  #counts(generation) {
    const {usage, rate, first} = this.node;
    if (this.node.role === 'user') return [];
    const speed = value => `${value < 100 ? value.toFixed(1) : Math.round(value)} tokens/s`;
    if (generation) return generation.rate ? [`${number(generation.tokens)} tokens`, speed(generation.rate)] : [];
    if (!usage) return [];
    return [`${number(usage.completion)} tokens`, rate && speed(rate), usage.cached && `${number(usage.cached)} of ${number(usage.prompt)} cached`,
      first !== undefined && `first after ${first.toFixed(2)} s`].filter(Boolean);
  }

  // Turns the message into a field. What is saved becomes a version of its own.
  edit() {
    if (this.editor || this.node.role === 'tool') return;
    const area = h('textarea', {value: this.node.content, 'aria-label': 'Edit the message'});
    const close = () => {
      this.editor.remove();
      this.editor = null;
      this.element.classList.remove('editing');
      this.element.focus();
    };
    const save = () => {
      const text = area.value;
      close();
      if (text.trim() && text !== this.node.content) this.acts.edit(this.node, text);
    };
    const grow = () => {
      area.style.height = 'auto';
      area.style.height = `${Math.min(area.scrollHeight + 2, innerHeight / 2)}px`;
    };
    this.editor = h('form', {class: 'editor', onsubmit: event => { event.preventDefault(); save(); }}, area,
      h('div', {class: 'buttons'}, h('button', {type: 'button', onclick: close}, 'Cancel'),
        h('button', {type: 'submit', class: 'primary'}, this.node.role === 'user' ? 'Send' : 'Save')));
    area.addEventListener('input', grow);
    area.addEventListener('keydown', event => {
      event.stopPropagation();
      if (event.key === 'Escape') close();
      else if (event.key === 'Enter' && !event.isComposing && (event.ctrlKey || event.metaKey)) save();
    });
    this.element.classList.add('editing');
    this.element.append(this.editor);
    area.focus();
    grow();
  }
}

// A form for the results of calls; `give` takes them in the calls' order.
export function resultForm(calls, give) {
  const areas = calls.map(call => h('textarea', {rows: 2, 'aria-label': `Result of ${call.name}`, placeholder: `What ${call.name} gives back`}));
  return h('form', {class: 'results', onsubmit: event => { event.preventDefault(); give(areas.map(area => area.value)); }},
    calls.map((call, index) => h('label', {}, h('span', {}, `Result of ${call.name}`), areas[index])),
    h('div', {class: 'buttons'}, h('button', {type: 'submit', class: 'primary'}, icon('send'), calls.length > 1 ? 'Send the results' : 'Send the result')));
}

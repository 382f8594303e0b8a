// chat.js — Chat: the conversation that is shown, the field below it, and the answers being made.

import {addNode, branch, leaf, messagesDownTo, newConversation, openCalls, switchVersion} from './tree.js';
import {announce, byId, icon, number} from './dom.js';
import {Generation} from './generation.js';
import {MessageView, resultForm} from './message_view.js';
import {requestFields} from './settings.js';

export class Chat {
  generations = new Map();  // conversation id -> Generation; they go on while another is shown
  views = new Map();        // node id -> MessageView, of the conversation shown
  unseen = 0;               // messages above, not made yet
  stuck = true;             // to the end, as long as the reader is there

  // `saved(conversation)` keeps it; `opened(conversation)` is told of what is shown; `askKey`;
  // `answered(conversation)` after each answer; `fresh()` gives a new conversation's settings and
  // model; `contextOf(model)` tokens or 0.
  constructor({saved, opened, answered, askKey, fresh, contextOf}) {
    Object.assign(this, {saved, opened, answered, askKey, fresh, contextOf});
    this.scroller = byId('scroller');
    this.transcript = byId('transcript');
    this.input = byId('input');
    byId('composer').addEventListener('submit', event => {
      event.preventDefault();
      if (this.generation) this.stop();
      else this.send();
    });
    this.input.addEventListener('input', () => this.#grow());
    this.input.addEventListener('keydown', event => this.#keyInField(event));
    this.scroller.addEventListener('scroll', () => this.#watchScroll(), {passive: true});
    new ResizeObserver(() => this.#keepEnd()).observe(this.transcript);
    byId('latest').addEventListener('click', () => this.toEnd());
    this.transcript.addEventListener('keydown', event => this.#keyInTranscript(event));
  }

  get generation() { return this.generations.get(this.conversation?.id); }

  open(conversation) {
    if (this.conversation) this.drafts.set(this.conversation.id, this.input.value);
    this.conversation = this.generations.get(conversation.id)?.conversation ?? conversation;
    this.views.clear();
    this.transcript.replaceChildren();
    this.input.value = this.drafts.get(conversation.id) ?? '';
    this.#grow();
    this.unseen = Infinity;
    this.show();
    this.toEnd();
    this.opened(this.conversation);
    this.#fill(this.conversation);
  }
  drafts = new Map();

  startNew() {
    const {settings, model} = this.fresh();
    this.open(newConversation(settings, model));
    this.input.focus();
  }

  // Makes the messages that a long conversation was opened without, last to first, between frames.
  async #fill(conversation) {
    while (this.unseen > 0 && this.conversation === conversation) {
      await new Promise(resolve => setTimeout(resolve, 30));
      this.unseen = Math.max(0, this.unseen - 8);
      if (this.conversation === conversation) this.show();
    }
  }

  // Brings the page to the state of the conversation; what has not changed is not touched.
  show() {
    const nodes = branch(this.conversation);
    this.unseen = Math.min(this.unseen, Math.max(0, nodes.length - 12));
    const wanted = nodes.slice(this.unseen).map(node => {
      let view = this.views.get(node.id);
      if (!view) this.views.set(node.id, view = new MessageView(this.conversation, node, this));
      view.update(this.generation?.node === node ? this.generation : null);
      return view.element;
    });
    const open = this.generation ? [] : openCalls(this.conversation);
    if (open.length) {
      const ids = open.map(call => call.id).join();
      if (this.formFor !== ids) this.form = resultForm(open, results => this.giveResults(open, results));
      this.formFor = ids;
      wanted.push(this.form);
    } else {
      this.formFor = null;
    }
    wanted.forEach((element, index) => {
      if (this.transcript.children[index] !== element) this.transcript.insertBefore(element, this.transcript.children[index] ?? null);
    });
    while (this.transcript.children.length > wanted.length) this.transcript.lastChild.remove();
    for (const message of this.transcript.querySelectorAll('.message')) message.tabIndex = -1;
    const last = this.transcript.querySelector('.message:last-of-type');
    if (last) last.tabIndex = 0;
    byId('welcome').hidden = nodes.length > 0;
    byId('chat').classList.toggle('empty', nodes.length === 0);
    this.#showSend();
    this.#showContext(nodes);
  }

  #showSend() {
    const button = byId('send');
    const label = this.generation ? 'Stop' : 'Send';
    if (button.getAttribute('aria-label') !== label) {
      button.setAttribute('aria-label', label);
      button.title = label;
      button.replaceChildren(icon(label.toLowerCase()));
    }
    button.disabled = !this.generation && !this.input.value.trim();
  }

  #showContext(nodes) {
    const usage = nodes.findLast(node => node.usage)?.usage;
    const room = this.contextOf(this.conversation.model);
    byId('context').textContent = !usage ? '' :
      `${number(usage.prompt + usage.completion)}${room ? ` of ${number(room)}` : ''} tokens in context`;
  }

  // --- what the reader does ---

  send() {
    const text = this.input.value.trim();
    if (!text || this.generation) return;
    this.input.value = '';
    this.#grow();
    const node = addNode(this.conversation, leaf(this.conversation), {role: 'user', content: text});
    this.#answer(node.id);
  }

  regenerate(node) {
    if (!this.generation) this.#answer(node.parent);
  }

  // A new version: of a question, with its answer; of an answer, as the reader would have it.
  edit(node, text) {
    if (this.generation) return;
    const copy = addNode(this.conversation, node.parent, {role: node.role, content: text});
    if (node.role === 'user') return this.#answer(copy.id);
    this.#keep();
    this.show();
    this.views.get(copy.id).element.focus();
  }

  switchVersion(node, step) {
    const id = switchVersion(this.conversation, node, step);
    if (!id) return;
    this.#keep();
    this.show();
    const {element, foot} = this.views.get(id);
    const same = foot.querySelector(`[aria-label="${step < 0 ? 'Earlier' : 'Later'} version"]`);
    (same && !same.disabled ? same : element).focus({preventScroll: true});
  }

  giveResults(calls, results) {
    let parent = leaf(this.conversation);
    calls.forEach((call, index) => {
      parent = addNode(this.conversation, parent, {role: 'tool', callId: call.id, name: call.name, content: results[index]}).id;
    });
    this.#answer(parent);
  }

  stop() {
    this.generation?.stop();
    this.input.focus();
  }

  // Goes on where an answer was cut short.
  proceed(node) {
    if (this.generation) return;
    node.finish = node.error = undefined;
    this.#run(node, messages => {
      messages.at(-1).prefix = true;
      if (node.reasoning) messages.at(-1).reasoning_content = node.reasoning;
      return messages;
    });
  }

  #answer(parent) {
    const node = addNode(this.conversation, parent, {role: 'assistant', model: this.conversation.model});
    this.#run(node, messages => messages.slice(0, -1));
  }

  // Has `node` written; `trim` makes what is asked of the messages down to it.
  async #run(node, trim) {
    const {conversation} = this;
    const body = {...requestFields(conversation.settings), messages: trim(messagesDownTo(conversation, node.id))};
    if (conversation.model) body.model = conversation.model;
    const generation = new Generation(conversation, node, {changed: () => this.#changed(generation), askKey: this.askKey});
    this.generations.set(conversation.id, generation);
    conversation.updated = Date.now();
    this.#keep();
    this.show();
    this.toEnd();
    announce('Answering');
    const ticks = setInterval(() => this.#changed(generation), 1000);  // the seconds of a thought
    const keeps = setInterval(() => this.saved(conversation), 3000);
    await generation.run(body);
    clearInterval(ticks);
    clearInterval(keeps);
    this.generations.delete(conversation.id);
    conversation.updated = Date.now();
    this.saved(conversation);
    this.answered(conversation);
    if (this.conversation === conversation) {
      this.show();
      announce(node.error ? node.error : `Answer: ${node.content.slice(0, 600)}`);
    }
  }

  #keep() { this.saved(this.conversation); }

  // At most once a frame, and never more than a fifth of the time.
  #changed(generation) {
    if (this.conversation !== generation.conversation || this.due) return;
    this.due = true;
    const draw = () => {
      this.due = false;
      const view = this.views.get(generation.node.id);
      if (this.conversation !== generation.conversation || !view || generation.state === 'ended') return;
      const begin = performance.now();
      view.update(generation);
      this.cost = performance.now() - begin;
    };
    setTimeout(() => requestAnimationFrame(draw), Math.min(400, 4 * (this.cost ?? 0)));
  }

  // --- scrolling ---

  toEnd() {
    this.stuck = true;
    this.#keepEnd();
  }
  #keepEnd() {
    if (this.stuck) this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#watchScroll();
  }
  #watchScroll() {
    const {scrollTop, scrollHeight, clientHeight} = this.scroller;
    // Up is always the reader's wish; down to the end takes hold again.
    if (scrollTop < (this.top ?? 0) - 1) this.stuck = false;
    if (scrollTop + clientHeight > scrollHeight - 40) this.stuck = true;
    this.top = scrollTop;
    byId('latest').hidden = this.stuck;
  }

  // --- keys ---

  #grow() {
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(this.input.scrollHeight, innerHeight * 0.4)}px`;
    if (this.conversation) this.#showSend();
  }

  #keyInField(event) {
    if (event.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      if (!this.generation) this.send();
    } else if (event.key === 'ArrowUp' && !this.input.value && !event.altKey && !event.ctrlKey && !event.metaKey) {
      const last = branch(this.conversation).findLast(node => node.role === 'user');
      if (!last || this.generation) return;
      event.preventDefault();
      this.views.get(last.id).edit();
    }
  }

  // On a message: arrows walk, and letters do what its buttons do.
  #keyInTranscript(event) {
    const view = event.target.messageView;
    if (!view || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...this.transcript.querySelectorAll('.message')];
    const go = index => {
      all[Math.max(0, Math.min(all.length - 1, index))].focus();
      return true;
    };
    const press = label => {
      const button = view.foot.querySelector(`[aria-label="${label}"]`);
      button?.click();
      return Boolean(button);
    };
    const here = all.indexOf(view.element);
    const acts = {
      ArrowUp: () => go(here - 1), ArrowDown: () => go(here + 1), Home: () => go(0), End: () => go(all.length - 1),
      ArrowLeft: () => press('Earlier version'), ArrowRight: () => press('Later version'),
      c: () => press('Copy'), e: () => press('Edit'), r: () => press('Answer again'),
    };
    if (acts[event.key]?.()) event.preventDefault();
  }
}

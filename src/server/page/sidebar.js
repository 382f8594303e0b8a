// sidebar.js — Sidebar: the stored conversations, found, renamed, removed, carried in and out.

import {byId, download, h, iconButton, toast} from './dom.js';
import {exported, imported} from './transfer.js';
import {cleanSettings} from './settings.js';
import {openMenu} from './menu.js';

const day = 86400000;
function ageOf(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (time >= midnight) return 'Today';
  if (time >= midnight - day) return 'Yesterday';
  return time >= midnight - 7 * day ? 'Last seven days' : 'Older';
}

export class Sidebar {
  heads = [];
  current = '';

  // `open(id)`, `changed(id)` after a rename, `gone(id)` after a removal.
  constructor(store, acts) {
    Object.assign(this, {store, acts});
    this.list = byId('list');
    this.search = byId('search');
    this.search.addEventListener('input', () => this.#find());
    this.search.addEventListener('keydown', event => {
      if (event.key === 'ArrowDown') this.list.querySelector('a')?.focus();
      else if (event.key === 'Enter') this.list.querySelector('a')?.click();
      else if (event.key !== 'Escape') return;
      else if (this.search.value) {
        this.search.value = '';
        this.#find();
      } else byId('input').focus();
      event.preventDefault();
      event.stopPropagation();
    });
    this.list.addEventListener('keydown', event => this.#key(event));
    byId('transfer').addEventListener('click', event => openMenu(event.currentTarget, [
      ['Export all conversations', () => this.exportAll()], ['Import from a file…', () => this.pickFile()]]));
  }

  async refresh() {
    this.heads = (await this.store.heads()).sort((a, b) => b.updated - a.updated);
    await this.#find();
  }

  mark(id) {
    this.current = id;
    for (const link of this.list.querySelectorAll('a')) this.#markLink(link);
  }
  #markLink(link) {
    if (link.dataset.id === this.current) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }

  async #find() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const turn = this.turn = (this.turn ?? 0) + 1;
    const byTitle = this.heads.filter(head => words.every(word => head.title.toLowerCase().includes(word)));
    this.#show(byTitle, words.length > 0);
    if (!words.length) return;
    // What is said in them takes longer to search.
    const ids = new Set(await this.store.find(words));
    if (turn === this.turn) this.#show(this.heads.filter(head => byTitle.includes(head) || ids.has(head.id)), true);
  }

  #show(heads, searching) {
    if (this.renaming) return;  // a name is being typed; the list is shown when it is done
    const focused = document.activeElement?.closest?.('.entry')?.querySelector('a')?.dataset.id;
    const groups = new Map();
    for (const head of heads) {
      const age = searching ? 'Found' : ageOf(head.updated);
      groups.set(age, [...groups.get(age) ?? [], head]);
    }
    this.list.replaceChildren(...[...groups].map(([age, group]) =>
      h('section', {'aria-label': age}, h('h2', {}, age), h('ul', {}, group.map(head => this.#entry(head))))));
    if (!heads.length) this.list.append(h('p', {class: 'empty'}, searching ? 'Nothing found.' : 'Conversations appear here.'));
    if (focused) this.#link(focused)?.focus();
  }

  #link(id) { return [...this.list.querySelectorAll('a')].find(link => link.dataset.id === id); }

  #entry(head) {
    const title = head.title || 'New conversation';
    const link = h('a', {href: `#/c/${head.id}`, title}, title);
    link.dataset.id = head.id;
    this.#markLink(link);
    const more = iconButton('more', `More about ${title}`, () => openMenu(more, [
      ['Rename', () => this.rename(head.id)], ['Export', () => this.exportOne(head.id)], ['Delete', () => this.remove(head.id), 'danger']]),
    {'aria-haspopup': 'menu'});
    return h('li', {class: 'entry'}, link, more);
  }

  #key(event) {
    const link = event.target.closest('a');
    if (!link) return;
    const all = [...this.list.querySelectorAll('a')];
    const acts = {
      ArrowDown: () => all[all.indexOf(link) + 1]?.focus(),
      ArrowUp: () => (all[all.indexOf(link) - 1] ?? this.search).focus(),
      F2: () => this.rename(link.dataset.id),
      Delete: () => this.remove(link.dataset.id),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  rename(id) {
    const link = this.#link(id);
    const entry = link.parentElement;
    let open = this.renaming = true;
    const end = async keep => {
      if (!open) return;
      open = this.renaming = false;
      const title = input.value.trim().slice(0, 200);
      if (keep && title) await this.acts.renamed(id, title);
      await this.refresh();
      this.#link(id)?.focus();
    };
    const input = h('input', {value: link.textContent, 'aria-label': 'Name of the conversation', onblur: () => end(true), onkeydown: event => {
      if (event.isComposing) return;
      event.stopPropagation();
      if (event.key === 'Enter' || event.key === 'Escape') {
        event.preventDefault();
        end(event.key === 'Enter');
      }
    }});
    entry.replaceChildren(input);
    input.select();
  }

  async remove(id) {
    const conversation = await this.store.load(id);
    await this.store.remove(id);
    const index = this.heads.findIndex(head => head.id === id);
    const next = this.heads[index + 1] ?? this.heads[index - 1];
    await this.refresh();
    this.acts.gone(id);
    if (next) this.#link(next.id)?.focus();
    toast('Conversation deleted.', 'Undo', async () => {
      await this.store.save(conversation);
      await this.refresh();
      this.acts.open(id);
    });
  }

  async exportOne(id) {
    const conversation = await this.store.load(id);
    const name = conversation.title.replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 40) || 'conversation';
    download(`${name}.json`, exported([conversation]));
  }

  async exportAll() {
    const all = [];
    for (const {id} of this.heads) all.push(await this.store.load(id));
    download('nautile-conversations.json', exported(all));
  }

  pickFile() {
    const input = h('input', {type: 'file', accept: '.json,application/json', onchange: () => this.importFiles(input.files)});
    input.click();
  }

  async importFiles(files) {
    try {
      let last = null, count = 0;
      for (const file of files) {
        for (const conversation of imported(await file.text(), cleanSettings)) {
          await this.store.save(conversation);
          last = conversation;
          count++;
        }
      }
      await this.refresh();
      if (last) this.acts.open(last.id);
      toast(count === 1 ? 'One conversation imported.' : `${count} conversations imported.`);
    } catch (error) {
      toast(`Nothing imported from there. ${error.message}`);
    }
  }
}

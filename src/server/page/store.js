// store.js — where conversations lie: IndexedDB, or memory where the browser has none to give.

import {searchText} from './tree.js';

const promised = request => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const headOf = ({id, title, updated}) => ({id, title, updated});

class MemoryStore {
  lasting = false;
  all = new Map();
  async heads() { return [...this.all.values()].map(headOf); }
  async load(id) { return structuredClone(this.all.get(id) ?? null); }
  async save(conversation) { this.all.set(conversation.id, structuredClone(conversation)); }
  async remove(id) { this.all.delete(id); }
  async find(words) { return [...this.all.values()].filter(one => words.every(word => searchText(one).includes(word))).map(one => one.id); }
}

// Heads lie apart, so that the list needs no message.
class IndexedStore {
  lasting = true;
  constructor(database) { this.database = database; }
  table(name, mode) { return this.database.transaction(name, mode).objectStore(name); }
  heads() { return promised(this.table('heads', 'readonly').getAll()); }
  async load(id) { return (await promised(this.table('bodies', 'readonly').get(id))) ?? null; }
  write(act) {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction(['heads', 'bodies'], 'readwrite');
      transaction.oncomplete = () => resolve();
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
      act(transaction.objectStore('heads'), transaction.objectStore('bodies'));
    });
  }
  save(conversation) {
    return this.write((heads, bodies) => { heads.put(headOf(conversation)); bodies.put(conversation); });
  }
  remove(id) {
    return this.write((heads, bodies) => { heads.delete(id); bodies.delete(id); });
  }
  // Ids of conversations that hold every word, one body in memory at a time.
  find(words) {
    return new Promise((resolve, reject) => {
      const found = [];
      const request = this.table('bodies', 'readonly').openCursor();
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const cursor = request.result;
        if (!cursor) return resolve(found);
        const text = searchText(cursor.value);
        if (words.every(word => text.includes(word))) found.push(cursor.value.id);
        cursor.continue();
      };
    });
  }
}

// `lasting` of the result says whether conversations outlive the tab.
export async function openStore() {
  try {
    const request = indexedDB.open('nautile', 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('heads', {keyPath: 'id'});
      request.result.createObjectStore('bodies', {keyPath: 'id'});
    };
    return new IndexedStore(await promised(request));
  } catch {
    return new MemoryStore();
  }
}

// Small things that are remembered: the theme, the last model, defaults. Absent storage forgets.
export function remember(name, value) {
  try {
    localStorage.setItem(`nautile.${name}`, JSON.stringify(value));
  } catch { /* forgotten */ }
}
export function recall(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`nautile.${name}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

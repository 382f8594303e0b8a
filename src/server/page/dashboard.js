// dashboard.js — Dashboard: what the server does now, from its metrics, once a second.

import {byId, h, number} from './dom.js';
import {change, readState} from './metrics.js';
import {Chart} from './chart.js';
import {metricsText} from './api.js';

function bytes(value) {
  const unit = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let step = 0;
  for (; value >= 1024 && step < 4; step++) value /= 1024;
  return `${value < 10 && step ? value.toFixed(1) : Math.round(value)} ${unit[step]}`;
}
const perSecond = value => value < 10 ? value.toFixed(1) : number(value);
const percent = value => `${Math.round(value)} %`;

const totals = {
  requests: 'Requests', finished: 'Finished', cancelled: 'Cancelled', refused: 'Refused, queue full', failed: 'Failed',
  prompt: 'Prompt tokens', cached: 'of them cached', completion: 'Answer tokens',
};

export class Dashboard {
  constructor({askKey}) {
    this.askKey = askKey;
    this.throughput = new Chart('Tokens per second', ['answers', 'prompts'], perSecond);
    this.requests = new Chart('Requests', ['running', 'waiting'], number);
    this.hits = new Chart('Prompt tokens from the cache', ['of the last prompts', 'since the start'], percent, {top: 100});
    this.pages = new Chart('Cache pages', ['held', 'kept for reuse'], percent, {top: 100});
    this.memory = new Chart('Memory', ['resident'], bytes, {base: 1024});
    this.state = h('p', {class: 'lead', role: 'status'}, 'Asking the server…');
    this.totals = Object.fromEntries(Object.keys(totals).map(key => [key, h('dd', {}, '–')]));
    byId('dashboard').append(h('div', {class: 'board'}, h('h1', {}, 'Dashboard'), this.state,
      h('div', {class: 'cards'}, this.throughput.element, this.requests.element, this.hits.element, this.pages.element, this.memory.element,
        h('section', {class: 'card', 'aria-label': 'Since the start'}, h('h2', {}, 'Since the start'),
          h('dl', {}, Object.entries(totals).map(([key, label]) => h('div', {}, h('dt', {}, label), this.totals[key])))))));
  }

  // Looks are taken only while the dashboard is looked at.
  start() {
    if (this.running) return;
    this.running = new AbortController();
    this.#poll(this.running.signal);
  }
  stop() {
    this.running?.abort();
    this.running = null;
  }

  async #poll(signal) {
    while (!signal.aborted) {
      const begin = performance.now();
      try {
        if (!document.hidden) this.#take(readState(await metricsText(signal), begin / 1000));
      } catch (error) {
        if (signal.aborted) return;
        this.before = null;
        this.#say(error.message, true);
        if (error.status === 401 && !(await this.askKey())) return;
      }
      await new Promise(resolve => setTimeout(resolve, Math.max(100, 1000 - (performance.now() - begin))));
    }
  }

  #say(text, bad) {
    if (this.state.textContent !== text) this.state.textContent = text;
    this.state.classList.toggle('warn', bad);
  }

  #take(now) {
    this.#say('Live, once a second.', false);
    const rates = this.before && change(this.before, now);
    this.before = now;
    this.throughput.push(rates ? [rates.answers, rates.prompts] : [NaN, NaN]);
    this.requests.push([now.running, now.waiting]);
    if (rates && Number.isFinite(rates.hits)) this.lastHits = rates.hits;
    this.hits.push([this.lastHits ?? NaN, now.prompt > 0 ? 100 * now.cached / now.prompt : NaN]);
    this.pages.push([100 * now.pagesUsed / now.pages, 100 * now.pagesCached / now.pages]);
    this.memory.push([now.memory]);
    for (const [key, element] of Object.entries(this.totals)) {
      element.textContent = Number.isFinite(now[key]) ? number(now[key]) : '–';
    }
  }
}

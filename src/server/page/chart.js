// chart.js — Chart: a card with lines over the last two minutes, and their values.

import {h} from './dom.js';

const length = 120;  // samples
const space = 'http://www.w3.org/2000/svg';
const svg = (tag, attributes) => {
  const element = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

// The next of 1, 2, 5 times a power of ten; of bytes, in the unit they are told in.
function roundUp(value, base) {
  const unit = base === 1024 ? 1024 ** Math.floor(Math.log(value) / Math.log(1024)) : 1;
  const power = unit * 10 ** Math.floor(Math.log10(value / unit));
  return [1, 2, 5, 10].find(step => step * power >= value) * power;
}

export class Chart {
  samples = [];

  // `series`: names of the lines; `format` of a value; `top`: a fixed upper end, or none;
  // `base` 1024 for bytes.
  constructor(title, series, format, {top = 0, base = 10} = {}) {
    Object.assign(this, {title, series, format, top, base});
    this.lines = series.map((_, index) => svg('path', {class: `line line-${index}`, 'vector-effect': 'non-scaling-stroke'}));
    this.fill = svg('path', {class: 'fill'});
    this.cursor = svg('path', {class: 'cursor', 'vector-effect': 'non-scaling-stroke'});
    const grid = svg('path', {class: 'grid', d: `M0 .5H${length}M0 20H${length}M0 39.5H${length}`, 'vector-effect': 'non-scaling-stroke'});
    this.plot = svg('svg', {viewBox: `0 0 ${length - 1} 40`, preserveAspectRatio: 'none', 'aria-hidden': 'true'});
    this.plot.append(grid, this.fill, ...this.lines, this.cursor);
    this.values = series.map((name, index) => h('span', {class: 'value'}, h('i', {class: `dot dot-${index}`}), h('b', {}, '–'), ` ${name}`));
    this.scale = h('span', {class: 'scale'});
    this.when = h('span', {}, 'now');
    this.element = h('figure', {class: 'card', role: 'group', 'aria-label': title},
      h('figcaption', {}, h('h2', {}, title), h('div', {class: 'values'}, this.values)),
      h('div', {class: 'plot'}, this.plot, this.scale), h('div', {class: 'axis'}, h('span', {}, '2 min ago'), this.when));
    this.plot.addEventListener('pointermove', event => {
      const box = this.plot.getBoundingClientRect();
      this.#point(Math.round((event.clientX - box.left) / box.width * (length - 1)));
    });
    this.plot.addEventListener('pointerleave', () => this.#point(null));
  }

  // One value for each line; NaN is a gap.
  push(values) {
    this.samples.push(values);
    if (this.samples.length > length) this.samples.shift();
    this.#draw();
  }

  #draw() {
    const most = Math.max(...this.samples.flat().filter(Number.isFinite), 0);
    const top = this.top || roundUp(Math.max(most, 1) * 1.05, this.base);
    const offset = length - this.samples.length;
    const place = (value, index) => `${offset + index} ${(39.5 - 39 * Math.min(1, value / top)).toFixed(2)}`;
    this.lines.forEach((line, which) => {
      let path = '', pen = 'M';
      this.samples.forEach((values, index) => {
        if (!Number.isFinite(values[which])) return void (pen = 'M');
        path += pen + place(values[which], index);
        pen = 'L';
      });
      line.setAttribute('d', path);
      if (which === 0) {
        const gapless = path.lastIndexOf('M') === 0;
        this.fill.setAttribute('d', gapless ? `${path}L${length - 1} 40L${path.slice(1).split(' ')[0]} 40Z` : '');
      }
    });
    this.scale.textContent = this.format(top);
    this.#point(this.pointed ?? null);
  }

  #point(index) {
    this.pointed = index;
    const sample = this.samples[index === null ? this.samples.length - 1 : index - (length - this.samples.length)];
    this.cursor.setAttribute('d', index === null ? '' : `M${index} 0V40`);
    this.when.textContent = index === null || index >= length - 1 ? 'now' : `${length - 1 - index} s ago`;
    this.values.forEach((value, which) => {
      const known = sample && Number.isFinite(sample[which]);
      value.querySelector('b').textContent = known ? this.format(sample[which]) : '–';
    });
  }
}

// report_look.h — style and script of a report's page, as they stand in it.
#pragma once

#include <string_view>

namespace nautile::app {

constexpr std::string_view kReportStyle = R"(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--text:#1c2330;--dim:#5c6675;--line:#e1e5ea;
--c0:#2563eb;--c1:#c2610c;--c2:#0e8a62;--c3:#c02672;--c4:#7447d8;--c5:#0b7f9c;--c6:#6b7f10;--c7:#b3261e;
--bad:#b3261e;--good:#0e8a62;--note:#fff4d6;--q0:#1d4f91;--q1:#4c83c3;--q2:#91b8df;--q3:#cfe0f0;--q4:#eef0f2;
--q5:#fbe0c4;--q6:#f3ac6b;--q7:#dc6b2f;--q8:#9c2f12}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--text:#e4e9f0;--dim:#97a3b3;--line:#2d3642;
--c0:#6ea8ff;--c1:#f0a35b;--c2:#4fcf9f;--c3:#f37db4;--c4:#b198ff;--c5:#58c7e3;--c6:#bccb55;--c7:#ff8b80;
--bad:#ff8b80;--good:#4fcf9f;--note:#3a3113;--q0:#77b3ff;--q1:#4d82c4;--q2:#33578a;--q3:#2a3b55;--q4:#262c35;
--q5:#4a3423;--q6:#8a4f22;--q7:#cf6f2c;--q8:#ffb070}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main,footer{max-width:1280px;margin:0 auto;padding:0 16px}
header{padding-top:20px}
h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:28px 0 10px}
h3{font-size:1rem;margin:18px 0 6px;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:10px 0}
a{color:var(--c0)}
small,.dim,footer{color:var(--dim)}
.state{font-weight:600;margin:4px 0}
.good{color:var(--good)}
.bad{color:var(--bad)}
.note{background:var(--note);border-radius:8px;padding:8px 14px;margin:12px 0;overflow-wrap:anywhere}
.note ul{margin:4px 0;padding-left:20px}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px;margin:0}
dl div,figure,.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 12px}
dt{color:var(--dim);font-size:.85rem}
dd{margin:0;font-size:1.2rem;font-weight:600;font-variant-numeric:tabular-nums}
.grid2{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,390px),1fr));gap:12px}
.grid3{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,290px),1fr));gap:12px}
figure{margin:0;min-width:0}
figcaption{font-weight:600}
figcaption small{font-weight:400}
svg{display:block;width:100%;height:auto;touch-action:pan-y}
svg.heat{height:150px;border:1px solid var(--line)}
svg:focus-visible,[tabindex]:focus-visible{outline:2px solid var(--c0);outline-offset:2px;border-radius:4px}
output{display:block;min-height:1.5em;font-size:.85rem;color:var(--dim);font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.grid{stroke:var(--line);stroke-width:1}
.axis{stroke:var(--dim);stroke-width:1}
.tick{fill:var(--dim);font-size:11px}
.curve{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round;stroke:currentColor}
.band{fill:currentColor;opacity:.17;stroke:none}
.mark{stroke:var(--dim);stroke-width:1.2;stroke-dasharray:3 3;fill:none}
.mark.spike,.mark.skipped{stroke:var(--bad)}
.cursor{stroke:var(--text);stroke-width:1;fill:none;visibility:hidden;vector-effect:non-scaling-stroke;pointer-events:none}
.cursor.on{visibility:visible}
.legend{margin:2px 0;font-size:.85rem;color:var(--dim);overflow-wrap:anywhere}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;background:currentColor;margin:0 .35em 0 .2em;vertical-align:-.05em}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}
.c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}
.q0{color:var(--q0)}.q1{color:var(--q1)}.q2{color:var(--q2)}.q3{color:var(--q3)}.q4{color:var(--q4)}
.q5{color:var(--q5)}.q6{color:var(--q6)}.q7{color:var(--q7)}.q8{color:var(--q8)}
svg .q0,svg .q1,svg .q2,svg .q3,svg .q4,svg .q5,svg .q6,svg .q7,svg .q8{fill:currentColor}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:4px 12px;border-top:1px solid var(--line);vertical-align:top}
thead th{border-top:0}
td{font-variant-numeric:tabular-nums}
td code{overflow-wrap:anywhere}
tr.own td,tr.own th{background:color-mix(in srgb,var(--c0) 8%,transparent)}
code,pre{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0 10px}
summary{cursor:pointer}
footer{padding-top:24px;padding-bottom:32px;font-size:.85rem}
)";

// Shows the values under the pointer, or where the arrow keys have moved; the page is whole without
// it.
constexpr std::string_view kReportScript = R"(
'use strict';
const follow = (svg, count, fromPointer, show) => {
  const out = svg.parentNode.querySelector('output'), cursor = svg.querySelector('.cursor');
  let at = count - 1;
  const go = i => {
    at = Math.max(0, Math.min(count - 1, i));
    cursor.classList.add('on');
    out.textContent = show(at, cursor);
  };
  const point = e => {
    const box = svg.getBoundingClientRect();
    go(fromPointer((e.clientX - box.left) / box.width, (e.clientY - box.top) / box.height));
  };
  svg.addEventListener('pointermove', point);
  svg.addEventListener('pointerdown', point);
  svg.addEventListener('focus', () => { out.setAttribute('aria-live', 'polite'); go(at); });
  for (const leave of ['pointerleave', 'blur'])
    svg.addEventListener(leave, () => cursor.classList.remove('on'));
  svg.addEventListener('keydown', e => {
    const step = e.shiftKey ? 10 : 1, rows = Number(svg.dataset.rows || 1);
    const to = {ArrowLeft: at - step * rows, ArrowRight: at + step * rows, Home: 0, End: count - 1,
                ArrowUp: rows > 1 ? at - 1 : undefined, ArrowDown: rows > 1 ? at + 1 : undefined}[e.key];
    if (to === undefined) return;
    e.preventDefault();
    go(to);
  });
};
const nearest = (list, x) => {
  let low = 0, high = list.length - 1;
  while (high - low > 1) { const middle = low + high >> 1; if (list[middle] < x) low = middle; else high = middle; }
  return x - list[low] < list[high] - x ? low : high;
};
for (const svg of document.querySelectorAll('svg.chart')) {
  const curves = JSON.parse(svg.dataset.curves), [width, left, right, x0, x1] = svg.dataset.plot.split(' ').map(Number);
  const xs = [...new Set(curves.flatMap(c => c.x))].sort((a, b) => a - b);
  follow(svg, xs.length, u => nearest(xs, x0 + (u * width - left) / (right - left) * (x1 - x0)), (i, cursor) => {
    cursor.setAttribute('transform', `translate(${left + (xs[i] - x0) / (x1 - x0) * (right - left)} 0)`);
    const values = curves.filter(c => c.x.length).map(c => [c.n, c.y[nearest(c.x, xs[i])]]);
    return `${svg.dataset.over} ${xs[i].toLocaleString('en')}: ` +
      values.map(([name, y]) => values.length > 1 ? `${name} ${y}` : y).join(' · ');
  });
}
for (const svg of document.querySelectorAll('svg.heat')) {
  const steps = JSON.parse(svg.dataset.steps), loads = svg.dataset.loads, rows = loads.length / steps.length;
  svg.dataset.rows = rows;
  follow(svg, loads.length, (u, v) => {
    const cell = (share, n) => Math.max(0, Math.min(n - 1, Math.floor(share * n)));
    return cell(u, steps.length) * rows + cell(v, rows);
  }, (i, cursor) => {
    const column = Math.floor(i / rows), over = (loads.charCodeAt(i) - 48) / 16;
    cursor.setAttribute('transform', `translate(${column} ${i % rows})`);
    return `step ${steps[column].toLocaleString('en')}, expert ${i % rows}: ${over < 3.9 ? over.toFixed(2) : '3.9 or more'} × the mean`;
  });
}
)";

}  // namespace nautile::app

"""audit.py — what a screen reader and a keyboard need of the page, looked for in the browser."""

# Names, roles, contrast and sizes of everything that is shown; returns a list of findings.
SCRIPT = r"""() => {
  const findings = [];
  const shown = element => element.checkVisibility({visibilityProperty: true, opacityProperty: false}) && !element.closest('[inert]');
  const nameOf = element => {
    const by = element.getAttribute('aria-labelledby');
    if (by) return by.split(/\s+/).map(id => document.getElementById(id)?.textContent ?? '').join(' ').trim();
    const label = element.getAttribute('aria-label');
    if (label?.trim()) return label.trim();
    if (element.labels?.length) return [...element.labels].map(one => one.textContent).join(' ').trim();
    return (element.alt ?? element.textContent ?? '').trim() || (element.title ?? '').trim();
  };
  const tell = (what, element) => findings.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  const focusable = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter(shown);
  for (const element of focusable) {
    if (['INPUT', 'SELECT', 'TEXTAREA'].includes(element.tagName)) {
      if (!element.getAttribute('aria-label') && !element.getAttribute('aria-labelledby') && !element.labels?.length) tell('a field without a label', element);
    } else if (!nameOf(element)) tell('nothing names this', element);
    if (element.tabIndex > 0) tell('tabindex above 0', element);
    const {width, height} = element.getBoundingClientRect();
    if (width && height && (width < 24 || height < 20) && !element.closest('p, li > span, .prose') && !['CHECKBOX'].includes(element.type?.toUpperCase())) tell(`a target of ${width} by ${height} pixels`, element);
    if (element.closest('[aria-hidden=true]')) tell('focus goes into what is hidden', element);
  }
  const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) findings.push(`two elements with the id ${id}`);
  for (const name of ['aria-controls', 'aria-describedby', 'aria-labelledby']) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
      for (const id of element.getAttribute(name).split(/\s+/)) if (!document.getElementById(id)) tell(`${name} names nothing`, element);
    }
  }
  const roles = {tab: 'tablist', menuitem: 'menu', option: 'listbox'};
  for (const element of document.querySelectorAll('[role]')) {
    const parent = roles[element.getAttribute('role')];
    if (parent && !element.closest(`[role=${parent}]`)) tell(`outside of a ${parent}`, element);
  }
  for (const image of document.querySelectorAll('img')) if (!image.hasAttribute('alt')) tell('an image without alt', image);
  for (const svg of document.querySelectorAll('svg:not(.katex svg)')) if (svg.getAttribute('aria-hidden') !== 'true' && !nameOf(svg)) tell('a drawing that is read', svg);
  if (!document.documentElement.lang) findings.push('the page names no language');
  if (!document.title) findings.push('the page has no title');
  if ([...document.querySelectorAll('main')].filter(shown).length > 1) findings.push('more than one main part');

  // WCAG 2.1 contrast of text on what lies behind it.
  const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const data = canvas.getImageData(0, 0, 1, 1).data;
    return [data[0], data[1], data[2], data[3] / 255];
  };
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const ground = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || seen.has(element) || !shown(element) || element.closest('.hidden, .skip, :disabled, svg, noscript, option, .katex-mathml')) continue;
    seen.add(element);
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    if (opacity < 0.5) continue;
    const style = getComputedStyle(element);
    const behind = ground(element);
    const front = over(rgba(style.color), behind);
    const [a, b] = [light(front), light(behind)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) tell(`contrast ${ratio.toFixed(2)} of "${walker.currentNode.textContent.trim().slice(0, 30)}"`, element);
  }
  if (document.documentElement.scrollWidth > innerWidth) findings.push(`the page is ${document.documentElement.scrollWidth} pixels wide in a window of ${innerWidth}`);
  return findings;
}"""


def findings(page):
    return page.evaluate(SCRIPT)

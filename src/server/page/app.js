// app.js — puts the page together: who is told of what, addresses, shortcuts.

import {ApiError, listModels, setKey} from './api.js';
import {byId, h} from './dom.js';
import {keyDialog, settingsDialog, shortcutsDialog} from './dialogs.js';
import {openStore, recall, remember} from './store.js';
import {Chat} from './chat.js';
import {Dashboard} from './dashboard.js';
import {Sidebar} from './sidebar.js';
import {cleanSettings} from './settings.js';
import {ready} from './markdown.js';

const store = await openStore();
const others = 'BroadcastChannel' in globalThis ? new BroadcastChannel('nautile') : null;  // tabs
let models = [];
let saving = Promise.resolve();

const showTitle = ({title}) => { document.title = title ? `${title} – nautile` : 'nautile'; };

// One question at a time, however many requests were refused.
let asking = null;
function askKey() {
  asking ??= keyDialog().then(key => {
    asking = null;
    if (!key) return false;
    setKey(key);
    loadModels();
    return true;
  });
  return asking;
}

function notice(text, action, act) {
  const element = byId('notice');
  element.hidden = !text;
  element.replaceChildren(text, ...action ? [h('button', {type: 'button', onclick: act}, action)] : []);
}

const chat = new Chat({
  askKey,
  fresh: () => ({settings: cleanSettings(recall('defaults', {})), model: modelOr(recall('model', ''))}),
  contextOf: model => models.find(one => one.id === model)?.context ?? 0,
  // A model that was loaded for its first request has a context from then on.
  async answered({model}) {
    if (models.find(one => one.id === model)?.context !== 0) return;
    models = await listModels().catch(() => models);
    chat.show();
  },
  saved(conversation) {
    if (isEmpty(conversation)) return;
    const copy = structuredClone(conversation);
    saving = saving.then(() => store.save(copy)).then(() => {
      others?.postMessage(copy.id);
      return sidebar.refresh();
    }).catch(error => notice(`This conversation could not be stored: ${error.message}`));
    if (chat.conversation !== conversation) return;
    sidebar.mark(conversation.id);
    showTitle(conversation);
    if (!dashboardShown()) history.replaceState(null, '', `#/c/${conversation.id}`);
  },
  opened(conversation) {
    sidebar.mark(conversation.id);
    showTitle(conversation);
    showModels();
  },
});

const sidebar = new Sidebar(store, {
  open: id => { location.hash = `#/c/${id}`; },
  async renamed(id, title) {
    const conversation = chat.generations.get(id)?.conversation ?? (chat.conversation.id === id ? chat.conversation : await store.load(id));
    conversation.title = title;
    conversation.named = true;
    await store.save(conversation);
  },
  gone(id) {
    chat.generations.get(id)?.stop();
    if (chat.conversation.id === id) newChat();
  },
});
const dashboard = new Dashboard({askKey});

// --- models ---

const modelOr = wanted => models.some(model => model.id === wanted) ? wanted : models[0]?.id ?? '';

function showModels() {
  const select = byId('model');
  const wanted = chat.conversation?.model ?? '';
  const ids = models.map(model => model.id);
  if (wanted && !ids.includes(wanted)) ids.push(wanted);
  select.replaceChildren(...ids.length ? ids.map(id => h('option', {value: id, selected: id === wanted}, id)) : [h('option', {value: ''}, 'no model')]);
  select.disabled = !ids.length;
}

async function loadModels() {
  try {
    models = await listModels();
    if (chat.conversation && !models.some(model => model.id === chat.conversation.model)) chat.conversation.model = modelOr(recall('model', ''));
    notice(models.length ? '' : 'The server has no model loaded.');
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      if (!(await askKey())) notice('This server wants a key.', 'Give a key', askKey);
      return;
    }
    notice(error.message, 'Try again', loadModels);
  }
  showModels();
}

byId('model').addEventListener('change', event => {
  chat.conversation.model = event.target.value;
  remember('model', event.target.value);
  chat.saved(chat.conversation);
  chat.show();
});

// --- addresses: #/ a new conversation, #/c/ID, #/dashboard ---

const dashboardShown = () => location.hash === '#/dashboard';
const isEmpty = conversation => Object.keys(conversation.nodes).length === 1;

async function route() {
  closeDrawer();
  const onDashboard = dashboardShown();
  for (const [name, on] of [['chat', !onDashboard], ['dashboard', onDashboard]]) {
    byId(name).hidden = !on;
    byId(`tab-${name}`).setAttribute('aria-selected', String(on));
    byId(`tab-${name}`).tabIndex = on ? 0 : -1;
  }
  if (onDashboard) dashboard.start();
  else dashboard.stop();
  const id = /^#\/c\/([\w-]+)$/.exec(location.hash)?.[1];
  if (chat.conversation && (onDashboard || id === chat.conversation.id)) return;
  const conversation = id && (chat.generations.get(id)?.conversation ?? await store.load(id));
  if (conversation) return chat.open(conversation);
  if (!onDashboard) history.replaceState(null, '', '#/');
  if (!chat.conversation || !isEmpty(chat.conversation)) chat.startNew();
}

function go(address) {
  if (location.hash === address) route();
  else location.hash = address;
}
function newChat() {
  go('#/');
  byId('input').focus();
}
function showTab(name) {
  go(name === 'dashboard' ? '#/dashboard' : isEmpty(chat.conversation) ? '#/' : `#/c/${chat.conversation.id}`);
}

addEventListener('hashchange', route);
byId('new').addEventListener('click', newChat);
for (const name of ['chat', 'dashboard']) byId(`tab-${name}`).addEventListener('click', () => showTab(name));
document.querySelector('[role=tablist]').addEventListener('keydown', event => {
  if (!['ArrowLeft', 'ArrowRight'].includes(event.key)) return;
  const other = dashboardShown() ? 'chat' : 'dashboard';
  showTab(other);
  byId(`tab-${other}`).focus();
});

// --- the list beside the page; over it where there is no room ---

const narrow = matchMedia('(max-width: 820px)');
function showList(open) {
  document.body.classList.toggle('list-open', open && narrow.matches);
  document.body.classList.toggle('list-closed', !open && !narrow.matches);
  byId('sidebar').inert = !open;
  byId('page').inert = open && narrow.matches;
  byId('sidebar-open').setAttribute('aria-expanded', String(open));
}
const listShown = () => !byId('sidebar').inert;
function closeDrawer() {
  if (narrow.matches) showList(false);
}
function toggleList() {
  showList(!listShown());
  if (!narrow.matches) remember('list', listShown());
  if (narrow.matches) (listShown() ? byId('search') : byId('sidebar-open')).focus();
}
narrow.addEventListener('change', () => showList(!narrow.matches && recall('list', true)));
for (const id of ['sidebar-open', 'sidebar-close', 'scrim']) byId(id).addEventListener('click', toggleList);
byId('list').addEventListener('click', event => {
  if (event.target.closest('a')) closeDrawer();
});

// --- the rest of the buttons ---

function openSettings() {
  const {conversation} = chat;
  settingsDialog(conversation.settings, () => chat.saved(conversation), () => remember('defaults', conversation.settings));
}
const themes = {auto: 'as the system', light: 'light', dark: 'dark'};
function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId('theme').title = `Colours: ${themes[theme]}`;
  byId('theme').setAttribute('aria-label', `Colours: ${themes[theme]}`);
}
byId('theme').addEventListener('click', () => {
  const order = Object.keys(themes);
  const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % order.length];
  remember('theme', next);
  showTheme(next);
});
byId('settings').addEventListener('click', openSettings);
byId('help').addEventListener('click', shortcutsDialog);
byId('skip').addEventListener('click', () => byId('input').focus());

function search() {
  if (!listShown()) toggleList();
  byId('search').focus();
  byId('search').select();
}
const shortcuts = {
  'k': search, 'b': toggleList, ',': openSettings, '/': shortcutsDialog,
  'shift+o': newChat, 'shift+d': () => showTab(dashboardShown() ? 'chat' : 'dashboard'),
};
addEventListener('keydown', event => {
  if (document.querySelector('dialog[open]')) return;
  if (event.ctrlKey || event.metaKey) {
    const act = shortcuts[(event.shiftKey ? 'shift+' : '') + event.key.toLowerCase()];
    if (!act || event.altKey) return;
    event.preventDefault();
    act();
  } else if (event.key === 'Escape') {
    if (narrow.matches && listShown()) toggleList();
    else chat.generation?.stop();
  }
});

// Files that are let fall on the page are read, not opened in its place.
addEventListener('dragover', event => event.preventDefault());
addEventListener('drop', event => {
  event.preventDefault();
  if (event.dataTransfer.files.length) sidebar.importFiles(event.dataTransfer.files);
});

// Another tab has stored something: the list, and what is shown here, follow.
others?.addEventListener('message', async ({data: id}) => {
  await sidebar.refresh();
  if (id !== chat.conversation?.id || chat.generation) return;
  const conversation = await store.load(id);
  if (conversation) chat.open(conversation);
});
addEventListener('pagehide', () => {
  if (chat.generation) chat.saved(chat.conversation);
});

showTheme(document.documentElement.dataset.theme);
showList(!narrow.matches && recall('list', true));
if (!store.lasting) byId('privacy').textContent = 'This browser lets the page store nothing: conversations last until the tab is closed.';
await ready;
await Promise.all([sidebar.refresh(), route()]);
await loadModels();
byId('input').focus();

// tree.js — a conversation: a tree of messages of which one branch is shown. Plain objects, so that
// they can be stored and exported as they are.
//
// conversation {id, title, named, created, updated, model, settings, next, nodes}
// node {id, parent, children, chosen, role, content, reasoning?, seconds?, calls?, callId?, name?,
//       model?, finish?, usage?, rate?, first?, error?}; nodes.root is the parent of the first messages.

const idOf = () => Array.from(crypto.getRandomValues(new Uint8Array(9)), byte => byte.toString(36).padStart(2, '0')).join('');

export function newConversation(settings = {}, model = '') {
  const now = Date.now();
  return {id: idOf(), title: '', named: false, created: now, updated: now, model, settings: {...settings}, next: 1,
    nodes: {root: {id: 'root', children: [], chosen: null}}};
}

// Adds a message under `parent` and shows it.
export function addNode(conversation, parent, values) {
  const id = `n${conversation.next++}`;
  const node = {id, parent, children: [], chosen: null, role: 'user', content: '', ...values};
  conversation.nodes[id] = node;
  const above = conversation.nodes[parent];
  above.children.push(id);
  above.chosen = id;
  if (!conversation.title && node.role === 'user') conversation.title = titleOf(node.content);
  return node;
}

export function titleOf(text) {
  const line = text.trim().split('\n', 1)[0].replace(/\s+/g, ' ');
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}

// The messages of the branch that is shown, first to last.
export function branch(conversation) {
  const nodes = [];
  for (let id = conversation.nodes.root.chosen; id; id = conversation.nodes[id].chosen) nodes.push(conversation.nodes[id]);
  return nodes;
}

export function leaf(conversation) {
  return branch(conversation).at(-1)?.id ?? 'root';
}

// Other versions of a message: {index, count}.
export function versions(conversation, node) {
  const all = conversation.nodes[node.parent].children;
  return {index: all.indexOf(node.id), count: all.length};
}

// Shows the version that stands `step` places on; the rest of its branch is as it was last shown.
export function switchVersion(conversation, node, step) {
  const above = conversation.nodes[node.parent];
  const index = above.children.indexOf(node.id) + step;
  if (index < 0 || index >= above.children.length) return null;
  above.chosen = above.children[index];
  return above.chosen;
}

// What the API is sent: the system prompt and the messages from the first down to node `id`.
export function messagesDownTo(conversation, id) {
  const nodes = [];
  for (let node = conversation.nodes[id]; node.parent; node = conversation.nodes[node.parent]) nodes.unshift(node);
  const lastUser = nodes.findLastIndex(node => node.role === 'user');
  const messages = nodes.map((node, index) => {
    if (node.role === 'tool') return {role: 'tool', tool_call_id: node.callId, content: node.content};
    const message = {role: node.role, content: node.content};
    if (node.calls?.length) {
      message.tool_calls = node.calls.map(({id, name, text}) => ({id, type: 'function', function: {name, arguments: text}}));
      if (!node.content) message.content = null;
      // A chain of thought goes on over the calls of one question, and is dropped at the next.
      if (node.reasoning && index > lastUser) message.reasoning_content = node.reasoning;
    }
    return message;
  });
  const system = conversation.settings.system?.trim();
  return system ? [{role: 'system', content: system}, ...messages] : messages;
}

// The calls of the shown branch's last message that have no result yet, and that message.
export function openCalls(conversation) {
  const nodes = branch(conversation);
  const asked = nodes.findLast(node => node.role === 'assistant');
  const answered = new Set(nodes.filter(node => node.role === 'tool').map(node => node.callId));
  if (!asked?.calls || nodes.at(-1).role === 'user') return [];
  return asked.calls.filter(call => !answered.has(call.id));
}

// All the text there is to search in.
export function searchText(conversation) {
  return Object.values(conversation.nodes).map(node => node.content ?? '').join('\n').toLowerCase();
}

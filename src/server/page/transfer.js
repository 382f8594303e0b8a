// transfer.js — conversations to and from JSON. What is read is a stranger's file: everything is
// checked, and only known fields are taken.

import {addNode, newConversation, titleOf} from './tree.js';

const mark = 'nautile-conversations';
const roles = ['user', 'assistant', 'tool'];
const texts = ['reasoning', 'callId', 'name', 'model', 'finish', 'error'];
const numbers = ['seconds', 'rate', 'first'];

export const exported = conversations => ({format: mark, version: 1, conversations});

const fail = (where, expected) => { throw new Error(`${where}: expected ${expected}`); };
const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value);

function readFields(source, where) {
  const values = {role: source.role, content: source.content ?? ''};
  if (!roles.includes(values.role)) fail(`${where}.role`, roles.join(', '));
  if (typeof values.content !== 'string') fail(`${where}.content`, 'text');
  for (const name of texts) if (typeof source[name] === 'string') values[name] = source[name];
  for (const name of numbers) if (Number.isFinite(source[name])) values[name] = source[name];
  if (isObject(source.usage)) {
    values.usage = Object.fromEntries(['prompt', 'cached', 'completion'].map(name => [name, Number(source.usage[name]) || 0]));
  }
  if (Array.isArray(source.calls)) {
    values.calls = source.calls.filter(isObject).map(call => ({id: String(call.id), name: String(call.name), text: String(call.text)}));
  }
  return values;
}

// Copies the tree with new names, so that no name of the file's is ever used as one of ours.
function readTree(source, target, where) {
  if (!isObject(source.nodes)) fail(`${where}.nodes`, 'an object');
  const nodes = new Map(Object.entries(source.nodes));
  const names = new Map([['root', 'root']]);
  const chosen = [];
  const waiting = ['root'];
  while (waiting.length) {
    const id = waiting.shift();
    const node = nodes.get(id);
    if (!isObject(node) || !Array.isArray(node.children)) fail(`${where}.nodes.${id}`, 'a message with children');
    for (const child of node.children) {
      if (typeof child !== 'string' || names.has(child)) fail(`${where}.nodes.${id}.children`, 'names of messages, each once');
      const values = readFields(isObject(nodes.get(child)) ? nodes.get(child) : {}, `${where}.nodes.${child}`);
      names.set(child, addNode(target, names.get(id), values).id);
      waiting.push(child);
    }
    chosen.push([id, node.chosen]);
  }
  for (const [id, child] of chosen) {
    const node = target.nodes[names.get(id)];
    if (node.children.includes(names.get(child))) node.chosen = names.get(child);
  }
}

function readOne(source, where, cleanSettings) {
  if (!isObject(source)) fail(where, 'a conversation');
  const conversation = newConversation(cleanSettings(source.settings), typeof source.model === 'string' ? source.model : '');
  if (Array.isArray(source.messages)) {  // as the API has them
    let parent = 'root';
    source.messages.forEach((message, index) => {
      if (!isObject(message)) fail(`${where}.messages[${index}]`, 'a message');
      if (message.role === 'system') conversation.settings.system = String(message.content);
      else parent = addNode(conversation, parent, readFields({...message, reasoning: message.reasoning_content}, `${where}.messages[${index}]`)).id;
    });
  } else {
    readTree(source, conversation, where);
  }
  if (typeof source.title === 'string') conversation.title = titleOf(source.title);
  conversation.named = source.named === true;
  for (const name of ['created', 'updated']) if (Number.isFinite(source[name])) conversation[name] = source[name];
  return conversation;
}

// The conversations of an exported file, or of one {"messages": […]}. Throws Error naming what is
// not as expected.
export function imported(text, cleanSettings) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error('This is no JSON file.');
  }
  if (Array.isArray(value?.messages)) return [readOne(value, 'the file', cleanSettings)];
  if (value?.format !== mark || !Array.isArray(value.conversations)) {
    throw new Error('This file holds no exported conversations.');
  }
  return value.conversations.map((source, index) => readOne(source, `conversations[${index}]`, cleanSettings));
}

// settings.js — what can be set for a conversation, and how it becomes fields of a request. What is
// left empty is not sent: the server and the model decide.

const number = (name, label, hint, min, max, step) => ({name, label, hint, kind: 'number', min, max, step});
export const fields = [
  {name: 'system', label: 'System prompt', kind: 'text', hint: 'Said to the model before everything else.'},
  {name: 'thinking', label: 'Reasoning', kind: 'choice', options: {'': 'Auto', enabled: 'On', disabled: 'Off'}},
  {name: 'effort', label: 'Effort', kind: 'choice', options: {'': 'Auto', low: 'Low', high: 'High', max: 'Max'}},
  number('temperature', 'Temperature', '0 takes the likeliest word; more is more varied', 0, 2, 0.1),
  number('top_p', 'Top p', 'Likeliest words that make up this share', 0.01, 1, 0.01),
  number('top_k', 'Top k', 'At most so many words; 0 is all', 0, 100000, 1),
  number('min_p', 'Min p', 'Words at least this share as likely as the first', 0, 1, 0.01),
  number('max_tokens', 'Longest answer', 'In tokens, reasoning included', 1, 1000000, 1),
  number('repetition_penalty', 'Repetition penalty', '1 is none', 0.1, 5, 0.05),
  number('presence_penalty', 'Presence penalty', 'For having been said', -2, 2, 0.1),
  number('frequency_penalty', 'Frequency penalty', 'For each time said', -2, 2, 0.1),
  number('seed', 'Seed', 'The same seed gives the same answer', 0, 2 ** 53 - 1, 1),
  {name: 'stop', label: 'Stop strings', kind: 'text', hint: 'One a line, 16 at most.'},
  {name: 'format', label: 'Answer as', kind: 'choice', options: {'': 'Text', json_object: 'JSON'}},
  {name: 'tools', label: 'Tools', kind: 'text', code: true,
    hint: 'A JSON list of functions, as in the API. You give the results of calls yourself.'},
];

// A value as typed -> as kept, undefined if there is none. Throws Error with what was expected.
export function readField(field, text) {
  if (text.trim() === '') return undefined;
  if (field.kind === 'number') {
    const value = Number(text);
    const whole = field.step === 1 && !Number.isInteger(value);
    if (!Number.isFinite(value) || value < field.min || value > field.max || whole) {
      throw new Error(`Expected ${field.step === 1 ? 'a whole number' : 'a number'} from ${field.min} to ${field.max}.`);
    }
    return value;
  }
  if (field.kind === 'choice') {
    if (!Object.hasOwn(field.options, text)) throw new Error(`Expected one of ${Object.keys(field.options).join(', ')}.`);
    return text;
  }
  if (field.name === 'stop' && text.split('\n').filter(Boolean).length > 16) throw new Error('Expected 16 lines at most.');
  if (field.name === 'tools') readTools(text);
  return text;
}

function readTools(text) {
  let tools;
  try {
    tools = JSON.parse(text);
  } catch (error) {
    throw new Error(`Expected JSON: ${error.message}`);
  }
  if (!Array.isArray(tools)) throw new Error('Expected a list: [{"type": "function", "function": {…}}].');
  // A bare function is taken for what it is.
  return tools.map(tool => tool?.function ? tool : {type: 'function', function: tool});
}

// Keeps of a foreign object what could have been set here.
export function cleanSettings(source) {
  const settings = {};
  for (const field of fields) {
    const value = source && Object.hasOwn(source, field.name) ? source[field.name] : undefined;
    try {
      if (typeof value === 'string' || typeof value === 'number') settings[field.name] = readField(field, String(value));
    } catch { /* not one of ours */ }
    if (settings[field.name] === undefined) delete settings[field.name];
  }
  return settings;
}

export function requestFields(settings) {
  const {system, thinking, effort, stop, format, tools, ...sampling} = settings;
  const body = {...sampling};
  if (thinking) body.thinking = {type: thinking};
  if (effort) body.reasoning_effort = effort;
  if (stop) body.stop = stop.split('\n').filter(Boolean);
  if (format) body.response_format = {type: format};
  if (tools) body.tools = readTools(tools);
  return body;
}

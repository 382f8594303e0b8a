// api.js — what the page asks of the server: models, metrics, and chats that stream.

import {readEvents} from './sse.js';

// A refusal, or no answer at all (status 0).
export class ApiError extends Error {
  constructor(status, message, details = {}) {
    super(message);
    this.status = status;
    this.code = details.code ?? '';
    this.retryAfter = details.retryAfter ?? null;  // seconds
  }
}

const keyName = 'nautile.key';
let key = '';
try {
  key = sessionStorage.getItem(keyName) ?? '';
} catch { /* kept in memory then */ }

export function setKey(value) {
  key = value;
  try {
    if (value) sessionStorage.setItem(keyName, value);
    else sessionStorage.removeItem(keyName);
  } catch { /* as above */ }
}

// Header values are Latin-1; what cannot be a key is not sent.
const authorization = () => /^[\x21-\x7e]+$/.test(key) ? {Authorization: `Bearer ${key}`} : {};

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {...options, headers: {...authorization(), ...options.headers}});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'The server cannot be reached.');
  }
  if (answer.ok) return answer;
  const text = await answer.text().catch(() => '');
  let details = {};
  try {
    const {error} = JSON.parse(text);
    details = typeof error === 'string' ? {message: error} : error ?? {};
  } catch { /* not ours: a proxy's page */ }
  const wait = Number.parseFloat(answer.headers.get('Retry-After'));
  throw new ApiError(answer.status, details.message || `The server answered ${answer.status} ${answer.statusText}.`,
    {code: details.code ?? details.type, retryAfter: Number.isFinite(wait) ? wait : null});
}

export async function listModels() {
  const {data} = await (await ask('v1/models')).json();
  return data.map(model => ({id: String(model.id), context: model.max_model_len ?? 0}));
}

export async function metricsText(signal) {
  return (await ask('metrics', {signal})).text();
}

// Yields the chunks of a chat completion. `onWaiting` is called for each sign of life before or
// between them.
export async function* streamChat(body, signal, onWaiting) {
  const answer = await ask('v1/chat/completions', {
    method: 'POST', signal,
    headers: {'Content-Type': 'application/json'},
    body: JSON.stringify({...body, stream: true, stream_options: {include_usage: true}}),
  });
  let ended = false;
  try {
    for await (const {data} of readEvents(answer.body, onWaiting)) {
      if (data === '[DONE]') {
        ended = true;
        return;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(500, chunk.error.message ?? String(chunk.error), chunk.error);
      yield chunk;
    }
  } catch (error) {
    if (error.name === 'AbortError' || error instanceof ApiError) throw error;
    throw new ApiError(0, 'The connection to the server broke.');
  }
  if (!ended) throw new ApiError(0, 'The answer broke off: the connection ended before it did.');
}

// generation.js — Generation: one answer being made, written into its message as it comes.

import {ApiError, streamChat} from './api.js';

const patience = 20;  // tries, while the server says that it is busy

// What a refusal means, and what may help.
export function explain(error) {
  if (/context|too_long|maximum/i.test(`${error.code} ${error.status === 400 ? error.message : ''}`)) {
    return `This conversation is too long for the model. ${error.message} Edit an earlier message, or begin a new conversation.`;
  }
  if (error.status === 401 || error.status === 403) return `The server wants a key. ${error.message}`;
  if (error.status === 429 || error.status === 503) return `The server is busy. ${error.message}`;
  return error.message;
}

const usageOf = usage => ({
  prompt: usage.prompt_tokens ?? 0,
  cached: usage.prompt_tokens_details?.cached_tokens ?? usage.prompt_cache_hit_tokens ?? 0,
  completion: usage.completion_tokens ?? 0,
});

export class Generation {
  state = 'waiting';  // then perhaps queued or retrying; thinking, answering
  tokens = 0;         // pieces so far, about one a token
  retryAt = 0;        // when the next try is, by performance.now()
  #abort = new AbortController();
  #wake = () => {};

  // `node` is the message to fill; `changed` is called after each change; `askKey` resolves to
  // whether there is a new key to try.
  constructor(conversation, node, {changed, askKey}) {
    Object.assign(this, {conversation, node, changed, askKey});
  }

  stop() {
    this.#abort.abort();
    this.#wake();
  }
  tryNow() { this.#wake(); }
  // Tokens a second so far, 0 while unknown.
  get rate() { return this.#rateOf(this.tokens); }

  // What came in one burst has no speed.
  #rateOf(tokens) {
    const time = (this.last - this.begun) / 1000;
    return tokens > 1 && time > 0.05 ? (tokens - 1) / time : 0;
  }

  // Resolves when the answer has ended, one way or another; never rejects.
  async run(body) {
    const {signal} = this.#abort;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await this.#stream(body, signal);
        break;
      } catch (error) {
        if (signal.aborted) break;
        const untouched = this.tokens === 0;
        if (untouched && error.status === 401 && await this.askKey()) continue;
        if (untouched && [429, 503].includes(error.status) && attempt < patience) {
          await this.#wait(error.retryAfter ?? Math.min(30, 2 ** attempt), error);
          continue;
        }
        this.node.error = error instanceof ApiError ? explain(error) : `The page failed: ${error.message}`;
        break;
      }
    }
    if (signal.aborted && !this.node.finish) this.node.finish = 'cancelled';
    this.#endThinking();
    this.state = 'ended';
    this.changed();
  }

  async #wait(seconds, error) {
    this.state = 'retrying';
    this.reason = explain(error);
    this.retryAt = performance.now() + seconds * 1000;
    const ticks = setInterval(this.changed, 500);
    this.changed();
    await new Promise(resolve => {
      this.#wake = resolve;
      setTimeout(resolve, seconds * 1000);
    });
    clearInterval(ticks);
    this.state = 'waiting';
    this.changed();
  }

  async #stream(body, signal) {
    this.started = performance.now();
    const waiting = () => {
      if (this.state === 'waiting') {
        this.state = 'queued';
        this.changed();
      }
    };
    for await (const chunk of streamChat(body, signal, waiting)) {
      const choice = chunk.choices?.[0];
      if (choice?.delta) this.#take(choice.delta);
      if (choice?.finish_reason) this.node.finish = choice.finish_reason;
      if (chunk.model) this.node.model = chunk.model;
      if (chunk.usage) {
        this.node.usage = usageOf(chunk.usage);
        this.node.rate = this.#rateOf(this.node.usage.completion);
      }
      this.changed();
    }
  }

  #take(delta) {
    const {node} = this;
    if (!delta.content && !delta.reasoning_content && !delta.tool_calls?.length) return;
    this.last = performance.now();
    this.tokens++;
    if (this.tokens === 1) {
      this.begun = this.last;
      node.first = (this.begun - this.started) / 1000;
    }
    if (delta.reasoning_content) {
      this.state = 'thinking';
      this.thinkingSince ??= this.last;
      node.reasoning = (node.reasoning ?? '') + delta.reasoning_content;
    }
    if (delta.content || delta.tool_calls?.length) {
      this.#endThinking();
      this.state = 'answering';
    }
    if (delta.content) node.content += delta.content;
    for (const part of delta.tool_calls ?? []) {
      node.calls ??= [];
      const call = node.calls[part.index ?? 0] ??= {id: part.id ?? `call_${part.index ?? 0}`, name: '', text: ''};
      if (part.function?.name) call.name = part.function.name;
      call.text += part.function?.arguments ?? '';
    }
  }

  #endThinking() {
    if (this.thinkingSince === undefined) return;
    this.node.seconds = (performance.now() - this.thinkingSince) / 1000;
    this.thinkingSince = undefined;
  }
}

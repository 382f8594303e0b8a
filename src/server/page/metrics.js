// metrics.js — the server's /metrics (Prometheus text) as numbers, and what changed between two looks.

// Name -> sum over all label sets (one for each model).
export function parseMetrics(text) {
  const sums = new Map();
  for (const line of text.split('\n')) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{[^}]*\})?\s+([^\s]+)/.exec(line);
    const value = found && Number(found[2].replace(/^([+-]?)Inf$/, '$1Infinity'));
    if (found && Number.isFinite(value)) sums.set(found[1], (sums.get(found[1]) ?? 0) + value);
  }
  return sums;
}

const names = {
  running: 'nautile_engine_running', waiting: 'nautile_engine_waiting',
  pages: 'nautile_kv_pages', pagesUsed: 'nautile_kv_pages_used', pagesCached: 'nautile_kv_pages_cached',
  memory: 'process_resident_memory_bytes', diskBytes: 'nautile_disk_cache_bytes',
  requests: 'nautile_engine_requests_total', finished: 'nautile_engine_finished_total', cancelled: 'nautile_engine_cancelled_total',
  failed: 'nautile_engine_failed_total', refused: 'nautile_engine_refused_total',
  prompt: 'nautile_prompt_tokens_total', cached: 'nautile_cached_tokens_total', completion: 'nautile_completion_tokens_total',
};

// What the dashboard shows, NaN where the server does not tell; `at` in seconds.
export function readState(text, at) {
  const sums = parseMetrics(text);
  const state = {at};
  for (const [key, name] of Object.entries(names)) state[key] = sums.get(name) ?? NaN;
  return state;
}

// Tokens a second and the share of cached prompt tokens between two states; null after a restart.
export function change(before, now) {
  const seconds = now.at - before.at;
  if (!(seconds > 0) || now.completion < before.completion || now.prompt < before.prompt) return null;
  const prompt = now.prompt - before.prompt;
  const cached = now.cached - before.cached;
  return {
    answers: (now.completion - before.completion) / seconds,
    prompts: (prompt - (cached || 0)) / seconds,
    hits: prompt > 0 ? 100 * cached / prompt : NaN,
  };
}

// sse.js — server-sent events out of a stream of bytes.

// Yields {event, data} of each event. Comments (": keep-alive") yield nothing but call `onComment`.
export async function* readEvents(stream, onComment = () => {}) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let data = [], event = '';
  try {
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      rest += decoder.decode(value, {stream: true});
      // A lone CR at the end may be half of a CRLF.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === '') {
          if (data.length) yield {event, data: data.join('\n')};
          data = [];
          event = '';
        } else if (line.startsWith(':')) {
          onComment();
        } else {
          const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line);
          if (field === 'data') data.push(text);
          else if (field === 'event') event = text;
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// vendor.js — others' libraries, each loaded when first asked for. One that the server does not have
// is null, and the page goes on without it.

const folder = new URL('./vendor/', import.meta.url);

// Under `require-trusted-types-for` an address of a script needs a policy; this one knows its folder.
const policy = globalThis.trustedTypes?.createPolicy('nautile', {
  createScriptURL: name => /^[a-z]+\.js$/.test(name) ? new URL(name, folder).href : '',
});

const loads = new Map();

function load(name, global, prepare = library => library) {
  if (!loads.has(name)) {
    loads.set(name, new Promise(resolve => {
      const script = document.createElement('script');
      script.src = policy ? policy.createScriptURL(name) : new URL(name, folder).href;
      script.onload = () => resolve(globalThis[global] ? prepare(globalThis[global]) : null);
      script.onerror = () => resolve(null);
      document.head.append(script);
    }));
  }
  return loads.get(name);
}

export const marked = () => load('marked.js', 'marked');
export const highlighter = () => load('highlight.js', 'hljs');
export const katex = () => load('katex.js', 'katex', library => {
  const link = document.createElement('link');
  link.rel = 'stylesheet';
  link.href = new URL('katex.css', folder).href;
  document.head.append(link);
  return library;
});

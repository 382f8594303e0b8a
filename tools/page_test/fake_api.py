"""fake_api.py — the page's files and an API that says what the last message asks for.

    python3 tools/page_test/fake_api.py [PORT]      then open http://127.0.0.1:PORT/

The first word of the last user message chooses: see SCENES. Anything else is echoed.
"""

import http.server
import json
import pathlib
import re
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "src/server/page"
SHARE = pathlib.Path("/usr/share")
VENDOR = {
    "marked.js": "javascript/marked/marked.umd.min.js",
    "highlight.js": "javascript/highlight.js/highlight.min.js",
    "katex.js": "javascript/katex/katex.min.js",
    "katex.css": "javascript/katex/katex.min.css",
}
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "woff2": "font/woff2"}

MARKDOWN = r"""## A small tour

Attention is *one line*, with **weights** that sum to one:

$$\operatorname{softmax}\!\left(\frac{QK^\top}{\sqrt{d}}\right)V$$

where \(d\) is the width of a head, so $\sqrt{d}$ keeps the scores near one. It costs $5 or $6 a day.

```python
def attend(q, k, v):
    # scores of every pair
    scores = q @ k.T / len(k[0]) ** 0.5
    return softmax(scores) @ v
```

| step | rows | time |
|:-----|-----:|-----:|
| prefill | 512 | 41 ms |
| decode | 1 | 9 ms |

1. Read the [paper](https://example.com/paper).
2. Try it:
   - on a CPU
   - on two <br> lines, H<sub>2</sub>O
- [x] done

> Calm is a feature.

![chart](https://evil.example/track.png) and <script>alert(1)</script> and `inline code`.
"""


def policy():
    """The header as the program sends it: the literals after kContentSecurityPolicy."""
    text = (ROOT / "src/server/page_files.cpp").read_text()
    found = re.search(r"kContentSecurityPolicy =\s*((?:\"[^\"]*\"\s*)+);", text)
    return "".join(re.findall(r'"([^"]*)"', found.group(1)))


class State:
    """What tests set and look at; one for the server."""

    def __init__(self):
        self.key = None  # what Authorization must hold, or None
        self.payload = ""  # what the scene `payload` says
        self.vendor = True  # whether others' libraries are there
        self.requests = []  # bodies of chats
        self.busy = 0  # refusals still to give
        self.completion, self.prompt, self.cached, self.running = 1000, 5000, 2500, 0
        self.lock = threading.Lock()


STATE = State()


def words(text):
    return re.findall(r"\s*\S+", text)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, kind, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, message, code="", headers=()):
        error = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
        self.reply(status, "application/json", json.dumps(error).encode(), headers)

    def allowed(self):
        if STATE.key and self.headers.get("Authorization") != f"Bearer {STATE.key}":
            self.refuse(401, "No API key, or a wrong one.", "invalid_api_key")
            return False
        return True

    def file(self, path):
        if path == "/":
            return PAGE / "index.html"
        if path.startswith("/page/vendor/fonts/"):
            return SHARE / "javascript/katex/fonts" / pathlib.Path(path).name
        if path.startswith("/page/vendor/"):
            return SHARE / VENDOR.get(path[13:], "none") if STATE.vendor else PAGE / "none"
        return PAGE / pathlib.Path(path).name

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/v1/models":
            if self.allowed():
                models = [{"id": name, "object": "model", "max_model_len": 8192} for name in ("think-small", "smollm2")]
                self.reply(200, "application/json", json.dumps({"object": "list", "data": models}).encode())
        elif path == "/metrics":
            if self.allowed():
                self.reply(200, "text/plain; version=0.0.4", self.metrics().encode())
        elif path == "/" or path.startswith("/page/"):
            file = self.file(path)
            if not file.is_file():
                return self.refuse(404, "There is no such file.")
            kind = TYPES.get(file.suffix[1:], "application/octet-stream")
            self.reply(200, kind, file.read_bytes(), [("Content-Security-Policy", policy()), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-cache")])
        else:
            self.refuse(404, "There is nothing here.")

    def metrics(self):
        with STATE.lock:
            wave = int(time.time() * 7) % 40
            STATE.completion += 60 + wave
            STATE.prompt += 200
            STATE.cached += 120 + wave
            values = {
                "nautile_engine_running": 6 + wave // 8, "nautile_engine_waiting": wave // 20, "nautile_kv_pages": 512,
                "nautile_kv_pages_used": 300 + wave, "nautile_kv_pages_cached": 120, "process_resident_memory_bytes": 1.9e9 + wave * 1e6,
                "nautile_engine_requests_total": 420, "nautile_engine_finished_total": 400, "nautile_engine_cancelled_total": 9,
                "nautile_engine_failed_total": 0, "nautile_engine_refused_total": 4, "nautile_prompt_tokens_total": STATE.prompt,
                "nautile_cached_tokens_total": STATE.cached, "nautile_completion_tokens_total": STATE.completion,
            }
        return "".join(f'# TYPE {name} gauge\n{name}{{model="think-small"}} {value}\n' for name, value in values.items())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.allowed():
            return
        request = json.loads(body)
        STATE.requests.append(request)
        last = request["messages"][-1]
        scene = (last.get("content") or "").split(" ", 1)[0].strip().lower()
        if last["role"] == "tool":
            scene = "result"
        with STATE.lock:
            busy, STATE.busy = STATE.busy, max(0, STATE.busy - 1)
        if busy:
            return self.refuse(429, "The queue is full.", "queue_full", [("Retry-After", "2")])
        if scene == "toolong":
            return self.refuse(400, "The prompt has 9000 tokens, the context 8192.", "context_length_exceeded")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.stream(request, scene, last)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def write(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def chunk(self, request, delta=None, finish=None, **more):
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        value = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": request.get("model", "?"), "choices": choices, "usage": None, **more}
        self.write(f"data: {json.dumps(value)}\n\n")

    def say(self, request, text, field="content", pause=0.01):
        for word in words(text):
            self.chunk(request, {field: word})
            time.sleep(pause)

    def stream(self, request, scene, last):
        self.chunk(request, {"role": "assistant", "content": ""})
        finish = "stop"
        if scene == "queue":
            for _ in range(6):
                self.write(": keep-alive\n\n")
                time.sleep(0.25)
        if scene in ("think", "think-long"):
            self.say(request, "The question is short. I look at it from two sides, and then I am done." * (1 if scene == "think" else 20), "reasoning_content", 0.15)
        if scene == "tool":
            self.chunk(request, {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}]})
            for part in ('{"city": ', '"Paris", ', '"days": 3}'):
                self.chunk(request, {"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
            finish = "tool_calls"
        elif scene == "slow":
            self.say(request, " ".join(f"word{n}" for n in range(2000)), pause=0.02)
        elif scene == "drop":
            self.say(request, "This will not")
            time.sleep(0.3)
            self.connection.shutdown(2)
            return
        elif scene == "error":
            self.write('data: {"error": {"message": "The engine failed.", "type": "server_error", "code": null, "param": null}}\n\n')
            self.write("")
            return
        elif scene == "payload":
            self.chunk(request, {"content": STATE.payload})
        elif scene == "markdown":
            for piece in re.findall(r"[\s\S]{1,6}", MARKDOWN):
                self.chunk(request, {"content": piece})
                time.sleep(0.004)
        elif scene == "length":
            self.say(request, "This goes on and")
            finish = "length"
        elif scene == "result":
            self.say(request, f"The tool said {last['content']}")
        elif scene == "huge":
            for _ in range(400):
                self.chunk(request, {"content": "A paragraph of *some* length with `code` and words.\n\n"})
        else:
            self.say(request, f"You said: {last['content']}")
        self.chunk(request, {"content": ""}, finish)
        usage = {"prompt_tokens": 120, "completion_tokens": 42, "total_tokens": 162, "prompt_tokens_details": {"cached_tokens": 64}}
        self.chunk(request, usage=usage)
        self.write("data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # a browser that went away


def serve(port=0):
    """Starts in a thread; returns the server, whose address is server_address."""
    server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    print("http://127.0.0.1:%d/" % serve(int(sys.argv[1]) if len(sys.argv) > 1 else 8765).server_address[1])
    threading.Event().wait()

"""load_test.py — nautile serve under hard use: many streams, a full queue, slow clients, clients that leave, hours.

    python tools/load_test.py [--nautile PATH] [--model PATH] CHECK …

CHECKs: streams, queue, slow-heads, leaving, soak; without any, all but soak. Each starts a server of its own, prints
what it measures beside the bar, and the exit code is 1 if one is missed. The model is the default one, or --model's.
The bars on time are those of a machine with nothing else to do.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time

SPAWN_SECONDS = 600
failed = []


def verdict(what: str, found: float, bar: float, unit: str, holds: bool) -> None:
    print(f"  {'ok    ' if holds else 'MISSED'} {what}: {found:.4g} {unit} (bar {bar:g})", flush=True)
    if not holds:
        failed.append(what)


def at_most(what: str, found: float, bar: float, unit: str = "s") -> None:
    verdict(what, found, bar, unit, found <= bar)


def at_least(what: str, found: float, bar: float, unit: str = "") -> None:
    verdict(what, found, bar, unit, found >= bar)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else float("nan")


class Server:
    """nautile serve at a free port, with its log in a file; ended with the with-block."""

    def __init__(self, o: argparse.Namespace, *options: str):
        self.log = tempfile.NamedTemporaryFile(suffix=".log")
        command = [o.nautile, "serve", *([o.model] if o.model else []), "--port", "0", "--no-page", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL)
        line = self.process.stdout.readline().decode()
        found = re.search(r"at http://127\.0\.0\.1:(\d+)", line)
        if not found:
            self.process.kill()
            sys.exit(f"{' '.join(command)} does not serve: {open(self.log.name, errors='replace').read()[-2000:]}")
        self.port = int(found[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            failed.append("the server did not end")

    def records(self, event: str) -> list[dict]:
        with open(self.log.name, errors="replace") as log:
            lines = [json.loads(line) for line in log if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    def resident(self) -> int:
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Link:
    """One connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    @staticmethod
    async def to(port: int) -> "Link":
        return Link(*await asyncio.open_connection("127.0.0.1", port))

    def post(self, path: str, body: dict) -> None:
        text = json.dumps(body).encode()
        self.writer.write(b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
                          b"Content-Length: %d\r\n\r\n%s" % (path.encode(), len(text), text))

    async def response(self) -> tuple[int, dict, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head.split(" ", 2)[1])
        fields = {k.lower(): v for k, v in re.findall(r"^([^:\r\n]+): *([^\r\n]*)", head, re.M)}
        if "content-length" in fields:
            return status, fields, await self.reader.readexactly(int(fields["content-length"]))
        return status, fields, await self.reader.read(-1)

    def leave(self) -> None:
        self.writer.transport.abort()


def completion(prompt: str, tokens: int, stream: bool) -> dict:
    return {"prompt": prompt, "max_tokens": tokens, "stream": stream, "ignore_eos": True, "temperature": 0}


async def ask(port: int, body: dict, path: str = "/v1/completions") -> tuple[int, dict, bytes, float]:
    start = time.monotonic()
    link = await Link.to(port)
    try:
        link.post(path, body)
        status, fields, answer = await link.response()
        return status, fields, answer, time.monotonic() - start
    finally:
        link.leave()


class Watch:
    """Asks for /metrics over one connection, a new one where the server has closed it for want of requests."""

    def __init__(self, link: Link, port: int):
        self.link, self.port = link, port
        self.last: dict[str, float] = {}
        self.longest_step = 0.0  # seconds

    @staticmethod
    async def of(server: Server) -> "Watch":
        return Watch(await Link.to(server.port), server.port)

    async def all(self) -> dict[str, float]:
        question = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.link.writer.write(question)
        try:
            _, _, text = await self.link.response()
        except (OSError, asyncio.IncompleteReadError):
            self.link = await Link.to(self.port)
            self.link.writer.write(question)
            _, _, text = await self.link.response()
        found = {n: float(v) for n, v in re.findall(r'^nautile_(\w+)\{model="[^"]*"\} (\S+)$', text.decode(), re.M)}
        busy, steps = ([m.get(f"engine_{name}_total", 0) for m in (self.last, found)] for name in ("busy_seconds", "steps"))
        if self.last and steps[1] > steps[0]:
            self.longest_step = max(self.longest_step, (busy[1] - busy[0]) / (steps[1] - steps[0]))
        self.last = found
        return found

    async def until(self, holds, seconds: float = 120) -> dict[str, float]:
        start = time.monotonic()
        while True:
            found = await self.all()
            if holds(found):
                return found
            if time.monotonic() - start > seconds:
                sys.exit(f"the server does not get there: {found}")
            await asyncio.sleep(0.002)


def bench(o: argparse.Namespace, server: Server, clients: int, tokens: int) -> dict:
    command = [o.nautile, "bench", "serve", "--url", f"http://127.0.0.1:{server.port}", "--json", "--warm-up", "0"]
    command += ["--clients", str(clients), "--requests", str(clients), "--max-tokens", str(tokens), "--ignore-eos"]
    command += ["--endpoint", "completions", "--shared", "0", "--own", "8"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    if result.returncode != 0:
        sys.exit(f"bench serve failed: {result.stderr}{result.stdout}")
    return json.loads(result.stdout)["runs"][0]


async def streams(o: argparse.Namespace) -> None:
    print(f"{o.count_streams} streams of 16 tokens with --queue 1024")
    with Server(o, "--queue", "1024", "--parallel", "128") as server:
        work = asyncio.create_task(asyncio.to_thread(bench, o, server, o.count_streams, 16))
        health = []
        while not work.done():
            start = time.monotonic()
            link = await Link.to(server.port)
            link.writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await link.response()
            link.leave()
            health.append(time.monotonic() - start)
            await asyncio.sleep(0.05)
        run = work.result()
        found = await (await Watch.of(server)).all()
    for failure in run["failures"]:
        print(f"  {failure['count']} of status {failure['status']}: {failure['example']}")
    at_least("answers", run["answers"], o.count_streams)
    at_least("tokens", run["tokens"], 16 * o.count_streams)
    at_most("all of them took", run["seconds"], 180)
    at_most("/health meanwhile, p99", percentile(health, 0.99), 0.25)
    at_least("decoded in one batch", found["batch_decode_rows_max"], 64, "rows")


async def queue(o: argparse.Namespace) -> None:
    print(f"{o.count_streams} streams at once with --queue 64")
    with Server(o, "--queue", "64", "--parallel", "16") as server:
        run = bench(o, server, o.count_streams, 64)
        refused = [f for f in run["failures"] if f["status"] == 429]
        count = sum(f["count"] for f in refused)
        at_least("answered", run["answers"], 80)
        at_least("answered or refused with 429", run["answers"] + count, o.count_streams)
        at_least("with Retry-After", sum(f["with_retry_after"] for f in refused), count)
        # With all clients beginning in one moment on the server's own cores, and one process asking for them all.
        print("  from connecting to the refusal's end, of all at once: "
              + ", ".join(f"{p} {f['seconds'][p] * 1e3:.0f} ms" for f in refused for p in ("p50", "p99")))
        at = [r["ms"] / 1e3 for r in server.records("request") if r["status"] == 429]
        at_most("from a request to its refusal, by the log, p99", percentile(at, 0.99), 0.02)

        # And as a client sees it, one after another, while the queue is full and the engine at work.
        watch = await Watch.of(server)
        links = []
        for i in range(80):
            links.append(await Link.to(server.port))
            links[-1].post("/v1/completions", completion(f"{i} and so on", 1500, False))
        await watch.until(lambda m: m["engine_waiting"] == 64)
        times = []
        for i in range(200):
            status, fields, _, seconds = await ask(server.port, completion(f"late {i}", 4, True))
            if status != 429 or "retry-after" not in fields:
                failed.append(f"status {status} of a full queue")
            times.append(seconds)
        at_most("a client waits for its refusal, p95", percentile(times, 0.95), 0.02)
        for link in links:
            link.leave()


async def slow_heads(o: argparse.Namespace) -> None:
    print("1000 sockets that send one byte of a head")
    with Server(o) as server:
        async def times() -> list[float]:
            return [(await ask(server.port, completion(f"{i} is", 1, False)))[3] for i in range(40)]
        await times()
        alone = await times()
        slow = [await Link.to(server.port) for _ in range(1000)]
        for link in slow:
            link.writer.write(b"P")
        beside = await times()
        print(f"  an answer of one token: p50 {percentile(alone, .5) * 1e3:.1f} ms alone, "
              f"{percentile(beside, .5) * 1e3:.1f} ms beside them")
        at_most("p99 beside them", percentile(beside, 0.99), 0.5)
        start = time.monotonic()
        ends = await asyncio.gather(*(asyncio.wait_for(link.reader.read(-1), 30) for link in slow),
                                    return_exceptions=True)
        at_least("of them got 408", sum(isinstance(e, bytes) and b" 408 " in e[:16] for e in ends), 1000)
        at_most("until the last was closed", time.monotonic() - start, 15)


class Router:
    """A proxy that passes bytes on, and closes one side when the other is closed."""

    async def start(self, port: int) -> int:
        async def serve(reader, writer):
            up = await Link.to(port)

            async def pipe(source, target):
                with contextlib.suppress(OSError):
                    while data := await source.read(65536):
                        target.write(data)
                        await target.drain()
                writer.transport.abort()
                up.leave()
            await asyncio.gather(pipe(reader, up.writer), pipe(up.reader, writer))
        self.server = await asyncio.start_server(serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]


async def leave_at(o: argparse.Namespace, watch: Watch, name: str, prompt: str, stream: bool, there, freed, port: int) -> None:
    """Clients come one after another and leave when `there` holds (None: when their stream has begun)."""
    before, times = await watch.all(), []
    watch.longest_step = 0
    for i in range(o.count):
        link = await Link.to(port)
        link.post("/v1/completions", completion(f"{name} {i} {prompt}", 4000, stream))
        if there is None:
            await link.reader.readuntil(b"data: ")
        else:
            await watch.until(there)
        start = time.monotonic()
        link.leave()
        cancelled = before["engine_cancelled_total"] + i + 1
        await watch.until(lambda m: freed(m) and m["engine_cancelled_total"] >= cancelled)
        times.append(time.monotonic() - start)
    after, step = await watch.all(), watch.longest_step
    print(f"  {name}: p50 {percentile(times, .5) * 1e3:.1f} ms, most {max(times) * 1e3:.1f} ms; "
          f"a step takes up to {step * 1e3:.1f} ms")
    # It is seen by asking every other millisecond.
    at_most(f"{name}: until the place is free", max(times), max(0.25, step + 0.02))
    at_least(f"{name}: cancelled", after["engine_cancelled_total"] - before["engine_cancelled_total"], o.count)


async def leaving(o: argparse.Namespace) -> None:
    print(f"{o.count} clients leave in each of five states")

    def running(count: int):
        return lambda m: m["engine_running"] == count

    def idle(m):
        return m["engine_running"] == 0 and m["kv_pages_used"] == 0

    async def block(watch: Watch, port: int) -> Link:
        blocker = await Link.to(port)
        blocker.post("/v1/completions", completion("long", 8000, False))
        await watch.until(running(1))
        return blocker

    # Beside an answer that is being written a batch has few rows of a prompt.
    with Server(o, "--parallel", "2", "--queue", "8", "--ctx", "8192") as server:
        watch = await Watch.of(server)
        blocker = await block(watch, server.port)
        book = " ".join(str(i) for i in range(1500))
        await leave_at(o, watch, "in the prompt", book, True, running(2), running(1), server.port)
        blocker.leave()
    with Server(o, "--parallel", "1", "--queue", "8", "--ctx", "8192") as server:
        watch, router = await Watch.of(server), await Router().start(server.port)
        await leave_at(o, watch, "in the stream", "", True, None, idle, server.port)
        await leave_at(o, watch, "without a stream", "", False, running(1), idle, server.port)
        await leave_at(o, watch, "behind a router", "", True, None, idle, router)
        blocker = await block(watch, server.port)
        await leave_at(o, watch, "in the queue", "", True, lambda m: m["engine_waiting"] == 1,
                       lambda m: m["engine_waiting"] == 0, server.port)
        blocker.leave()
        found = await watch.until(idle)
        at_most("failed", found["engine_failed_total"], 0, "requests")


def slope(samples: list[tuple[float, float]]) -> tuple[float, float]:
    """Least squares -> (slope, its standard error), per second."""
    n = len(samples)
    mean_t, mean_y = sum(t for t, _ in samples) / n, sum(y for _, y in samples) / n
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    found = sum((t - mean_t) * (y - mean_y) for t, y in samples) / spread
    rest = sum((y - mean_y - found * (t - mean_t)) ** 2 for t, y in samples)
    return found, (rest / max(1, n - 2) / spread) ** 0.5


async def soak(o: argparse.Namespace) -> None:
    print(f"mixed use for {o.seconds:.0f} s")
    # Pages enough to be used all before memory is watched.
    with Server(o, "--parallel", "8", "--queue", "16", "--ctx", "512", "--kv-tokens", "4096") as server:
        watch = await Watch.of(server)
        for i in range(200):
            await ask(server.port, completion(" ".join(str((i * 37 + k * k) % 100) for k in range(90)), 1, False))
            found = await watch.all()
            if found["kv_pages_cached"] + found["kv_pages_used"] >= 0.95 * found["kv_pages"]:
                break
        end = time.monotonic() + o.seconds
        counts, samples, fds = {}, [], []

        async def client(number: int) -> None:
            chance = random.Random(number)
            while time.monotonic() < end:
                words = " ".join(str(chance.randrange(100)) for _ in range(chance.choice([5, 30, 90])))
                kind = chance.choice(["whole", "stream", "stream", "leave", "bad"])
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    if kind == "bad":
                        status = (await ask(server.port, {"prompt": words, "max_tokens": -1}))[0]
                    elif kind == "leave":
                        link = await Link.to(server.port)
                        link.post("/v1/completions", completion(words, 64, chance.random() < 0.5))
                        await asyncio.sleep(chance.random() * 0.5)
                        link.leave()
                        status = 0
                    else:
                        body = completion(words, chance.randrange(1, 32), kind == "stream")
                        status, _, answer, _ = await ask(server.port, body)
                        if kind == "stream" and status == 200 and b"data: [DONE]" not in answer:
                            failed.append("a stream broke off")
                    counts[kind, status] = counts.get((kind, status), 0) + 1

        async def sample() -> None:
            start = time.monotonic()
            while time.monotonic() < end:
                now = time.monotonic() - start
                if now > o.seconds / 4:
                    samples.append((now, server.resident()))
                    fds.append(server.descriptors())
                await asyncio.sleep(min(1, o.seconds / 100))
        await asyncio.gather(sample(), *(client(i) for i in range(24)))
        found = await watch.until(lambda m: m["engine_running"] + m["engine_waiting"] == 0)
        print("  " + ", ".join(f"{kind} {status or ''}: {n}" for (kind, status), n in sorted(counts.items())))
        rate, error = slope(samples)
        hour = 3600 / 2**20
        print(f"  resident: {samples[0][1] / 2**20:.1f} to {samples[-1][1] / 2**20:.1f} MiB, "
              f"{rate * hour:.2f} ± {error * hour:.2f} MiB/h; descriptors {min(fds)} to {max(fds)}")
        # What two standard errors cannot tell from no growth is none: in two minutes a page is 0.1 MiB/h.
        at_most("growth that is surely there", (rate - 2 * error) * hour, 2, "MiB/h")
        at_most("answers of status 5xx", sum(n for (_, s), n in counts.items() if s >= 500), 0)
        at_most("pages in use at the end", found["kv_pages_used"], 0)
        at_most("failed", found["engine_failed_total"], 0, "requests")


CHECKS = {"streams": streams, "queue": queue, "slow-heads": slow_heads, "leaving": leaving, "soak": soak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    parser.add_argument("--nautile", default="build/release/nautile")
    parser.add_argument("--model", default="")
    parser.add_argument("--count", type=int, default=200, help="clients that leave in each state")
    parser.add_argument("--count-streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=7200, help="of soak")
    o = parser.parse_args()
    if unknown := set(o.checks) - set(CHECKS):
        parser.error(f"no check {', '.join(sorted(unknown))}: there are {', '.join(CHECKS)}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    for name in o.checks or [n for n in CHECKS if n != "soak"]:
        asyncio.run(CHECKS[name](o))
    for what in failed:
        print(f"missed: {what}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

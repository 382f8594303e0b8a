"""rival_server.py — nautile serve beside llama.cpp's llama-server: the same files, threads and requests, interleaved.

    python bench/rival_server.py --rival LLAMA_SERVER [--clients 1,4,16] [--rounds N] MODEL.gguf …

Both servers are started once per model with room for 16 answers and their prefix caches on; the one that is not being
measured is stopped (SIGSTOP). In every round each is asked by `nautile bench serve` for the same words: those that all
share, seen before in a warm-up, and those of each request's own, new in every round; as many as make --shared and --own
tokens of the model's vocabulary. Prints medians over the rounds, and the median of the ratios round by round. With
--least-ratio: exit code 1 if at the most clients the ratio of tokens per second is below it, or that of the first
token's p95 above 1.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SLOTS = 16


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server's process, stopped whenever it is not being asked."""

    def __init__(self, name: str, command: list[str], port: int):
        self.name, self.url = name, f"http://127.0.0.1:{port}"
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        for _ in range(3000):
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                    if answer.status == 200:
                        self.pause()
                        return
            except OSError:
                pass
            time.sleep(0.1)
        self.log.seek(0)
        said = self.log.read().decode(errors="replace")[-2000:]
        self.end()
        sys.exit(f"{name} does not serve ({' '.join(command)}):\n{said}")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        self.process.kill()
        self.process.wait()


def servers(model: str, o: argparse.Namespace, room: int) -> list[Server]:
    port = free_port()
    ours = [o.nautile, "serve", model, "--port", str(port), "--threads", str(o.threads), "--parallel", str(SLOTS)]
    ours += ["--ctx", str(room), "--kv-tokens", str(SLOTS * room)]
    found = [Server("nautile", ours, port)]
    port = free_port()
    theirs = [o.rival, "-m", model, "--host", "127.0.0.1", "--port", str(port), "--threads", str(o.threads)]
    theirs += ["--threads-batch", str(o.threads), "--parallel", str(SLOTS), "--ctx-size", str(SLOTS * room)]
    theirs += ["--cache-prompt", *o.rival_option]
    try:
        found.append(Server("llama-server", theirs, port))
    except SystemExit:
        found[0].end()
        raise
    return found


def ask(server: Server, clients: int, seed: int, words: tuple[int, int], tokens: int, o: argparse.Namespace) -> dict:
    command = [o.nautile, "bench", "serve", "--url", server.url, "--json", "--ignore-eos", "--seed", str(seed)]
    command += ["--clients", str(clients), "--requests", str(max(o.requests, clients) if clients > 1 else o.alone)]
    command += ["--shared", str(words[0]), "--own", str(words[1]), "--max-tokens", str(tokens)]
    command += ["--endpoint", "completions", "--temperature", str(o.temperature)]
    server.go_on()
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    finally:
        server.pause()
    if result.returncode != 0:
        sys.exit(f"{server.name}: {result.stderr}{result.stdout}")
    run = json.loads(result.stdout)["runs"][0]
    if run["failures"] or run["tokens"] != run["answers"] * tokens:
        sys.exit(f"{server.name}: not every answer has {tokens} tokens: {json.dumps(run)}")
    return run


def milliseconds(seconds: float | None) -> float:
    """nan where a server sent too few pieces of text to measure."""
    return float("nan") if seconds is None else seconds * 1e3


MEASURES = {
    "tokens/s": lambda run: run["tokens_per_second"],
    "first p50 ms": lambda run: milliseconds(run["first_token"]["p50"]),
    "first p95 ms": lambda run: milliseconds(run["first_token"]["p95"]),
    "between p50 ms": lambda run: milliseconds(run["between_tokens"]["p50"]),
    "between p95 ms": lambda run: milliseconds(run["between_tokens"]["p95"]),
}


def compare(model: str, o: argparse.Namespace) -> list[str]:
    """Prints a model's lines -> what is below the bar."""
    room = 8 * (o.shared + o.own) + o.max_tokens  # a vocabulary of bytes needs some six tokens a word
    pair = servers(model, o, room)
    failed = []
    try:
        # Each has seen the shared words before it is measured.
        tries = [ask(server, 1, 1, (o.shared, o.own), 1, o) for server in pair]
        share = (o.shared + o.own) / max(tries[0]["prompt_tokens"], 1)
        words = (max(1, round(o.shared * share)), max(1, round(o.own * share)))
        for clients in o.clients:
            runs = {server.name: [] for server in pair}
            for round_ in range(o.rounds):
                order = pair if round_ % 2 == 0 else pair[::-1]
                for server in order:
                    runs[server.name].append(ask(server, clients, 1000 * clients + round_ + 1, words, o.max_tokens, o))
            ours, theirs = runs["nautile"], runs["llama-server"]
            for name, measure in MEASURES.items():
                mine, other = [measure(r) for r in ours], [measure(r) for r in theirs]
                ratios = [a / b for a, b in zip(mine, other)]
                middle = statistics.median(ratios)
                print(f"{os.path.basename(model):36} {clients:7} {name:14} {statistics.median(mine):9.1f} "
                      f"{statistics.median(other):12.1f} {middle:6.2f}   {min(ratios):.2f} to {max(ratios):.2f}", flush=True)
                if o.least_ratio and clients == max(o.clients):
                    if name == "tokens/s" and middle < o.least_ratio or name == "first p95 ms" and middle > 1:
                        failed.append(f"{os.path.basename(model)}: {name} is {middle:.2f} of the rival's")
            print(f"{'':36} {clients:7} prompt tokens, cached: {ours[-1]['prompt_tokens']:.0f}, {ours[-1]['cached_tokens']:.0f}"
                  f" and {theirs[-1]['prompt_tokens']:.0f}, {theirs[-1]['cached_tokens'] or 0:.0f}")
    finally:
        for server in pair:
            server.end()
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--nautile", default="build/release/nautile")
    parser.add_argument("--rival", required=True)
    parser.add_argument("--rival-option", action="append", default=[], metavar="OPTION")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4, 16])
    parser.add_argument("--requests", type=int, default=32, help="of a round; as many as clients at least")
    parser.add_argument("--alone", type=int, default=4, help="requests of a round with one client")
    parser.add_argument("--shared", type=int, default=150)
    parser.add_argument("--own", type=int, default=50)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--least-ratio", type=float, default=0)
    o = parser.parse_args()
    print(f"{'model':36} {'clients':>7} {'':14} {'nautile':>9} {'llama-server':>12} {'ratio':>6}   ratios of the rounds")
    failed = [line for model in o.models for line in compare(model, o)]
    for line in failed:
        print(f"below the bar: {line}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

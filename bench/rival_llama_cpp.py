"""rival_llama_cpp.py — nautile beside llama.cpp: the same files, the same threads, interleaved runs, medians.

    python bench/rival_llama_cpp.py --nautile build/release/nautile --rival NAME=PYTHON [--rival …] MODEL.gguf …

Each PYTHON is an interpreter that can import llama_cpp (PyPI: llama-cpp-python), built as NAME says. Every round runs
each program once in a process of its own: a warm-up, then prefill of 512 tokens and decode of 64 from an empty context,
and with --depth also decode behind that many tokens. Per case the fastest rival that ran counts; one that crashed is
reported and counts for nothing. Prints medians over the rounds and the median of the ratios round by round.
"""

import argparse
import json
import statistics
import subprocess
import sys

WORKER = r"""
import json, sys, time
import llama_cpp as l
path, threads, prefill, decode, depth = sys.argv[1], *map(int, sys.argv[2:])
quiet = l.llama_log_callback(lambda *a: None)  # kept: the library calls it to the end
l.llama_log_set(quiet, None)
l.llama_backend_init()
model = l.llama_model_load_from_file(path.encode(), l.llama_model_default_params())
params = l.llama_context_default_params()
params.n_ctx, params.n_ubatch = max(prefill, depth) + decode + 64, 512
params.n_batch = params.n_ctx
params.n_threads = params.n_threads_batch = threads
context = l.llama_init_from_model(model, params)
vocabulary = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))
def run(tokens):
    array = (l.llama_token * len(tokens))(*[t % vocabulary for t in tokens])
    if l.llama_decode(context, l.llama_batch_get_one(array, len(tokens))): sys.exit('llama_decode failed')
    l.llama_synchronize(context)
def timed(f):
    start = time.perf_counter(); f(); return time.perf_counter() - start
def clear(): l.llama_memory_clear(l.llama_get_memory(context), True)
text = lambda n: [(7919 * i + 13) % 30000 for i in range(n)]
run(text(64)); run([5]); clear()
out = {'prefill': prefill / timed(lambda: run(text(prefill)))}
clear()
def steps():
    for i in range(decode): run([100 + i])
out['decode'] = decode / timed(steps)
if depth:
    clear(); run(text(depth)); out['decode deep'] = decode / timed(steps)
print(json.dumps(out))
"""


def run_rival(python: str, model: str, o: argparse.Namespace) -> dict | None:
    command = [python, "-c", WORKER, model, str(o.threads), str(o.prefill), str(o.decode), str(o.depth)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if result.returncode != 0:
        print(f"   {python}: ended with {result.returncode}: {result.stderr.strip()[-200:]}", file=sys.stderr)
        return None
    return json.loads(result.stdout.splitlines()[-1])


def run_nautile(model: str, o: argparse.Namespace) -> dict:
    command = [o.nautile, "bench", "-m", model, "--threads", str(o.threads), "-r", "1", "--json"]
    command += ["-p", str(o.prefill), "-n", str(o.decode), "-d", f"0,{o.depth}" if o.depth else "0"]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=900).stdout)
    cases = {}
    for case in answer["cases"]:
        name = case["kind"] + (" deep" if case["depth"] else "")
        cases[name] = case["tokens_per_second"]
    return {k: v for k, v in cases.items() if k in ("prefill", "decode", "decode deep")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--nautile", default="build/release/nautile")
    parser.add_argument("--rival", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--depth", type=int, default=0)
    o = parser.parse_args()
    rivals = [r.split("=", 1) for r in o.rival]
    print(f"{'model':32} {'case':12} {'nautile':>9} {'rival':>9} {'ratio':>6}   fastest rival, ratios of the rounds")
    for model in o.models:
        ours, theirs = [], {name: [] for name, _ in rivals}
        for _ in range(o.rounds):
            ours.append(run_nautile(model, o))
            for name, python in rivals:
                theirs[name].append(run_rival(python, model, o))
        for case in ours[0]:
            mine = [r[case] for r in ours]
            ran = {n: [r[case] for r in rs] for n, rs in theirs.items() if all(rs)}
            if not ran:
                print(f"{model.rsplit('/', 1)[-1]:32} {case:12} {statistics.median(mine):9.1f}   no rival ran")
                continue
            best = max(ran, key=lambda n: statistics.median(ran[n]))
            ratios = [a / b for a, b in zip(mine, ran[best])]
            print(f"{model.rsplit('/', 1)[-1]:32} {case:12} {statistics.median(mine):9.1f} {statistics.median(ran[best]):9.1f} "
                  f"{statistics.median(ratios):6.2f}   {best}, {min(ratios):.2f} to {max(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()

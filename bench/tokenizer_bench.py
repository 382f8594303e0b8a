"""Times nautile's tokenizers against the `tokenizers` library: one thread, same texts, interleaved runs.

    V/bin/python bench/tokenizer_bench.py --program build/release/tokenizer_cases [--runs 5] [--megabytes 10]
Needs tokenizers==0.23.3 and Python 3.11. Prints the medians of tokens/s and their ratio. The library's time is
that of encode_batch_fast (no offsets) on a warm tokenizer; nautile's is that of the first pass of a new process.
"""
import argparse
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../tools/oracle"))

from tokenizer_texts import CJK, CODE, EMOJI, Texts
from tokenizers import Tokenizer


def mixed(texts, size):
    """Prose and code 70 %, CJK 15 %, hard atoms and random Unicode 15 %."""
    rng = random.Random(5)
    parts, total = [], 0
    while total < size:
        kind = rng.random()
        if kind < 0.7:
            part = texts.slice(2000)
        elif kind < 0.85:
            part = "".join(chr(int(min(rng.expovariate(1 / 2500), 20000)) + 0x4E00) for _ in range(150)) + rng.choice(CJK)
        elif kind < 0.98:
            part = "".join(rng.choice(CODE + EMOJI) if rng.random() < 0.3 else texts.atom() for _ in range(40))
        else:
            part = texts.unicode(60)
        parts.append(part)
        total += len(part.encode())
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=10)
    o = parser.parse_args()
    shared = os.environ.get("NAUTILE_TEST_DATA", os.path.join(here, "../../shared"))
    text = mixed(Texts(os.path.join(shared, "data"), ["<|im_end|>", "<｜User｜>"]), int(o.megabytes * 1e6))
    for length in (len(text), 100_000, 2_000):
        documents = [text[i:i + length] for i in range(0, len(text), length)]
        with tempfile.NamedTemporaryFile(suffix=".bin") as file:
            for d in documents:
                raw = d.encode()
                file.write(struct.pack("<I", len(raw)) + raw)
            file.flush()
            for name in sorted(os.listdir(os.path.join(shared, "tokenizers"))):
                path = os.path.join(shared, "tokenizers", name, "tokenizer.json")
                library = Tokenizer.from_file(path)
                library.encode_batch_fast(documents[:10], add_special_tokens=False)
                ours, theirs = [], []
                for _ in range(o.runs):
                    seconds, ids, load = subprocess.check_output([o.program, "time", file.name, "json", path], text=True).split()
                    ours.append(int(ids) / float(seconds))
                    start = time.perf_counter()
                    count = sum(len(e.ids) for e in library.encode_batch_fast(documents, add_special_tokens=False))
                    theirs.append(count / (time.perf_counter() - start))
                    assert count == int(ids), (name, count, ids)
                a, b = statistics.median(ours), statistics.median(theirs)
                print(f"{name:12} {len(documents):5} documents: nautile {a / 1e6:6.2f} M tokens/s, tokenizers {b / 1e6:6.2f}, "
                      f"ratio {a / b:5.2f} (load {float(load):.2f} s)", flush=True)


main()

"""compare_text.py — how far programs are from transformers on real text, teacher-forced.

    compare_text.py REFERENCE.safetensors [--ours NAME MAX_KL COMMAND]… [--rival NAME COMMAND]… [--windows N]

REFERENCE is a big file of smollm2_oracle.py. Each COMMAND is a program that reads a line of token ids from stdin, one
line per window, and writes the logits [tokens, W] F32 of that window to stdout before the next line is sent (row_logits,
llama_cpp_logits.py): all of them together would be 4 GB. --windows takes N of the reference's windows, evenly spread.
Needs numpy only. Prints, and exits with 1 if a bar is missed:

  KL          mean KL(reference || program) in nats over the rows that the reference holds in full
  KL >=       the same over all rows and 513 events, the 512 likeliest tokens and all others together: a lower bound
  perplexity  how much higher than the reference's, in percent
  top-1       share of decided rows whose largest logit agrees; decided are rows whose reference margin (first minus
              second logit) exceeds 10 times the RMS error of the logits (over the full rows)
  left out    share of rows not decided
  all top-1   share of all rows whose largest logit agrees

Bars, for each of ours: both KL at most MAX_KL and at most every rival's, perplexity within 0.1 %, top-1 at least 99.9 %.
"""

import argparse
import json
import pathlib
import shlex
import subprocess
import sys

import numpy as np
from compare import load, log_softmax

MAX_PERPLEXITY, MIN_TOP1 = 1e-3, 0.999


class Tally:
    """Sums of one program's figures, window after window."""

    def __init__(self, reference: dict):
        self.reference = reference
        self.ids = reference["top_ids"]
        self.full = dict(zip(reference["full_rows"].tolist(), range(len(reference["full_rows"])), strict=True))
        self.kl, self.bound, self.nll, self.agree, self.margin = [], [], [], [], []
        self.square, self.count, self.theirs = 0.0, 0, []

    def add(self, begin: int, stop: int, logits: np.ndarray) -> None:
        """Rows begin .. stop-1 of the reference, one window."""
        if not np.isfinite(logits).all():
            sys.exit(f"rows {begin} to {stop - 1}: {np.count_nonzero(~np.isfinite(logits))} logits are not finite")
        rows, q = np.arange(stop - begin), log_softmax(logits)
        tokens, ids = self.reference["tokens"][begin:stop], self.ids[begin:stop].astype(np.int64)
        self.nll.append(-q[rows[:-1], tokens[1:]])
        self.theirs.append(self.reference["nll"][begin : stop - 1].astype(np.float64))
        for row in range(begin, stop):
            if row in self.full:
                expected = self.reference["full_logits"][self.full[row]]
                p = log_softmax(expected)
                self.kl.append((np.exp(p) * (p - q[row - begin])).sum())
                self.square += ((logits[row - begin].astype(np.float64) - expected) ** 2).sum()
                self.count += expected.size
        p, p_rest = (self.reference[name][begin:stop].astype(np.float64) for name in ("top_logprobs", "rest_logprob"))
        self.margin.append(p[:, 0] - p[:, 1])
        self.agree.append(logits.argmax(-1) == ids[:, 0])
        bound = (np.exp(p) * (p - np.take_along_axis(q, ids, axis=-1))).sum(-1)
        np.put_along_axis(q, ids, -np.inf, axis=-1)
        self.bound.append(bound + np.exp(p_rest) * (p_rest - np.log(np.exp(q).sum(-1))))

    def figures(self) -> dict:
        agree, margin = np.concatenate(self.agree), np.concatenate(self.margin)
        decided = margin > 10 * np.sqrt(self.square / self.count)
        rise = np.concatenate(self.nll).mean() - np.concatenate(self.theirs).mean()
        return {
            "KL": np.mean(self.kl),
            "KL >=": np.concatenate(self.bound).mean(),
            "perplexity": np.expm1(rise),
            "top-1": agree[decided].mean() if decided.any() else float("nan"),
            "left out": 1 - decided.mean(),
            "all top-1": agree.mean(),
        }


def run(command: str, reference: dict, windows: list[tuple[int, int]]) -> dict:
    """Figures of the program `command` on windows [begin, stop)."""
    width, tally = reference["full_logits"].shape[1], Tally(reference)
    with subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        for begin, stop in windows:
            program.stdin.write(" ".join(map(str, reference["tokens"][begin:stop])).encode() + b"\n")
            program.stdin.flush()
            size = (stop - begin) * width * 4
            raw = program.stdout.read(size)
            if len(raw) != size:
                sys.exit(f"{command}: rows {begin} to {stop - 1}: expected {size} bytes of logits, found {len(raw)}")
            tally.add(begin, stop, np.frombuffer(raw, np.float32).reshape(stop - begin, width))
        program.stdin.close()
        if program.stdout.read(1):
            sys.exit(f"{command}: more logits than {width} per token")
    if program.returncode:
        sys.exit(f"{command}: ended with {program.returncode}")
    return tally.figures()


def metadata(path: pathlib.Path) -> dict:
    with path.open("rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))["__metadata__"]


def print_figures(name: str, figures: dict) -> None:
    print(
        f"{name:18} {figures['KL']:9.2e} {figures['KL >=']:9.2e} {100 * figures['perplexity']:+9.4f} % "
        f"{100 * figures['top-1']:8.3f} % {100 * figures['left out']:8.2f} % {100 * figures['all top-1']:8.2f} %",
        flush=True,
    )


def missed_bars(name: str, max_kl: float, figures: dict, rivals: dict) -> list[str]:
    missed = []
    for kind in ("KL", "KL >="):
        if not figures[kind] <= max_kl:
            missed.append(f"{name}: {kind} {figures[kind]:.3g}: expected at most {max_kl:.3g}")
        for rival, theirs in rivals.items():
            if not figures[kind] <= theirs[kind]:
                missed.append(f"{name}: {kind} {figures[kind]:.3g}: expected at most that of {rival}, {theirs[kind]:.3g}")
    if not abs(figures["perplexity"]) <= MAX_PERPLEXITY:
        missed.append(f"{name}: perplexity {100 * figures['perplexity']:+.4f} %: expected within 0.1 %")
    if not figures["top-1"] >= MIN_TOP1:
        missed.append(f"{name}: top-1 {100 * figures['top-1']:.3f} %: expected at least 99.9 %")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description="how far programs are from transformers on real text")
    parser.add_argument("reference", type=pathlib.Path)
    parser.add_argument("--ours", nargs=3, action="append", default=[], metavar=("NAME", "MAX_KL", "COMMAND"))
    parser.add_argument("--rival", nargs=2, action="append", default=[], metavar=("NAME", "COMMAND"))
    parser.add_argument("--windows", type=int, help="how many windows of the reference; default: all")
    arguments = parser.parse_args()
    reference, meta = load(arguments.reference), metadata(arguments.reference)
    starts = reference["starts"].tolist()
    windows = list(zip(starts[:-1], starts[1:], strict=True))
    if arguments.windows:
        windows = [windows[i * len(windows) // arguments.windows] for i in range(arguments.windows)]
    tokens = sum(stop - begin for begin, stop in windows)
    print(f"{tokens} tokens in {len(windows)} windows of {meta['texts']}")
    print(f"against transformers {meta['transformers']} in float32, perplexity of all its windows {meta['perplexity']}")
    print(f"{'':18} {'KL':>9} {'KL >=':>9} {'perplexity':>11} {'top-1':>10} {'left out':>10} {'all top-1':>10}", flush=True)

    ours, rivals = {}, {}
    for name, _, command in arguments.ours:
        ours[name] = run(command, reference, windows)
        print_figures(name, ours[name])
    for name, command in arguments.rival:
        rivals[name] = run(command, reference, windows)
        print_figures(name, rivals[name])
    missed = [line for name, max_kl, _ in arguments.ours for line in missed_bars(name, float(max_kl), ours[name], rivals)]
    for line in missed:
        print(f"MISSED {line}")
    if not missed:
        print("every bar is held")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

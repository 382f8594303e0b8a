"""compare_runs.py — holds training runs against one another by their metrics.jsonl; exit 1 if a bar is missed.

    python3 tools/compare_runs.py precision BF16 FP8 CONTROL   mean held-out loss over the last 200 steps
    python3 tools/compare_runs.py balance BALANCED FROZEN      load of the fullest expert over the mean
"""

import json
import sys
from pathlib import Path


def metrics(run: str) -> list[dict]:
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def held_out(run: str) -> tuple[float, float]:
    """Mean nats per token over the evaluations of the last 200 steps, and the tokens they took."""
    steps = [step["held_out"]["all"] for step in metrics(run)[-200:] if "held_out" in step]
    tokens = sum(step["tokens"] for step in steps)
    return sum(step["nats_per_token"] * step["tokens"] for step in steps) / tokens, tokens


def precision(bf16: str, fp8: str, control: str) -> bool:
    base, tokens = held_out(bf16)
    differences = {name: held_out(run)[0] / base - 1 for name, run in (("fp8", fp8), ("control", control))}
    print(f"bf16 {base:.5f} nats per token over {tokens:,.0f} held-out tokens of the last 200 steps")
    for name, difference in differences.items():
        print(f"{name:8} {100 * difference:+.3f} %")
    bar = max(0.0025, 2 * abs(differences["control"]))
    print(f"bar      {100 * bar:.3f} %")
    return tokens >= 1e6 and abs(differences["fp8"]) <= bar


def load(run: str) -> float:
    last = metrics(run)[-100:]
    return sum(step["load_max_over_mean"] for step in last) / len(last)


def balance(balanced: str, frozen: str) -> bool:
    with_bias, without = load(balanced), load(frozen)
    print(f"max/mean load, worst layer, mean of the last 100 steps: balanced {with_bias:.3f}, frozen {without:.3f}")
    return with_bias <= 1.5 and without > with_bias


if __name__ == "__main__":
    compare = {"precision": precision, "balance": balance}[sys.argv[1]]
    sys.exit(0 if compare(*sys.argv[2:]) else 1)

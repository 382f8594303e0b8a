"""compare.py — how far our logits are from a reference run.

    compare.py REFERENCE.safetensors OURS.safetensors [--run f32] [--name logits]

OURS holds `logits` [T, W] F32, rows in the order of the dump's tokens (see make_oracle.py). REFERENCE is a
dump.safetensors, whose run is named by --run. Needs numpy only. Prints, and exits with 1 if a bar given by --max-kl or
--max-relative is missed:

  relative   largest absolute difference over the largest reference logit
  kl         mean over rows of KL(reference || ours) in nats
  top1       share of decided rows whose largest logit agrees; decided are rows whose reference margin (first minus
             second logit) exceeds 10 times the RMS logit error
  left out   share of rows not decided
"""

import argparse
import json
import pathlib
import sys

import numpy as np

DTYPES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64, "U8": np.uint8, "F16": np.float16}


def load(path: pathlib.Path) -> dict:
    """name -> array mapped from a safetensors file."""
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    end = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    header = json.loads(raw[8:end].tobytes())
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, stop = entry["data_offsets"]
        tensors[name] = raw[end + begin : end + stop].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def compare_full(reference: np.ndarray, ours: np.ndarray) -> dict:
    """Both [T, W] logits."""
    if reference.shape != ours.shape:
        sys.exit(f"logits: expected shape {reference.shape}, found {ours.shape}")
    if not np.isfinite(ours).all():
        sys.exit(f"logits: {np.count_nonzero(~np.isfinite(ours))} numbers are not finite")
    difference = ours.astype(np.float64) - reference
    p, q = log_softmax(reference), log_softmax(ours)
    rms = np.sqrt(np.mean(difference**2))
    top = np.partition(reference, -2, axis=-1)
    decided = top[:, -1].astype(np.float64) - top[:, -2] > 10 * rms
    agree = reference.argmax(-1) == ours.argmax(-1)
    return {
        "relative": np.abs(difference).max() / np.abs(reference).max(),
        "rms": rms,
        "kl": (np.exp(p) * (p - q)).sum(-1).mean(),
        "top1": agree[decided].mean() if decided.any() else float("nan"),
        "left out": 1 - decided.mean(),
        "rows": len(ours),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="how far our logits are from a reference run")
    parser.add_argument("reference", type=pathlib.Path)
    parser.add_argument("ours", type=pathlib.Path)
    parser.add_argument("--run", default="f32", help="the run of a dump: f32, bf16, bf16_absorbed, fp8dyn, ...")
    parser.add_argument("--name", default="logits", help="the tensor of the run: logits or mtp.logits")
    parser.add_argument("--max-kl", type=float)
    parser.add_argument("--max-relative", type=float)
    arguments = parser.parse_args()
    reference, ours = load(arguments.reference), load(arguments.ours)["logits"]
    found = compare_full(reference[f"{arguments.run}.{arguments.name}"], ours)
    for name, number in found.items():
        print(f"{name:10} {number:.6g}")
    missed = arguments.max_kl is not None and not found["kl"] <= arguments.max_kl
    missed |= arguments.max_relative is not None and not found["relative"] <= arguments.max_relative
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

"""compare.py — how far our logits are from a reference run.

    compare.py REFERENCE.safetensors OURS.safetensors [--run f32] [--name logits]

OURS holds `logits` [T, W] F32, rows in the order of the dump's tokens (see make_oracle.py). REFERENCE is either a
dump.safetensors, whose run is named by --run, or a file of smollm2_oracle.py, compared on its top 512 and rest (a lower
bound of the KL, against all rows) and on its full rows. Needs numpy only. Prints, and exits with 1 if a bar given by
--max-kl or --max-relative is missed:

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


def compare_top(reference: dict, ours: np.ndarray, rows_at_once: int = 256) -> dict:
    """KL over the reference's top tokens and one event for all the others, row block by row block."""
    kl, nll, agree = [], [], []
    ids, tokens, starts = reference["top_ids"], reference["tokens"], reference["starts"]
    last = set((starts[1:] - 1).tolist())
    for begin in range(0, len(ids), rows_at_once):
        rows = slice(begin, min(begin + rows_at_once, len(ids)))
        q = log_softmax(ours[rows])
        p = reference["top_logprobs"][rows].astype(np.float64)
        ours_top = np.take_along_axis(q, ids[rows].astype(np.int64), axis=-1)
        term = (np.exp(p) * (p - ours_top)).sum(-1)
        if "rest_logprob" in reference:
            p_rest = reference["rest_logprob"][rows].astype(np.float64)
            np.put_along_axis(q, ids[rows].astype(np.int64), -np.inf, axis=-1)
            q_rest = np.log(np.exp(q).sum(-1))
            term += np.exp(p_rest) * (p_rest - q_rest)
        kl.append(term)
        agree.append(ours_top.argmax(-1) == 0)
        full = log_softmax(ours[rows])
        nll += [-full[r - begin, tokens[r + 1]] for r in range(rows.start, rows.stop) if r not in last]
    mean_nll = float(np.mean(nll))
    theirs = np.nanmean(reference["nll"][: len(ids)].astype(np.float64))
    return {"kl": np.concatenate(kl).mean(), "top1 (all rows)": np.concatenate(agree).mean(), "nll": mean_nll,
            "reference nll": theirs, "perplexity ratio": np.exp(mean_nll - theirs), "rows": len(ids)}  # fmt: skip


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
    if "top_ids" in reference:
        found = compare_top(reference, ours)
        if "full_rows" in reference:
            full = compare_full(reference["full_logits"], ours[reference["full_rows"]])
            found |= {f"full {k}": v for k, v in full.items()}
    else:
        found = compare_full(reference[f"{arguments.run}.{arguments.name}"], ours)
    for name, number in found.items():
        print(f"{name:18} {number:.6g}")
    kl, relative = found.get("full kl", found["kl"]), found.get("full relative", found.get("relative"))
    missed = arguments.max_kl is not None and not kl <= arguments.max_kl
    missed |= arguments.max_relative is not None and not relative <= arguments.max_relative
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

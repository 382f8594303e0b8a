"""make_oracle.py — makes tests/data/oracle/<name>/: a tiny random checkpoint of each family, and what it computes.

    tools/oracle/setup.sh                                        makes the virtual environment
    tools/oracle/.venv/bin/python tools/oracle/make_oracle.py    all cases, or the names given; --out DIR elsewhere

A folder holds config.json, model.safetensors (official names; BF16, or F8_E4M3 with weight_scale_inv) and

dump.safetensors
  tokens          [T] I32     the sequences one after the other
  starts          [S+1] I32   sequence s is rows starts[s] .. starts[s+1]-1, at positions 0, 1, ...; attention is causal
                              and stays inside a sequence
  <run>.logits    [T, W] F32
  <run>.hidden.L  [T, D] F32  the residual stream after block L                              (runs f32, bf16, fp8dyn)
  <run>.attention.L [T, D]    what attention adds to the residual stream in block L = 0      (runs f32, bf16, fp8dyn)
  <run>.router.L.experts [T, K] I32   chosen experts, by falling selection score             (runs f32, bf16, fp8dyn)
  <run>.router.L.weights [T, K] F32   their weights in the same order, normalised and scaled
  <run>.router.L.margin  [T] F32      last chosen minus first rejected selection score (V3: biased; only experts of
                              kept groups), or last kept minus first dropped group score where that is smaller
  <run>.mtp.logits [T-S, W]   MTP layer L = num_hidden_layers: sequences without their last row; row i joins the main
                              model's hidden state i after the final norm with token i+1 and predicts token i+2
  <run>.mtp_raw.logits        the same with the hidden state before the final norm

runs  f32            transformers in float32 on the stored weights (FP8: dequantized to float32, so weight-only)
      bf16           twin.py: activations entering a linear layer and the KV cache (MLA: normalised latent and rotated
                     k_pe; GQA: rotated k, and v) rounded to bf16; sums, norms, softmax, P·V in float32; router from
                     unrounded activations; MLA expanded. FP8 weights: exact product q·scale, never rounded to bf16,
                     which equals scaling each 128-slab of the sum
      bf16_absorbed  the same with MLA in latent form: q_nope and the latent output are rounded as they enter a product
      bf16_wbf16     FP8 only: bf16 with the weights dequantized and rounded to bf16
      f32_wbf16      FP8 only: transformers in float32 on those rounded weights
      fp8dyn         FP8 only: activations entering an FP8 weight quantized per token and 128 channels (twin.py; from
                     float32, not first to bf16), each slab summed in float32 and scaled; other weights as in bf16;
                     kv_b_proj dequantized to bf16 times the bf16 latent; MLA expanded
      fp8dyn_absorbed  the same in latent form
      fp8dyn_kvb8    fp8dyn with kv_b_proj as an FP8 product too (what the official prefill does)
metadata (all strings)  case, why, seed, transformers, torch, softmax_scale (transformers' self_attn.scaling),
      twin_error (largest |twin - transformers| / largest |logit|, rounding off), kl.A.B (mean over tokens of
      KL(A || B) in nats), noise.R (mean KL of run R against itself with another order of summation, worst of 16
      orders), min_margin.R, least_ablation (zeroing any one tensor changes some logit by at least this share of the
      largest)

Tokens are random, but one that is a close call is drawn again, so that a comparison measures rules of rounding and not
a coin toss: a routing margin under 1e-4 in any run, or any run but fp8dyn choosing other experts than float32. The
seed is the first that uses three quarters of the experts, whose every used tensor matters, and whose bf16 runs stay
within 4e-4 nats of float32 and 4e-6 of other orders of summation.
"""

import argparse
import dataclasses
import logging
import pathlib

import torch
import transformers
from checkpoint import expert_count, mtp_layers, random_tokens, random_weights, save_tensors, stored, write_checkpoint
from configs import CASES, Case
from reference import (
    check_transformers,
    dequantized_reference,
    load_transformers,
    run_transformers,
    run_transformers_mtp,
)
from twin import Fp8Weight, Numerics, Twin

EXACT = Numerics()
ROUNDED_WEIGHTS = Numerics(weights="bf16")  # differs from EXACT for FP8 weights only
BF16 = Numerics(act="bf16", kv="bf16")
FP8DYN = Numerics(act="fp8dyn", kv="bf16")
MIN_MARGIN = 1e-4
MAX_KL_BF16 = 4e-4  # of 5e-4 allowed to the class bf16 against float32
MAX_NOISE = 4e-6  # nats by which another order of summation may move a run, of 1e-5 allowed to bf16 against its twin
DEFAULT_OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "oracle"


# -- comparisons -------------------------------------------------------------------------------------------------------


def mean_kl(p_logits: torch.Tensor, q_logits: torch.Tensor) -> float:
    p, q = p_logits.double().log_softmax(-1), q_logits.double().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).mean().item()


def moe_layers_of(run: dict) -> list[int]:
    return sorted(int(name.split(".")[1]) for name in run if name.startswith("router.") and name.endswith(".margin"))


def min_margin(run: dict) -> float:
    return min((run[f"router.{layer}.margin"].min().item() for layer in moe_layers_of(run)), default=float("inf"))


def noise(case: Case, weights: dict, numerics: Numerics, tokens, starts, seeds: range) -> torch.Tensor:
    """[len(seeds)] mean KL of a run against itself with other orders of summation: elements on the edge between
    two bf16 numbers round the other way, and what follows them is rounded anew."""
    base = Twin(case.config, weights, numerics).run(tokens, starts)["logits"]
    shuffled = (dataclasses.replace(numerics, shuffle=seed) for seed in seeds)
    return torch.tensor([mean_kl(base, Twin(case.config, weights, n).run(tokens, starts)["logits"]) for n in shuffled])


def close_calls(case: Case, weights: dict, tokens, starts) -> torch.Tensor:
    """[T] bool: rows where some run has a thin margin, or any but fp8dyn chooses other experts than the exact one."""
    exact = Twin(case.config, weights, EXACT).run(tokens, starts)
    close = torch.zeros(len(tokens), dtype=torch.bool)
    for numerics in [EXACT, ROUNDED_WEIGHTS, *numerics_of(case).values()]:
        run = Twin(case.config, weights, numerics).run(tokens, starts)
        for layer in moe_layers_of(run):
            close |= run[f"router.{layer}.margin"] < MIN_MARGIN
            if numerics.act != "fp8dyn":
                theirs, ours = run[f"router.{layer}.experts"], exact[f"router.{layer}.experts"]
                close |= (theirs.sort(-1).values != ours.sort(-1).values).any(-1)
    return close


def same_experts(a: dict, b: dict) -> bool:
    sets = lambda run, layer: run[f"router.{layer}.experts"].sort(-1).values
    return all(torch.equal(sets(a, layer), sets(b, layer)) for layer in moe_layers_of(a))


def numerics_of(case: Case) -> dict:
    mla = "kv_lora_rank" in case.config
    runs = {"bf16": BF16}
    if mla:
        runs["bf16_absorbed"] = dataclasses.replace(BF16, absorbed=True)
    if "quantization_config" in case.config:
        runs["bf16_wbf16"] = dataclasses.replace(BF16, weights="bf16")
        runs["fp8dyn"] = FP8DYN
        runs["fp8dyn_absorbed"] = dataclasses.replace(FP8DYN, absorbed=True)
        runs["fp8dyn_kvb8"] = dataclasses.replace(FP8DYN, kv_b_fp8=True)
    return runs


def choose_tokens(case: Case, weights: dict, seed: int) -> tuple[torch.Tensor, list[int]]:
    """Random tokens; in each sequence the first row that is a close call gets another token until there is none.
    (Rows before it do not see the change.)"""
    tokens, starts, generator = random_tokens(case, seed)
    for _ in range(1000):
        close = close_calls(case, weights, tokens, starts)
        if not close.any():
            return tokens, starts
        for begin, end in zip(starts, starts[1:]):
            if close[begin:end].any():
                row = begin + int(close[begin:end].int().argmax())
                tokens[row] = torch.randint(0, case.config["vocab_size"], (1,), generator=generator)
    raise RuntimeError(f"{case.name}: no tokens without close calls")


def reject(case: Case, weights: dict, tokens, starts) -> str | None:
    """Why a seed will not do, or None."""
    exact = Twin(case.config, weights, EXACT).run(tokens, starts)
    for name, numerics in numerics_of(case).items():
        run = Twin(case.config, weights, numerics).run(tokens, starts)
        if name.startswith("bf16") and mean_kl(exact["logits"], run["logits"]) > MAX_KL_BF16:
            return f"{name} kl {mean_kl(exact['logits'], run['logits']):.1e}"
        worst = noise(case, weights, numerics, tokens, starts, range(1, 17)).max().item()
        if worst > MAX_NOISE:
            return f"{name} noise {worst:.1e}"
    for layer in moe_layers_of(exact):
        used, count = exact[f"router.{layer}.experts"].unique().numel(), expert_count(case)
        if 4 * used < 3 * count:
            return f"layer {layer} uses {used} experts of {count}"
    ablation, name = least_ablation(case, weights, tokens, starts)
    return f"{name} hardly matters ({ablation:.1e})" if ablation < 1e-3 else None


def least_ablation(case: Case, weights: dict, tokens, starts) -> tuple[float, str]:
    """Smallest largest change of a logit, over tensors set to zero, as a share of the largest logit. Experts that no
    token chooses are passed over (the MTP layer's are not: its few experts are all used)."""

    def logits(w):
        twin = Twin(case.config, w, EXACT)
        run = twin.run(tokens, starts)
        if not mtp_layers(case):
            return run["logits"]
        return torch.cat([run["logits"], twin.run_mtp(tokens, starts, run["last"], True)])

    used = Twin(case.config, weights, EXACT).run(tokens, starts)
    base, least = logits(weights), (float("inf"), "")
    for name, w in weights.items():
        layer = int(name.split(".")[2]) if ".experts." in name else -1
        if layer in moe_layers_of(used) and int(name.split(".")[5]) not in used[f"router.{layer}.experts"]:
            continue
        zero = Fp8Weight(torch.zeros_like(w.q), w.scale) if isinstance(w, Fp8Weight) else torch.zeros_like(w)
        change = (logits(weights | {name: zero}) - base).abs().max().item() / base.abs().max().item()
        least = min(least, (change, name))
    return least


def order_like_twin(reference: dict, twin: dict) -> None:
    """transformers gives experts unsorted: put them in the twin's order; the sets and weights must agree."""
    for layer in moe_layers_of(twin):
        ours, theirs = twin[f"router.{layer}.experts"], reference[f"router.{layer}.experts"]
        where = (ours[:, :, None] == theirs[:, None, :]).float()
        assert (where.sum(-1) == 1).all(), f"layer {layer}: transformers chooses other experts"
        weights = reference[f"router.{layer}.weights"].gather(1, where.argmax(-1))
        assert (weights - twin[f"router.{layer}.weights"]).abs().max() < 2e-5 * weights.abs().max()
        reference[f"router.{layer}.experts"], reference[f"router.{layer}.weights"] = ours, weights
        reference[f"router.{layer}.margin"] = twin[f"router.{layer}.margin"]


# -- making ------------------------------------------------------------------------------------------------------------


def find_seed(case: Case) -> tuple[int, dict, torch.Tensor, list[int]]:
    for seed in range(100):
        weights = random_weights(case, seed)
        tokens, starts = choose_tokens(case, weights, seed)
        reason = reject(case, weights, tokens, starts)
        if reason is None:
            return seed, weights, tokens, starts
        logging.info("%s seed %d: %s", case.name, seed, reason)
    raise RuntimeError(f"{case.name}: no seed will do")


def dumped(run: dict, everything: bool) -> dict:
    if not everything:
        return {"logits": run["logits"]}
    return {k: v for k, v in run.items() if k.split(".")[0] in ("logits", "hidden", "router") or k == "attention.0"}


def make(case: Case, out: pathlib.Path) -> None:
    seed, weights, tokens, starts = find_seed(case)
    folder, config = out / case.name, case.config
    write_checkpoint(folder, config, stored(case, weights))
    is_quantized = "quantization_config" in config

    twin = Twin(config, weights, EXACT)
    exact = twin.run(tokens, starts)
    if is_quantized:
        reference = dequantized_reference(case, weights, tokens, starts, rounded=False)
    else:
        model = load_transformers(folder)
        reference = run_transformers(model, tokens, starts)
        found = model.model.layers[0].self_attn.scaling
        assert abs(found - twin.softmax_scale()) < 1e-12, (found, twin.softmax_scale())
    order_like_twin(reference, exact)
    largest = reference["logits"].abs().max().item()
    error = (exact["logits"] - reference["logits"]).abs().max().item() / largest
    assert error < 1e-5, f"{case.name}: twin differs from transformers by {error:.1e} of the largest logit"

    runs = {"f32": dumped(reference, True)}
    meta = {"case": case.name, "why": case.why, "seed": str(seed)}
    meta |= {"transformers": transformers.__version__, "torch": torch.__version__}
    meta |= {"softmax_scale": f"{twin.softmax_scale():.10f}", "twin_error": f"{error:.2e}"}
    meta["min_margin.f32"] = f"{min_margin(exact):.3e}"
    meta["least_ablation"] = f"{least_ablation(case, weights, tokens, starts)[0]:.2e}"
    for name, numerics in numerics_of(case).items():
        run = Twin(config, weights, numerics).run(tokens, starts)
        wobble = noise(case, weights, numerics, tokens, starts, range(1, 17))
        runs[name] = dumped(run, name in ("bf16", "fp8dyn"))
        meta[f"kl.f32.{name}"] = f"{mean_kl(reference['logits'], run['logits']):.3e}"
        meta[f"noise.{name}"] = f"{wobble.max().item():.3e}"
        meta[f"min_margin.{name}"] = f"{min_margin(run):.3e}"
        if mtp_layers(case):
            mtp_twin = Twin(config, weights, numerics)
            runs[name]["mtp.logits"] = mtp_twin.run_mtp(tokens, starts, run["last"], True)
    if is_quantized:
        runs["f32_wbf16"] = dumped(dequantized_reference(case, weights, tokens, starts, rounded=True), False)
        meta["kl.f32.f32_wbf16"] = f"{mean_kl(reference['logits'], runs['f32_wbf16']['logits']):.3e}"
    if case.bias[0] < -0.5:  # the old masking with 0 must be seen to differ, or this case shows nothing
        zero_masked = Twin(config, weights, EXACT)
        zero_masked.dropped_score = 0.0
        assert not same_experts(exact, zero_masked.run(tokens, starts)), f"{case.name}: masking with 0 chooses alike"
    if mtp_layers(case):
        theirs = run_transformers_mtp(model, tokens, starts, reference["last_normed"])
        ours = twin.run_mtp(tokens, starts, exact["last"], True)
        mtp_error = (ours - theirs).abs().max().item() / theirs.abs().max().item()
        assert mtp_error < 1e-5, f"{case.name}: MTP twin differs from transformers by {mtp_error:.1e}"
        meta["twin_error.mtp"] = f"{mtp_error:.2e}"
        runs["f32"]["mtp.logits"] = theirs
        runs["f32"]["mtp_raw.logits"] = twin.run_mtp(tokens, starts, exact["last"], False)

    dump = {"tokens": tokens.to(torch.int32), "starts": torch.tensor(starts, dtype=torch.int32)}
    for name, run in runs.items():
        for key, value in run.items():
            value = value.to(torch.int32) if key.endswith(".experts") else value.to(torch.float32)
            dump[f"{name}.{key}"] = value.contiguous()
    save_tensors(dump, folder / "dump.safetensors", meta)
    size = sum(f.stat().st_size for f in folder.iterdir())
    assert size <= 1_000_000, f"{case.name}: {size} bytes"
    print(f"{case.name}: {size // 1000} kB, seed {seed}, largest logit {largest:.1f}")
    print("   " + ", ".join(f"{k} {v}" for k, v in meta.items() if k[:4] in ("kl.f", "nois", "min_", "leas", "twin")))


def main() -> None:
    parser = argparse.ArgumentParser(description="make the oracle folders")
    parser.add_argument("names", nargs="*", help="cases to make; all if none is named")
    parser.add_argument("--out", type=pathlib.Path, default=DEFAULT_OUT)
    parser.add_argument("--verbose", action="store_true", help="say why seeds are passed over")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING)
    for noisy in ("transformers", "urllib3", "filelock", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)  # the matrices are tiny
    check_transformers()
    for case in CASES:
        if not arguments.names or case.name in arguments.names:
            make(case, arguments.out)


if __name__ == "__main__":
    with torch.no_grad():
        main()

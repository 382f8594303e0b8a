"""make_train_oracle.py — makes tests/data/train_oracle/<name>/: a tiny checkpoint and ten steps of training.

    tools/oracle/setup.sh                                            makes the virtual environment
    tools/oracle/.venv/bin/python tools/oracle/make_train_oracle.py  all cases, or the names given; --out DIR elsewhere

What is computed is written at the head of train_twin.py. A folder holds config.json and model.safetensors (official
names, BF16; the MTP module's embedding and head are copies of the main model's, and are one tensor in training), unless
it starts from the checkpoint of another case, and

case.json
  case, why, model    model: the folder of the checkpoint, a sibling
  recipe              starts (documents | rows), mtp_lambda, balance_alpha, bias_gamma, lr, beta1, beta2, eps,
                      weight_decay, clip
  steps[10]           total, main, mtp (before λ), balance (after α), grad_norm (before the clip); balance_layers:
                      layer -> its part of balance
  seen                how far float32 is from this: twin_f32.* the same twin in float32, transformers.* transformers in
                      float32 (train_reference.py). loss, grad_norm: largest relative difference over the steps.
                      gradient: largest over tensors of |difference|/|gradient|, of the first step; final: the same of
                      final weights; change: the same of final minus first weights; element: largest difference of an
                      element of the final weights, in learning rates
  margin              least routing margin of all steps: last chosen minus first rejected score (of experts or groups;
                      biased as they are chosen, and raw as the balance loss counts them)
  torch, transformers versions
data.safetensors (N: the step, from 0)
  batch.N.tokens [T] I32, .positions [T] I32, .documents [D+1], .rows [B+1], .starts [S+1] I32 (bounds from 0 to T),
  batch.N.targets [T] I32 (-1: none), .weights [T] F32 (0 without a target)
  batch.N.mtp.rows [T-S] I32 (the main rows it runs on), .mtp.starts [S+1] I32 (two may be equal),
  batch.N.mtp.targets [T-S] I32 (-1: none), .mtp.weights [T-S] F32
  ce [T] F32, mtp.ce [T-S] F32    cross entropy of each token in the first step, 0 without a target
  grad.NAME F32       gradient of total in the first step, before the clip, of every trained tensor by its name in
                      model.safetensors: all but the routing biases and the MTP module's copies
  final.NAME F32      the weights after ten steps
  load.N.LAYER [E] I32    tokens of batch N that chose each expert; LAYER num_hidden_layers is the MTP module's
  bias.N.LAYER [E] F32    the routing bias after step N, where it is updated

All is computed in float64 (rope tables and routing biases in float32), rounded once as it is stored; the losses are not
rounded. Tokens that are a close call of the router are drawn again, step by step, so that float32 chooses alike.
"""

import argparse
import dataclasses
import json
import logging
import pathlib

import torch
import transformers
from checkpoint import mtp_layers, random_weights, save_tensors, stored, write_checkpoint
from train_cases import CASES, STEPS, Batch, TrainCase, random_batch
from train_reference import TransformersTrained
from train_twin import Trained

MIN_MARGIN = 1e-4
AGREEMENT = 1e-5  # of losses and of every gradient, with transformers
LOSSES = ("total", "main", "mtp", "balance")
DEFAULT_OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "train_oracle"


# -- batches -----------------------------------------------------------------------------------------------------------


def margins(trained: Trained, batch: Batch) -> torch.Tensor:
    """[T] the least margin of a token over the layers; an MTP row counts for the token that it reads anew, i+1."""
    least = torch.full((len(batch.tokens),), float("inf"), dtype=torch.float64)
    with torch.no_grad():
        routes = trained.forward(batch)["routes"]
    k = trained.config.get("num_experts_per_tok", 0)
    for layer, route in routes.items():
        raw = route["scores"].sort(dim=-1, descending=True).values
        margin = torch.minimum(route["margin"], raw[:, k - 1] - raw[:, k])
        rows = torch.arange(len(least)) if layer < trained.last else batch.mtp_rows() + 1
        least[rows] = torch.minimum(least[rows], margin)
    return least


def choose_batch(trained: Trained, step: int) -> tuple[Batch, float]:
    """In each span the first token that is a close call is drawn again until there is none."""
    batch, generator = random_batch(trained.case, step)
    for _ in range(1000):
        least = margins(trained, batch)
        if least.min() >= MIN_MARGIN:
            return batch, least.min().item()
        for begin, end in zip(batch.starts, batch.starts[1:]):
            close = torch.nonzero(least[begin:end] < MIN_MARGIN)[:, 0]
            if len(close):
                words = trained.config["vocab_size"]
                batch.tokens[begin + close[0]] = torch.randint(0, words, (1,), generator=generator)
    raise RuntimeError(f"{trained.case.name}: no batch {step} without close calls")


def batch_tensors(batch: Batch, with_mtp: bool) -> dict:
    integers = {"tokens": batch.tokens, "positions": batch.positions(), "documents": batch.documents}
    integers |= {"rows": batch.rows, "starts": batch.starts, "targets": batch.targets()}
    floats = {"weights": batch.weights()}
    if with_mtp:
        integers |= {"mtp.rows": batch.mtp_rows(), "mtp.starts": batch.mtp_bounds(batch.starts)}
        integers["mtp.targets"] = batch.mtp_targets()
        floats["mtp.weights"] = batch.mtp_weights()
    tensors = {name: torch.as_tensor(value).to(torch.int32) for name, value in integers.items()}
    return tensors | {name: value.to(torch.float32) for name, value in floats.items()}


# -- training ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Run:
    """What one trainer made of the batches."""

    steps: list = dataclasses.field(default_factory=list)  # of dicts of numbers
    first: dict = dataclasses.field(default_factory=dict)  # forward of the first step
    gradients: dict = dataclasses.field(default_factory=dict)  # of the first step
    experts: list = dataclasses.field(default_factory=list)  # of the twin: layer -> [n, K] chosen, sorted
    loads: list = dataclasses.field(default_factory=list)
    biases: list = dataclasses.field(default_factory=list)
    final: dict = dataclasses.field(default_factory=dict)


def run_twin(trained: Trained, batch_of) -> Run:
    """batch_of(step) is asked when the weights are those of the step."""
    run = Run()
    for step in range(STEPS):
        batch = batch_of(step)
        forward = trained.forward(batch)
        trained.gradients(forward["total"])
        if step == 0:
            run.first = forward
            run.gradients = {name: p.grad.clone() for name, p in trained.parameters.items()}
        loads = trained.loads(forward)
        numbers = {name: forward[name].item() for name in LOSSES}
        numbers["grad_norm"] = trained.update(loads)
        numbers["balance_layers"] = {str(k): v.item() for k, v in forward["balance_layers"].items()}
        run.steps.append(numbers)
        run.experts.append({k: route["experts"].sort(-1).values for k, route in forward["routes"].items()})
        run.loads.append(loads)
        run.biases.append(dict(trained.biases))
    run.final = {name: p.detach() for name, p in trained.parameters.items()}
    return run


def run_transformers(case: TrainCase, folder: pathlib.Path, batches: list) -> Run:
    trained, run = TransformersTrained(case, folder), Run()
    for step, batch in enumerate(batches):
        numbers, gradients, norm = trained.step(batch)
        run.steps.append(numbers | {"grad_norm": norm})
        if step == 0:
            run.gradients = gradients
        run.biases.append({name: b.clone() for name, b in trained.biases().items()})
    run.final = trained.weights()
    return run


def apart(ours: dict, theirs: dict, origin: dict | None = None) -> float:
    """Largest over tensors of |ours - theirs| / |ours - origin|."""
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    worst = 0.0
    for name, x in ours.items():
        size = (x - origin[name] if origin else x).norm().item()
        difference = (x - theirs[name]).norm().item()
        worst = max(worst, difference / size if size else (float("inf") if difference else 0.0))
    return worst


def distances(exact: Run, other: Run, start: dict, lr: float) -> dict:
    def relative(name, steps):
        pairs = [(a[name], b[name]) for a, b in zip(exact.steps[:steps], other.steps[:steps])]
        return max(abs(a - b) / abs(a) if a else (float("inf") if b else 0.0) for a, b in pairs)

    element = max((x - other.final[name]).abs().max().item() for name, x in exact.final.items())
    return {
        "first_loss": max(relative(name, 1) for name in LOSSES),
        "gradient": apart(exact.gradients, other.gradients),
        "loss": max(relative(name, STEPS) for name in LOSSES),
        "grad_norm": relative("grad_norm", STEPS),
        "final": apart(exact.final, other.final),
        "change": apart(exact.final, other.final, start),
        "element": element / lr,
    }


def equal(a: list, b: list) -> bool:
    """Lists of dicts of tensors, one for each step."""
    return all(torch.equal(x[name], y[name]) for x, y in zip(a, b, strict=True) for name in x)


# -- making ------------------------------------------------------------------------------------------------------------


def dumped(case: TrainCase, run: Run, batches: list) -> dict:
    tensors = {"ce": run.first["ce"]}
    for step, batch in enumerate(batches):
        parts = batch_tensors(batch, bool(mtp_layers(case.model)))
        tensors |= {f"batch.{step}.{name}": value for name, value in parts.items()}
        tensors |= {f"load.{step}.{layer}": load.to(torch.int32) for layer, load in run.loads[step].items()}
        if case.recipe.bias_gamma:
            tensors |= {f"bias.{step}.{name.split('.')[2]}": bias for name, bias in run.biases[step].items()}
    if mtp_layers(case.model):
        tensors["mtp.ce"] = run.first["mtp_ce"]
    if "gradients" in case.keep:
        tensors |= {f"grad.{name}": g for name, g in run.gradients.items()}
    if "final" in case.keep:
        tensors |= {f"final.{name}": w for name, w in run.final.items()}
    floats = {name: x.detach().to(torch.float32) for name, x in tensors.items() if x.is_floating_point()}
    return {name: x.contiguous() for name, x in (tensors | floats).items()}


def make(case: TrainCase, out: pathlib.Path) -> int:
    folder, home = out / case.name, out / (case.home or case.name)
    weights = random_weights(case.model, 0)
    if not case.home:
        write_checkpoint(folder, case.model.config, stored(case.model, weights))
    folder.mkdir(parents=True, exist_ok=True)

    exact, batches, least = Trained(case, weights, torch.float64), [], float("inf")

    def choose(step: int) -> Batch:
        nonlocal least
        batch, margin = choose_batch(exact, step)
        batches.append(batch)
        least = min(least, margin)
        return batch

    run = run_twin(exact, choose)
    start = {name: weights[name].double() for name in run.final}
    seen = {}
    twin_f32 = run_twin(Trained(case, weights, torch.float32), lambda step: batches[step])
    assert equal(run.experts, twin_f32.experts), f"{case.name}: float32 chooses other experts"
    for name, other in (("twin_f32", twin_f32), ("transformers", run_transformers(case, home, batches))):
        assert equal(run.biases, other.biases), f"{case.name}: {name} has other routing biases"
        seen |= {f"{name}.{key}": value for key, value in distances(run, other, start, case.recipe.lr).items()}
    for key in ("first_loss", "gradient"):
        value = seen[f"transformers.{key}"]
        assert value <= AGREEMENT, f"{case.name}: {key} differs from transformers by {value:.1e}"

    note = {"case": case.name, "why": case.why, "model": case.home or case.name}
    note |= {"recipe": dataclasses.asdict(case.recipe), "steps": run.steps}
    note |= {"seen": {k: float(f"{v:.2e}") for k, v in seen.items()}}
    note |= {"margin": least if least < float("inf") else None}
    note |= {"torch": torch.__version__, "transformers": transformers.__version__}
    (folder / "case.json").write_text(json.dumps(note, indent=2) + "\n")
    save_tensors(dumped(case, run, batches), folder / "data.safetensors", {"case": case.name})
    size = sum(f.stat().st_size for f in folder.iterdir())
    assert size <= 1_000_000, f"{case.name}: {size} bytes"
    norms = [s["grad_norm"] for s in run.steps]
    print(f"{case.name}: {size // 1000} kB, loss {run.steps[0]['total']:.3f} to {run.steps[-1]['total']:.3f}, "
          f"norm {min(norms):.2f} to {max(norms):.2f}, margin {least:.1e}")  # fmt: skip
    print("   " + ", ".join(f"{k} {v:.1e}" for k, v in seen.items()))
    return size


def main() -> None:
    parser = argparse.ArgumentParser(description="make the training oracle's folders")
    parser.add_argument("names", nargs="*", help="cases to make; all if none is named")
    parser.add_argument("--out", type=pathlib.Path, default=DEFAULT_OUT)
    arguments = parser.parse_args()
    for noisy in ("transformers", "urllib3", "filelock", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)  # the matrices are tiny
    sizes = [make(case, arguments.out) for case in CASES if not arguments.names or case.name in arguments.names]
    print(f"{sum(sizes) // 1000} kB in all")


if __name__ == "__main__":
    main()

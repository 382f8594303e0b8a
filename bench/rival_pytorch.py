"""rival_pytorch.py — `nautile train` beside PyTorch: the same shape, the same tokens a step, interleaved runs, medians.

    python bench/rival_pytorch.py --python PYTHON --data FOLDER [--set KEY=VALUE]… RECIPE.toml …

PYTHON is an interpreter that has torch; FOLDER what `nautile data build` made. Documents attend across their row in both
(data.attend = "row"), which spares PyTorch every mask. Each variant of PyTorch (bench/rival_pytorch_model.py) is tried
once, and the fastest that ran takes part in the rounds; a round runs nautile, then PyTorch, each in a process of its own.
Steps are timed, beginnings are not; the first step counts for nothing. Peak memory is the process's resident set.

    python bench/rival_pytorch.py --check --python PYTHON RECIPE.toml …

holds the rival's loss and gradients against tools/oracle/train_twin.py on the recipe's shape, in float32: it is the same
model that nautile's tests are held against.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
VARIANTS = ("bf16", "bf16-compiled", "f32", "f32-compiled")


def run(command: list[str], **options) -> tuple[subprocess.CompletedProcess, int]:
    """The result, and the peak of the process's resident memory in bytes."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True, **options)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        done = subprocess.CompletedProcess(command, process.returncode, out.read(), err.read())
    return done, usage.ru_maxrss * 1024


def sets(recipe: str, o: argparse.Namespace) -> list[str]:
    values = ["data.attend=row", "optimizer.kind=adamw", f"train.batch_tokens={o.batch_tokens}", f"train.slots={o.slots}"] + o.set
    if o.data:
        values.append(f"data.folder={o.data}")
    return [part for value in values for part in ("--set", value)]


def plan(recipe: str, o: argparse.Namespace) -> dict:
    done, _ = run([o.nautile, "train", recipe, "--dry-run", "--json", *sets(recipe, o)])
    if done.returncode != 0:
        sys.exit(done.stderr)
    answer = json.loads(done.stdout)
    answer["values"] = {value["key"]: value["value"] for value in answer["values"]}
    return answer


def run_nautile(recipe: str, o: argparse.Namespace) -> dict:
    out = pathlib.Path(tempfile.mkdtemp(prefix="nautile-rival-")) / "run"
    quiet = ["eval.every=0", "samples.every=0", "log.tensorboard=false", f"train.steps={o.steps}"]
    command = [o.nautile, "train", recipe, "--out", str(out), "--quiet", "--threads", str(o.threads), *sets(recipe, o)]
    done, peak = run(command + [part for value in quiet for part in ("--set", value)])
    if done.returncode != 0:
        sys.exit(done.stderr)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    shutil.rmtree(out.parent)
    tokens = lines[1]["tokens"] - lines[0]["tokens"]
    mfu = [line["mfu"] for line in lines[1:]]
    return {"rate": tokens / statistics.median(line["seconds"] for line in lines[1:]), "peak": peak,
            "mfu": statistics.median(mfu), "tokens": tokens}


def run_rival(variant: str, values: dict, o: argparse.Namespace) -> dict | None:
    spec = {"model": {k[6:]: v for k, v in values.items() if k.startswith("model.")}, "variant": variant,
            "threads": o.threads, "steps": o.steps, "slots": o.slots, "rows": values["train.slot_rows"],
            "length": values["data.seq_len"], "check": o.check}
    done, peak = run([o.python, str(HERE / "rival_pytorch_model.py"), json.dumps(spec)])
    if done.returncode != 0:
        print(f"   PyTorch {variant}: ended with {done.returncode}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer if o.check else answer | {"peak": peak, "rate": answer["tokens"] / statistics.median(answer["seconds"][1:])}


def compare(recipe: str, o: argparse.Namespace) -> None:
    facts = plan(recipe, o)
    flops = facts["flops_per_token"]
    print(f"{recipe}: {facts['parameters'] + facts['mtp_parameters']:.0f} parameters, {flops / 1e6:.1f} MFLOP a token, "
          f"slots of {facts['values']['train.slot_rows']} rows of {facts['values']['data.seq_len']} tokens, {o.slots} a step")
    tried = {}
    for variant in o.variants.split(","):
        result = run_rival(variant, facts["values"], o)
        if result is None:
            continue
        if result["parameters"] != facts["parameters"] + facts["mtp_parameters"]:
            sys.exit(f"PyTorch's model has {result['parameters']} parameters")
        tried[variant] = result
        print(f"   PyTorch {variant:14} {result['rate']:9.0f} tokens/s  {result['peak'] / 1e6:7.0f} MB", flush=True)
    if not tried:
        sys.exit("no variant of PyTorch ran")
    best = max(tried, key=lambda v: tried[v]["rate"])
    ours, theirs = [], []
    for _ in range(o.rounds):
        ours.append(run_nautile(recipe, o))
        theirs.append(run_rival(best, facts["values"], o))
        print(f"   round: {ours[-1]['rate']:.0f}, {theirs[-1]['rate']:.0f} tokens/s", flush=True)
    ratios = [a["rate"] / b["rate"] for a, b in zip(ours, theirs)]
    print(f"   {'':22} {'tokens/s':>9} {'TFLOP/s':>9} {'peak MB':>9}")
    for name, results in (("nautile", ours), (f"PyTorch {best}", theirs)):
        rate = statistics.median(r["rate"] for r in results)
        peak = max(r["peak"] for r in results)
        print(f"   {name:22} {rate:9.0f} {rate * flops / 1e12:9.4f} {peak / 1e6:9.0f}")
    print(f"   ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
          f"nautile's MFU {100 * statistics.median(r['mfu'] for r in ours):.1f} %", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--nautile", default="build/release/nautile")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--data")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch-tokens", type=int, default=16384)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    o = parser.parse_args()
    failed = False
    for recipe in o.recipes:
        if o.check:
            answer = run_rival("f32", plan(recipe, o)["values"], o)
            failed |= answer is None
            print(f"{recipe}: {answer}")
        else:
            compare(recipe, o)
    sys.exit(failed)


if __name__ == "__main__":
    main()

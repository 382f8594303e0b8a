"""check_export.py — whether transformers opens an exported folder and computes what nautile computes.

    check_export.py FOLDER TEXT [--rows N] [--ours NAME MAX_KL COMMAND]…

FOLDER is what `nautile export` wrote in BF16; TEXT a file whose beginning is tokenized with FOLDER's own tokenizer, by
transformers, and cut into windows of at most 256 tokens. transformers runs the folder in float32. Each COMMAND reads a
line of token ids from stdin and writes the logits [tokens, W] F32 to stdout before the next line (row_logits). Prints
per command the mean KL(transformers || nautile) in nats and the largest difference relative to the largest logit; exits
with 1 if a KL exceeds its MAX_KL, or if transformers misses weights of the folder or finds unknown ones outside of the
modules that predict further tokens, which it does not run.
"""

import argparse
import pathlib
import shlex
import subprocess
import sys

import numpy as np
import torch
import transformers
from compare import compare_full

WINDOW = 256


def load_model(folder: pathlib.Path):
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, attn_implementation="eager"
    )
    beyond = f"model.layers.{model.config.num_hidden_layers}."
    unknown = [name for name in report["unexpected_keys"] if not name.startswith(beyond)]
    wrong = {"missing": report["missing_keys"], "unknown": unknown, "ill-shaped": report["mismatched_keys"]}
    for what, names in wrong.items():
        if names:
            sys.exit(f"{folder}: {what} weights: {', '.join(map(str, sorted(names)))}")
    return model.eval()


def logits_of(command: str, windows: list[list[int]], width: int) -> np.ndarray:
    lines = "".join(" ".join(map(str, window)) + "\n" for window in windows)
    raw = subprocess.run(shlex.split(command), input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    rows = sum(map(len, windows))
    if len(raw) != rows * width * 4:
        sys.exit(f"{command}: expected {rows * width * 4} bytes of logits, found {len(raw)}")
    return np.frombuffer(raw, np.float32).reshape(rows, width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--ours", nargs=3, action="append", default=[], metavar=("NAME", "MAX_KL", "COMMAND"))
    args = parser.parse_args()

    model = load_model(args.folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.folder)
    tokens = tokenizer(args.text.read_text()[: 16 * args.rows], add_special_tokens=False)["input_ids"][: args.rows]
    length = min(WINDOW, model.config.max_position_embeddings)
    windows = [tokens[i : i + length] for i in range(0, len(tokens), length)]
    with torch.no_grad():
        reference = np.concatenate([model(torch.tensor([w])).logits[0].numpy() for w in windows])
    failed = False
    for name, most, command in args.ours:
        found = compare_full(reference, logits_of(command, windows, reference.shape[1]))
        missed = not found["kl"] <= float(most)
        failed |= missed
        print(
            f"{name:14} {len(tokens)} rows  KL {found['kl']:.2e} (at most {most})  relative {found['relative']:.2e}"
            f"{'  MISSED' if missed else ''}"
        )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

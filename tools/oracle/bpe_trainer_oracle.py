"""Trains the same vocabulary with nautile and with the `tokenizers` library; compares merges, ids and time.

    tools/oracle/.venv/bin/python tools/oracle/bpe_trainer_oracle.py --nautile build/release/nautile
        [--vocab 4096] [--digits single|three] [--texts 20000] FILE...
Any difference of the merges, or of the ids of random texts, is an error.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizer_texts import Texts

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_library(files, size, digits):
    tokenizer = Tokenizer(models.BPE())
    pattern = Regex(PATTERN % ("{1,3}" if digits == "three" else ""))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    texts = []
    for path in files:
        with open(path, encoding="utf-8", newline="") as file:
            texts.append(file.read())
    begin = time.monotonic()
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer, time.monotonic() - begin


def ids_by_nautile(program, folder, texts):
    """Ids of each text, one call for each."""
    found = []
    for text in texts:
        result = subprocess.run(
            [program, "tokenize", "--ids", "--plain", "-m", folder], input=text.encode(), capture_output=True, check=True
        )
        found.append([int(word) for word in result.stdout.split()])
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--nautile", required=True)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--digits", default="single")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--data", default=os.environ.get("NAUTILE_TEST_DATA", "../shared"), help="where texts to compare ids on come from")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [options.nautile, "tokenizer", "train", *options.files, "--vocab", str(options.vocab)]
        ours, theirs = [], []
        for _ in range(options.rounds):
            begin = time.monotonic()
            subprocess.run([*command, "--out", folder, "--digits", options.digits], check=True, capture_output=True)
            ours.append(time.monotonic() - begin)
            path = os.path.join(folder, "tokenizer.json")
            with open(path, encoding="utf-8") as file:
                merges = [tuple(merge) for merge in json.load(file)["model"]["merges"]]
            library, seconds = train_library(options.files, options.vocab - 9, options.digits)  # 9 tokens are added
            theirs.append(seconds)
        expected = [tuple(merge) for merge in json.loads(library.to_str())["model"]["merges"]]
        same = next((i for i, (a, b) in enumerate(zip(merges, expected)) if a != b), min(len(merges), len(expected)))
        print(f"merges: {len(merges)} and {len(expected)}, the first {same} are equal")
        print(f"seconds: nautile {min(ours):.2f} with reading and its report, tokenizers {min(theirs):.2f} without reading; ratio {min(theirs) / min(ours):.1f}")
        if same < max(len(merges), len(expected)):
            print(f"  then {merges[same:same + 3]} and {expected[same:same + 3]}")
        loaded = Tokenizer.from_file(path)
        maker = Texts(os.path.join(options.data, "data"), [])
        texts = [maker.next() for _ in range(options.texts)]
        wrong = sum(
            found != loaded.encode(text, add_special_tokens=False).ids
            for text, found in zip(texts, ids_by_nautile(options.nautile, folder, texts))
        )
        print(f"ids: {wrong} of {len(texts)} random texts differ")
        sys.exit(bool(wrong) or same < max(len(merges), len(expected)))


if __name__ == "__main__":
    main()

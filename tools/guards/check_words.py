#!/usr/bin/env python3
"""check_words.py — words that have no place in the tree: unfinished work, registry hosts, machine paths."""

import os
import re

import guard

BINARY = (".gguf", ".safetensors", ".bin", ".png", ".ico", ".zip", ".gz", ".npz", ".model")

# (what is wrong, words, folders or files where they are at home). The words are written in pieces so
# that this file does not find itself.
FORBIDDEN = [
    ("unfinished work belongs into an issue", re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + "XX)\\b"), ()),
    (
        "a registry's host: take it from the environment or the machine's settings",
        re.compile(
            r"\b([\w-]+\.)*(debian\." + r"org|ubuntu\." + r"com|python" + r"hosted\.org|npmjs\." + r"(org|com)|crates\." + r"io|docker\." + r"(io|com))\b"
        ),
        (),
    ),
    # The default model's home is the one address that the program itself has to know.
    ("a registry's host", re.compile(r"\bpypi\." + r"org\b"), ("src/app/", "README.md")),
    ("a path of somebody's machine", re.compile(r"(?<![\w.~}$)])/(wo" + r"rk/(main|shared|tmp)|home/\w+|Us" + r"ers/\w+)\b"), ()),
    ("a merge that was not finished", re.compile(r"^(<{7}|>{7}|={7})( |$)", re.M), ()),
]

# Foreign text, kept as it is.
FOREIGN = re.compile(r"^(tests/data/|fuzz/corpus/|LICENSE)")


def check(root):
    failures = []
    files = [path for path in guard.tracked_files(root) if not path.endswith(BINARY) and not FOREIGN.match(path)]
    for path in files:
        text = guard.read(root, path)
        for what, words, homes in FORBIDDEN:
            if path.startswith(tuple(homes)):
                continue
            for match in words.finditer(text):
                failures.append(f"{path}:{guard.line_of(text, match.start())}: '{match.group(0).strip()}': {what}")
    return failures, [], f"{len(files)} files"


if __name__ == "__main__":
    guard.main(os.path.basename(__file__)[:-3], check)

#!/usr/bin/env python3
"""check_layers.py — src/LAYERS is kept: includes, and what only some folders may do."""

import os
import re

import guard

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)

# The ISA objects are compiled for CPUs newer than the baseline: an inline function of a library that
# landed in one of them could be chosen by the linker for everybody.
ISA_FILE = re.compile(r"^src/kernels/(isa_\w+\.cpp|\w+\.inl|(vec|tile)_\w+\.h)$")
ISA_SYSTEM = re.compile(r"^(\w*intrin\.h|cstdint|cstddef|cstring)$")
ISA_OWN = re.compile(r"^(base/\w+\.h|kernels/\w+\.(h|inl))$")

# Kernels know no threads, no allocation, no exceptions.
KERNELS_NEVER = re.compile(
    r"^(thread|mutex|shared_mutex|atomic|future|condition_variable|memory|memory_resource|new|vector|string|map|"
    r"unordered_map|set|deque|list|functional|stdexcept|exception|iostream|sstream|fstream|filesystem)$"
)

# What only some folders may do: (what, words, folders that may).
ONLY_THERE = [
    ("reads the environment (only app/ may)", re.compile(r"\b(secure_)?getenv\b|\benviron\b"), {"app"}),
    (
        "starts threads (only base/parallel may compute on threads; app/ and server/ may wait on them)",
        re.compile(r"\bstd::(jthread|thread|async)\b(?!\s*::)|\bpthread_create\b|#\s*pragma\s+omp\b"),
        {"base", "app", "server"},
    ),
]


def read_layers(root):
    """{folder: set of folders it may include, or None for all}, in the file's order."""
    layers = {}
    for number, line in enumerate(guard.read(root, "src/LAYERS").splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        folder, _, allowed = line.partition(":")
        layers[folder.strip()] = None if allowed.strip() == "*" else set(allowed.split())
    return layers


def is_test(path):
    return re.search(r"(_test\.cpp|/test_\w+\.(h|cpp)|_testing\.(h|cpp))$", path) is not None


def check_file(layers, path, text):
    folder = path.split("/")[1]
    plain = guard.without_comments(text)
    lines = text.splitlines()
    failures = []

    def fail(offset, message):
        failures.append(f"{path}:{guard.line_of(plain, offset)}: {message}")

    for match in re.finditer(r"^[ \t]*#[ \t]*include\b", plain, re.M):
        full = INCLUDE.match(lines[guard.line_of(plain, match.start()) - 1])
        if not full:
            fail(match.start(), "an include that names no file")
            continue
        quote, name = full.groups()
        if quote == "<":
            if ISA_FILE.match(path) and not ISA_SYSTEM.match(name):
                fail(match.start(), f"<{name}>: kernels for one instruction set include intrinsics, cstdint, cstddef and cstring only")
            elif folder == "kernels" and not is_test(path) and KERNELS_NEVER.match(name):
                fail(match.start(), f"<{name}>: kernels know no threads, allocation, exceptions, strings or containers")
            continue
        target = name.split("/")[0] if "/" in name else None
        if target not in layers:
            fail(match.start(), f'"{name}": an include begins with a folder of src/LAYERS')
        elif target != folder and layers[folder] is not None and target not in layers[folder]:
            fail(match.start(), f'"{name}": {folder} may include only {", ".join(sorted(layers[folder])) or "itself"} (src/LAYERS)')
        elif ISA_FILE.match(path) and not ISA_OWN.match(name):
            fail(match.start(), f'"{name}": kernels for one instruction set include only base/*.h and kernels/*')
    if not is_test(path):
        for what, words, folders in ONLY_THERE:
            for match in words.finditer(plain):
                if folder not in folders:
                    fail(match.start(), what)
    return failures


def check(root):
    layers = read_layers(root)
    failures = []
    for folder, allowed in layers.items():
        for unknown in sorted((allowed or set()) - layers.keys()):
            failures.append(f"src/LAYERS: {folder} names '{unknown}', which is no folder of the list")
    files = [path for path in guard.tracked_files(root) if re.match(r"src/[^/]+/", path)]
    for path in files:
        if path.split("/")[1] not in layers:
            failures.append(f"{path}: its folder is not in src/LAYERS")
        elif path.endswith(guard.SOURCE_ENDINGS) or path.endswith(".inc"):
            failures += check_file(layers, path, guard.read(root, path))
    return failures, [], f"{len(files)} files, {len(layers)} layers"


if __name__ == "__main__":
    guard.main(os.path.basename(__file__)[:-3], check)

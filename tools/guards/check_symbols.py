#!/usr/bin/env python3
"""check_symbols.py — objects for one instruction set stay their own: nothing weak, nothing sanitized,
no flags for newer CPUs elsewhere.

A weak symbol in isa_avx512.o could be the copy that the linker keeps for the whole program, which
then dies on a CPU without AVX-512.
"""

import json
import os
import re
import subprocess

import guard

ISA_OBJECT = re.compile(r"isa_\w+\.cpp\.o$")
SANITIZED = re.compile(r"__(asan|ubsan|tsan|msan|sanitizer|sancov)_")
ALLOCATES = re.compile(r"\boperator (new|delete)|__cxa_|\b(malloc|calloc|realloc|free)$")
NEWER_CPU = re.compile(r"^-m(avx|fma|f16c|bmi|amx|arch=|cpu=|sse[34]|tune=native)")


def check_object(path, shown):
    listing = subprocess.run(["nm", "-C", path], check=True, capture_output=True, text=True).stdout
    failures = []
    for line in listing.splitlines():
        match = re.match(r"^[0-9a-f]*\s+(\w)\s+(.*)$", line)
        if not match:
            continue
        kind, name = match.groups()
        if kind in "WVuwv":
            failures.append(f"{shown}: weak symbol {name}")
        elif SANITIZED.search(name):
            failures.append(f"{shown}: is sanitized ({name})")
        elif kind == "U" and ALLOCATES.search(name):
            failures.append(f"{shown}: allocates or throws ({name})")
    return failures


def check_flags(path):
    """Compile commands whose source is no isa_*.cpp yet ask for a newer CPU."""
    failures = []
    with open(path, encoding="utf-8") as file:
        for entry in json.load(file):
            source = os.path.basename(entry["file"])
            flags = sorted({flag for flag in entry["command"].split() if NEWER_CPU.match(flag)})
            if flags and not source.startswith("isa_"):
                failures.append(f"{source}: compiled with {' '.join(flags)}, and is not an isa_*.cpp")
    return failures


def check(root):
    build = os.path.join(root, "build")
    failures, objects = [], 0
    # Builds that ./nautile and .ci/run make; others in build/ are their owners' business.
    for preset in ("release", "asan", "tsan"):
        for folder, _, names in os.walk(os.path.join(build, preset)):
            for name in names:
                path = os.path.join(folder, name)
                if ISA_OBJECT.match(name):
                    objects += 1
                    failures += check_object(path, os.path.relpath(path, root))
                elif name == "compile_commands.json":
                    failures += check_flags(path)
    if not objects and any(path.startswith("src/kernels/isa_") for path in guard.tracked_files(root)):
        failures.append("no isa_*.cpp.o under build/: build the release first")
    return failures, [], f"{objects} objects"


if __name__ == "__main__":
    guard.main(os.path.basename(__file__)[:-3], check)

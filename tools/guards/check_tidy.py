#!/usr/bin/env python3
"""check_tidy.py — clang-tidy on the C++ sources that changed, newest first, within a time budget.

Changed means: since the branch left origin's main branch, else in the last NAUTILE_TIDY_COMMITS
commits (40), and what is not committed. Needs build/release/compile_commands.json.
NAUTILE_TIDY_SECONDS (240) bounds the run; files left out are counted as warnings.
"""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import time

import guard


def git(root, *arguments):
    result = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True)
    return result.stdout.split("\n") if result.returncode == 0 else []


def changed_files(root):
    base = ""
    for branch in ("origin/HEAD", "origin/main"):
        base = base or "".join(git(root, "merge-base", "HEAD", branch))
    head = "".join(git(root, "rev-parse", "HEAD"))
    commits = ["-n", os.environ.get("NAUTILE_TIDY_COMMITS", "40")] if base in ("", head) else [base + "..HEAD"]
    uncommitted = git(root, "diff", "--name-only", "HEAD")
    committed = git(root, "log", "--name-only", "--format=", *commits)
    tracked = set(guard.tracked_files(root))
    return [path for path in dict.fromkeys(uncommitted + committed) if path in tracked]


def tidy_one(tool, root, database, path, deadline):
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        return path, None
    command = [tool, "-p", database, "--quiet", path]
    try:
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return path, None
    found = re.findall(r"^(\S+?:\d+):\d+: (error|warning): (.*)$", result.stdout + result.stderr, re.M)
    if result.returncode and not any(kind == "error" for _, kind, _ in found):
        found.append((path, "error", f"clang-tidy exits with {result.returncode}"))
    return path, [(os.path.relpath(place, root) if os.path.isabs(place) else place, kind, text) for place, kind, text in found]


def check(root):
    tool = shutil.which("clang-tidy-16") or shutil.which("clang-tidy")
    database = os.path.join(root, "build", "release")
    commands = os.path.join(database, "compile_commands.json")
    if tool is None or not os.path.exists(commands):
        return ["needs clang-tidy and build/release/compile_commands.json (build the release first)"], [], ""
    with open(commands, encoding="utf-8") as file:
        known = {os.path.relpath(entry["file"], root) for entry in json.load(file)}
    files = [path for path in changed_files(root) if path.endswith(".cpp") and path in known]
    deadline = time.monotonic() + float(os.environ.get("NAUTILE_TIDY_SECONDS", "240"))
    failures, warnings, left_out = {}, {}, 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _, found in pool.map(lambda path: tidy_one(tool, root, database, path, deadline), files):
            left_out += found is None
            for place, kind, text in found or ():  # a header's finding is seen from many sources
                (failures if kind == "error" else warnings)[f"{place}: {text}"] = True
    if left_out:
        warnings[f"{left_out} changed files were not reached in the time given"] = True
    return list(failures), list(warnings), f"{len(files) - left_out} of {len(files)} changed sources"


if __name__ == "__main__":
    guard.main(os.path.basename(__file__)[:-3], check)

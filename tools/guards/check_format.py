#!/usr/bin/env python3
"""check_format.py — clang-format 14 (Debian 12's) would change nothing."""

import os
import re
import shutil
import subprocess

import guard

VERSION = 14  # formats differ between versions, so one is chosen


def clang_format():
    for name in (f"clang-format-{VERSION}", "clang-format"):
        path = shutil.which(name)
        if path and re.search(rf"version {VERSION}\.", subprocess.run([path, "--version"], capture_output=True, text=True).stdout):
            return path
    return None


def check(root):
    tool = clang_format()
    if tool is None:
        return [f"clang-format {VERSION} is not installed"], [], ""
    files = [path for path in guard.tracked_files(root) if path.endswith(guard.SOURCE_ENDINGS)]
    failures = []
    for path in files:
        result = subprocess.run([tool, "--dry-run", "-Werror", "--style=file", path], cwd=root, capture_output=True, text=True)
        if result.returncode:
            places = re.findall(r":(\d+):\d+: error", result.stderr)
            failures.append(f"{path}:{places[0] if places else 1}: {len(places)} places differ from .clang-format")
    return failures, [], f"{len(files)} files"


if __name__ == "__main__":
    guard.main(os.path.basename(__file__)[:-3], check)

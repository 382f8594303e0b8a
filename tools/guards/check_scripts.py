#!/usr/bin/env python3
"""check_scripts.py — shellcheck has nothing to say about the shell scripts; ./nautile is plain POSIX."""

import os
import re
import shutil
import subprocess

import guard


def is_script(root, path):
    return path.endswith(".sh") or re.match(r"#!\S*\W(sh|bash|dash)\b|#!/usr/bin/env (sh|bash)\b", guard.read(root, path)[:64])


def check(root):
    if shutil.which("shellcheck") is None:
        return ["shellcheck is not installed"], [], ""
    files = [path for path in guard.tracked_files(root) if is_script(root, path)]
    failures = []
    for path in files:
        result = subprocess.run(["shellcheck", "-x", "-f", "gcc", path], cwd=root, capture_output=True, text=True)
        failures += (result.stdout + result.stderr).splitlines()
    return failures, [], f"{len(files)} scripts"


if __name__ == "__main__":
    guard.main(os.path.basename(__file__)[:-3], check)

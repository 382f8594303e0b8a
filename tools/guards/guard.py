"""guard.py — what the guards share: the tracked files, source text without comments, the report."""

import os
import re
import subprocess
import sys

SOURCE_ENDINGS = (".h", ".cpp", ".inl", ".cu", ".cuh")


def repository_root():
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def tracked_files(root):
    """Paths that git knows or would take, relative to root; every file where root is no repository."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if os.path.exists(os.path.join(root, ".git")):
        listing = subprocess.run(command, check=True, capture_output=True).stdout.decode()
        return sorted(path for path in listing.split("\0") if path and os.path.isfile(os.path.join(root, path)))
    found = []
    for folder, _, names in os.walk(root):
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


_TOKEN = re.compile(
    r"""//(?:\\\n|[^\n])*                       # line comment
      | /\*.*?\*/                               # block comment
      | (?<!\w)(?:u8|[uUL])?R"(?P<delim>[^()\\\s]{0,16})\(.*?\)(?P=delim)"   # raw string
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'     # a character, not a digit separator
    """,
    re.S | re.X,
)


def _blank(match):
    text = match.group(0)
    newlines = "\n" * text.count("\n")
    if text.startswith("/"):
        return " " + newlines
    return '""' + newlines if '"' in text[:4] else "' '" + newlines


def without_comments(text):
    """C++ text with comments gone and literals emptied; line numbers stay."""
    return _TOKEN.sub(_blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def report(name, failures, warnings=(), checked=""):
    """Prints findings; returns the exit status of a guard."""
    for warning in warnings:
        print(f"{name}: warning: {warning}")
    for failure in failures:
        print(f"{name}: {failure}")
    print(f"{name}: {len(failures)} failures, {len(warnings)} warnings{checked and ' (' + checked + ')'}")
    return 1 if failures else 0


def main(name, check):
    """A guard's main: check(root) gives (failures, warnings, what was checked)."""
    root = sys.argv[1] if len(sys.argv) > 1 else repository_root()
    sys.exit(report(name, *check(root)))

#!/usr/bin/env python3
"""check_sizes.py — no file over 800 lines, no function over 120; over 500 and 80 are named."""

import ast
import os
import re

import guard

FILE_WARN, FILE_FAIL = 500, 800
FUNCTION_WARN, FUNCTION_FAIL = 80, 120
COUNTED = guard.SOURCE_ENDINGS + (".py", ".sh", ".js", ".css", ".html", ".cmake")


def blank_preprocessor(plain):
    """Directives, with their continuation lines, become empty lines."""
    return re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda m: "\n" * m.group(0).count("\n"), plain, flags=re.M)


_CONSTRUCTOR_LIST = re.compile(r"\)\s*(?:noexcept\s*(?:\([^()]*\)\s*)?)?:(?!:)[^;]*[\w>]\s*$", re.S)
_TYPE = re.compile(r"\b(class|struct|union|enum)\b")


def _kind(header, enclosing):
    """What a brace opens: namespace, type, function, member (of a constructor's list), other."""
    header = re.sub(r"\[\[.*?\]\]|\balignas\s*\([^()]*\)|\btemplate\s*<[^{}]*?>(?=\s*[\w\[])", " ", header, flags=re.S)
    if enclosing in ("function", "other", "member"):
        return "other"
    if re.search(r"\bnamespace\b", header) or re.search(r'\bextern\s+""\s*$', header):
        return "namespace"
    before_parenthesis = header.split("(")[0]
    if _TYPE.search(before_parenthesis) and not re.search(r"\)\s*(const|noexcept|override|->[^{}]*)*\s*$", header):
        return "type"
    if re.search(r"[=,]\s*$|\breturn\s*$", header):
        return "other"
    if "(" in header:
        return "member" if _CONSTRUCTOR_LIST.search(header) else "function"
    return "other"


def cpp_functions(text):
    """Yields (name, first line, lines) of each function of C++ text, by counting braces."""
    plain = blank_preprocessor(guard.without_comments(text))
    stack = []  # (kind, name, line of its first word)
    start = 0  # where the words before the next brace begin
    depth = 0  # of parentheses: braces inside them open no function
    for match in re.finditer(r"[{}();]", plain):
        char, here = match.group(0), match.start()
        if char in "()":
            depth = max(0, depth + (1 if char == "(" else -1))
        elif char == ";":
            if depth == 0:
                start = here + 1
        elif char == "{":
            header = plain[start:here]
            kind = "other" if depth else _kind(header, stack[-1][0] if stack else "namespace")
            first = start + len(header) - len(header.lstrip())
            words = re.findall(r"[\w:~<>]+\s*(?=\()", header)
            stack.append((kind, words[0].strip() if words else "?", guard.line_of(plain, first), start, depth))
            if kind != "member" and not depth:
                start = here + 1
            depth = 0
        elif stack:
            kind, name, line, outer_start, depth = stack.pop()
            if kind == "function":
                yield name, line, guard.line_of(plain, here) - line + 1
            if kind == "member" or depth:
                start = outer_start  # still the same header
            else:
                start = here + 1


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def check(root):
    failures, warnings, functions = [], [], 0

    def judge(lines, warn, most, message):
        if lines > warn:
            (failures if lines > most else warnings).append(f"{message} has {lines} lines ({most} at most, {warn} wished)")

    files = [path for path in guard.tracked_files(root) if path.endswith(COUNTED)]
    for path in files:
        text = guard.read(root, path)
        judge(text.count("\n"), FILE_WARN, FILE_FAIL, path + ":1: file")
        finder = python_functions if path.endswith(".py") else cpp_functions if path.endswith(guard.SOURCE_ENDINGS) else None
        for name, line, lines in finder(text) if finder else ():
            functions += 1
            judge(lines, FUNCTION_WARN, FUNCTION_FAIL, f"{path}:{line}: function {name}")
    return failures, warnings, f"{len(files)} files, {functions} functions"


if __name__ == "__main__":
    guard.main(os.path.basename(__file__)[:-3], check)

#!/usr/bin/env python3
"""grammar_oracle.py — constrained decoding against jsonschema, and its masks against xgrammar's.

    grammar_oracle.py CASES FOLDER [--schemas 1000] [--walks 3] [--start 1] [--xgrammar WALKS] [--write FILE]

CASES is the program grammar_cases, FOLDER a tokenizer's. Random schemas (grammar_schemas.py: so many of each of
its two generators) and those of tests/data/grammar are walked at random along the masks: tokens uniform and
skewed as at temperature 1.5, budgets ample and tight. Every text that comes out has to be valid; every tight
budget has to be kept. With --xgrammar, masks of tests/data/grammar/common.jsonl, schemas of which both admit
the same texts, are compared along so many shared walks of each.
"""

import argparse
import json
import pathlib
import random
import re
import statistics
import subprocess
import sys

import jsonschema

import grammar_schemas

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Cases:
    def __init__(self, program, folder):
        self.process = subprocess.Popen([program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"the program has gone, asked {request}")
        return json.loads(answer)


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)] if values else float("nan")


def no_repeats(pairs):
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise ValueError(f"a name twice in {names}")
    return dict(pairs)


def complaint(schema, validator, answer):
    """What is wrong with a walk's text, or None."""
    if "error" in answer:
        return answer["error"]
    if not answer["ended"]:
        return "it did not end within the budget"
    try:
        value = json.loads(bytes.fromhex(answer["hex"]).decode(), object_pairs_hook=no_repeats)
    except ValueError as error:
        return f"not JSON: {error}"
    error = next(validator.iter_errors(value), None)
    return error and f"invalid: {error.message[:200]}"


def check_schemas(cases, schemas, walks, space):
    refused, failures, texts = {}, [], 0
    figures = {"compile ms": [], "mask us, ample": [], "mask us, tight": []}
    for number, schema in enumerate(schemas):
        grammar = cases.ask(kind="json_schema", text=json.dumps(schema), space=space)
        if "error" in grammar:
            reason = grammar["error"].split(": ")[-1][:60]
            refused[reason] = refused.get(reason, 0) + 1
            continue
        figures["compile ms"].append(grammar["ms"])
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        least = grammar["least_tokens"]
        for walk in range(walks):
            for skewed in (False, True):
                for name, budget in (("ample", least + 60), ("tight", least + walk * 2)):
                    answer = cases.ask(walk={"seed": number * 100 + walk, "budget": budget, "skewed": skewed})
                    texts += 1
                    figures[f"mask us, {name}"] += answer.get("us", [])
                    if wrong := complaint(schema, validator, answer):
                        failures.append((schema, budget, wrong, bytes.fromhex(answer.get("hex", ""))[:300]))
    print(f"{len(schemas)} schemas, {sum(refused.values())} refused, {texts} texts, {len(failures)} wrong")
    for reason, count in sorted(refused.items(), key=lambda item: -item[1])[:8]:
        print(f"  refused {count}: {reason}")
    for name, values in figures.items():
        if values:
            print(f"  {name}: median {statistics.median(values):.1f}, p95 {percentile(values, 95):.1f}, p99 {percentile(values, 99):.1f}, most {max(values):.0f}")
    for schema, budget, wrong, text in failures[:5]:
        print(f"WRONG {json.dumps(schema)} budget {budget}: {wrong}\n  {text}")
    return not failures


def half_pair(text):
    """Whether a string in this beginning of a JSON text has an escape that is half of a surrogate pair."""
    text = re.sub(rb"\\[^u]", b".", text)
    text = re.sub(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]", b".", text)
    return re.search(rb"\\u[dD](?:[c-fC-F]|[89abAB][0-9a-fA-F]{2}(?!$|\\$|\\u$|\\u[dD]$))", text) is not None


def check_xgrammar(cases, schemas, walks, start):
    """Masks along shared walks; both compact. xgrammar admits halves of surrogate pairs as escapes, which are no text:
    masks that differ by these alone are counted apart. What differs elsewhere: nautile's integers have at most 18
    digits where nothing bounds them, and xgrammar's strings with maxLength take raw control characters and no
    escapes."""
    import grammar_xgrammar

    vocabulary = cases.ask(vocabulary=True)
    rival = grammar_xgrammar.Rival([bytes.fromhex(token) for token in vocabulary["tokens"]], vocabulary["end_ids"])
    seen, equal, halves, differences = set(), 0, 0, []
    for number, schema in enumerate(schemas):
        grammar = cases.ask(kind="json_schema", text=json.dumps(schema), space="compact")
        if "error" in grammar:
            sys.exit(f"{json.dumps(schema)}: {grammar['error']}")
        compiled = rival.compiled(schema)
        for walk in range(walks):
            matcher, ids, draw = rival.matcher(compiled), [], random.Random(f"{start} {number} {walk}")
            for _ in range(24):
                text = b"".join(rival.tokens[i] for i in ids)
                ours = rival.bits_of(bytes.fromhex(cases.ask(allowed=ids)["bits"]))
                theirs = rival.allowed(matcher)
                if (number, text) not in seen:
                    seen.add((number, text))
                    if (ours == theirs).all():
                        equal += 1
                    elif not (ours & ~theirs).any() and all(half_pair(text + rival.tokens[i]) for i in rival.ids(theirs & ~ours)):
                        halves += 1
                    else:
                        differences.append((schema, text, rival.ids(ours & ~theirs), rival.ids(theirs & ~ours)))
                both = ours & theirs & ~rival.ends
                if not both.any():
                    break
                # What closes is rare among so many, and a text must come to its end.
                closing = both & rival.closes
                ids.append(draw.choice(rival.ids(closing if closing.any() and draw.random() < 0.5 else both)))
                matcher.accept_token(ids[-1])
    print(f"xgrammar: {equal} masks after different texts of {len(schemas)} schemas are equal, {halves} but for "
          f"halves of surrogate pairs, {len(differences)} differ")
    for schema, text, more, fewer in differences[:6]:
        show = lambda s: [rival.tokens[i] for i in s[:6]]
        print(f"  after {text!r} of {json.dumps(schema)[:150]}\n    only ours {len(more)} {show(more)}, only xgrammar's {len(fewer)} {show(fewer)}")
    return not differences


def lines_of(name):
    return [json.loads(line) for line in (ROOT / "tests/data/grammar" / name).read_text().splitlines()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases")
    parser.add_argument("folder")
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--walks", type=int, default=3)
    parser.add_argument("--start", type=int, default=1)
    parser.add_argument("--space", default="flexible")
    parser.add_argument("--xgrammar", type=int, default=0)
    parser.add_argument("--write", help="only write the random schemas to this file")
    options = parser.parse_args()
    own = grammar_schemas.random_schemas(options.schemas, options.start) if options.schemas else []
    if options.write:
        pathlib.Path(options.write).write_text("".join(json.dumps(s) + "\n" for s in own))
        return
    cases = Cases(options.cases, options.folder)
    fine = True
    if options.schemas:
        fine = check_schemas(cases, lines_of("realistic.jsonl") + own, options.walks, options.space)
        print("by hypothesis-jsonschema:")
        library = grammar_schemas.library_schemas(options.schemas, options.start)
        fine = check_schemas(cases, library, options.walks, options.space) and fine
    if options.xgrammar:
        fine = check_xgrammar(cases, lines_of("common.jsonl"), options.xgrammar, options.start) and fine
    sys.exit(not fine)


if __name__ == "__main__":
    main()

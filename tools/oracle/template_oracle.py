#!/usr/bin/env python3
"""Compares nautile's template interpreter with jinja2, byte for byte.

jinja2 is set up as transformers sets it up (immutable sandbox, trim_blocks, lstrip_blocks, loop
controls, {% generation %}, json.dumps as tojson, raise_exception, strftime_now). Needs jinja2 3.1.6
(see requirements.txt). Usage:

  template_oracle.py PROGRAM [--templates PATH…] [--conversations N]
      PROGRAM is build/…/template_cases. PATHs are .jinja files, tokenizer_config.json files, or
      folders of either. Every template is rendered with N conversations; then the small cases of
      template_snippets.py run. Exit status 1 if anything differs.
  template_oracle.py --write tests/data/template_cases.jsonl [--templates PATH…]
      Writes the snippets (and the named templates, with few conversations each) together with
      jinja2's answers, for tests without Python.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import template_snippets  # noqa: E402


class Generation(jinja2.ext.Extension):
    """{% generation %}: the block that training masks; rendering passes it through."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


class TemplateNamespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            TemplateNamespace._check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        TemplateNamespace._check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: time.strftime(format, time.localtime(0))
    env.globals["namespace"] = TemplateNamespace
    return env


ENV = environment()


def reference(template, variables, cache={}):
    """jinja2's text, or None if it raises (when compiling or when rendering)."""
    try:
        if template not in cache:
            cache[template] = ENV.from_string(template)
        return cache[template].render(**variables)
    except Exception:  # templates may raise anything Python can
        return None


# ---------------------------------------------------------------- conversations

WORDS = ["hello", "world", "naïve", "日本語", "🙂", "<think>", "</think>", "<|im_end|>", "<|im_start|>",
         "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "\n", "\n\n", "  ", "\t", "{{ x }}", "{% if %}",
         "'quoted'", '"double"', "\\", "\\n", "a&b", "<b>", "1", "3.14", "é", "e\u0301", "\u00a0", "\u2028",
         "<tool_response>", "</tool_response>", "[INST]", "</s>", "<s>", "```json\n{}\n```", "ǅ", "ß", "İ"]


def text(rng, low=0, high=8):
    words = [rng.choice(WORDS) for _ in range(rng.randint(low, high))]
    return rng.choice(["", " ", "\n"]).join(words) if rng.random() < 0.9 else " ".join(words) + "\n"


def schema(rng):
    properties = {}
    for _ in range(rng.randint(0, 3)):
        name = rng.choice(["city", "unit", "größe", "count", "items", "type"])
        properties[name] = rng.choice([
            {"type": "string", "description": text(rng, 1, 3)},
            {"type": "integer", "minimum": 0, "maximum": 10},
            {"type": "number", "default": 1.5},
            {"type": "array", "items": {"type": "string"}},
            {"type": "string", "enum": ["a", "b"]},
            {"type": ["string", "null"]},
            {"type": "object", "properties": {"x": {"type": "boolean"}}},
        ])
    return {"type": "object", "properties": properties, "required": sorted(properties)[:1]}


def tool(rng):
    function = {"name": rng.choice(["get_weather", "search", "f"]), "description": text(rng, 1, 4),
                "parameters": schema(rng)}
    if rng.random() < 0.1:
        del function["description"]
    return {"type": "function", "function": function}


def tool_call(rng, index):
    arguments = rng.choice([{"city": "Zürich"}, {}, {"n": 1, "x": 2.5, "b": True, "z": None},
                            {"list": [1, "a"], "o": {"k": text(rng, 1, 2)}}])
    as_text = rng.random() < 0.5
    call = {"type": "function", "function": {
        "name": rng.choice(["get_weather", "search"]),
        "arguments": json.dumps(arguments, ensure_ascii=False) if as_text else arguments}}
    if rng.random() < 0.7:
        call["id"] = rng.choice(["call_%d", "abcdefgh%d", "functions.search:%d"]) % index
    return call


def content(rng):
    dice = rng.random()
    if dice < 0.05:
        return ""
    if dice < 0.12:
        return [{"type": "text", "text": text(rng)} for _ in range(rng.randint(1, 2))]
    return text(rng, 1, 10)


def conversation(rng):
    messages = []
    tools = [tool(rng) for _ in range(rng.randint(1, 3))] if rng.random() < 0.35 else None
    if rng.random() < 0.5:
        messages.append({"role": "system", "content": text(rng, 1, 6)})
    for turn in range(rng.randint(1, 4)):
        messages.append({"role": "user", "content": content(rng)})
        if rng.random() < 0.02:
            messages.append({"role": "user", "content": text(rng)})
        if tools and rng.random() < 0.5:
            calls = [tool_call(rng, i) for i in range(rng.randint(1, 2))]
            message = {"role": "assistant", "content": rng.choice([None, "", text(rng, 1, 3)]),
                       "tool_calls": calls}
            if rng.random() < 0.2:
                message["reasoning_content"] = text(rng, 1, 3)
            messages.append(message)
            for call in calls:
                result = {"role": "tool", "content": rng.choice([text(rng, 1, 3), '{"t": 1}'])}
                if "id" in call:
                    result["tool_call_id"] = call["id"]
                if rng.random() < 0.5:
                    result["name"] = call["function"]["name"]
                messages.append(result)
        if turn > 0 or rng.random() < 0.6:
            message = {"role": "assistant", "content": rng.choice(
                [text(rng, 1, 5), "<think>\n" + text(rng, 1, 4) + "\n</think>\n\n" + text(rng, 1, 4)])}
            if rng.random() < 0.3:
                message["reasoning_content"] = text(rng, 0, 4)
            messages.append(message)
    if rng.random() < 0.7 and messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": content(rng)})
    if rng.random() < 0.1:
        messages[-1]["prefix"] = True
    variables = {"messages": messages, "tools": tools, "documents": None,
                 "add_generation_prompt": rng.random() < 0.7,
                 "bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<|eos|>"}
    for name in ("enable_thinking", "thinking"):
        if rng.random() < 0.4:
            variables[name] = rng.random() < 0.5
    if rng.random() < 0.05:
        variables["reasoning_effort"] = rng.choice(["low", "high"])
    if rng.random() < 0.05:
        variables["tools"] = []
    return variables


# ---------------------------------------------------------------- templates

def load_templates(paths):
    """Pairs (name, source) from .jinja files and tokenizer_config.json files."""
    found = []
    for path in paths:
        if os.path.isdir(path):
            for name in sorted(os.listdir(path)):
                found += load_templates([os.path.join(path, name)])
        elif path.endswith(".jinja"):
            found.append((os.path.basename(path), open(path, encoding="utf-8", newline="").read()))
        elif path.endswith("tokenizer_config.json"):
            source = json.load(open(path, encoding="utf-8")).get("chat_template")
            if isinstance(source, str):
                found.append((os.path.basename(os.path.dirname(path)), source))
    return found


class Program:
    """The program under test: one request a line, one answer a line."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.template = None

    def render(self, template, variables):
        request = {"variables": variables, "now": 0}
        if template != self.template:
            request = {"template": template, **request}
            self.template = template
        self.process.stdin.write(json.dumps(request, ensure_ascii=False).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the program died on {template[:200]!r} with {json.dumps(variables)[:500]}")
        return json.loads(answer)


def same(expected, answer):
    return answer.get("text") == expected


def show(name, template, expected, answer, variables):
    print(f"DIFFERENT {name}")
    print(f"  template: {template[:300]!r}")
    if name.endswith(".jinja") or len(json.dumps(variables)) > 400:
        print(f"  variables: {json.dumps(variables, ensure_ascii=False)[:300]}")
    got = answer.get("text")
    if expected is not None and got is not None:
        at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
        print(f"  first difference at {at}: {expected[max(0, at-40):at+40]!r} / {got[max(0, at-40):at+40]!r}")
    else:
        if expected is None:
            try:
                ENV.from_string(template).render(**variables)
            except Exception as error:
                print(f"  jinja2 raises {type(error).__name__}: {str(error)[:200]}")
        print(f"  jinja2: {str(expected)[:200]!r}\n  ours:   {json.dumps(answer, ensure_ascii=False)[:300]}")


def compare(program, templates, count):
    failures = 0
    raised = 0
    total = 0
    for name, source in templates:
        rng = random.Random(name)
        bad = 0
        for _ in range(count):
            variables = conversation(rng)
            expected = reference(source, variables)
            answer = program.render(source, variables)
            total += 1
            raised += expected is None
            if not same(expected, answer):
                if bad == 0:
                    show(name, source, expected, answer, variables)
                bad += 1
        if bad:
            print(f"{name}: {bad} of {count} differ")
        failures += bad
    print(f"templates: {len(templates)} x {count} conversations, {total} renders, {raised} of them raise, "
          f"{failures} differ")
    cases = list(template_snippets.cases())
    bad = 0
    for index, (template, variables) in enumerate(cases):
        expected = reference(template, variables)
        answer = program.render(template, variables)
        if not same(expected, answer):
            show(f"snippet {index}", template, expected, answer, variables)
            bad += 1
    print(f"snippets: {len(cases)}, {bad} differ")
    return failures + bad


def write(path, templates):
    """Lines: {"defaults": variables}, then {"template", "variables", "text"}; a line without
    variables uses the defaults, one without a template the template before."""
    with open(path, "w", encoding="utf-8") as out:
        def put(record):
            out.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")

        put({"defaults": template_snippets.VARIABLES})
        for template, variables in template_snippets.cases():
            put({"template": template, "text": reference(template, variables)})
        for name, source in templates:
            rng = random.Random(name)
            for i in range(10):
                variables = conversation(rng)
                record = {"variables": variables, "text": reference(source, variables)}
                put({"template": source, **record} if i == 0 else record)
    print(f"{path}: {os.path.getsize(path)} bytes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", nargs="?")
    parser.add_argument("--templates", nargs="*", default=[])
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--write")
    options = parser.parse_args()
    templates = load_templates(options.templates)
    if options.write:
        write(options.write, templates)
    if options.program:
        sys.exit(1 if compare(Program(options.program), templates, options.conversations) else 0)


if __name__ == "__main__":
    main()

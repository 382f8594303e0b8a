"""Random schemas through the server at temperature 1.5, with ample and with the least max_tokens; every answer is
parsed and held to its schema by jsonschema: `structured_check.py URL KEY MODEL --schemas N`.

The schemas are those of tools/oracle/grammar_schemas.py, drawn by hypothesis-jsonschema. A schema that the server
refuses must be refused with 400 by the name of what it does not know, and is counted apart, as is one that
contradicts itself; of these schemas, which are of the subset, there are to be few.
"""
import argparse
import json
import pathlib
import random
import re
import sys
import threading

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))
import grammar_schemas  # noqa: E402
from raw_http import Api  # noqa: E402

AMPLE = 400  # tokens
MOST_REFUSED, LEAST_VALID = 0.1, 0.7  # shares of the schemas


class Count:
    def __init__(self):
        self.lock = threading.Lock()
        self.numbers = {"ample": 0, "tight": 0, "refused": 0, "impossible": 0}
        self.wrong = []
        self.refusals = {}

    def add(self, kind):
        with self.lock:
            self.numbers[kind] += 1

    def fail(self, schema, what):
        with self.lock:
            self.wrong.append(f"{json.dumps(schema)[:400]}: {what}")


def body_of(model, schema, seed, tokens):
    return {"model": model, "messages": [{"role": "user", "content": "Invent a value."}], "temperature": 1.5,
            "seed": seed, "max_tokens": tokens, "response_format": {
                "type": "json_schema", "json_schema": {"name": "value", "strict": True, "schema": schema}}}


def check_answer(reply, schema, kind, count):
    if reply.status != 200:
        return count.fail(schema, f"{kind}: {reply.status} {reply.body[:300]!r}")
    choice = reply.json()["choices"][0]
    text = choice["message"]["content"]
    try:
        value = json.loads(text)
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(value)
    except (ValueError, jsonschema.ValidationError) as error:
        return count.fail(schema, f"{kind}: {text[:300]!r} ({choice['finish_reason']}): {str(error)[:200]}")
    count.add(kind)


def check_schema(api, model, schema, seed, count):
    reply = api.post("/v1/chat/completions", body_of(model, schema, seed, 1))
    least = 1
    if reply.status == 400:
        error = reply.json()["error"]
        found = re.search(r"at least (\d+)", error["message"])
        if error["param"] == "max_tokens" and found:
            least = int(found.group(1))
        elif "matches no text" in error["message"]:
            return count.add("impossible")
        elif (error["param"] or "").startswith("response_format"):
            with count.lock:
                count.refusals[error["message"][:160]] = count.refusals.get(error["message"][:160], 0) + 1
            return count.add("refused")
        else:
            return count.fail(schema, f"refused for another reason: {error}")
    elif reply.status != 200:
        return count.fail(schema, f"{reply.status} {reply.body[:200]!r}")
    if least > 2000:
        return count.add("refused")  # more than the models' context here
    slack = random.Random(seed).randrange(4)
    check_answer(api.post("/v1/chat/completions", body_of(model, schema, seed, least + slack)), schema, "tight", count)
    check_answer(api.post("/v1/chat/completions", body_of(model, schema, seed, least + AMPLE)), schema, "ample", count)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("model")
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=16)
    options = parser.parse_args()
    schemas = grammar_schemas.library_schemas(options.schemas, 1)
    if len(schemas) < options.schemas:
        sys.exit(f"structured: {len(schemas)} schemas drawn, expected {options.schemas}")
    count, work = Count(), iter(list(enumerate(schemas)))

    def run():
        api = Api(options.url, options.key)
        while True:
            with count.lock:
                item = next(work, None)
            if item is None:
                return
            seed, schema = item
            try:
                check_schema(api, options.model, schema, seed, count)
            except (OSError, ValueError, KeyError) as error:
                count.fail(schema, f"{type(error).__name__}: {error}")
                api = Api(options.url, options.key)

    threads = [threading.Thread(target=run) for _ in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = count.numbers
    for message, times in count.refusals.items():
        print(f"  refused {times} times: {message}")
    for line in count.wrong[:40]:
        print("  WRONG " + line)
    print(f"structured: {len(schemas)} schemas: {numbers['tight']} valid with few tokens, {numbers['ample']} valid with "
          f"many, {numbers['impossible']} that no text fits, {numbers['refused']} refused, {len(count.wrong)} wrong")
    few = numbers["refused"] > MOST_REFUSED * len(schemas) or numbers["ample"] < LEAST_VALID * len(schemas)
    sys.exit(1 if count.wrong or few else 0)


if __name__ == "__main__":
    main()

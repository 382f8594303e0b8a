"""Random schemas through the server at temperature 1.5, with ample and with the least max_tokens; every answer is
parsed and held to its schema by jsonschema: `structured_check.py URL KEY MODEL --schemas N --start S --server PID`.

The schemas are those of tools/oracle/grammar_schemas.py, drawn by hypothesis-jsonschema from the seed S. A schema that
the server refuses must be refused with 400 by the name of what it does not know, and is counted apart, as is one that
contradicts itself; of these schemas, which are of the subset, there are to be few. Then every keyword outside the
subset, at several places, has to be refused by its name; and schemas made to cost much have to be answered (validly,
or by a 400) within a time, the server of process PID within a memory, and others beside them without much waiting.
"""
import argparse
import json
import pathlib
import random
import re
import sys
import threading
import time

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))
import grammar_schemas  # noqa: E402
import schema_cases  # noqa: E402
from raw_http import Api  # noqa: E402

AMPLE = 400  # tokens
MOST_REFUSED, LEAST_VALID = 0.1, 0.7  # shares of the schemas
HOSTILE_TOKENS = 24  # beyond the fewest
HOSTILE_SECONDS, HOSTILE_BYTES = 20, 400 << 20  # of one request; of the server's memory, more than before
OTHERS_SECONDS = 5  # of a short plain request beside hostile ones


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


def check_outside(api, model):
    """Complaints about keywords that are not refused by their names."""
    wrong, cases = [], list(schema_cases.outside())
    for keyword, schema in cases:
        reply = api.post("/v1/chat/completions", body_of(model, schema, 1, 4))
        error = reply.json()["error"] if reply.status == 400 else {}
        named = keyword in error.get("message", "") or (keyword == "pattern" and "regular expression" in error.get("message", ""))
        if not named or not (error.get("param") or "").startswith("response_format"):
            wrong.append(f"{keyword} in {json.dumps(schema)}: {reply.status} {reply.body[:200]!r}")
    print(f"structured: {len(cases)} schemas with a keyword outside of the subset, {len(wrong)} not refused by its name")
    return wrong


def memory_of(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no memory")


def check_hostile(options):
    """Complaints about schemas that take too long, too much, or end in anything but an answer that fits or a 400."""
    api, wrong = Api(options.url, options.key), []
    before, most_bytes, slowest, over = memory_of(options.server), 0, (0, ""), threading.Event()
    waits = []

    def plain():
        other = Api(options.url, options.key)
        while not over.is_set():
            start = time.monotonic()
            other.post("/v1/completions", {"model": options.model, "prompt": "a", "max_tokens": 2})
            waits.append(time.monotonic() - start)
            time.sleep(0.2)

    beside = threading.Thread(target=plain, daemon=True)  # it must not outlive a check that breaks off
    beside.start()
    cases, valid = list(schema_cases.hostile()), 0
    for what, schema in cases:
        least = 1
        for tokens in (1, HOSTILE_TOKENS):
            start = time.monotonic()
            reply = api.post("/v1/chat/completions", body_of(options.model, schema, 1, least if tokens == 1 else least + tokens))
            took = time.monotonic() - start
            slowest = max(slowest, (took, what))
            most_bytes = max(most_bytes, memory_of(options.server) - before)
            if took > HOSTILE_SECONDS:
                wrong.append(f"{what}: {took:.1f} s")
            error = reply.json().get("error", {}).get("message", "") if reply.status != 200 else ""
            found = re.search(r"at least (\d+)", error)
            if reply.status == 400 and found and tokens == 1:
                least = int(found.group(1))
                if least < 600:
                    continue
            elif reply.status == 200:
                try:
                    jsonschema.Draft202012Validator(schema).validate(json.loads(reply.json()["choices"][0]["message"]["content"]))
                    valid += tokens != 1
                except re.error:
                    valid += tokens != 1  # Python knows no \\p{…}; it was JSON
                except (ValueError, jsonschema.ValidationError, RecursionError) as problem:
                    wrong.append(f"{what}: {reply.body[:200]!r}: {str(problem)[:100]}")
                continue
            elif reply.status != 400:
                wrong.append(f"{what}: {reply.status} {reply.body[:200]!r}")
            print(f"  refused: {what}: {error[:140]}")
            break
    over.set()
    beside.join()
    if most_bytes > HOSTILE_BYTES:
        wrong.append(f"the server's memory grew by {most_bytes >> 20} MiB")
    if max(waits) > OTHERS_SECONDS:
        wrong.append(f"a plain request beside waited for {max(waits):.1f} s")
    print(f"structured: {len(cases)} hostile schemas, {valid} answered validly; the slowest took {slowest[0]:.1f} s "
          f"({slowest[1]}), memory grew by {most_bytes >> 20} MiB, plain requests beside took at most {max(waits):.1f} s")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("model")
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--start", type=int, default=1)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--server", type=int, required=True)
    options = parser.parse_args()
    wrong = check_outside(Api(options.url, options.key), options.model) + check_hostile(options)
    for line in wrong:
        print("  WRONG " + line)
    fine = check_random(options)
    sys.exit(0 if fine and not wrong else 1)


def check_random(options):
    schemas = grammar_schemas.library_schemas(options.schemas, options.start)
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
    return not count.wrong and not few


if __name__ == "__main__":
    main()

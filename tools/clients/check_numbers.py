"""Every number of the API, as its OpenAPI document lists them, beyond its bounds and of other types:
`check_numbers.py URL KEY MODEL`. What the document's schema refuses must be a 400 that names the field; what it
admits (a temperature of -1 it does not, a presence_penalty of -1 it does) must not be a 5xx.
"""
import copy
import json
import sys

import jsonschema

from raw_http import Api

ABUSE = ["-1", "-2147483649", "2147483648", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
         "18446744073709551616", "1e308", "-1e308", "1e400", "0.5", '"5"', '"NaN"', "true", "[]", "{}",
         "NaN", "Infinity", "-Infinity"]
NOT_JSON = ("NaN", "Infinity", "-Infinity")
MARK = "\u0001number\u0001"


def numbers(schema, path=(), context=()):
    """(path, whether whole) of each number below; of alternatives, each. `context`: [(path, schema chosen)]."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "integer" in kinds or "number" in kinds:
        yield path, context
    for word in ("anyOf", "oneOf"):
        for part in schema.get(word, []):
            yield from numbers(part, path, (*context, (path, part)))
    for name, part in schema.get("properties", {}).items():
        yield from numbers(part, (*path, name), context)
    if isinstance(schema.get("items"), dict):
        yield from numbers(schema["items"], (*path, 0), context)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from numbers(schema["additionalProperties"], (*path, "5"), context)


def least(schema, chosen=None, path=()):
    """A small value that the schema admits, by the alternatives that `chosen` maps paths to."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return least((chosen or {}).get(path, schema[word][0]), chosen, path)
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: least(schema["properties"][name], chosen, (*path, name)) for name in schema.get("required", [])}
    if kind == "array":
        return [least(schema["items"], chosen, (*path, 0))] * schema.get("minItems", 0)
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 0), 1 if schema.get("maximum", 1) >= 1 else 0)
    return {"string": "x" * max(1, schema.get("minLength", 0)), "boolean": False}.get(kind)


def place(schema, value, path, mark, chosen, at=()):
    """`value` with `mark` at `path`, containers made on the way as the schema wants them."""
    if not path:
        return mark
    for word in ("anyOf", "oneOf"):
        if word in schema:
            part = chosen.get(at, schema[word][0])
            return place(part, value, path, mark, chosen, at)
    step = path[0]
    if step == 0:
        below = value[0] if isinstance(value, list) and value else least(schema["items"], chosen, (*at, 0))
        return [place(schema["items"], below, path[1:], mark, chosen, (*at, 0))]
    value = dict(value) if isinstance(value, dict) else least(schema, chosen, at)
    part = schema.get("properties", {}).get(step) or schema["additionalProperties"]
    below = value.get(step)
    if below is None:
        below = least(part, chosen, (*at, step))
    value[step] = place(part, below, path[1:], mark, chosen, (*at, step))
    return value


def name_of(path):
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else step)
    return text


def good_body(path, schema, model):
    """A request that is answered, for numbers to be put into."""
    body = least(schema)
    if "model" in schema["properties"]:
        body["model"] = model
    if "messages" in schema["properties"]:
        body["messages"] = [{"role": "user", "content": "x"}]
    for name in ("max_tokens", "max_output_tokens"):
        if name in schema["properties"] and "embeddings" not in path:
            body[name] = 16
    for name, value in (("prompt", "x"), ("input", "x"), ("tokens", [5])):
        if name in body:
            body[name] = value
    if path.endswith("/tokenize"):
        body["content"] = "x"
    if path.endswith("/chat/completions"):
        body["logprobs"] = True  # top_logprobs needs it
    return body


def named(reply, name):
    """Whether an error tells the field, or the list that it stands in."""
    body = reply.json()
    error = body["error"] if isinstance(body.get("error"), dict) else {"message": body.get("error", "")}
    told = f"{error.get('param') or ''} {error['message']}"
    return name in told


def main(url, key, model):
    api = Api(url, key)
    document = api.get("/openapi.json").json()
    cases, fields, wrong = 0, 0, []
    for path, operations in document["paths"].items():
        if "requestBody" not in operations.get("post", {}):
            continue
        schema = operations["post"]["requestBody"]["content"]["application/json"]["schema"]
        start = good_body(path, schema, model)
        reply = api.post(path, start)
        if reply.status != 200:
            wrong.append(f"{path}: the plain request {json.dumps(start)}: {reply.status} {reply.body[:200]!r}")
            continue
        for field, context in numbers(schema):
            fields += 1
            template = json.dumps(place(schema, copy.deepcopy(start), field, MARK, dict(context)))
            for abuse in ABUSE:
                cases += 1
                text = template.replace(json.dumps(MARK), abuse)
                reply = api.post(path, text.encode())
                what = f"{path} {name_of(field)} = {abuse}: {reply.status} {reply.body[:160]!r}"
                try:
                    admitted = abuse not in NOT_JSON and jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))
                except OverflowError:  # an integer of infinite value
                    admitted = False
                if reply.status >= 500:
                    wrong.append(what)
                elif abuse in NOT_JSON or abuse == "1e400":
                    if reply.status != 400:
                        wrong.append(what)
                elif not admitted and (reply.status != 400 or not named(reply, name_of(field))):
                    wrong.append(what)
    if api.get("/v1/models").status != 200:
        wrong.append("the server does not answer any more")
    for line in wrong[:60]:
        print("  " + line)
    print(f"numbers: {fields} fields, {cases} cases, {len(wrong)} wrong")
    sys.exit(1 if wrong or fields < 40 else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])

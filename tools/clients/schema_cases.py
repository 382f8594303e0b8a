"""Schemas for structured_check.py that are no ordinary ones: keywords that are to be refused by name, and schemas
that are made to cost much."""

import random

# Every keyword of draft 2020-12 (and three of older drafts) that docs and README do not list, with a value.
OUTSIDE = {
    "not": {"type": "null"},
    "oneOf": [{"type": "string"}, {"type": "null"}],
    "if": {"type": "string"},
    "then": {"minLength": 1},
    "else": {"type": "null"},
    "dependentSchemas": {"a": {"required": ["b"]}},
    "dependentRequired": {"a": ["b"]},
    "dependencies": {"a": ["b"]},
    "patternProperties": {"^a": {"type": "null"}},
    "propertyNames": {"maxLength": 3},
    "minProperties": 1,
    "maxProperties": 2,
    "unevaluatedProperties": False,
    "unevaluatedItems": False,
    "additionalItems": False,
    "contains": {"type": "null"},
    "minContains": 1,
    "maxContains": 2,
    "uniqueItems": True,
    "contentEncoding": "base64",
    "contentMediaType": "application/json",
    "contentSchema": {"type": "null"},
    "$anchor": "here",
    "$dynamicAnchor": "here",
    "$dynamicRef": "#here",
    "$recursiveRef": "#",
    "$vocabulary": {"https://json-schema.org/draft/2020-12/vocab/core": True},
    "x-made-up": 1,
}


def outside():
    """(keyword, schema) with each keyword at the root and at the places below it."""
    for keyword, value in OUTSIDE.items():
        bad = {"type": ["object", "array"], keyword: value}
        yield keyword, bad
        yield keyword, {"type": "object", "properties": {"a": bad}, "required": ["a"]}
        yield keyword, {"type": "object", "additionalProperties": bad}
        yield keyword, {"type": "array", "items": bad}
        yield keyword, {"type": "array", "prefixItems": [{"type": "null"}, bad]}
        yield keyword, {"anyOf": [{"type": "null"}, bad]}
        yield keyword, {"allOf": [{"type": "object"}, bad]}
        yield keyword, {"$ref": "#/$defs/d", "$defs": {"d": bad}}
        yield keyword, {"enum": [{"a": 1}, []], **bad}
    yield "format", {"type": "string", "format": "uri-template"}
    yield "multipleOf", {"type": "number", "multipleOf": 0.1}
    yield "$ref", {"$ref": "https://example.org/schema"}
    yield "$ref", {"$ref": "#here"}
    for pattern in ("(?=a)b", "(a)\\1", "\\bword\\b", "(?<!a)b", "a++"):
        yield "pattern", {"type": "string", "pattern": pattern}


def nested(schema, wrap, times):
    for _ in range(times):
        schema = wrap(schema)
    return schema


def hostile_patterns(count):
    """Expressions of repetitions in repetitions over classes that overlap; the same ones every time."""
    chance = random.Random(7)

    def piece(depth):
        if depth == 0:
            return chance.choice(["a", "aa", "[ab]", "[a-z]", ".", "\\w", "\\s?", "\\p{L}", "x?", "\\d+"])
        within = "|".join("".join(piece(depth - 1) for _ in range(chance.randrange(1, 4))) for _ in range(chance.randrange(1, 4)))
        few = chance.randrange(5)
        return f"({within})" + chance.choice(["*", "+", "?", f"{{{few},{few + chance.choice([1, 20, 1000])}}}", f"{{{chance.choice([2, 30])}}}"])

    for _ in range(count):
        yield f"^{piece(chance.randrange(1, 5))}$"


def hostile():
    """(what, schema) of schemas that a careless automaton spends minutes or gigabytes on."""
    text = {"type": "string"}
    yield "objects 25 deep", nested({"type": "null"}, lambda s: {"type": "object", "properties": {"a": s}, "required": ["a"]}, 25)
    yield "arrays 30 deep", nested({}, lambda s: {"type": "array", "items": s}, 30)
    yield "a recursion that takes two", {"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [{"type": "null"}, {
        "type": "array", "prefixItems": [{"$ref": "#/$defs/t"}, {"$ref": "#/$defs/t"}], "minItems": 2}]}}}
    yield "2^50 nulls at least", {"$ref": "#/$defs/d0", "$defs": {**{
        f"d{i}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/d{i + 1}"}] * 2, "minItems": 2} for i in range(50)},
        "d50": {"type": "null"}}}
    yield "a recursion of 200 names", {"$ref": "#/$defs/d0", "$defs": {
        f"d{i}": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": f"#/$defs/d{(i * 7 + 1) % 200}"}}]}
        for i in range(200)}}
    yield "10,000 in an enum", {"enum": [f"value {i * 7919}" for i in range(10_000)]}
    yield "10,000 numbers in an enum", {"enum": [i * 104_729 for i in range(10_000)]}
    yield "1,000 objects in an enum", {"enum": [{"a": [i, {"b": str(i)}]} for i in range(1_000)]}
    yield "an enum filtered by a pattern", {"enum": ["a" * i for i in range(1_000)], "type": "string", "pattern": "^(aa|aaa)+$"}
    yield "2,000 members that may be left out", {"type": "object", "properties": {f"p{i}": {"type": "integer"} for i in range(2_000)}}
    yield "2,000 names that must not be others", {"type": "object", "properties": {
        f"p{i * 7919}": text for i in range(2_000)}, "additionalProperties": {"type": "boolean"}}
    for count in (10_000, 9_000_000):
        yield f"minItems {count}", {"type": "array", "items": {"type": "null"}, "minItems": count}
        yield f"maxItems {count}", {"type": "array", "items": text, "maxItems": count}
        yield f"minLength {count}", {**text, "minLength": count}
        yield f"maxLength {count}", {**text, "maxLength": count}
    yield "maxItems in maxItems in maxItems", nested(text, lambda s: {"type": "array", "items": s, "maxItems": 1_000_000}, 3)
    yield "maxLength in 40 lists", nested({**text, "maxLength": 1000}, lambda s: {"type": "array", "items": s, "maxItems": 9}, 40)
    yield "anyOf 25 deep, in two ways each", nested({"type": "null"}, lambda s: {"anyOf": [s, {"anyOf": [s, s]}]}, 8)
    yield "2^18 ways by allOf of anyOf", {"allOf": [{"anyOf": [{"minimum": i}, {"maximum": i + 3}]} for i in range(18)]}
    yield "objects told apart by their ends", {"anyOf": [{"type": "object", "properties": {"a": {"type": "array", "items": text}, f"b{i}": text},
        "required": ["a", f"b{i}"]} for i in range(100)]}
    yield "lists told apart by their ends", {"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [
        {"type": "array", "prefixItems": [{"$ref": "#/$defs/t"}, {"const": i}], "minItems": 2} for i in range(30)] + [{"type": "null"}]}}}
    for pattern in ("^(a+)+$", "^((a*)*)*$", "^(a|aa)+$", "(x+x+)+y", "^(a|b)*a(a|b){12}$", "^(a|b)*a(a|b){40}$", "^(.*a){20}$",
                    "^(([a-z])+.)+[A-Z]([a-z])+$", "^(\\w+\\s?)*$", "^((a{0,1000}){0,1000}){0,1000}$", "^.{0,5000}$", ".*.*.*.*.*.*=.*",
                    "^(\\p{L}{1,50} ?){1,50}$", "^" + "(a?){50}" * 4 + "$", "^(" + "|".join(f"w{i}x*" for i in range(300)) + ")*$"):
        yield f"pattern {pattern[:40]}", {**text, "pattern": pattern}
        yield f"pattern {pattern[:40]} with a length", {**text, "pattern": pattern, "minLength": 3, "maxLength": 200}
    for i, pattern in enumerate(hostile_patterns(140)):
        yield f"pattern {pattern[:40]}", {**text, "pattern": pattern, **({"minLength": 3, "maxLength": 200} if i % 2 else {})}
    yield "three patterns at once", {"type": "string", "allOf": [{"pattern": p} for p in ("(a+)+b", "(b+)+a", "[ab]*a[ab]{15}")]}
    yield "a number between close bounds", {"type": "number", "minimum": 0.1234567890123, "maximum": 0.1234567890124}
    yield "a multiple of 999,983", {"type": "integer", "multipleOf": 999_983, "minimum": 0, "maximum": 10**15}
    yield "75 dates", {"type": "object", "properties": {f"p{i}": {**text, "format": "date-time"} for i in range(75)},
                       "required": [f"p{i}" for i in range(75)]}
    yield "e-mail addresses and names", {"type": "array", "items": {"anyOf": [{"type": "string", "format": f} for f in
        ("email", "hostname", "ipv4", "ipv6", "uuid", "date", "time", "date-time")]}, "minItems": 3}

"""grammar_schemas.py — random JSON Schemas of nautile's subset: by a strategy of its own, and by the generator
hypothesis-jsonschema from a schema of such schemas."""

import json

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema

NAMES = st.one_of(st.sampled_from(["a", "b", "ab", "name", "value", "items", "é", 'q"', "a b", "", "\\"]), st.text(max_size=6))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=8), st.floats(-1e15, 1e15, allow_nan=False)
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=3), max_leaves=5)
PATTERNS = st.sampled_from(
    ["^a", "b$", "^[a-z]+$", "^\\d{2,4}$", "x|y", "^(foo|bar)?$", "\\s", "^\\S+\\.\\w+$", "^[^a]*$", "^.{2,5}$", "", "[\"\\\\]", "^\\W?$"]
)
FORMATS = st.sampled_from(["date-time", "date", "email", "uuid", "ipv4", "ipv6", "time"])


def optional(fields):
    return st.fixed_dictionaries({}, optional=fields)


def bounds(numbers):
    return optional({"minimum": numbers, "maximum": numbers, "exclusiveMinimum": numbers, "exclusiveMaximum": numbers})


INTEGERS = st.one_of(st.integers(-20, 20), st.integers(-(2**63), 2**63))
FLOATS = st.one_of(st.integers(-20, 20), st.floats(-1e9, 1e9, allow_nan=False), st.floats(-2, 2))
COUNTS = st.integers(0, 6)


@st.composite
def strings(draw):
    schema = {"type": "string", **draw(optional({"minLength": COUNTS, "maxLength": st.integers(0, 40)}))}
    kind = draw(st.integers(0, 4))
    if kind == 0:
        schema["pattern"] = draw(PATTERNS)
    elif kind == 1:
        schema = {"type": "string", "format": draw(FORMATS)}
    return schema


@st.composite
def integers(draw):
    schema = {"type": "integer", **draw(bounds(INTEGERS))}
    if draw(st.integers(0, 3)) == 0:
        schema["multipleOf"] = draw(st.integers(1, 60))
    return schema


@st.composite
def objects(draw, schemas):
    properties = draw(st.dictionaries(NAMES, schemas, max_size=4))
    schema = {"type": "object"}
    if properties or draw(st.booleans()):
        schema["properties"] = properties
    names = list(properties) + draw(st.lists(NAMES, max_size=1))
    if names and draw(st.booleans()):
        schema["required"] = draw(st.lists(st.sampled_from(names), unique=True))
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.booleans() | schemas)
    return schema


@st.composite
def arrays(draw, schemas):
    schema = {"type": "array", **draw(optional({"minItems": st.integers(0, 3), "maxItems": COUNTS}))}
    if draw(st.booleans()):
        schema["items"] = draw(st.booleans() | schemas)
    if draw(st.integers(0, 2)) == 0:
        schema["prefixItems"] = draw(st.lists(schemas, min_size=1, max_size=3))
    return schema


LEAVES = st.one_of(
    strings(),
    integers(),
    st.builds(lambda b: {"type": "number", **b}, bounds(FLOATS)),
    st.builds(lambda t: {"type": t}, st.lists(st.sampled_from("null boolean integer number string object array".split()), min_size=1, unique=True)),
    st.builds(lambda v: {"const": v}, VALUES),
    st.builds(lambda v: {"enum": v}, st.lists(VALUES, min_size=1, max_size=4)),
    st.just({}),
    st.just(True),
    st.just({"$ref": "#/$defs/d"}),
)


def grown(schemas):
    return st.one_of(
        objects(schemas),
        arrays(schemas),
        st.builds(lambda s: {"anyOf": s}, st.lists(schemas, min_size=1, max_size=3)),
        st.builds(lambda s: {"allOf": s}, st.lists(objects(schemas), min_size=1, max_size=2)),
        st.builds(lambda a, b: {**a, "enum": b} if isinstance(a, dict) else a, schemas, st.lists(VALUES, min_size=1, max_size=4)),
    )


SCHEMAS = st.recursive(LEAVES, grown, max_leaves=8)


def with_definition(schema, definition):
    if not isinstance(schema, dict):
        schema = {"anyOf": [schema]}
    return {**schema, "$defs": {"d": definition}} if "#/$defs/d" in json.dumps([schema, definition]) else schema


def schemas_of_leaves():
    """JSON Schemas whose values are schemas of the subset, without others inside."""
    count = {"type": "integer", "minimum": 0, "maximum": 5}
    most = {"type": "integer", "minimum": 5, "maximum": 30}
    number = {"type": "number", "minimum": -1000, "maximum": 1000}
    integer = {"type": "integer", "minimum": -1000, "maximum": 1000}
    scalars = {"type": "array", "items": {"type": ["null", "boolean", "integer", "string"]}, "minItems": 1, "maxItems": 4}

    def schema(required, **keywords):
        return {"type": "object", "properties": keywords, "required": required, "additionalProperties": False}

    def typed(kind, **keywords):
        return schema(["type"], type={"const": kind}, **keywords)

    return [
        typed("string", minLength=count, maxLength=most),
        typed("string", pattern={"enum": ["^[a-z]+$", "^\\d{3}$", "a|b", "^(x|yz)*$"]}),
        typed("string", format={"enum": ["date", "email", "uuid", "ipv4", "date-time"]}),
        typed("integer", minimum=integer, maximum=integer, multipleOf={"enum": [1, 2, 5, 12]}),
        typed("number", minimum=number, exclusiveMaximum=number),
        typed("array", minItems=count, maxItems=most),
        typed("boolean"),
        schema(["enum"], enum=scalars),
        schema(["const"], const={"type": ["null", "boolean", "integer", "string"]}),
    ]


def drawn(strategy, count, start):
    """`count` different schemas that the strategy draws; the same for the same start."""
    found = {}

    @seed(start)
    @settings(max_examples=count * 2, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(schema):
        found.setdefault(json.dumps(schema, sort_keys=True), schema)

    collect()
    return list(found.values())[:count]


def random_schemas(count, start):
    return drawn(st.builds(with_definition, SCHEMAS, SCHEMAS), count, start)


def library_schemas(count, start):
    leaves = st.one_of([from_schema(schema) for schema in schemas_of_leaves()])
    return drawn(st.recursive(leaves, grown, max_leaves=8), count, start)

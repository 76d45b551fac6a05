"""Values made from a JSON Schema are valid and use the words of the turn."""

import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sunra_integrations.sandbox.rule_based.replies import default_reply
from sunra_integrations.sandbox.rule_based.scalar_values import string_matching
from sunra_integrations.sandbox.rule_based.schema_values import make_value
from sunra_integrations.sandbox.rule_based.value_candidates import ValueCandidates
from tests.examples import examples
from tests.waiting import DEADLINE

TURN = "Ann Lee is 42, lives in Berlin since 2020-05-01; mail ann@example.com, see https://a.b/c."


def obj(required=None, **properties):
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


STRING, INTEGER = {"type": "string"}, {"type": "integer"}
TREE = {
    "$defs": {
        "node": obj(
            ["value"],
            value=STRING,
            left={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            children={"type": "array", "items": {"$ref": "#/$defs/node"}},
        )
    },
    "$ref": "#/$defs/node",
}

SAID = [
    (obj(name=STRING, age=INTEGER, city=STRING),
     {"name": "Ann Lee", "age": 42, "city": "Berlin"}),
    (obj(email={"type": "string", "format": "email"}, since={"type": "string", "format": "date"}),
     {"email": "ann@example.com", "since": "2020-05-01"}),
    (obj(website=STRING), {"website": "https://a.b/c"}),
    (obj([], website=STRING, nickname=STRING), {"website": "https://a.b/c"}),
    (obj(["age"], age=INTEGER, limit=INTEGER), {"age": 42}),
    (obj(city={"enum": ["Paris", "Berlin"]}), {"city": "Berlin"}),
    (obj(person=obj(name=STRING, age=INTEGER)), {"person": {"name": "Ann Lee", "age": 42}}),
    (obj(kind={"const": "person"}), {"kind": "person"}),
    (obj(names={"type": "array", "items": STRING}), {"names": ["Ann Lee", "Berlin"]}),
    (obj(age={"anyOf": [{"type": "null"}, INTEGER]}), {"age": 42}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), SAID, ids=range(len(SAID)))
def test_values_are_the_words_of_the_turn(schema, expected):
    assert make_value(schema, ValueCandidates(TURN)) == expected


DEEP = {"type": "string"}
for _ in range(40):
    DEEP = obj(inner=DEEP)

DEMANDING = [
    DEEP,
    {},
    {"type": "null"},
    {"type": ["null", "integer"], "minimum": 5},
    obj(n={"type": "integer", "minimum": 7, "maximum": 9}),
    obj(n={"type": "integer", "exclusiveMinimum": 7, "multipleOf": 5}),
    obj(n={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
    obj(n={"type": "number", "maximum": -3.5}),
    obj(s={"type": "string", "minLength": 300}),
    obj(s={"type": "string", "maxLength": 3}),
    obj(s={"type": "string", "pattern": r"^[A-Z]{3}-\d{4}$"}),
    obj(s={"type": "string", "pattern": r"^(?:red|blue)\s\w+$"}),
    obj(a={"type": "array", "items": INTEGER, "minItems": 3, "uniqueItems": True}),
    obj(a={"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 1}),
    obj(a={"type": "array", "prefixItems": [STRING, INTEGER], "items": False}),
    obj(a={"type": "array", "items": obj(x=STRING), "minItems": 2}),
    obj(o={"type": "object", "additionalProperties": INTEGER, "minProperties": 2}),
    {"allOf": [obj(a=STRING), obj(b=INTEGER)]},
    {"allOf": [{"$ref": "#/$defs/base"}, obj(b=INTEGER)], "$defs": {"base": obj(a=STRING)}},
    {"oneOf": [obj(a={"type": "string", "maxLength": 0}), obj(b={"const": 3})]},
    obj(v={"oneOf": [{"type": "integer"}, {"type": "string"}]}),
    TREE,
    obj(t={"$ref": "#/$defs/t"}) | {"$defs": {"t": {"enum": [1, 2]}}},
]


@pytest.mark.parametrize("schema", DEMANDING, ids=range(len(DEMANDING)))
@pytest.mark.parametrize("turn", [TURN, "", "你好"])
def test_values_are_valid(schema, turn):
    Draft202012Validator(schema).validate(make_value(schema, ValueCandidates(turn)))


UNSATISFIABLE = [
    False,
    obj(a=False),
    obj(a={"type": "integer", "minimum": 5, "maximum": 4}),
    obj(a={"type": "string", "minLength": 10**9}),
    obj(a={"type": "string", "pattern": "(?!)"}),
    {"allOf": [STRING, INTEGER]},
    obj(a={"enum": []}),
    {"not": {}},
    {"$ref": "#"},
    obj(a={"type": "number", "minimum": 10**400}),
    obj(a={"type": "array", "minItems": 10**9, "items": obj(b=STRING)}),
]


@pytest.mark.parametrize("schema", UNSATISFIABLE, ids=range(len(UNSATISFIABLE)))
def test_what_cannot_be_satisfied_still_ends_in_json_and_soon(schema):
    began = time.monotonic()
    assert json.dumps(make_value(schema, ValueCandidates(TURN))) is not None
    assert time.monotonic() - began < DEADLINE


LEAVES = st.one_of(
    st.builds(
        lambda low, span: {"type": "integer", "minimum": low, "maximum": low + span},
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.builds(
        lambda low, span: {"type": "number", "minimum": low, "maximum": low + span},
        st.integers(-5, 5),
        st.integers(0, 3),
    ),
    st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(0, 30),
        st.integers(0, 9),
    ),
    st.sampled_from(
        [
            {"type": "boolean"},
            {"type": "null"},
            {"type": "string", "format": "uuid"},
            {"enum": ["a", 1, None]},
            {"const": "c"},
            {"type": "string", "default": "d"},
        ]
    ),
)
NAMES = st.sampled_from(["name", "age", "city", "count", "verbose", "x", "名"])
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda properties, closed: obj(**properties) | {"additionalProperties": not closed},
            st.dictionaries(NAMES, inner, max_size=3),
            st.booleans(),
        ),
        st.builds(
            lambda properties: obj([], **properties), st.dictionaries(NAMES, inner, max_size=3)
        ),
        st.builds(
            lambda items, least: {"type": "array", "items": items, "minItems": least},
            inner,
            st.integers(0, 3),
        ),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


@settings(max_examples=examples(150), deadline=None)
@given(schema=SCHEMAS, turn=st.sampled_from([TURN, "Hello", "3, 4 and 5: 'quoted' 你好啊集团"]))
def test_values_of_generated_schemas_are_valid(schema, turn):
    Draft202012Validator(schema).validate(make_value(schema, ValueCandidates(turn)))


@pytest.mark.parametrize(
    "pattern",
    [
        "^abc$",
        r"^\d{3}-\d{2}$",
        "^[a-f0-9]{8}$",
        "^(foo|bar)+$",
        r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
        r"^\+?[1-9]\d{1,14}$",
        r"^v\d+(?:\.\d+)*$",
        "^[A-Z][a-z]*$",
        r"\bword\b",
        "",
    ],
)
def test_a_text_is_written_for_a_pattern(pattern):
    written = string_matching(pattern)
    assert written is not None
    assert re.search(pattern, written)


@pytest.mark.parametrize("pattern", ["(", r"(a)\1b", "(?!a)b", "((a{999}){999}){999}", "[z-a]"])
def test_a_pattern_beyond_these_means_gives_none(pattern):
    assert string_matching(pattern) is None


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ("Why is the sky blue?", {"answer": "You said: Why is the sky blue?"}),
        (
            "Ann is 3. Answer in JSON with the keys 'name' and 'note'.",
            {"name": "Ann", "note": "Ann is 3."},
        ),
        (
            "Describe Rome. Use this schema: "
            + json.dumps(obj(city={"type": "string"}, size={"type": "integer"})),
            {"city": "Rome", "size": 0},
        ),
    ],
)
def test_json_mode_takes_its_keys_from_the_prompt(body, turn, expected):
    request = body(
        messages=[{"role": "user", "content": turn}], response_format={"type": "json_object"}
    )
    assert json.loads(default_reply(request).choices[0].message["content"]) == expected

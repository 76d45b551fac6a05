"""Names that fit, roots that say what they are, and the subset that strict mode can express."""

from __future__ import annotations

import copy
import re
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, RootModel, StringConstraints

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.json_schema import (
    is_recursive,
    strict_schema,
    try_strict_schema,
    valid_name,
    with_object_root,
)
from sunra_integrations.sandbox.contract.json_schema import schema_problems, strict_problems

STRING = {"type": "string"}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


# ── names ────────────────────────────────────────────────────────────────────

NAMES = ["add", "get-weather_2", "a" * 64]
MISFITS = [
    "Page[int]",
    "My answer",
    "a.b",
    "a b",
    "a-b ",
    "研究员",
    "查询",
    "é",
    "",
    "a" * 65,
    "\ud800",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_fits_stays_as_it_is(name):
    assert valid_name(name) == name


@pytest.mark.parametrize("name", MISFITS)
def test_a_name_that_does_not_fit_is_made_to_always_the_same_way(name):
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", valid_name(name))
    assert valid_name(name) == valid_name(name)


def test_two_names_never_become_one():
    alike = [
        "a b",
        "a.b",
        "a_b",
        "a b ",
        "a" * 65,
        "a" * 66,
        "研究",
        "查询",
        "My answer",
        "My_answer",
    ]
    assert len({valid_name(name) for name in alike}) == len(alike)


# ── roots ────────────────────────────────────────────────────────────────────


class Node(BaseModel):
    """A node of a tree."""

    name: str
    children: list[Node] = []


class Husband(BaseModel):
    """A husband."""

    wife: Wife | None = None


class Wife(BaseModel):
    """A wife."""

    husband: Husband | None = None


NODE = of(name=STRING, next={"$ref": "#/definitions/Node"})
ROOTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a recursive class": (
        Node.model_json_schema(),
        {"type": "object", "title": "Node", "description": "A node of a tree."},
    ),
    "mutual recursion": (Husband.model_json_schema(), {"type": "object", "title": "Husband"}),
    "definitions": (
        {"$ref": "#/definitions/Node", "definitions": {"Node": {**NODE, "title": "Node"}}},
        {"type": "object", "title": "Node"},
    ),
    "under another name": (
        {"$ref": "#/components/schemas/N", "components": {"schemas": {"N": of(a=STRING)}}},
        {"type": "object", "properties": {"a": STRING}},
    ),
    "with words of its own": (
        {"$ref": "#/$defs/N", "title": "Mine", "$defs": {"N": {**of(), "title": "N"}}},
        {"type": "object", "title": "Mine"},
    ),
    "behind another reference": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": of(a=STRING)}},
        {"type": "object", "properties": {"a": STRING}},
    ),
    "in an allOf of one": (
        {"allOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": of(a=STRING)}},
        {"type": "object", "properties": {"a": STRING}},
    ),
    "an object without properties": ({"type": "object"}, {"type": "object", "properties": {}}),
    "properties without a type": (
        {"properties": {"a": STRING}},
        {"type": "object", "properties": {"a": STRING}},
    ),
    "a list": ({"type": "array", "items": STRING}, {"type": "array", "items": STRING}),
    "a reference to nothing": ({"$ref": "#/$defs/X"}, {"$ref": "#/$defs/X"}),
    "a reference in a circle": ({"$ref": "#"}, {}),
}


@pytest.mark.parametrize("name", ROOTS)
def test_a_root_says_what_it_is(name):
    given, expected = ROOTS[name]
    before = copy.deepcopy(given)
    assert expected.items() <= with_object_root(given).items()
    assert given == before


@pytest.mark.parametrize("cls", [Node, Husband])
def test_what_a_root_allows_stays_the_same(cls):
    before, after = cls.model_json_schema(), with_object_root(cls.model_json_schema())
    for value in ({}, {"name": "a"}, {"name": "a", "children": [{"x": 1}]}, {"wife": 3}, 7):
        judged = [Draft202012Validator(one).is_valid(value) for one in (before, after)]
        assert judged[0] == judged[1], value


@pytest.mark.parametrize(
    ("schema", "recursive"),
    [
        (Node.model_json_schema(), True),
        (Husband.model_json_schema(), True),
        (of(a={"$ref": "#"}), True),
        (of(a={"$ref": "#/properties/a"}), True),
        (of(a={"$ref": "#/properties/b"}, b=STRING), False),
        ({**of(a={"$ref": "#/$defs/A"}, b={"$ref": "#/$defs/A"}), "$defs": {"A": STRING}}, False),
        (of(a=STRING), False),
        (of(a={"$ref": "https://example.com/a.json"}), False),
    ],
)
def test_recursion_is_known(schema, recursive):
    assert is_recursive(schema) is recursive


# ── the strict subset ────────────────────────────────────────────────────────


class Chapter(BaseModel):
    """A chapter."""

    title: str
    parts: list[Annotated[Chapter, Field(description="A part of it")]] = []
    after: Chapter | None = Field(default=None, description="The next one")


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float = Field(gt=0)


class Square(BaseModel):
    kind: Literal["square"]
    side: float


class Shapes(BaseModel):
    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]] = Field(min_length=1)
    unit: Literal["mm", 1] | None = "mm"
    name: str | None = Field(default=None, pattern="^[a-z]+$")
    main: Circle = Field(description="the first")


class Empty(BaseModel):
    pass


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    a: int


class Holder(BaseModel):
    empty: Empty
    closed: Closed


EXPRESSIBLE: dict[str, dict[str, Any]] = {
    "a tree": Node.model_json_schema(),
    "words beside a recursive reference": Chapter.model_json_schema(),
    "mutual recursion": Husband.model_json_schema(),
    "a union by a word": Shapes.model_json_schema(),
    "empty and closed": Holder.model_json_schema(),
    "the root, with words": of(name=STRING, next={"$ref": "#", "description": "the rest"}),
    "definitions": {
        **of(a={"$ref": "#/definitions/A", "title": "a"}),
        "definitions": {"A": of(b={"anyOf": [{"$ref": "#/definitions/A"}, {"type": "null"}]})},
    },
    "under another name": {
        **of(a={"$ref": "#/components/A"}, b={"$ref": "#/$defs/A"}),
        "components": {"A": of(c={"type": ["integer", "null"]})},
        "$defs": {"A": STRING},
    },
    "an escaped name": {**of(a={"$ref": "#/$defs/A~1B"}), "$defs": {"A/B": STRING}},
    "an encoded name": {**of(a={"$ref": "#/$defs/A%20B"}), "$defs": {"A B": STRING}},
    "a property of the root": of(a=STRING, b={"$ref": "#/properties/a"}),
    "allOf of one": {
        **of(a={"allOf": [{"$ref": "#/$defs/A"}], "title": "a"}),
        "$defs": {"A": of()},
    },
    "a closed empty object": of(a={"type": "object", "additionalProperties": False}),
    "values without a type": of(a={"enum": ["x", 1, None]}, b={"const": True}),
    "names like keywords": of(default=STRING, oneOf=STRING, **{"$ref": STRING}, required=STRING),
    "an unused open definition": {**of(a=STRING), "$defs": {"Open": {"type": "object"}}},
}


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_a_strict_schema_keeps_the_rules_of_strict_mode_as_the_sandbox_states_them(name):
    given = EXPRESSIBLE[name]
    before = copy.deepcopy(given)
    strict = strict_schema(given)
    assert [problem.message for problem in schema_problems("s", strict)] == []
    assert [problem.message for problem in strict_problems("s", strict)] == []
    assert given == before
    assert strict_schema(strict) == strict


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_a_strict_schema_is_as_recursive_as_it_was(name):
    assert is_recursive(strict_schema(EXPRESSIBLE[name])) == is_recursive(EXPRESSIBLE[name])


def test_words_beside_a_recursive_reference_are_kept():
    strict = strict_schema(Chapter.model_json_schema())
    for chapter in (strict, strict["$defs"]["Chapter"]):
        part, after = chapter["properties"]["parts"]["items"], chapter["properties"]["after"]
        assert part == {"anyOf": [{"$ref": "#/$defs/Chapter"}], "description": "A part of it"}
        assert after["description"] == "The next one"
        assert after["anyOf"] == [{"$ref": "#/$defs/Chapter"}, {"type": "null"}]


class Scores(BaseModel):
    by: dict[Annotated[str, StringConstraints(pattern="^[a-z]+$")], int]


class Loose(BaseModel):
    value: Any


class Bare(BaseModel):
    items: list  # type: ignore[type-arg]  # on purpose


class Sets(BaseModel):
    tags: set[str]


class Pair(BaseModel):
    pair: tuple[int, str]


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")

    a: int


class Nested(BaseModel):
    inner: Extra


class Link(BaseModel):
    url: HttpUrl


class Short(BaseModel):
    name: str = Field(max_length=3)


class Listed(RootModel[list[str]]):
    pass


DEEP: dict[str, Any] = STRING
for _ in range(5_000):
    DEEP = {"type": "array", "items": DEEP}

# (schema, the place that the message names)
INEXPRESSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "a free-form object": (of(a={"type": "object"}), "schema.a"),
    "a free-form object in a list": (of(a={"type": "array", "items": {"type": "object"}}), "a[]"),
    "a free-form root": ({"type": "object"}, "schema"),
    "additional properties of a type": (of(a={**of(), "additionalProperties": STRING}), "schema.a"),
    "additional properties of any": (of(a={**of(b=STRING), "additionalProperties": True}), "a"),
    "an open object in a definition": (Nested.model_json_schema(), "schema.$defs.Extra"),
    "a mapping with a pattern": (Scores.model_json_schema(), "schema.by"),
    "Any": (Loose.model_json_schema(), "schema.value"),
    "an empty schema": (of(a={}), "schema.a"),
    "a schema that is true": (of(a=True), "schema.a"),
    "an empty choice": (of(a={"anyOf": [STRING, {}]}), "schema.a.anyOf[1]"),
    "a bare list": (Bare.model_json_schema(), "schema.items[]"),
    "a list without a type for its items": (of(a={"type": "array"}), "schema.a"),
    "a set": (Sets.model_json_schema(), "schema.tags"),
    "a tuple": (Pair.model_json_schema(), "schema.pair"),
    "a pattern that looks ahead": (of(a={**STRING, "pattern": "^(?!a)b"}), "schema.a"),
    "a pattern that refers back": (of(a={**STRING, "pattern": r"(a)\1"}), "schema.a"),
    "an address, by its format": (Link.model_json_schema(), "schema.url"),
    "a root that is a list": (Listed.model_json_schema(), "schema"),
    "a root that is a choice": ({"anyOf": [of(), of()]}, "schema"),
    "all of several": (of(a={"allOf": [of(b=STRING), of(c=STRING)]}), "schema.a"),
    "a condition": (of(a={**STRING, "if": {}, "then": {}}), "schema.a"),
    "a negation": (of(a={"not": STRING}), "schema.a"),
    "a required property that is not described": ({**of(), "required": ["a"]}, "schema"),
    "properties beside a reference": (
        {**of(a={"$ref": "#/$defs/A", "properties": {"x": STRING}}), "$defs": {"A": of()}},
        "schema.a",
    ),
    "a reference to nothing": (of(a={"$ref": "#/$defs/A"}), "schema.a"),
    "a reference elsewhere": (of(a={"$ref": "https://example.com/a.json"}), "schema.a"),
    "a reference in a circle": (
        {
            **of(a={"$ref": "#/$defs/A"}),
            "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}},
        },
        "schema.a",
    ),
    "nested too deeply": (of(a=DEEP), "schema"),
}


@pytest.mark.parametrize("name", INEXPRESSIBLE)
def test_what_strict_mode_cannot_express_is_refused_and_its_place_named(name):
    schema, place = INEXPRESSIBLE[name]
    with pytest.raises(InvalidParameter) as refused:
        strict_schema(schema)
    assert refused.value.parameter.endswith(place)
    assert f"`{refused.value.parameter}`" in str(refused.value)
    assert try_strict_schema(schema) is None


class Endless(BaseModel):
    name: str
    next: Endless = None  # type: ignore[assignment]  # as people write it


class AtLeastOne(BaseModel):
    parts: list[AtLeastOne] = Field(default=[], min_length=1)


@pytest.mark.parametrize("cls", [Endless, AtLeastOne])
def test_strict_is_not_chosen_where_no_finite_answer_would_keep_it_but_can_be_asked_for(cls):
    assert try_strict_schema(cls.model_json_schema()) is None
    strict = strict_schema(cls.model_json_schema())
    assert is_recursive(strict)
    assert [problem.message for problem in strict_problems("s", strict)] == []


@pytest.mark.parametrize(
    "schema", [Short.model_json_schema(), of(a={**STRING, "minLength": 1}, minLength=STRING)]
)
def test_lengths_of_strings_are_sent_if_strict_is_asked_for_and_not_claimed_by_default(schema):
    strict = strict_schema(schema)
    kept = {"minLength", "maxLength"} & {
        key for one in strict["properties"].values() for key in one
    }
    assert kept
    assert [problem.message for problem in strict_problems("s", strict)] == []
    assert try_strict_schema(schema) is None


def test_a_property_may_be_called_as_a_keyword():
    schema = of(minLength=STRING, uniqueItems=STRING)
    assert try_strict_schema(schema) == strict_schema(schema)


@pytest.mark.parametrize("name", [name for name in EXPRESSIBLE if name != "the root, with words"])
def test_strict_is_chosen_where_it_can_be_kept(name):
    assert try_strict_schema(EXPRESSIBLE[name]) == strict_schema(EXPRESSIBLE[name])


def test_references_that_fan_out_stay_references():
    definitions = {
        f"D{depth}": of(
            a={"$ref": f"#/$defs/D{depth + 1}", "title": "a"},
            b={"$ref": f"#/$defs/D{depth + 1}", "title": "b"},
        )
        for depth in range(60)
    }
    schema = {**of(a={"$ref": "#/$defs/D0"}), "$defs": {**definitions, "D60": STRING}}
    assert len(strict_schema(schema)["$defs"]) == 60

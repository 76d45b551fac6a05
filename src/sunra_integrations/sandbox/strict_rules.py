"""The rules of strict mode, as OpenAI's structured outputs have them, each stated once.

A rule is a sentence for the document and a function that finds what breaks it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from sunra_integrations.sandbox.checks import Problem, breaks_rule
from sunra_integrations.sandbox.patterns import is_readable

Node: TypeAlias = dict[str, Any]
_Finder: TypeAlias = Callable[[str, Node], Iterator[Problem]]

_FORBIDDEN = (
    "default",
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "minProperties",
    "maxProperties",
    "prefixItems",
    "unevaluatedItems",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
)
_FORMATS = (
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
)


@dataclass(frozen=True)
class Rule:
    """A rule for each schema within a strict one.

    Args:
        sentence: What it asks.
        find: What breaks it in a schema found at a path.
    """

    sentence: str
    find: _Finder


RULES: list[Rule] = []
"""All of them."""


def _rule(sentence: str) -> Callable[[_Finder], _Finder]:
    def add(find: _Finder) -> _Finder:
        RULES.append(Rule(sentence, find))
        return find

    return add


def document() -> str:
    """The rules as one text."""
    return " ".join(rule.sentence for rule in RULES)


def problems(path: str, node: Node) -> Iterator[Problem]:
    """What breaks the rules in one schema, those within it aside."""
    for rule in RULES:
        yield from rule.find(path, node)


def root_problems(path: str, node: Node) -> Iterator[Problem]:
    """What breaks the rule of the root: it is an object and no choice among others."""
    if node.get("type") != "object":
        yield breaks_rule(f"{path}.type", node.get("type"), "'object' (strict)")
    if "anyOf" in node:
        yield breaks_rule(f"{path}.anyOf", node["anyOf"], "allowed at the root (strict)")


@_rule("Every object has `additionalProperties: false`.")
def _closed(path: str, node: Node) -> Iterator[Problem]:
    if _is_object(node) and node.get("additionalProperties") is not False:
        found = node.get("additionalProperties")
        yield breaks_rule(f"{path}.additionalProperties", found, "false (strict)")


@_rule("Every object names its properties, and requires all of them and no others.")
def _required(path: str, node: Node) -> Iterator[Problem]:
    if not _is_object(node):
        return
    if "properties" not in node:
        yield breaks_rule(f"{path}.properties", None, "an object (strict)")
    named, required = set(node.get("properties", {})), set(node.get("required", []))
    if named - required:
        missing = ", ".join(sorted(named - required))
        rule = f"a list of every property (strict); missing: {missing}"
        yield breaks_rule(f"{path}.required", node.get("required"), rule)
    if required - named:
        extra = ", ".join(sorted(required - named))
        rule = f"a list of properties only (strict); not among them: {extra}"
        yield breaks_rule(f"{path}.required", node["required"], rule)


@_rule("Every schema has a `type`, an `anyOf` or a `$ref`; `{}` and `true` have none.")
def _typed(path: str, node: Node) -> Iterator[Problem]:
    if not {"type", "anyOf", "$ref"} & node.keys():
        yield breaks_rule(path, node, "a schema with a 'type' (strict)")
    within = [(f"properties.{name}", one) for name, one in node.get("properties", {}).items()]
    within += [(f"anyOf[{place}]", one) for place, one in enumerate(node.get("anyOf", ()))]
    for name, one in within:
        if not isinstance(one, dict):
            yield breaks_rule(f"{path}.{name}", one, "a schema with a 'type' (strict)")


@_rule("Every list says in `items` what it is a list of.")
def _items(path: str, node: Node) -> Iterator[Problem]:
    if "array" in _types(node) and not isinstance(node.get("items"), dict):
        yield breaks_rule(f"{path}.items", node.get("items"), "a schema (strict)")


@_rule("Nothing stands beside a `$ref`.")
def _alone(path: str, node: Node) -> Iterator[Problem]:
    beside = sorted(node.keys() - {"$ref", "$defs", "definitions"})
    if "$ref" in node and beside:
        rule = f"allowed to have {', '.join(beside)} beside it (strict)"
        yield breaks_rule(f"{path}.$ref", node["$ref"], rule)


@_rule("These keywords are not allowed: " + ", ".join(f"`{name}`" for name in _FORBIDDEN) + ".")
def _keywords(path: str, node: Node) -> Iterator[Problem]:
    for name in _FORBIDDEN:
        if name in node:
            yield breaks_rule(f"{path}.{name}", node[name], "a keyword allowed here (strict)")


@_rule("`format` is one of " + ", ".join(f"`{name}`" for name in _FORMATS) + ".")
def _formats(path: str, node: Node) -> Iterator[Problem]:
    if node.get("format", "date") not in _FORMATS:
        rule = f"one of {', '.join(_FORMATS)} (strict)"
        yield breaks_rule(f"{path}.format", node["format"], rule)


@_rule("A `pattern` has no look-around and no back-references.")
def _patterns(path: str, node: Node) -> Iterator[Problem]:
    if "pattern" in node and not is_readable(node["pattern"]):
        rule = "a pattern without look-around and back-references (strict)"
        yield breaks_rule(f"{path}.pattern", node["pattern"], rule)


def _is_object(node: Node) -> bool:
    return "object" in _types(node) or "properties" in node


def _types(node: Node) -> list[Any]:
    found = node.get("type")
    return found if isinstance(found, list) else [found]

"""An extension of Griffe: docstrings as the site shows them.

In the sources they follow what readers of each framework know: reStructuredText's `::` before a
block of code, and the sections of LangChain's chat models. Both become Markdown here. The
constructors of the model classes get a section for every keyword, and each error its statuses and
its fix.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

import griffe

_LONE_COLONS = re.compile(r"^::\n\n", re.MULTILINE)
_COLONS = re.compile(r"::$", re.MULTILINE)
_KEY_ARGS = re.compile(r"^Key init args — [^\n]+:\n(?:    .*\n|\n)+", re.MULTILINE)
_ARGS = re.compile(r"^Args:\n(?:    .*\n|\n)+", re.MULTILINE)
_ARG = re.compile(r"^    (\w+): ((?:.*\n)(?: {8}.*\n)*)", re.MULTILINE)

_MODELS = {
    "langchain.chat_models.ChatSunra": "LangChain",
    "llama_index.llm.Sunra": "LlamaIndex",
}
_ALIASES = {"stop_sequences", "request_timeout"}
"""Keywords that the text of another parameter names."""


class Docstrings(griffe.Extension):
    """Turns each docstring of the package into Markdown when it has been read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Griffe's hook for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Griffe's hook for the whole package, after the one of griffe-pydantic."""
        arguments = pkg["transport.parameters.ModelArguments"]
        for path, framework in _MODELS.items():
            _describe_parameters(pkg[path], arguments, framework)
        _describe_errors(pkg["errors"])


def as_markdown(docstring: str) -> str:
    """The docstring with what only its first readers know put into Markdown."""
    return _COLONS.sub(":", _LONE_COLONS.sub("", docstring))


def described_arguments(docstring: str) -> dict[str, str]:
    """The arguments that a class docstring describes, by name."""
    sections = [*_KEY_ARGS.findall(docstring), *_ARGS.findall(docstring)]
    found = (match for section in sections for match in _ARG.finditer(section))
    return {match[1]: " ".join(match[2].split()) for match in found}


# ── parameters of the model classes ──────────────────────────────────────────


def _describe_parameters(cls: griffe.Class, arguments: griffe.Class, framework: str) -> None:
    """Replaces the list of arguments in the docstring by a section for each keyword."""
    texts = described_arguments(cls.docstring.value)
    own = {p.name: p for p in cls.members["__init__"].parameters}
    typed = {**arguments.all_members, **own}
    sections: list[str] = []
    for title, names in _groups(cls, arguments, set(own), framework).items():
        sections.append(f"# {title}")
        if title == "Request parameters":
            sections.append(_base(cls, "RequestParameters").docstring.value)
        for name in filter(names.__contains__, typed):
            field = _field(cls, name)
            text = _description(cls, field.name) if field else texts[name]
            default = "" if "Defaults to" in text else _default(field)
            facts = f"`{typed[name].annotation}`" + (f", default `{default}`" if default else "")
            sections += [f"## `{name}`", f"{facts}: {text}"]
    before, raises, after = cls.docstring.value.partition("\nRaises:")
    before = _ARGS.sub("", _KEY_ARGS.sub("", before)).rstrip()
    cls.docstring.value = "\n\n".join([before, *sections]) + f"\n{raises}{after}"
    cls.extra["site"]["without_signature"] = True
    for member in cls.members.values():
        if "pydantic-field" in member.labels:
            member.docstring = None  # shown above


def _groups(
    cls: griffe.Class, arguments: griffe.Class, own: set[str], framework: str
) -> dict[str, set[str]]:
    """The keywords by the title of their section.

    Args:
        cls: A model class.
        arguments: `ModelArguments`, the keywords that both classes accept.
        own: The parameters of the class's constructor.
        framework: The name of its framework.
    """
    request = set(_base(cls, "RequestParameters").members)
    connection = set(arguments.all_members) - request - _ALIASES
    for name in ("_base_url_field", "_async_client_field"):
        connection.add(ast.literal_eval(cls.members[name].value))
    own = own - {"self", "arguments"} - _ALIASES
    fields = {name for name in own if (field := _field(cls, name)) and not field.inherited}
    return {
        "Model parameters": fields - connection,
        "Request parameters": request,
        "Connection parameters": connection,
        f"{framework}'s parameters": own - fields,
    }


def _base(cls: griffe.Class, name: str) -> griffe.Class:
    return next(base for base in cls.mro() if base.name == name)


def _field(cls: griffe.Class, keyword: str) -> griffe.Attribute | None:
    """The field of a keyword; a framework's own fields are not known here."""
    members = (cls.all_members.get(name) for name in (keyword, f"{keyword}_name"))
    return next((one for one in members if one and "pydantic-field" in one.labels), None)


def _description(cls: griffe.Class, field: str) -> str:
    """The description of a field: that of the first class whose description is a literal."""
    members = (base.members.get(field) for base in (cls, *cls.mro()))
    return next(one.docstring.value for one in members if one and one.docstring)


def _default(field: griffe.Attribute | None) -> str:
    if field is None:
        return ""
    constraints = field.extra["griffe_pydantic"].get("constraints", {})
    default = str(constraints.get("default_factory") or field.value or "")
    return {"None": "", "dict": "{}"}.get(default, default)


# ── errors ───────────────────────────────────────────────────────────────────


def _describe_errors(module: griffe.Module) -> None:
    """Adds a table of all errors to the module, and statuses and the fix to each class."""
    rows = ["| Error | HTTP status | Raised when | Retried by the client |", "|---|---|---|---|"]
    for cls in _errors(module):
        attributes = _class_attributes(cls)
        statuses = ", ".join(map(str, attributes["http_statuses"]))
        retried = _is_retried(cls, attributes["default_retryable"])
        first, _, rest = cls.docstring.value.partition("\n")
        facts = [
            f"- **HTTP status**: {statuses}" if statuses else "",
            f"- **What to do**: {attributes['fix']}",
            f"- **Retried by the client**: {retried}",
        ]
        prose, title, described = rest.partition("\nAttributes:")
        cls.docstring.value = (
            "\n".join([first, prose.rstrip(), "", *filter(None, facts), title]) + described
        )
        cls.extra["site"]["without_signature"] = True
        _type_attributes(cls)
        link = f"[`{cls.name}`][{cls.path}]"
        rows.append(f"| {link} | {statuses} | {first} | {retried} |")
    module.docstring.value += "\n\n" + "\n".join(rows) + "\n"


def _errors(module: griffe.Module) -> Iterator[griffe.Class]:
    for cls in module.classes.values():
        if any(base.name == "SunraError" for base in (cls, *cls.mro())):
            yield cls


def _class_attributes(cls: griffe.Class) -> dict[str, Any]:
    names = ("fix", "http_statuses", "default_retryable")
    return {name: ast.literal_eval(str(cls.all_members[name].value)) for name in names}


def _is_retried(cls: griffe.Class, retryable: bool) -> str:
    if not retryable:
        return "no"
    has_response = any(base.name == "UnreadableResponse" for base in (cls, *cls.mro()))
    return "no, but `retryable`" if has_response else "yes"


def _type_attributes(cls: griffe.Class) -> None:
    """Gives attributes the types of the constructor's arguments, which it assigns unchanged."""
    if "__init__" in cls.members:
        for parameter in cls.members["__init__"].parameters:
            attribute = cls.members.get(parameter.name)
            if isinstance(attribute, griffe.Attribute) and attribute.annotation is None:
                attribute.annotation = parameter.annotation

r"""Regular expressions of schemas, matched in linear time.

`re` backtracks: a pattern such as ``^(\w+\s?)*$`` holds the whole process for hours over thirty
letters. Rust's engine, which pydantic brings along, does not. Patterns that it cannot read, with
look-around or back-references, are not matched at all: any text counts as one that fits.
"""

from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema


def is_readable(pattern: str) -> bool:
    """Whether the engine can read a pattern."""
    return _engine(pattern) is not None


def is_found(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text, or cannot be read."""
    engine = _engine(pattern)
    return engine is None or engine.isinstance_python(text)


@lru_cache(maxsize=512)
def _engine(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None

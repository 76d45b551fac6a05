"""New instances of a pydantic class after one that validation made, without validating again.

What is validated here is our own making, once for every piece of a stream, and costs more than all
else that is done for the piece. A `Prototype` copies what validation left in an instance and puts
the values that vary in their places. It refuses classes whose validation does more than was known
when its user was written, so a framework that adds a validator or a field is never second-guessed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

Made = TypeVar("Made", bound=BaseModel)

_put = object.__setattr__  # what pydantic itself makes instances with
_PLAIN = (str, int, float, bool, type(None))


class Prototype(Generic[Made]):
    """Makes instances like one that validation made.

    Args:
        example: An instance made by validation from values like those of the instances to come.
        varying: The fields that `make` is given, each time anew.
        validators: The validators whose work the user of the prototype does himself.
    """

    def __init__(
        self, example: Made, *, varying: Collection[str], validators: Collection[str] = ()
    ) -> None:
        self._class = type(example)
        self._fields = dict(vars(example))  # those that vary too: it is the order of a repr
        self._fields_set = set(example.model_fields_set)
        self._takes_extra = example.model_extra is not None
        self.usable = (
            set(varying) <= vars(example).keys()
            and not example.model_extra
            and example.__pydantic_private__ is None
            and all(isinstance(self._fields[n], _PLAIN) for n in self._fields if n not in varying)
            and _validators(self._class) <= set(validators)
            and self._class.model_post_init is BaseModel.model_post_init
        )
        """Whether `make` equals validation. Where it is False, validate."""

    def make(self, varying: dict[str, Any]) -> Made:
        """An instance with these values in the fields that vary, which it takes as its own."""
        made = object.__new__(self._class)
        _put(made, "__dict__", self._fields | varying)
        _put(made, "__pydantic_fields_set__", self._fields_set.copy())
        _put(made, "__pydantic_extra__", {} if self._takes_extra else None)
        _put(made, "__pydantic_private__", None)
        return made


def _validators(model: type[BaseModel]) -> set[str]:
    """The names of all validators of a class, of whatever kind."""
    decorators = model.__pydantic_decorators__
    return {
        name
        for kind in (
            decorators.validators,
            decorators.field_validators,
            decorators.root_validators,
            decorators.model_validators,
        )
        for name in kind
    }

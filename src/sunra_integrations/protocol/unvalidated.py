"""Instances of pydantic models, made of values that this package made itself.

Validating them again, event by event, was most of what a streamed response cost. `maker` gives a
function that makes what validation would make; where it does not know the class well enough to be
sure of that, the function validates.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sunra_integrations.protocol.json_values import NOTHING

_M = TypeVar("_M", bound=BaseModel)
_Maker = Callable[..., _M]

_SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_CONSTANTS = (str, int, float, type(None))
_KNOWN_SETTINGS = frozenset(("arbitrary_types_allowed", "extra", "frozen", "protected_namespaces"))


def maker(
    model: type[_M],
    sample: Mapping[str, Any],
    *,
    empty: Mapping[str, Any] = NOTHING,
    harmless: Collection[str] = (),
) -> _Maker[_M]:
    """A function from values to an instance equal to `model(**values)`, in a fraction of the time.

    The values must be valid as they are. Containers among them become the instance's own, where
    validation would have copied them. The function's second argument, where there is one, holds new
    containers for the fields of `empty`.

    Args:
        model: The class.
        sample: Values of the fields that will be given, such as validation leaves unchanged. The
            class is tried on them.
        empty: Fields that are not given and whose defaults are containers, with such: whoever
            makes many instances makes these more quickly than the class's own factories.
        harmless: What the class does beyond holding fields to their types (the names of its
            validators, `__init__`), where that is known to change nothing about such values.
    """
    if _is_known(model, sample.keys(), empty.keys(), frozenset(harmless)):
        make = _unvalidated(model, {*sample, *empty})
        if _state(make(dict(sample), copy.deepcopy(dict(empty)))) == _state(model(**sample)):
            return make
    return validated(model)


def validated(model: type[_M]) -> _Maker[_M]:
    """The reference: what the instances of any maker are equal to."""

    def make(values: dict[str, Any], _: Mapping[str, Any] = NOTHING) -> _M:
        return model(**values)

    return make


def _unvalidated(model: type[_M], provided: Collection[str]) -> _Maker[_M]:
    """Sets what validation sets: the fields in their order, which of them were given, and so on."""
    fields = model.model_fields
    defaults = {name: field.default for name, field in fields.items()}
    anew = [(n, field) for n, field in fields.items() if n not in provided and not _constant(field)]
    takes_extra = model.model_config.get("extra") == "allow"
    new = model.__new__
    # The slots are set as such, since a model's own __setattr__ may validate or refuse.
    set_fields, set_given, set_extra, set_private = (vars(BaseModel)[n].__set__ for n in _SLOTS)

    def make(values: dict[str, Any], empty: Mapping[str, Any] = NOTHING) -> _M:
        made = new(model)
        set_fields(made, {**defaults, **empty, **values})
        set_given(made, set(values))
        set_extra(made, {} if takes_extra else None)
        set_private(made, None)
        return made

    def make_with_its_own(values: dict[str, Any], empty: Mapping[str, Any] = NOTHING) -> _M:
        # What could be changed is shared by no two instances.
        own = {name: field.get_default(call_default_factory=True) for name, field in anew}
        return make(values, {**own, **empty})

    return make_with_its_own if anew else make


def _constant(field: FieldInfo) -> bool:
    return field.default_factory is None and isinstance(field.default, _CONSTANTS)


def _is_known(
    model: type[BaseModel],
    given: Collection[str],
    empty: Collection[str],
    harmless: frozenset[str],
) -> bool:
    """Whether the class only holds its fields to their types, what is harmless aside."""
    fields = model.model_fields
    required = {name for name, field in fields.items() if field.is_required()}
    return (
        vars(BaseModel).keys() >= set(_SLOTS)
        and _beyond_types(model) <= harmless
        and not model.__private_attributes__
        and model.model_config.keys() <= _KNOWN_SETTINGS
        and required <= set(given) <= fields.keys()
        and set(empty) <= fields.keys() - set(given)
        and not any(_does_more(field, name in given) for name, field in fields.items())
    )


def _beyond_types(model: type[BaseModel]) -> set[str]:
    found = model.__pydantic_decorators__
    validators = {
        **found.validators,
        **found.field_validators,
        **found.root_validators,
        **found.model_validators,
    }
    plain: Mapping[str, object] = {
        "__init__": BaseModel.__init__,
        "__new__": object.__new__,
        "model_post_init": BaseModel.model_post_init,
    }
    own = {name for name, method in plain.items() if getattr(model, name) is not method}
    return own | validators.keys()


def _does_more(field: FieldInfo, is_given: bool) -> bool:
    """Constraints and validators of a field, other names for it, defaults made of other fields."""
    return bool(
        field.validate_default
        or getattr(field, "default_factory_takes_validated_data", False)
        or (is_given and (field.metadata or field.alias))
    )


def _state(instance: BaseModel) -> tuple[Any, ...]:
    """All that an instance consists of: its fields in their order, with their types, and so on."""
    fields = [(name, type(value), value) for name, value in instance.__dict__.items()]
    return fields, *(getattr(instance, slot) for slot in _SLOTS[1:])

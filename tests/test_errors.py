from __future__ import annotations

import inspect
import pickle
import re

import pytest

from sunra_integrations import errors
from sunra_integrations.protocol.error_parsing import error_from_response

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.SunraError)
]


def test_what_the_module_exports_is_pinned():
    assert set(errors.__all__) == {cls.__name__ for cls in CLASSES} | {"ErrorResponse"}
    assert errors.__all__ == sorted(errors.__all__)


def test_the_drawing_of_the_tree_is_the_tree():
    drawing = (errors.__doc__ or "").partition("::")[2]
    drawn: list[tuple[int, str]] = [
        (match.start(1) // 3, match.group(1))
        for line in drawing.splitlines()
        if (match := re.match(r"^    (?:[│├└─ ]*)\b([A-Z]\w+)\b", line))
    ]
    parents: dict[str, str] = {}
    open_path: list[tuple[int, str]] = []
    for depth, name in drawn:
        while open_path and open_path[-1][0] >= depth:
            open_path.pop()
        if open_path:
            parents[name] = open_path[-1][1]
        open_path.append((depth, name))
    assert parents == {
        cls.__name__: cls.__mro__[1].__name__ for cls in CLASSES if cls is not errors.SunraError
    }


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_survives_pickling_and_says_what_it_was_told(cls):
    error = cls("It failed.", status=418, code="teapot", attempts=2, retry_after=1.5)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is cls
    assert vars(again) == vars(error)
    assert (again.message, str(again)) == ("It failed.", "It failed.")


@pytest.mark.parametrize("cls", CLASSES)
def test_retryable_is_the_class_s_unless_told_otherwise(cls):
    assert cls("x").retryable is cls.default_retryable
    assert cls("x", retryable=not cls.default_retryable).retryable is not cls.default_retryable


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_says_when_it_is_raised_and_what_to_do(cls):
    assert "fix" in vars(cls)
    for sentence in (inspect.getdoc(cls).partition("\n")[0], cls.fix):
        assert sentence[0].isupper()
        assert sentence.endswith(".")


@pytest.mark.parametrize("cls", CLASSES)
def test_the_statuses_of_an_error_raise_it(cls):
    for status in vars(cls).get("http_statuses", ()):
        assert type(error_from_response(status, {}, b"", now=0)) is cls

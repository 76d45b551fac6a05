"""What fuzzing begins with and what once broke something, replayed without a fuzzer."""

import pytest

from fuzz import corpora, targets

INPUTS = [
    pytest.param(target, data, id=f"{target}-{name}")
    for target in targets.TARGETS
    for name, data in corpora.inputs(target)
]


@pytest.mark.parametrize(("target", "data"), INPUTS)
def test_the_property_holds_for_what_is_known(target, data):
    targets.TARGETS[target](data)


def test_every_target_has_a_corpus_of_its_own():
    assert {path.name for path in corpora.CORPUS.iterdir()} == set(targets.TARGETS)

"""Tests that hold an integration to everything its framework may ask of it.

A suite is a class to subclass in a test module of your own: it takes a factory of the thing under
test and judges it against the sandbox, which is scripted to answer as real servers were seen to.

Needs the extra: ``pip install 'sunra-integrations[conformance]'``.
"""

from sunra_integrations.requirements import requiring

with requiring("The conformance suite", "pytest", extra="conformance"):
    import pytest

pytest.register_assert_rewrite(f"{__name__}.llama_index")

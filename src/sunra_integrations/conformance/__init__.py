"""Conformance tests: check that an integration supports everything its framework may call.

A suite is a class to subclass in your own tests. It runs your integration against the sandbox,
which is scripted to respond as real servers do.

Needs the extra: ``pip install 'sunra-integrations[conformance]'``.
"""

from sunra_integrations.requirements import requiring

with requiring("The conformance suite", "pytest", extra="conformance"):
    import pytest

pytest.register_assert_rewrite(f"{__name__}.llama_index")

"""For the tests and for the examples in docstrings alike: what one of them registers is gone after it."""

from typing import Any

import pytest

# Importing it registers its theorem; tests/test_theorem_files.py runs its example.
collect_ignore = ["proofs_numeric/template.py"]


def pytest_collection_modifyitems(items):
    """The examples of theorem files solve their problems anew, which takes from six to twenty seconds each."""
    for item in items:
        if item.nodeid.startswith("proofs_numeric/"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _nothing_stays_registered():
    """What a test registers, or replaces, is gone after it: others may use the same identifier."""
    from nctheory.engine import import_proofs
    from nctheory.networks._observation import _OBSERVATIONS
    from nctheory.phase._diagram import _DIAGRAMS
    from nctheory.theorems._erratum import _ERRATA
    from nctheory.theorems._registry import _THEOREMS

    import_proofs()
    registries: list[Any] = [_THEOREMS, _ERRATA, _DIAGRAMS, _OBSERVATIONS]
    held = [(dict(registry._known), dict(registry._modules)) for registry in registries]
    yield
    for registry, (known, modules) in zip(registries, held, strict=True):
        registry._known, registry._modules = known, modules

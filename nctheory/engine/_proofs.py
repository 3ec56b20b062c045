"""Where the package `proofs_numeric`, the catalogue's theorem files, is found."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

NAME = "proofs_numeric"
_PACKAGE = Path(__file__).parents[1]
FOLDERS = (_PACKAGE.parent / NAME, _PACKAGE / NAME)
"""The folder is at the top of the repository in a checkout, and within this package where that is installed from a wheel."""


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the package where nothing else does: it is no package of its own among those installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != NAME:
            return None
        for folder in FOLDERS:
            file = folder / "__init__.py"
            if file.is_file():
                return importlib.util.spec_from_file_location(fullname, file, submodule_search_locations=[str(folder)])
        return None


def make_proofs_importable() -> None:
    """Let `import proofs_numeric` find the theorem files, also where nctheory was installed from a wheel.

    What is on the path has precedence.

    >>> make_proofs_importable()
    >>> import proofs_numeric
    >>> len(proofs_numeric.TOUR) > 5
    True
    """
    # The finder is known by its class's name, because a reloaded module has a class of its own.
    if not any(type(one).__qualname__ == _Finder.__qualname__ for one in sys.meta_path):
        # It is asked last, after Python's own finders.
        sys.meta_path.append(_Finder())

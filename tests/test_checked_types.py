"""Types are checked in every test, by a check that is made when a function is first called."""

import beartype
import jaxtyping
import lazily_checked
import numpy as np
import pytest

from nctheory.engine import run_lanes
from tests.helpers import unchecked_types


def test_a_check_is_made_at_the_first_call_and_holds_at_every_one():
    @lazily_checked.beartype
    def half(number: int) -> int:
        """Half of it."""
        return number / 2 if number % 2 else number // 2

    for _ in range(2):
        assert half(4) == 2
        with pytest.raises(beartype.roar.BeartypeCallHintParamViolation):
            half("4")
        with pytest.raises(beartype.roar.BeartypeCallHintReturnViolation):
            half(3)
    assert (half.__name__, half.__doc__) == ("half", "Half of it.")


def test_the_library_is_under_it():
    lanes = {"load": abs, "advance": abs, "finished": abs, "unload": abs, "lanes": 1}
    with pytest.raises(jaxtyping.TypeCheckError, match="active"):
        run_lanes(np.zeros(2), np.zeros(2), **lanes)
    with unchecked_types(), pytest.raises(TypeError):
        run_lanes(np.zeros(2), np.zeros(2), **lanes)

"""Types are checked in every test, by a check that is made when a function is first called."""

from typing import Any

import jaxtyping
import lazily_checked
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation, BeartypeCallHintReturnViolation

from nctheory.engine import run_lanes
from tests.helpers import unchecked_types


def plain(number: int, answer: Any) -> int:
    """The answer."""
    return answer


def test_a_check_is_made_at_the_first_call_and_holds_at_every_one():
    checked: Any = lazily_checked.beartype(plain)
    for _ in range(2):
        assert checked(4, answer=2) == 2
        with pytest.raises(BeartypeCallHintParamViolation):
            checked("4", answer=2)
        with pytest.raises(BeartypeCallHintReturnViolation):
            checked(4, answer="2")
    assert (checked.__name__, checked.__doc__) == ("plain", "The answer.")


def test_the_library_is_under_it():
    lanes = {"load": abs, "advance": abs, "finished": abs, "unload": abs, "lanes": 1}
    with pytest.raises(jaxtyping.TypeCheckError, match="active"):
        run_lanes(np.zeros(2), np.zeros(2), **lanes)
    with unchecked_types(), pytest.raises(TypeError):
        run_lanes(np.zeros(2), np.zeros(2), **lanes)

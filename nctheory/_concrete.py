"""Questions about a hyperparameter that may be traced; a tracer answers no, its hypothesis being the caller's."""

from nctheory._types import Scalar


def not_positive(number: Scalar) -> bool:
    """Whether it is known to be at most zero."""
    try:
        return float(number) <= 0.0
    except TypeError:
        return False


def is_positive(number: Scalar) -> bool:
    """Whether it is known to be above zero."""
    try:
        return float(number) > 0.0
    except TypeError:
        return False

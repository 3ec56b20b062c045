"""The stages of a seed within a solve: those at work, those in which it may end, and the public status of each end."""

import enum
from typing import Any

from nctheory.flow._status import Status


class Stage(enum.IntEnum):
    """Where a seed stands; the stages up to `CONFIRM_FLOW` are at work, the others are ends.

    >>> Stage.BUDGET_SPENT.status.name, Stage.FLOW.status
    ('BUDGET_SPENT', None)
    """

    message: str
    """What is done in the stage, or what its end means."""
    status: Status | None
    """The public status of an end; None of a stage at work, and of an end that `diagnose` has still to tell apart."""

    def __new__(cls, code: int, message: str | None = None, status: Status | None = None) -> Any:
        member = int.__new__(cls, code)
        member._value_ = code
        member.message = status.message if message is None and status is not None else message or ""
        member.status = status
        return member

    FLOW = 0, "follows the gradient flow with an explicit method of order five"
    STIFF_FLOW = 1, "follows the gradient flow with the stabilised method, as in a long valley"
    HANDOVER_TEST = 2, "is tested for whether the flow has chosen its basin, so that a polish may replace it"
    POLISH = 3, "is polished by Barzilai and Borwein's steps"
    NEWTON = 4, "takes a step of Newton's method, because its polish is slow"
    CONFIRM_POLISH = 5, "has a small gradient after a polish: is it a minimum?"
    CONFIRM_FLOW = 6, "has a small gradient after the flow alone: is it a minimum?"
    CONVERGED = 7, None, Status.CONVERGED
    SMALL_GRADIENT = (
        8,
        "has a small gradient by the flow alone, or a lower value farther out; `diagnose` looks at it again",
    )
    SADDLE = 9, None, Status.SADDLE
    STALLED = 10, None, Status.STALLED
    BUDGET_SPENT = 11, None, Status.BUDGET_SPENT
    NOT_FINITE = 12, "the point, its value or its gradient is not finite", Status.DIVERGED
    KINK = 13, None, Status.KINK
    RECEDING = 14, None, Status.RECEDING
    RUNAWAY = 15, "went far out while its gradient was still growing", Status.DIVERGED


ROUND: tuple[tuple[str, tuple[Stage, ...]], ...] = (
    ("flow", (Stage.FLOW,)),
    ("stiff", (Stage.STIFF_FLOW,)),
    ("newton", (Stage.HANDOVER_TEST, Stage.NEWTON, Stage.CONFIRM_POLISH, Stage.CONFIRM_FLOW)),
    ("polish", (Stage.POLISH,)),
)
"""What does the work of a round, in the order in which it is asked, and the stages that each of these serves."""

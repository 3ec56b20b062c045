"""Which chains have no certificate at all, and where a gap may persist at a minimiser."""

from functools import singledispatch

from nctheory.certificates._convexity import doubtful_convexity, doubtful_profile
from nctheory.certificates._duality import recentres
from nctheory.certificates._profile import missing_profile_bound, profile_caveat
from nctheory.engine import not_positive
from nctheory.problems import DeepLinear, LayerPeeled, Problem, ProblemSum, is_loss, weighted_as_decayed


def missing_certificate(problem: DeepLinear) -> str | None:
    """Why this kind of chain has no certificate at all, or None."""
    if (bound_by_profile(problem) or problem.factors > 2) and not weighted_as_decayed(problem):
        return "columns weigh otherwise in the fit than in the decay (as in a minibatch), which no bound here covers"
    if bound_by_profile(problem):
        return missing_profile_bound(problem) or doubtful_profile(problem)
    if problem.factors <= 2:
        return doubtful_convexity(problem)
    if not is_loss(problem.loss, "mse"):
        return (
            f"{problem.factors} factors with {problem.loss.name}: the product's penalty is a Schatten quasi-norm, "
            "which is not convex, and duality does not apply"
        )
    if problem.inputs is not None and problem.bias_decay is not None:
        return "given inputs with a bias and three or more factors are not covered by the separable bound"
    return None


def bound_by_profile(problem: DeepLinear) -> bool:
    """Whether the loss is one that duality does not cover but a profile does."""
    return problem.loss.has_profile and not problem.loss.has_conjugate


@singledispatch
def bound_caveat(problem: Problem) -> str | None:
    """Why a positive gap may persist at a minimiser, or None where theory closes it."""
    return None


@bound_caveat.register
def _(problem: DeepLinear) -> str | None:
    narrow, needed = min(problem.widths[:-1]), problem.classes
    if bound_by_profile(problem):
        return profile_caveat(problem) if narrow >= needed - 1 else _too_narrow(narrow, needed - 1)
    if (
        problem.bias_decay is not None
        and not_positive(problem.bias_decay)
        and problem.loss.has_conjugate
        and not recentres(problem.loss)
    ):
        return f"the loss {problem.loss.name} defines no recentre, without which a free bias leaves a trivial bound"
    separable = is_loss(problem.loss, "mse") and (problem.bias_decay is None or not_positive(problem.bias_decay))
    separable = separable and weighted_as_decayed(problem)
    if problem.inputs is not None:
        if separable and problem.bias_decay is None and all(not_positive(decay) for decay in problem.weight_decay):
            return None
        if problem.factors > 2:
            return "inputs that are not white (X X^T not a multiple of I) leave no finite bound"
        return None if problem.factors == 1 or narrow >= needed else _too_narrow(narrow, needed)
    if separable:
        return None
    if problem.factors > 2:
        return "the bias is decayed, which the separable bound leaves out"
    if problem.loss.shift_invariant or (problem.bias_decay is not None and not_positive(problem.bias_decay)):
        needed -= 1
    return None if narrow >= needed else _too_narrow(narrow, needed)


@bound_caveat.register
def _(problem: LayerPeeled) -> str | None:
    needed = problem.classes - 1
    return None if problem.dim >= needed else _too_narrow(problem.dim, needed)


@bound_caveat.register
def _(problem: ProblemSum) -> str | None:
    caveats = (bound_caveat(problem.member(index)) for index in range(problem.number))
    return next((caveat for caveat in caveats if caveat is not None), None)


def _too_narrow(width: int, needed: int) -> str:
    return (
        f"width {width} is below {needed}, the rank that the convex program may need: its minimum is still a lower "
        "bound, but it may lie strictly below the chain's, so a gap above zero decides nothing"
    )

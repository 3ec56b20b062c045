"""The best bound of a linear chain: duality, tangents, scalar problems or profiles, as its loss and its depth allow."""

import jax.numpy as jnp

from nctheory.certificates._caveats import bound_by_profile, missing_certificate
from nctheory.certificates._duality import Norm, rounded_duality_bound
from nctheory.certificates._profile import rounded_profile_bound
from nctheory.certificates._separable import rounded_separable_bound
from nctheory.certificates._tangents import rounded_tangent_bound
from nctheory.engine import Scalar
from nctheory.problems import ChainParams, DeepLinear, NoCertificate, is_loss


def rounded_chain_bound(problem: DeepLinear, params: ChainParams, norm: Norm | None = None) -> tuple[Scalar, Scalar]:
    """The best bound of a chain, and the rounding error that was subtracted from it; raises NoCertificate.

    `norm` is what the dual of two factors keeps below the decay, where that is less than the spectral norm.
    """
    reason = missing_certificate(problem)
    if reason is not None:
        raise NoCertificate(reason)
    if bound_by_profile(problem):
        return rounded_profile_bound(problem)
    # At most two factors: duality, or tangents where no conjugate is known. Squared error: the separable bound, at any depth.
    bounds = []
    if problem.factors <= 2 and by_tangents(problem):
        bounds.append(rounded_tangent_bound(problem, params))
    elif problem.factors <= 2:
        bounds.append(rounded_duality_bound(problem, params, norm))
    if is_loss(problem.loss, "mse"):
        bounds.append(rounded_separable_bound(problem))
    lower, error = (jnp.stack(column) for column in zip(*bounds, strict=True))
    best = jnp.argmax(lower)
    return lower[best], error[best]


def by_tangents(problem: DeepLinear) -> bool:
    """Whether the bound is made of the loss's value and gradient alone."""
    return not problem.loss.has_conjugate and not problem.loss.has_profile

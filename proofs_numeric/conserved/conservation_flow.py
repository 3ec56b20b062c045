"""With one decay for all factors the imbalance dies out as e^{-2 lambda t} along the flow, whatever the loss."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.bibliography import ARORA_2018, DU_2018
from proofs_numeric.conserved.conservation import SHAPES as ALL_SHAPES
from proofs_numeric.conserved.conservation import balance, decayed, nothing
from proofs_numeric.conserved.instances import instance
from proofs_numeric.conserved.vector_field import (
    STEP,
    coefficients,
    decays,
    imbalances,
    measured,
    rounding_unit,
    sizes,
    spaces,
    stepped,
)

ID = "conservation-flow"
HORIZON = 3.0
TOLERANCE = 1e-13
SHAPES = (ALL_SHAPES[0], ALL_SHAPES[1], ALL_SHAPES[3])


class Remainder(NamedTuple):
    """What is left of the imbalance, by inner space."""

    ratio: jax.Array
    """After the time `HORIZON`, in multiples of that at the start."""
    step: jax.Array
    """After one gradient step, coefficients of that before and of eta^2 C."""


def draw_instances(key):
    """For each shape four decays, up to 0.2 for two factors and 0.05 for four; none where the minimum exists without."""
    rng = nct.generator(key)
    drawn = []
    for shape in SHAPES:
        number = len(shape[0]) - 1 + shape[2]
        largest = 10.0 ** (-0.3 * (number - 2))  # more would leave zero as the only critical point of a longer chain
        for decay in largest * 10.0 ** rng.uniform([-2.5, -2.0, -1.5, -1.0], [-2.0, -1.5, -1.0, -0.7]):
            drawn.append(instance(rng, shape, (float(decay),) * number, equal=True, scale=1.1))
    drawn.append(instance(rng, SHAPES[1], (0.0,) * 2, equal=True))
    return drawn


def predict_with(rate=2.0, kept=lambda lam: (1 - STEP * lam) ** 2, second=1.0):
    """The law with another `rate`, another share `kept` in a step, another second-order term."""

    def predict(problem):
        lam = decays(problem)[:-1]
        ratio = jnp.exp(-rate * lam * HORIZON)
        return Remainder(ratio, jnp.stack([kept(lam), jnp.full_like(lam, second)], axis=1))

    return predict


def remainder(problem, params):
    """The imbalance at the horizon over that at the start: the multiple of it, and the norm of what is not one."""
    after = imbalances(nct.follow_flow(problem, params, HORIZON, TOLERANCE).params)
    rows = []
    for x, y in zip(imbalances(params), after, strict=True):
        size = jnp.linalg.norm(x)
        ratio = jnp.sum(x / size * y) / size
        rows.append(jnp.stack([ratio, jnp.linalg.norm(y - ratio * x) / size]))
    return measured(jnp.stack(rows), remainder_error(problem, params), params)


def remainder_error(problem, params):
    """What the integrator may have lost, and the rounding of the imbalances, relative to those at the start.

    The imbalance of a nearby trajectory obeys the same law, so that local errors add up and are not amplified; a change of
    the parameters by e changes an imbalance by at most 4 R e, with R the largest norm on the way.
    """
    end = nct.follow_flow(problem, params, HORIZON, TOLERANCE)
    sizes_now = jnp.stack([jnp.linalg.norm(x) for x in imbalances(params)])
    lost = 4 * end.largest * end.error / rounding_unit(params) + sizes(problem, params)
    return 2 * jnp.sqrt(1.0 * sizes_now.shape[0]) * lost / jnp.min(sizes_now)


def pairs(problem, params):
    """The imbalance and eta^2 C in every inner space."""
    return [(a - b, c) for a, b, _, c in spaces(problem, params)]


def step(problem, params):
    """Measured coefficients of the imbalance after a step."""
    rows = zip(stepped(problem, params), pairs(problem, params), strict=True)
    return measured(jnp.stack([coefficients(x, basis)[0] for x, basis in rows]), step_error(problem, params), params)


def step_error(problem, params):
    """The rounding of the imbalances, multiplied by what the coefficients make of it."""
    gains = [coefficients(basis[0], basis)[1] for basis in pairs(problem, params)]
    return sizes(problem, params) * jnp.linalg.norm(jnp.stack(gains))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="The imbalance of neighbouring factors, equal decays",
        statement=r"""For a chain of free factors with one decay $\frac\lambda2|W_l|_F^2$ for all, along the gradient flow
$(W_{l+1}^\top W_{l+1}-W_lW_l^\top)(t)=e^{-2\lambda t}(W_{l+1}^\top W_{l+1}-W_lW_l^\top)(0)$. One gradient step of size $\eta$
multiplies the imbalance by $(1-\eta\lambda)^2$ and adds $\eta^2(G_{l+1}^\top G_{l+1}-G_lG_l^\top)$, $G_l$ the gradient of the
fit alone.""",
        hypotheses=("one decay >= 0 for all free factors", "a chain with free features or given inputs"),
        notation="Arora et al. and Du et al.: no decay; H is the lowest factor where the features are free.",
        sources=(
            ARORA_2018.remark("Conservation along the flow."),
            DU_2018.remark(
                "Conservation along the flow. The laws with decay and for a finite step are in our own form."
            ),
        ),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Claim(
                "remainder",
                r"(A-B)(3)/(A-B)(0): the multiple e^{-2\lambda t}, and nothing besides",
                remainder,
                lambda m: jnp.stack([m.ratio, jnp.zeros_like(m.ratio)], axis=1),
                scope="any point",
                terms=remainder_error,
            ),
            nct.Claim(
                "step",
                r"coefficients of A-B after a step in A-B, \eta^2C",
                step,
                lambda m: m.step,
                scope="any point",
                terms=step_error,
            ),
            nct.Claim("balance", r"\lambda(A-B)=0", balance, nothing, scope="critical points"),
        ),
        controls=(
            nct.Control(
                "conserved", "no decay of the imbalance", predict_with(rate=0.0), claims=("remainder",), applies=decayed
            ),
            nct.Control(
                "half the rate",
                "e^{-lambda t} in the place of e^{-2 lambda t}",
                predict_with(rate=1.0),
                claims=("remainder",),
                applies=decayed,
            ),
            nct.Control(
                "3 % fast", "a rate of 2.06 lambda", predict_with(rate=2.06), claims=("remainder",), applies=decayed
            ),
            nct.Control(
                "conserved by a step",
                "no second-order term in a finite step",
                predict_with(second=0.0),
                claims=("step",),
            ),
            nct.Control(
                "one factor of 1 - eta lambda",
                "1 - eta lambda in the place of its square",
                predict_with(kept=lambda lam: 1 - STEP * lam),
                claims=("step",),
                applies=decayed,
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))

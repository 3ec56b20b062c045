"""How the imbalance W_{l+1}^T W_{l+1} - W_l W_l^T moves: along the flow, in one gradient step, and where it ends."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import ARORA_2018, DU_2018
from proofs_numeric.conserved.instances import instance
from proofs_numeric.conserved.vector_field import (
    STEP,
    coefficients,
    decays,
    descent,
    imbalances,
    measured,
    sizes,
    spaces,
    stepped,
)

ID = "conservation"
# (widths, loss, free features): 2, 2, 3 and 4 factors; inner widths of at least 3, so that four matrices are independent
SHAPES = (
    ((3, 3), "cross_entropy", True),
    ((4, 5, 3), "mse", False),
    ((3, 4, 3), "mse", True),
    ((3, 3, 3, 3, 3), "mse", False),
)


class Motion(NamedTuple):
    """Coefficients by inner space."""

    drift: jax.Array
    """Of d/dt (A - B) in A = W_{l+1}^T W_{l+1} and B = W_l W_l^T."""
    step: jax.Array
    """Of A - B after one step in A, B, eta^2 S and eta^2 C (see `statement`)."""


def draw_instances(key):
    """For each shape equal decays and unequal ones, of ratio up to 30 and within 3 % of each other; none at all."""
    rng = nct.generator(key)
    drawn = []
    for shape in SHAPES:
        number = len(shape[0]) - 1 + shape[2]
        level = 10.0 ** rng.uniform(-2.3, -1.7)
        close = 1 + rng.permutation(np.linspace(0.0, rng.uniform(0.01, 0.03), number))
        far = 10.0 ** rng.permutation(np.linspace(-0.7, 0.7, number))
        for pattern in (np.ones(number), close, far):
            decay = tuple((level * pattern).tolist())
            drawn.append(instance(rng, shape, decay, equal=pattern[0] == pattern[-1]))
    drawn.append(instance(rng, SHAPES[1], (0.0,) * 2, equal=True))
    return drawn


def predict_with(drift=lambda up, low: (-2 * up, 2 * low), step=None, second=1.0):
    """The law with its `drift`, the `step` coefficients of A and B, and that of the second-order term."""
    step = step or (lambda up, low: ((1 - STEP * up) ** 2, -((1 - STEP * low) ** 2)))

    def predict(problem):
        rates = decays(problem)
        low, up = rates[:-1], rates[1:]
        last = jnp.full_like(up, second)
        return Motion(
            drift=jnp.stack(jnp.broadcast_arrays(*drift(up, low)), axis=1),
            step=jnp.stack([*jnp.broadcast_arrays(*step(up, low)), up - low, last], axis=1),
        )

    return predict


def velocity(problem, params):
    """d/dt (A - B) along -grad f, by forward differentiation."""
    return jax.jvp(imbalances, (params,), (descent(problem, params),))[1]


def drift(problem, params):
    """Measured coefficients of the velocity."""
    rows = zip(velocity(problem, params), spaces(problem, params), strict=True)
    found = jnp.stack([coefficients(moved, basis[:2])[0] for moved, basis in rows])
    return measured(found, drift_error(problem, params), params)


def step(problem, params):
    """Measured coefficients of the imbalance after a step."""
    rows = zip(stepped(problem, params), spaces(problem, params), strict=True)
    found = jnp.stack([coefficients(moved, basis)[0] for moved, basis in rows])
    return measured(found, step_error(problem, params), params)


def drift_law(problem, params):
    """d/dt (A - B) + 2 lambda_{l+1} A - 2 lambda_l B."""
    rates = decays(problem)
    rows = zip(velocity(problem, params), spaces(problem, params), rates[1:], rates[:-1], strict=True)
    return jnp.concatenate([jnp.ravel(moved + 2 * up * a - 2 * low * b) for moved, (a, b, _, _), up, low in rows])


def step_law(problem, params):
    """A - B after a step, less what the statement says it is."""
    law = predict_with()(problem).step
    rows = zip(stepped(problem, params), spaces(problem, params), law, strict=True)
    return jnp.concatenate(
        [jnp.ravel(moved - sum(c * x for c, x in zip(row, basis, strict=True))) for moved, basis, row in rows]
    )


def balance(problem, params):
    """lambda_{l+1} A - lambda_l B."""
    rates = decays(problem)
    rows = zip(spaces(problem, params), rates[1:], rates[:-1], strict=True)
    return jnp.concatenate([jnp.ravel(up * a - low * b) for (a, b, _, _), up, low in rows])


def drift_error(problem, params):
    """The same, multiplied by what a coefficient of the velocity makes of it."""
    gains = [coefficients(basis[0], basis[:2])[1] for basis in spaces(problem, params)]
    return sizes(problem, params) * jnp.linalg.norm(jnp.stack(gains))


def step_error(problem, params):
    """The same for the coefficients after a step."""
    gains = [coefficients(basis[0], basis)[1] for basis in spaces(problem, params)]
    return sizes(problem, params) * jnp.linalg.norm(jnp.stack(gains))


def nothing(motion):
    """Zero."""
    return jnp.zeros(())


def decayed(instance):
    """Whether there is any decay."""
    return instance.parameters["largest decay"] > 0


def unequal(instance):
    """Whether the decays differ."""
    return not instance.parameters["equal"]


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        title="The imbalance of neighbouring factors",
        statement=r"""For a chain of free factors $W_l$ with decays $\frac{\lambda_l}2|W_l|_F^2$ and any differentiable loss of
their product let $A=W_{l+1}^\top W_{l+1}$, $B=W_lW_l^\top$, and let $G_l$ be the gradient of the fit alone in $W_l$. Along
the gradient flow $\frac d{dt}(A-B)=-2\lambda_{l+1}A+2\lambda_lB$: conserved without decay, dying out as $e^{-2\lambda t}$
with equal decays, not conserved with unequal ones. One gradient step of size $\eta$ takes $A-B$ to
$(1-\eta\lambda_{l+1})^2A-(1-\eta\lambda_l)^2B+\eta^2(\lambda_{l+1}-\lambda_l)S+\eta^2C$ with
$S=W_{l+1}^\top G_{l+1}+G_{l+1}^\top W_{l+1}$ and $C=G_{l+1}^\top G_{l+1}-G_lG_l^\top$; with equal decays
$(1-\eta\lambda)^2(A-B)+\eta^2C$. At a critical point $\lambda_{l+1}A=\lambda_lB$.""",
        hypotheses=(
            "a chain of free factors, with free features or given inputs",
            "decays >= 0, any differentiable loss",
        ),
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
                "drift",
                r"coefficients of \frac d{dt}(A-B) in A, B",
                drift,
                lambda m: m.drift,
                scope="any point",
                terms=drift_error,
            ),
            nct.Claim(
                "drift law",
                r"\frac d{dt}(A-B)+2\lambda_{l+1}A-2\lambda_lB=0",
                drift_law,
                nothing,
                scope="any point",
                terms=sizes,
            ),
            nct.Claim(
                "step",
                r"coefficients of A-B after a step in A, B, \eta^2S, \eta^2C",
                step,
                lambda m: m.step,
                scope="any point",
                terms=step_error,
            ),
            nct.Claim(
                "step law",
                r"A-B after a step, less the predicted combination",
                step_law,
                nothing,
                scope="any point",
                terms=sizes,
            ),
            nct.Claim("balance", r"\lambda_{l+1}A=\lambda_lB", balance, nothing, scope="critical points"),
        ),
        controls=(
            nct.Control(
                "conserved with decay",
                "the imbalance does not move along the flow, whatever the decays",
                predict_with(lambda up, low: (0.0 * up, 0.0 * low)),
                claims=("drift",),
                applies=decayed,
            ),
            nct.Control(
                "one rate for unequal decays",
                "the imbalance decays at twice the mean of the two decays",
                predict_with(lambda up, low: (-(up + low), up + low)),
                claims=("drift",),
                applies=unequal,
            ),
            nct.Control(
                "sign",
                "the drift with the opposite sign",
                predict_with(lambda up, low: (2 * up, -2 * low)),
                claims=("drift",),
                applies=decayed,
            ),
            nct.Control(
                "half the rate",
                "lambda in the place of 2 lambda",
                predict_with(lambda up, low: (-up, low)),
                claims=("drift",),
                applies=decayed,
            ),
            nct.Control(
                "first order only",
                "a finite step moves the imbalance by the decays alone",
                predict_with(second=0.0),
                claims=("step",),
            ),
            nct.Control(
                "the flow for a step",
                "e^{-2 eta lambda} in the place of (1 - eta lambda)^2",
                predict_with(step=lambda up, low: (jnp.exp(-2 * STEP * up), -jnp.exp(-2 * STEP * low))),
                claims=("step",),
                applies=decayed,
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    print(nct.verify(THEOREM))

r"""Ridge regression.

A decay shrinks the weights of a one-layer network on given inputs. (This is a theorem file to start from: copy it, fill its
six slots, run `nctheory verify my_theorem.py`. It is complete and it holds; `nctheory list` leaves it out. This docstring is
slot 1: the first line is the title, some sentences in words follow, then the sections below.)

Problem:
    $\min_W\frac1{2N}|WX-Y|_F^2+\frac\lambda2|W|_F^2$ for inputs X and targets Y of N samples.
Theorem (Hoerl and Kennard 1970, number unchecked):
    For $\lambda>0$ the minimiser of $\frac1{2N}|WX-Y|_F^2+\frac\lambda2|W|_F^2$ is
    $W=YX^\top(XX^\top+N\lambda I)^{-1}$.
Hypotheses:
    - lambda > 0
Notation:
    lambda here is the textbook's divided by N, because the fit is a mean.
Why:
    The problem is strictly convex, and its gradient $\frac1N(WX-Y)X^\top+\lambda W$ vanishes at this W alone.
Checked:
    The value against a lower bound from the dual problem, which does not use the formula; the weights against the end states
    of random starts, to what their gradients leave open.
Refuted by:
    A seed whose certified value or whose weights differ from the prediction by more than that.
Example:
    >>> problem = draw_instances(jax.random.key(0))[0].problem
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> [round(float(value), 6) for value in (predict(problem).value, *ends.value)]
    [0.934802, 0.934802, 0.934802, 0.934802, 0.934802]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

SAMPLES = 12


# SLOT 2: the instances. Draw problems over the whole of your hypotheses, on both sides of any threshold and close to it.
# Keep the shapes few (each one compiles) and vary the real parameters, which cost nothing to change.
def draw_instances(key):
    """Random inputs, targets and decay over four decades."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for lam in 10.0 ** rng.uniform(-3, 1, size=10):
        inputs, targets = rng.normal(size=(5, SAMPLES)), rng.normal(size=(3, SAMPLES))
        problem = nct.deep_linear(widths=(5, 3), inputs=inputs, targets=targets, loss="mse", weight_decay=(float(lam),))
        drawn.append(nct.Instance(problem, {"lambda": float(lam)}))
    return drawn


# SLOT 3: the prediction. One function of the problem; what it returns is yours, the claims below read it.
class Prediction(NamedTuple):
    """What the theorem says of the minimiser."""

    value: jax.Array
    weights: jax.Array


def predict(problem):
    """W = Y X^T (X X^T + N lambda I)^-1, and the value there."""
    x, y, lam = jnp.asarray(problem.inputs), jnp.asarray(problem.targets), problem.weight_decay[0]
    weights = jnp.linalg.solve(x @ x.T + SAMPLES * lam * jnp.eye(x.shape[0]), x @ y.T).T
    value = jnp.sum((weights @ x - y) ** 2) / (2 * SAMPLES) + 0.5 * lam * jnp.sum(weights**2)
    return Prediction(value, weights)


# SLOT 4: wrong versions of the theorem, which the check must refute.
def without_samples(problem):
    """The decay without the factor N."""
    x, y, lam = jnp.asarray(problem.inputs), jnp.asarray(problem.targets), problem.weight_decay[0]
    weights = jnp.linalg.solve(x @ x.T + lam * jnp.eye(x.shape[0]), x @ y.T).T
    return Prediction(predict(problem).value, weights)


def unregularised(problem):
    """Least squares."""
    x, y = np.asarray(problem.inputs), np.asarray(problem.targets)
    return Prediction(jnp.asarray(0.0), jnp.asarray(y @ np.linalg.pinv(x)))


THEOREM = nct.register(
    nct.Theorem(
        # The hypotheses are predicates of an instance, in the order of the docstring's list.
        id="ridge-regression",
        docstring=__doc__,
        hypotheses=(lambda i: float(i.problem.weight_decay[0]) > 0,),
        # SLOT 5: the source. Give the theorem's number only if you have read it; else "number unchecked".
        sources=(
            nct.Source(
                citation="Hoerl, Kennard: Ridge Regression, Technometrics 1970.",
                number="number unchecked",
                bibtex="""@article{hoerl1970ridge,
  title={Ridge Regression: Biased Estimation for Nonorthogonal Problems},
  author={Hoerl, Arthur E. and Kennard, Robert W.},
  journal={Technometrics},
  year={1970}
}""",
            ),
        ),
        instances=draw_instances,
        predict=predict,
        # SLOT 6: the claims, each with a control that refutes it. Observe what the symmetry leaves alone: Gram matrices,
        # logits, singular values, norms. A threshold is a claim of its own (`nct.Threshold`).
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Equality("weights", "W", lambda problem, params: params.weights[0], lambda p: p.weights),
        ),
        controls=(
            nct.Control("without N", "the decay without the factor N", without_samples, claims=("weights",)),
            nct.Control("unregularised", "least squares", unregularised),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM, seeds=64))

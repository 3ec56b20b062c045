"""Where a direction of a deep linear chain goes off at the global minimum, as a threshold that is located."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.deep.chains import label_directions, strengths, weakest
from proofs_numeric.thresholds import DISTINCT


class AlongTargets(nct.problems.Starts):
    """The same chain started near balanced points along the targets, with or without the weakest directions that can be on.

    Where three and four directions have to be on at once a random start rarely is in the basin of the minimum. Which of its
    end states is the minimum is for the certificate to say.
    """

    def __call__(self, problem, key, scale):
        """Start with directions at 0.5 to 1 times the targets' heights or off, in factors with a few per cent of noise."""
        left, sigma, right = label_directions(problem)
        rank = min(len(sigma), *problem.widths)
        left, sigma, right = left[:, :rank], sigma[:rank], right[:rank]
        # Each value of the decay draws anew, so that no key leaves out one of the two cases at all of them.
        drawn = jax.random.uniform(key, (), jnp.float64) + 1e7 * jnp.sum(jnp.log(jnp.asarray(problem.weight_decay)))
        drawn = drawn - jnp.floor(drawn)
        on = (sigma > (1 + DISTINCT) * sigma[-1]) | (drawn > 0.5)
        heights = jnp.where(on, jnp.maximum(drawn, 0.5), 0.0) * jnp.asarray(sigma)
        layers, full = (nct.closed_form.layer_singular_values(problem, each) for each in (heights, jnp.asarray(sigma)))
        shapes = [*zip(problem.widths[1:], problem.widths[:-1], strict=True), (problem.widths[0], right.shape[1])]
        factors = [jnp.zeros(shape).at[:rank, :rank].set(jnp.diag(s)) for shape, s in zip(shapes, layers, strict=True)]
        factors[-2] = jnp.zeros(shapes[-2]).at[:, :rank].set(jnp.asarray(left) * layers[-2][None, :])
        factors[-1] = jnp.zeros(shapes[-1]).at[:rank].set(layers[-1][:, None] * jnp.asarray(right))
        noise = problem.normal_start(key, 0.05)
        rough = [jnp.max(s) * x for s, x in zip(full, (*noise.weights, noise.features), strict=True)]
        *weights, features = [x + y for x, y in zip(factors, rough, strict=True)]
        return nct.problems.ChainParams(
            tuple(weights), features, None if noise.bias is None else jnp.zeros(problem.classes)
        )


def at_strength(problem, b):
    """Return the problem with strength `b` of its weakest direction that can be on, and the same ratios of the decays."""
    factor = (b / strengths(problem)[3][weakest(problem)]) ** (problem.depth / (problem.depth + 1))
    moved = dataclasses.replace(problem, weight_decay=np.asarray(factor * np.asarray(problem.weight_decay)))
    return moved.with_starts(AlongTargets())


def far_around(problem):
    """Name strengths well on either side of any onset, but below that of the next stronger direction."""
    sigma = label_directions(problem)[1][: weakest(problem) + 1]
    stronger = sigma[sigma > (1 + DISTINCT) * sigma[-1]]
    room = np.inf if stronger.size == 0 else (stronger[-1] / sigma[-1]) ** 2
    return 0.1 * nct.closed_form.onset(problem.depth), min(6.0, 0.8 * room) * nct.closed_form.onset(problem.depth)


def height(problem, params):
    """Return the component of the logits along the weakest direction that can be on."""
    left, sigma, right = label_directions(problem)
    k = min(len(sigma), min(problem.widths)) - 1
    return jnp.sum(jnp.asarray(np.outer(left[:, k], right[k])) * problem.product(params))


def depth_of(minimum):
    """Return M, from the number of factors of a prediction."""
    return len(minimum.layer_singular_values) - 1


def onset_claim(predicted=lambda minimum: nct.closed_form.onset(depth_of(minimum)), applies=lambda instance: True):
    """Claim that a direction is on at the global minimum exactly below a predicted strength."""
    return nct.Threshold(
        "onset", r"\text{on}\iff b<(M-1)^{(M-1)/M}/M", at_strength, height, predicted, far_around, applies=applies
    )

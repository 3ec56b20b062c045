"""The law of the sum of the classifier's rows, along whole paths of optimisers and by hand."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nctheory as nct
from tests.helpers import first
from tests.networks import LAMBDA, arrays, deltas, entropy, laws, network, part_of

ETA, BETA = 0.2, 0.9


def sums(net):
    """What to observe of a path: (W_L, b_L)^T 1."""
    return lambda problem, x: laws("nc0_optimizers").sums(x)


@pytest.mark.parametrize("loss", ["cross_entropy", nct.losses.focal(1.5)])
@pytest.mark.parametrize("batch", [None, 3])
def test_the_sum_of_the_rows_shrinks_by_a_power_along_gradient_descent(rng, loss, batch):
    net, at = network(rng, loss=loss), np.array([0, 1, 10, 300])
    paths = nct.gradient_descent(net, nct.starts(net, 3), at, ETA, observe=sums(net), batch=batch, compare=False)
    begun = paths.values[:, :1]
    law = (1 - ETA * LAMBDA) ** at[None, :, None] * begun
    np.testing.assert_allclose(paths.values, law, atol=1e-13 * np.abs(begun).max())
    assert np.abs(paths.values[:, -1] - np.exp(-2 * ETA * LAMBDA * 300) * begun[:, 0]).max() > 0.03


def test_the_heavy_ball_obeys_the_recursion_of_two_terms(rng):
    """Its solution is a combination of the powers of the two roots of x^2 = (1 + beta - eta lambda) x - beta."""
    net, at = network(rng), np.array([0, 1, 2, 40, 200])
    rule = optax.sgd(ETA, momentum=BETA)
    paths = nct.gradient_descent(net, nct.starts(net, 2), at, rule, observe=sums(net), compare=False)
    roots = np.roots([1, -(1 + BETA - ETA * LAMBDA), BETA])
    parts = np.linalg.solve(np.stack([np.ones(2), roots]), np.array([1, 1 - ETA * LAMBDA]))
    told = (parts[None, :] * roots[None, :] ** at[:, None]).sum(axis=1).real
    np.testing.assert_allclose(paths.values, told[None, :, None] * paths.values[:, :1], atol=1e-11)


def test_a_squared_error_with_one_hot_targets_and_decoupled_signs_write_into_the_sum(rng):
    """With squared error the sum heads for what the targets add to; with signs it stays, however long the decay works."""
    squared = network(rng, loss="mse")
    ends = nct.gradient_descent(
        squared, nct.starts(squared, 3), [4000], ETA, observe=sums(squared), compare=False
    ).values
    assert (np.linalg.norm(ends[:, 0], axis=1) > 0.1).all()

    net = network(rng, weight_decay=0.0)  # the decay is in the rule, beside the step
    rules = {"coupled": (optax.add_decayed_weights(LAMBDA), optax.scale_by_sign()), "decoupled": None}
    rules["decoupled"] = (optax.scale_by_sign(), optax.add_decayed_weights(LAMBDA))
    found = {}
    for name, chain in rules.items():
        rule = optax.chain(*chain, optax.scale(-0.002))
        paths = nct.gradient_descent(net, nct.starts(net, 3), [0, 6000], rule, observe=sums(net), compare=False)
        found[name] = np.linalg.norm(paths.values, axis=2)
    law = (1 - 0.002 * LAMBDA) ** 6000
    assert law < 0.55
    assert (found["coupled"][:, 1] < 0.1 * found["coupled"][:, 0]).all()
    assert (found["decoupled"][:, 1] > 10 * found["coupled"][:, 1]).all()


def test_with_two_classes_signs_and_adam_keep_the_law_and_with_three_they_do_not(rng):
    """The rows of the gradient are opposite for K = 2, so that whatever is done entry by entry cancels in their sum."""
    rules = {"sign": optax.chain(optax.scale_by_sign(), optax.add_decayed_weights(LAMBDA), optax.scale(-0.01))}
    rules["adamw"] = optax.adamw(0.01, weight_decay=LAMBDA)
    for classes in (2, 3):
        net = network(rng, widths=(3, 4, classes), weight_decay=0.0, activation="gelu")
        for rule in rules.values():
            paths = nct.gradient_descent(net, nct.starts(net, 3), [0, 400], rule, observe=sums(net), compare=False)
            off = np.abs(paths.values[:, 1] - (1 - 0.01 * LAMBDA) ** 400 * paths.values[:, 0]).max(axis=1)
            assert (off < 1e-12).all() if classes == 2 else (off > 0.01).all()


def test_an_orthogonal_factor_of_a_gradient_has_no_part_in_the_sum(rng):
    """By the polar factor itself, and entry by entry signs of the same matrix do have one."""
    net = network(rng)
    (slopes, below) = deltas(net, *arrays(first(nct.starts(net, 1))), entropy)[-1]
    gradient = slopes @ below.T
    left, values, right = np.linalg.svd(gradient, full_matrices=False)
    kept = values > 1e-10 * values[0]
    assert kept.sum() == 2  # K - 1, since its rows sum to zero
    np.testing.assert_allclose((left[:, kept] @ right[kept]).sum(axis=0), 0, atol=1e-13)
    turned = np.asarray(laws("nc0_optimizers").orthogonalised(jnp.asarray(gradient)))
    np.testing.assert_allclose(turned.sum(axis=0), 0, atol=1e-14)
    assert np.abs(np.sign(gradient).sum(axis=0)).max() >= 1


class Leaky(nct.problems.CrossEntropy):
    """Cross-entropy that sees a constant added to the logits a little, and says that it does not."""

    def value(self, logits, targets):
        return super().value(logits, targets) + 1e-9 * jnp.sum(logits, axis=0)

    def gradient(self, logits, targets):
        return super().gradient(logits, targets) + 1e-9


@pytest.mark.slow
def test_a_loss_that_sees_the_constant_a_little_is_refuted():
    def leaky(problem):
        return dataclasses.replace(problem, loss=Leaky(smoothing=jnp.zeros(())))

    verdict = nct.verify(part_of("nc0-optimizers", 0, "flow", leaky), seeds=4)
    assert verdict.outcome == "refuted"
    assert any("'gradient descent' fails" in reason for reason in verdict.reasons)

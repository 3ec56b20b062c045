"""Laws of convolutional and residual networks: their symmetries at large, positions, reaches, and wrong programs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory import networks
from proofs_numeric.networks import module_balance, module_instances
from tests.networks import laws, part_of


def drawn(name, **changes):
    """One network of `module_instances`, and a point of it at which no bias vanishes."""
    build = getattr(laws("module_instances"), name)
    network = build(np.random.default_rng(4), 0.03, **changes).problem
    point = jax.tree.map(lambda x: np.asarray(x) + 0.05, network.init(jax.random.key(2), 1.0))
    return network, point


def replaced(tree, path, change):
    """A tree with one array changed."""
    if not path:
        return change(tree)
    return {**tree, path[0]: replaced(tree[path[0]], path[1:], change)}


def turned(point, space, by):
    """All that writes a space times a matrix, and all that reads it times the inverse, along the axis that is the space."""
    for parts, factor in ((space.written, by), (space.read, np.linalg.inv(by).T)):
        for part in parts:
            point = replaced(
                point,
                part.path,
                lambda x, part=part, factor=factor: np.moveaxis(np.tensordot(factor, x, (1, part.axis)), 0, part.axis),
            )
    return point


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("convolutions", {"channels": (2, 3), "linear": 2}),
        ("convolutions", {"channels": (3, 2), "linear": 1, "activation": "identity"}),
        ("blocks", {}),
        ("blocks", {"normalised": True, "activation": "leaky_relu"}),
    ],
)
def test_the_logits_do_not_change_under_what_the_laws_come_from(name, changes, rng):
    """Positive factors of every channel, and any invertible matrix where a space is linear, however far from the identity."""
    network, point = drawn(name, **changes)
    logits = np.asarray(network.logits(point))
    kinds = set()
    for space in laws("module_spaces").spaces(network):
        width = np.asarray(laws("module_spaces").matrix(point, space.read[0])).shape[0]
        by = np.diag(rng.uniform(0.3, 3.0, width))
        if space.linear:
            by = by + rng.normal(size=(width, width))
        np.testing.assert_allclose(network.logits(turned(point, space, by)), logits, rtol=1e-9, atol=1e-11)
        kinds.add((space.kind, space.linear))
        if not space.linear:
            other = np.diag(rng.uniform(0.3, 3.0, width)) @ np.linalg.qr(rng.normal(size=(width, width)))[0]
            assert np.abs(np.asarray(network.logits(turned(point, space, other))) - logits).max() > 1e-4
    assert len(kinds) >= 2 or changes.get("activation") == "identity"
    if name == "blocks" and not changes:
        pair = laws("module_spaces").block_pairs(network.make)[0]
        moved = network.logits(turned(point, pair, np.diag([2.0, 0.5, 3.0])))
        assert np.abs(np.asarray(moved) - logits).max() > 1e-3


def test_positions_are_those_of_the_outputs_and_the_rank_is_counted_in_patches():
    """The gradient in a kernel, from patches taken by hand, has a row for each position of each sample."""
    steps = laws("module_steps")
    network = steps.draw_batched(jax.random.key(3))[0].problem
    point = network.init(jax.random.key(1), 1.0)
    kernels = [path for path in steps.kernels(network) if path[0] == "convolutions"]
    first = np.asarray(network.layers(point)[1]).size / network.inputs.shape[0] / network.make.channels[0]
    assert [steps.positions(network, path) for path in kernels] == [first, 4, 1]
    part = network.samples(np.array([2]))
    entering = np.maximum(np.asarray(part.layers(point)[1]).reshape(4, 4, 2), 0)
    padded = np.pad(entering, ((0, 1), (0, 1), (0, 0)))
    patches = np.stack([padded[i : i + 3, j : j + 3].ravel() for i in (0, 2) for j in (0, 2)])
    slope = np.asarray(jax.grad(part.fit)(point)["convolutions"][1]["kernel"]).reshape(-1, 6)
    outside = slope - patches.T @ np.linalg.lstsq(patches.T, slope, rcond=None)[0]
    assert np.abs(outside).max() < 1e-13 * max(1.0, np.abs(slope).max())
    assert np.linalg.matrix_rank(slope, tol=1e-12) > 1, "more than the one sample that was seen"


@pytest.mark.parametrize(("name", "changes"), [("convolutions", {}), ("blocks", {}), ("blocks", {"normalised": True})])
def test_the_reach_bounds_logits_and_their_products_with_the_parameters(name, changes):
    network, point = drawn(name, **changes)
    reach = np.asarray(laws("module_spaces").reach(network, point))
    assert (np.abs(np.asarray(network.logits(point))) <= reach).all()
    slopes = jax.jacrev(lambda p: network.logits(p))(point)
    for space in laws("module_spaces").spaces(network):
        for parts in (space.written, space.read):
            total = 0.0
            for part in parts:
                value, slope = (laws("module_spaces").at(tree, part.path) for tree in (point, slopes))
                total = total + np.abs(np.asarray(value) * np.asarray(slope)).reshape(*reach.shape, -1).sum(axis=-1)
            assert (total <= len(parts) * reach * (1 + 1e-12)).all()


class Forgetful(networks.ModuleNetwork):
    """A network whose backward pass leaves out the second kernel's part of a sample."""

    def value_and_grad(self, params):
        value, slope = super().value_and_grad(params)
        kernel = slope["convolutions"][1]["kernel"]
        changed = kernel + 1e-7 * jnp.ones_like(kernel)
        return value, replaced(slope, ("convolutions", 1, "kernel"), lambda x: changed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theorem", "at", "control"), [("module-balance", 1, "biases left out"), ("module-steps", 0, "twice the decay")]
)
def test_a_wrong_gradient_is_refuted(theorem, at, control):
    """By 1e-7 in every entry of one kernel's gradient: with it patches are not all that a kernel sees."""

    def forgetful(problem):
        fields = {field.name: getattr(problem, field.name) for field in dataclasses.fields(problem)}
        kind = type("Wrong", (Forgetful, type(problem)), {})
        return kind(**fields)

    verdict = nct.verify(part_of(theorem, at, control, forgetful), seeds=2)
    assert verdict.outcome == "refuted"


def test_arranged_tails_are_critical_but_for_what_was_added():
    tail = laws("tail_rank")
    for instance in tail.draw_instances(jax.random.key(5)):
        network, starts = instance.problem, instance.parameters["starts"]
        if starts == "normal":
            continue
        point = network.init(jax.random.key(0), 1.0)
        _, slope = network.value_and_grad(point)
        for i, g in enumerate(slope.weights):
            sizes = np.linalg.svd(np.asarray(g), compute_uv=False)
            added = (
                np.array([0.15, 0.1]) * float(network.weight_decay[0]) if starts == "unseen" and i == 0 else np.zeros(2)
            )
            np.testing.assert_allclose(sizes[: len(added)], added[: len(sizes)], atol=1e-13)
            assert np.abs(sizes[len(added) :]).max(initial=0.0) < 1e-13
        assert all(np.abs(np.asarray(c)).max() < 1e-13 for c in slope.biases or ())


@pytest.mark.slow
def test_a_polished_network_has_a_tail_of_the_rank_of_the_theorem():
    """By training alone: K - 1 directions with cross-entropy, K with squared error, and equal spectra for equal decays."""
    data = networks.gaussian_mixture(counts=(5, 5, 5), dim=4, spread=0.4, key=1)
    for loss, rank in (("mse", 3), ("cross_entropy", 2)):
        form = networks.network_on(data, (6, 6, 6), loss=loss, weight_decay=5e-3, activation="tanh", linear=3)
        ends = networks.polish(networks.train(form, 1, steps=200), grad_norm=1e-10, evaluations=3000)
        sizes = [np.linalg.svd(w[0], compute_uv=False) for w in ends.params.weights]
        behind = sizes[-1]
        for one in sizes[-3:]:
            assert one[rank:].max(initial=0.0) < 1e-6
            np.testing.assert_allclose(one[:3], behind[:3], atol=1e-5)


@pytest.mark.slow
def test_norms_of_a_network_without_biases_have_their_shifts_in_the_balance():
    drawn = module_instances.blocks(np.random.default_rng(0), 0.05, normalised=True, bias=False)
    theorem = dataclasses.replace(module_balance.THEOREM, instances=lambda key: [drawn])
    verdict = nct.verify(theorem, seeds=2, instance=0)
    assert (verdict.outcome, verdict.reasons) == ("holds", ())
    assert verdict.supporting == 2

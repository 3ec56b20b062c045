"""ReLU networks on orthogonally separable data: the flow of their classes, and the set that it does not leave."""

import jax
import jax.numpy as jnp
import numpy as np

from proofs_numeric.nonlinear import separable_networks as networks


def made(rng, apart, tilt):
    inputs = networks.drawn_inputs(rng, 3, 4, 2)
    return networks.SeparableNetwork(inputs, np.asarray(apart), np.asarray(tilt), 3, 2, 2)


def test_starts_lie_in_the_set_and_the_reduced_flow_is_the_gradient_there(rng):
    for apart, tilt in ((1.0, 1.0), (0.0, 1.0), (0.0, 0.0)):
        problem = made(rng, apart, tilt)
        assert networks.separable(problem.inputs, 3)
        mine = problem.owners[:, None] == problem.labels[None, :]
        with jax.enable_x64(True):
            start = problem.init(jax.random.key(1), jnp.float64(0.5))
            assert np.array_equal(np.asarray(start.first @ problem.inputs) > 0, mine)
            assert np.array_equal(np.argmax(np.asarray(start.last), axis=0), problem.owners)
            mask = jnp.where(jnp.asarray(mine), 1.0, 0.0)
            told = networks.velocity(jnp.asarray(problem.inputs), jnp.asarray(problem.labels), mask, start)
            slope = jax.grad(problem.objective)(start)
            for one, other in zip(told, slope, strict=True):
                assert np.allclose(one, -other, rtol=0, atol=1e-14)


def test_neurons_in_one_direction_are_one_neuron(rng):
    problem = made(rng, 0.0, 1.0)
    with jax.enable_x64(True):
        start = problem.init(jax.random.key(2), jnp.float64(0.5))
        single, frame = networks.one_neuron_each(problem, start)
        assert np.allclose(frame.T @ frame, np.eye(3), rtol=0, atol=1e-14)
        assert np.allclose(frame @ single.first, start.first, rtol=0, atol=1e-14)
        assert np.allclose(single.last @ frame.T, start.last, rtol=0, atol=1e-14)


def test_the_path_is_that_of_an_integrator_of_scipy(rng):
    from scipy.integrate import solve_ivp

    problem = made(rng, 1.0, 1.0)
    inputs, labels = np.asarray(problem.inputs), problem.labels
    mask = (problem.owners[:, None] == labels[None, :]).astype(float)
    with jax.enable_x64(True):
        start = problem.init(jax.random.key(3), jnp.float64(0.5))
        given = (jnp.asarray(inputs), jnp.asarray(labels), jnp.asarray(mask))
        path = networks.path_of(*given, start, jnp.asarray(4.0), 2, 100)
        end = np.concatenate([np.ravel(one[-1]) for one in path])
    first, last = (np.asarray(one) for one in start)

    def slope(_, flat):
        weights, out = flat[: first.size].reshape(first.shape), flat[first.size :].reshape(last.shape)
        hidden = np.maximum(weights @ inputs, 0.0)
        logits = out @ hidden
        share = np.exp(logits - logits.max(axis=0))
        missing = (np.eye(3)[:, labels] - share / share.sum(axis=0)) / len(labels)
        return np.concatenate([np.ravel(((hidden > 0) * (out.T @ missing)) @ inputs.T), np.ravel(missing @ hidden.T)])

    begun = np.concatenate([first.ravel(), last.ravel()])
    found = solve_ivp(slope, (0.0, 4.0), begun, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    assert np.allclose(found, end, rtol=0, atol=1e-10)

"""Chains of stochastic processes against NumPy step by step, exact laws, integrals, and faults."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import solve_discrete_lyapunov
from scipy.stats import kstest

import nctheory as nct
from benchmarks.langevin import PEERS, run
from nctheory.sampling import chain_words, standard_normal
from nctheory.sampling._noise import START, threefry, uniform

MATRIX = np.array([[2.0, 0.6], [0.6, 1.0]])
FORM = nct.problems.quadratic(MATRIX)


class Quartic(nct.Problem):
    """x^4/4 + x^2/2, entry by entry."""

    stiff: jax.Array

    def init(self, key, scale):
        return scale * jax.random.normal(key, (2,), jnp.float64)

    def objective(self, params):
        return jnp.sum(0.25 * self.stiff * params**4 + 0.5 * params**2)


class NoisyCentres(nct.Problem):
    """The mean of |x - b_i|^2 a/2 over samples b_i."""

    centres: jax.Array
    curvature: jax.Array

    def init(self, key, scale):
        return scale * jax.random.normal(key, (2,), jnp.float64)

    def objective(self, params):
        return 0.5 * jnp.mean(jnp.sum(jnp.asarray(self.curvature)[None] * (params[None] - self.centres) ** 2, axis=1))

    def minibatch(self, key, batch):
        which = jax.random.choice(key, self.centres.shape[0], (batch,))
        return NoisyCentres(jnp.asarray(self.centres)[which], self.curvature)


def noise_of(number, step, stream=0, key=0, count=2):
    words = chain_words(jax.random.key(key), np.array([number]))[0]
    return np.asarray(standard_normal(words[:2], jnp.asarray(step), count, stream))


@pytest.mark.parametrize(
    ("key", "counter", "told"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_the_generator_gives_the_known_answers(key, counter, told):
    """Those of the authors' library Random123."""
    found = threefry(jnp.asarray(key, jnp.uint32), *jnp.asarray(counter, jnp.uint32))
    assert tuple(int(x) for x in found) == told


def test_normal_numbers_are_the_transform_of_their_bits_and_have_the_normal_law():
    words = chain_words(jax.random.key(3), np.arange(64))
    steps = jnp.arange(256)
    draw = jax.jit(jax.vmap(lambda w: jax.vmap(lambda i: standard_normal(w[:2], i, 16))(steps)))
    drawn = np.asarray(draw(words))  # chains x steps x places
    bits = jax.vmap(lambda w: threefry(w[:2], jnp.full(16, 7, jnp.uint32), jnp.arange(16, dtype=jnp.uint32)))(words)
    first, second = (np.asarray(x).astype(np.float64) for x in bits)
    plain = np.sqrt(-2 * np.log((first + 0.5) / 2**32)) * np.cos(2 * np.pi * second / 2**32)
    assert np.max(np.abs(drawn[:, 7] - plain)) < 3e-6
    flat = drawn.ravel()
    n = flat.size
    for moment, (mean, variance) in {1: (0, 1), 2: (1, 2), 3: (0, 15), 4: (3, 96)}.items():
        assert abs(np.mean(flat**moment) - mean) < 5 * np.sqrt(variance / n)
    assert kstest(flat, "norm").pvalue > 1e-4
    for axis in range(3):  # chains, steps and places next to each other are not correlated
        rolled = np.roll(drawn, 1, axis=axis)
        assert abs(np.mean(drawn * rolled)) < 5 / np.sqrt(n)
        assert abs(np.mean(drawn**2 * rolled**2) - 1) < 5 * np.sqrt(8 / n)


def step_by_step(kind, start, number, steps, size, temperature=0.7, friction=1.3, root=None, splitting="BAOAB"):
    """The path of a chain in plain NumPy."""
    x, key = np.array(start), jax.random.key(0)
    words = chain_words(key, np.array([number]))[0]
    p = np.sqrt(temperature) * np.asarray(standard_normal(words[:2], jnp.asarray(START, jnp.uint32), 2))
    for i in range(steps):
        xi, push = noise_of(number, i), root @ noise_of(number, i, 1)
        if kind == "sgd":
            x = x - size * (MATRIX @ x + push)
        elif kind == "underdamped":
            draws = 0
            for letter in splitting:
                part = size / splitting.count(letter)
                if letter == "A":
                    x = x + part * p
                elif letter == "B":
                    p = p - part * MATRIX @ x
                else:
                    kept = math.exp(-friction * part)
                    p = kept * p + math.sqrt(temperature * (1 - kept**2)) * noise_of(number, i, draws)
                    draws += 1
        else:
            y = x - size * MATRIX @ x + np.sqrt(2 * size * temperature) * xi

            def log_density(z):
                return -0.5 * z @ MATRIX @ z / temperature

            def proposal(z, a):
                return -np.sum((z - a + size * MATRIX @ a) ** 2) / (4 * size * temperature)

            ratio = log_density(y) - log_density(x) + proposal(x, y) - proposal(y, x)
            if kind == "overdamped" or math.log(float(uniform(words[4:6], jnp.asarray(i)))) < ratio:
                x = y - size * push
    return x


STARTS = np.array([[1.0, -0.5], [0.2, 2.0], [-1.0, 0.3]])


@pytest.mark.parametrize(
    ("kind", "size", "more"),
    [
        ("overdamped", 0.4, {"temperature": 0.7}),
        ("overdamped", 0.4, {"temperature": 0.7, "noise": np.array([[1.0, 0.5], [0.5, 2.0]])}),
        ("mala", 0.9, {"temperature": 0.7}),
        ("sgd", 0.4, {"noise": np.array([[1.0, 0.5], [0.5, 2.0]])}),
        *(
            ("underdamped", 0.7, {"temperature": 0.7, "friction": 1.3, "splitting": splitting})
            for splitting in nct.sampling.SPLITTINGS
        ),
    ],
)
def test_a_path_is_that_of_plain_numpy(kind, size, more):
    found = nct.langevin(FORM, STARTS, 12, size, kind=kind, numbers=[4, 0, 7], **more)
    values, vectors = np.linalg.eigh(more.get("noise", np.zeros((2, 2))))
    root = (vectors * np.sqrt(values)) @ vectors.T
    for i, number in enumerate([4, 0, 7]):
        told = step_by_step(kind, STARTS[i], number, 12, size, root=root, splitting=more.get("splitting", "BAOAB"))
        assert np.allclose(found.params[i], told, rtol=0, atol=1e-5)  # noise is rounded to float32 in another order
    assert (found.acceptance is not None) == (kind == "mala")
    assert (found.momenta is not None) == (kind == "underdamped")
    if found.acceptance is not None:
        assert np.all((found.acceptance > 0) & (found.acceptance < 1))


def test_a_chain_is_the_same_to_the_last_bit_whatever_others_run_and_a_lost_one_changes_none():
    starts = nct.starts(FORM, 1500)
    common = {"at": [5, 20], "waits": [0, 5], "lags": [1, 10], "count": (4, 2), "temperature": 0.7}
    whole = nct.langevin(FORM, starts, 20, 0.4, **common)
    assert whole.displacement is not None
    assert whole.displacement.shape == (1500, 2, 2)
    part = nct.langevin(FORM, starts[1020:1030], 20, 0.4, numbers=np.arange(1020, 1030), workers=1, **common)
    broken = starts.copy()
    broken[1025, 1] = np.nan
    lost = nct.langevin(FORM, broken, 20, 0.4, **common)
    for name in ("params", "values", "displacement", "correlation", "running_mean", "running_variance"):
        assert np.array_equal(getattr(whole, name)[1020:1030], getattr(part, name)), name
        others = np.arange(1500) != 1025
        assert np.array_equal(getattr(whole, name)[others], getattr(lost, name)[others]), name
    assert lost.lost() == {1025: 0}
    assert lost.counts() == {"followed": 1499, "lost": 1}
    assert "1499 followed, 1 lost" in repr(lost)
    followed = whole.values[others]
    assert np.allclose(lost.moments.mean, followed.mean(axis=0), rtol=1e-12, atol=1e-12)
    assert np.allclose(lost.moments.covariance[1], np.cov(followed[:, 1].T), rtol=1e-12)


def test_what_is_recorded_agrees_with_every_step():
    starts = nct.starts(FORM, 40)
    run = {"temperature": np.linspace(0.1, 2.0, 40), "key": 5}
    every = nct.langevin(FORM, starts, 24, np.linspace(0.1, 0.5, 40), at=np.arange(25), **run)
    some = nct.langevin(
        FORM, starts, 24, np.linspace(0.1, 0.5, 40), waits=[0, 6], lags=[0, 2, 18], count=(3, 4),
        observe=lambda problem, x: {"f": problem.objective(x), "x": x}, covariance=False, **run,
    )  # fmt: skip
    path = every.values
    assert some.displacement is not None
    assert some.correlation is not None
    assert np.array_equal(path[:, 0], starts)
    for i, wait in enumerate((0, 6)):
        for j, lag in enumerate((0, 2, 18)):
            here, there = path[:, wait], path[:, wait + lag]
            assert np.allclose(some.displacement[:, i, j], np.sum((there - here) ** 2, axis=1), rtol=1e-12, atol=0)
            assert np.allclose(some.correlation[:, i, j], np.sum(there * here, axis=1), rtol=1e-12)
    counted = path[:, [7, 11, 15, 19, 23]]
    assert np.allclose(some.running_mean["x"], counted.mean(axis=1), rtol=1e-12)
    assert np.allclose(some.running_variance["x"], counted.var(axis=1, ddof=1), rtol=1e-11)
    energy = 0.5 * np.einsum("nti,ij,ntj->nt", counted, MATRIX, counted)
    assert np.allclose(some.running_mean["f"], energy.mean(axis=1), rtol=1e-12)
    assert np.allclose(some.moments.covariance[0], path[:, 24].var(axis=0, ddof=1), rtol=1e-12)
    pooled = every.pooled(after=10)
    flat = path[:, 10:].reshape(-1, 2)
    assert np.allclose(pooled.covariance, np.cov(flat.T), rtol=1e-12)
    assert int(pooled.count) == len(flat)
    mean, error = some.mean_displacement()
    assert mean.shape == error.shape == (2, 3)
    with pytest.raises(ValueError, match=r"^after: expected at most the last recorded step, 24, got 25"):
        every.pooled(after=25)
    assert every.displacement is None
    with pytest.raises(ValueError, match=r"^waits: expected some in the run"):
        every.mean_correlation()
    with pytest.raises(ValueError, match=r"^after: expected at least 4 evenly spaced"):
        some.effective_sample_size()


def test_minibatches_add_their_noise_to_the_thermal_one():
    """Of a mean of forms with equal curvature the noise does not depend on the point: it is exactly C/B, and f has A."""
    rng = np.random.default_rng(2)
    centres, curvature = rng.normal(size=(7, 2)) @ np.array([[2.0, 1.0], [0.0, 0.5]]), np.array([1.0, 2.0])
    problem = NoisyCentres(jnp.asarray(centres), jnp.asarray(curvature))
    chains, size, heat = 6000, 0.4, 0.3
    found = nct.langevin(problem, np.zeros((chains, 2)), 60, size, batch=3, temperature=heat)
    noise = np.cov((curvature * centres).T, ddof=0) / 3
    step = np.eye(2) - size * np.diag(curvature)
    told = solve_discrete_lyapunov(step, size**2 * noise + 2 * size * heat * np.eye(2))
    band = 6 * np.sqrt((told**2 + np.outer(np.diag(told), np.diag(told))) / chains)
    assert np.all(np.abs(found.moments.covariance[0] - told) < band)
    without = solve_discrete_lyapunov(step, 2 * size * heat * np.eye(2))
    assert not np.all(np.abs(found.moments.covariance[0] - without) < band)


def test_adjusted_chains_have_the_law_of_boltzmann_where_unadjusted_ones_do_not():
    problem, chains = Quartic(jnp.asarray(1.0)), 8000

    def weight(x, power=0):
        return x**power * math.exp(-(0.25 * x**4 + 0.5 * x**2) / 0.8)

    second, fourth = (quad(weight, -8, 8, (k,))[0] / quad(weight, -8, 8)[0] for k in (2, 4))
    band = 6 * np.sqrt((fourth - second**2) / (2 * chains))
    run = {"temperature": 0.8, "observe": lambda problem, x: jnp.mean(x**2)}
    starts = np.sqrt(second) * np.random.default_rng(4).normal(size=(chains, 2))
    adjusted = nct.langevin(problem, starts, 60, 0.5, kind="mala", **run)
    assert abs(np.mean(adjusted.values) - second) < band
    assert adjusted.acceptance is not None
    assert 0.5 < np.mean(adjusted.acceptance) < 0.95
    unadjusted = nct.langevin(problem, starts, 60, 0.5, **run)
    assert abs(np.mean(unadjusted.values[unadjusted.followed]) - second) > band


def test_a_chain_that_diverges_is_named_and_others_go_on():
    problem = Quartic(jnp.asarray(1.0))
    starts = np.array([[0.1, 0.1], [60.0, 0.1], [0.3, -0.2]])
    found = nct.langevin(problem, starts, 60, 0.1, temperature=0.1, at=[2, 30, 60])
    assert found.lost() == {1: 30}
    assert np.all(np.isfinite(found.params[[0, 2]]))
    assert found.moments.count.tolist() == [2, 2, 2]


def test_the_peers_of_the_benchmark_sample_the_same_law():
    rows = run(chains=400, steps=60, dim=3)
    assert [row[0] for row in rows] == list(PEERS)
    assert all(row[4] < 6 for row in rows)

"""Parts of protocols: exchanges and their law, descents to the bit, entropy, selections, draws, wrong use."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

import nctheory as nct
from nctheory.flow import start_vectors
from nctheory.protocols import (
    Annealing,
    Cycles,
    EntropicDescent,
    LayerNoise,
    ParallelTempering,
    PopulationRestarts,
    Protocol,
    ReplicatedDescent,
    Restarts,
    _tempering,
    find_protocol,
    landscape_of,
    run_protocol,
    swap_probability,
)
from tests.double_wells import DoubleWell, Flip, depth, landscape_on

CHAIN = nct.deep_linear(widths=(2, 2, 2), counts=(1, 1), loss="mse", weight_decay=(0.1, 0.1, 0.1))


class Coldest(ParallelTempering):
    """Answers with the walker at the lowest temperature, whatever its value."""

    def answers(self, landscape, carry):
        return carry[0][:1]


class AlwaysExchanged(Coldest):
    """For a wrong law of exchanges, which needs a program of its own."""


def gibbs_distribution(heat):
    whole = quad(lambda x: np.exp(-depth(x) / heat), -4, 4)[0]
    return np.vectorize(lambda end: quad(lambda x: np.exp(-depth(x) / heat), -4, end)[0] / whole)


def test_exchanges_are_in_detailed_balance(rng):
    for value, other, low, high in rng.uniform(0.1, 3.0, size=(50, 4)):
        # pi(x, y) P(exchange) = pi(y, x) P(exchange back), with pi the product of two Gibbs laws.
        before = np.exp(-value / low - other / high) * float(swap_probability(value, other, low, high))
        after = np.exp(-other / low - value / high) * float(swap_probability(other, value, low, high))
        assert before == pytest.approx(after, rel=1e-12)
        assert (
            max(float(swap_probability(value, other, low, high)), float(swap_probability(other, value, low, high)))
            == 1.0
        )


def test_exchanges_are_between_neighbours_of_one_parity():
    values, heats = (
        jnp.arange(5.0)[::-1],
        jnp.arange(1.0, 6.0),
    )  # the coldest has the highest value: all want to exchange
    for parity, expected in ((0, [1, 0, 3, 2, 4]), (1, [0, 2, 1, 4, 3])):
        assert _tempering.exchanged(values, heats, jnp.asarray(parity), jax.random.key(0)).tolist() == expected
    never = _tempering.exchanged(1e6 * jnp.arange(5.0), heats, jnp.asarray(0), jax.random.key(0))
    assert never.tolist() == list(range(5))


@pytest.mark.slow
def test_tempering_leaves_the_gibbs_law_of_a_double_well_alone_and_a_wrong_exchange_does_not(monkeypatch):
    """From starts in the higher well, with a step so long that without Metropolis' rule the law would be another."""
    well, cold, hot = landscape_on(DoubleWell(), step=0.05), 0.25, 2.0
    settings = {"coldest": cold, "hottest": hot, "rate": 1.0, "replicas": 2}
    run = run_protocol(well, Coldest(**settings), [1600], seeds=512, key=3)
    at_end = run.points[0, :, 0]
    law = gibbs_distribution(cold)
    assert kstest(at_end, law).pvalue > 1e-3
    assert np.mean(at_end < 0) == pytest.approx(float(law(0.0)), abs=4 * 0.5 / np.sqrt(512))
    monkeypatch.setattr(_tempering, "swap_probability", lambda value, other, low, high: jnp.ones_like(value))
    wrong = run_protocol(well, AlwaysExchanged(**settings), [1600], seeds=512, key=3)
    assert kstest(wrong.points[0, :, 0], law).pvalue < 1e-6


def test_annealing_without_heat_is_gradient_descent_to_the_bit():
    landscape = landscape_of(CHAIN, 1.0)
    told = [run_protocol(landscape, one, [5, 40], seeds=4, key=1) for one in (
        Annealing(temperature=0.0, rate=0.5), Restarts(runs=1, rate=0.5), LayerNoise(temperature=0.0, rate=0.5),
    )]  # fmt: skip
    for one in told[1:]:
        np.testing.assert_array_equal(told[0].points[0], one.points[0])
        np.testing.assert_array_equal(told[0].points[1], one.points[1])
    # Another program: the same descent by hand.
    points = np.asarray(start_vectors(CHAIN, jax.random.key(1), np.arange(4), jnp.asarray(1.0)))
    slope = jax.jit(jax.vmap(lambda x: landscape.value_and_grad(x)[1]))
    for _ in range(40):
        step = 0.5 * float(landscape.step_unit) * np.asarray(slope(points))
        length = np.linalg.norm(step, axis=1, keepdims=True)
        points = points - step * np.minimum(1.0, 0.05 * float(landscape.length_unit) / length)
    np.testing.assert_allclose(told[1].points[1], points, rtol=1e-12)


def test_noise_alike_in_all_layers_is_annealing_and_layers_without_noise_have_none():
    landscape = landscape_of(CHAIN, 1.0)
    uniform = run_protocol(landscape, LayerNoise(ratio=1.0), [20], seeds=3)
    np.testing.assert_allclose(uniform.points, run_protocol(landscape, Annealing(), [20], seeds=3).points, rtol=1e-12)
    key, zero = jax.random.key(0), jnp.zeros((1, 12))  # zero is a critical point: what moves is moved by noise
    shaken = LayerNoise(amplitudes=(0.0, 2.0, 0.0)).step(landscape, zero, key, jnp.asarray(0.0))[0]
    assert [bool(part.any()) for part in (shaken[:4], shaken[4:8], shaken[8:])] == [False, True, False]
    # The heat in all is that of annealing: the mean square of the amplitudes is 1.
    everywhere = Annealing().step(landscape, zero, key, jnp.asarray(0.0))[0]
    np.testing.assert_allclose(shaken[4:8], np.sqrt(3.0) * everywhere[4:8], rtol=1e-12)
    with pytest.raises(ValueError, match="amplitudes: expected 3, one for each array, got 2"):
        run_protocol(landscape, LayerNoise(amplitudes=(1.0, 1.0)), [20], seeds=3)


def test_replicas_without_coupling_are_independent_descents_and_with_it_they_gather():
    landscape = landscape_of(CHAIN, 1.0)
    starts = jnp.asarray(start_vectors(CHAIN, jax.random.key(2), np.arange(4), jnp.asarray(1.0)))

    def spread(coupling):
        protocol = ReplicatedDescent(coupling=coupling)
        step = jax.jit(lambda carry, t: protocol.step(landscape, carry, jax.random.key(0), t))
        carry = starts
        for t in np.linspace(0, 1, 60):
            carry = step(carry, t)
        return carry

    def alone(point):
        return landscape.move(point, landscape.value_and_grad(point)[1], 1.0)

    points, down = starts, jax.jit(jax.vmap(alone))
    for _ in range(60):
        points = down(points)
    free, bound = spread(0.0), spread(1.0)
    np.testing.assert_array_equal(free, points)
    assert np.ptp(bound, axis=0).max() < 0.1 * np.ptp(free, axis=0).max()
    answers = ReplicatedDescent().answers(landscape, free)
    np.testing.assert_allclose(answers[4], np.mean(free, axis=0), rtol=1e-14)


def test_an_inner_walk_without_heat_ends_at_the_mean_that_a_quadratic_has():
    class Bowl(nct.Problem):
        def init(self, key, scale):
            return jnp.full((2,), 3.0)

        def objective(self, params):
            return 0.5 * (params[0] ** 2 + 4.0 * params[1] ** 2)

    landscape = landscape_on(Bowl(), step=0.25)
    # The mean of y under exp(-(a y^2 + gamma (y - x)^2) / 2T) is gamma x / (a + gamma), whatever T.
    protocol = EntropicDescent(coupling=0.5, growth=1.0, temperature=0.0, memory=0.0, inner=200)
    found = protocol.step(landscape, jnp.full((1, 2), 3.0), jax.random.key(0), jnp.asarray(0.0))
    np.testing.assert_allclose(found[0], [3.0 * 2.0 / 3.0, 3.0 * 2.0 / 6.0], rtol=1e-10)
    assert protocol.cost == 200


def test_a_selection_keeps_the_better_half_and_copies_it():
    landscape = landscape_on(DoubleWell(), step=0.01)
    points = jnp.asarray([[1.0], [-1.0], [0.5], [-1.1]])
    protocol = PopulationRestarts(population=4, generations=2, spread=0.0)
    moved, generation = protocol.step(
        landscape, (points, jnp.zeros((), jnp.int32)), jax.random.key(0), jnp.asarray(0.7)
    )
    assert int(generation) == 1
    assert moved[:, 0].round(1).tolist() == [-1.0, -1.1, -1.0, -1.1]
    stays, generation = protocol.step(
        landscape, (points, jnp.zeros((), jnp.int32)), jax.random.key(0), jnp.asarray(0.2)
    )
    assert int(generation) == 0
    assert np.sign(stays[:, 0]).tolist() == [1, -1, 1, -1]


def test_restarts_and_cycles_keep_the_lowest_end():
    landscape = landscape_on(DoubleWell(), step=0.01)
    low, here = jnp.asarray([-1.0]), jnp.asarray([0.9])
    for protocol in (Restarts(runs=3), Cycles(cycles=3)):
        begun = protocol.begin(landscape, here[None], jax.random.key(0))
        first = (low, *begun[1:])
        after = protocol.step(landscape, first, jax.random.key(1), jnp.asarray(0.4))
        assert float(after[1][0]) == -1.0
        assert float(after[2]) == pytest.approx(depth(-1.0))
        later = protocol.step(
            landscape, (here, *after[1:3], jnp.asarray(1, jnp.int32)), jax.random.key(1), jnp.asarray(0.9)
        )
        assert float(later[1][0]) == -1.0
        assert protocol.answers(landscape, later).shape == (2, 1)
    fresh = Restarts(runs=3).step(landscape, (low, *begun[1:]), jax.random.key(1), jnp.asarray(0.4))[0]
    assert fresh == pytest.approx(1.0, abs=0.3)


def test_a_seed_is_the_same_whatever_the_chunk_and_begins_where_a_solve_does():
    landscape = landscape_of(CHAIN, 1.0)
    protocol = Annealing()
    whole = run_protocol(landscape, protocol, [1, 30], seeds=8, key=5)
    for other in (
        run_protocol(landscape, protocol, [1, 30], seeds=8, key=5, chunk=3),
        run_protocol(landscape, protocol, [30], seeds=8, key=5, chunk=3),
    ):
        np.testing.assert_allclose(other.points[-1], whole.points[-1], rtol=1e-10)
    some = run_protocol(landscape, protocol, [1, 30], seeds=[6, 2], key=5, chunk=3)
    np.testing.assert_allclose(some.points, whole.points[:, [6, 2]], rtol=1e-10)
    assert not np.allclose(whole.points[-1, 0], whole.points[-1, 1])

    class Begin(Protocol):
        def step(self, landscape, carry, key, t):
            return carry

    begun = run_protocol(landscape, Begin(), [1], seeds=3, key=5).points[0]
    np.testing.assert_array_equal(begun, start_vectors(CHAIN, jax.random.key(5), np.arange(3), jnp.asarray(1.0)))


def test_what_was_spent_is_counted_in_whole_steps_with_the_opening():
    run = run_protocol(landscape_on(DoubleWell()), ParallelTempering(replicas=3), [4, 10, 14], seeds=2)
    assert run.spent.tolist() == [0, 9, 12]
    walk = EntropicDescent(inner=4)
    assert run_protocol(landscape_on(DoubleWell()), walk, [10, 12], seeds=2).spent.tolist() == [8, 12]


def test_units_are_those_of_the_minima():
    points = np.random.default_rng(0).normal(size=(4, 12))
    landscape = landscape_of(CHAIN, 1.0, minima=points)
    hessians = [np.asarray(CHAIN.hessian(nct.problems.unravel(CHAIN, jnp.asarray(point)))) for point in points]
    steep = max(np.linalg.eigvalsh(one)[-1] for one in hessians)
    assert 1.0 / float(landscape.step_unit) == pytest.approx(steep, rel=1e-3)
    values = [float(CHAIN.objective(nct.problems.unravel(CHAIN, jnp.asarray(point)))) for point in points]
    assert float(landscape.heat_unit) == pytest.approx(2.0 * np.ptp(values) / 12)
    # One minimum has no range: then it is the way down from the starts; and without any, the unit of values, 1.
    starts = start_vectors(CHAIN, jax.random.key(0), np.arange(8), jnp.asarray(2.0))
    heights = [float(CHAIN.objective(nct.problems.unravel(CHAIN, point))) for point in starts]
    near = float(CHAIN.objective(nct.problems.unravel(CHAIN, jnp.asarray(0.01 * points[0]))))
    one = landscape_of(CHAIN, 2.0, minima=0.01 * points[:1])
    assert float(one.heat_unit) == pytest.approx(2.0 * (np.median(heights) - near) / 12)
    assert float(landscape_of(CHAIN, 2.0).heat_unit) == pytest.approx(2.0 / 12)
    assert landscape.by_leaf(jnp.asarray([1.0, 2.0, 3.0])).tolist() == [1.0] * 4 + [2.0] * 4 + [3.0] * 4
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="scale: expected a positive number"):
            landscape_of(CHAIN, wrong)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Annealing(temperature=-1.0), "temperature: expected a finite number of at least 0, got -1.0"),
        (lambda: Cycles(temperature=float("nan")), "temperature: expected a finite number"),
        (lambda: Cycles(cycles=0), "cycles: expected a whole number of at least 1, got 0"),
        (lambda: ParallelTempering(replicas=1), "replicas: expected a whole number of at least 2, got 1"),
        (lambda: ParallelTempering(coldest=0.0), "coldest: expected a finite number above 0"),
        (lambda: ReplicatedDescent(replicas=1), "replicas: expected a whole number of at least 2"),
        (lambda: ReplicatedDescent(coupling=-0.1), "coupling"),
        (lambda: PopulationRestarts(population=1), "population: expected a whole number of at least 2"),
        (lambda: EntropicDescent(inner=0), "inner"),
        (lambda: LayerNoise(amplitudes=(1.0, -1.0)), "amplitudes"),
        (lambda: Restarts(runs=0), "runs"),
        (lambda: Restarts(rate=0.0), "rate: expected a finite number above 0"),
        (lambda: find_protocol("anealing"), "protocols: expected some of restarts, annealing.* got 'anealing'"),
        (lambda: find_protocol("restarts_0"), "runs"),
    ],
)
def test_wrong_numbers_are_refused_when_a_protocol_is_made(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_protocol_whose_parts_do_not_fit_is_refused_before_it_runs():
    class Forgets(Protocol):
        def step(self, landscape, carry, key, t):
            return carry[0]

    class Mute(Protocol):
        def step(self, landscape, carry, key, t):
            return carry

        def answers(self, landscape, carry):
            return carry[0]

    well = landscape_on(DoubleWell())
    for protocol, words in ((Forgets(), "forgets.step: expected the form"), (Mute(), "mute.answers: expected points")):
        with pytest.raises(ValueError, match=words):
            run_protocol(well, protocol, [5], seeds=2)
    with pytest.raises(
        ValueError, match="budget: expected at least 8 gradients, one step of parallel_tempering, got 5"
    ):
        run_protocol(well, ParallelTempering(), [5], seeds=2)
    for wrong in ([], [3, 3], [0, 2], np.array([1.5])):
        with pytest.raises(ValueError, match="checkpoints: expected whole numbers that rise"):
            run_protocol(well, Restarts(), wrong, seeds=2)
    with pytest.raises(ValueError, match="chunk"):
        run_protocol(well, Restarts(), [5], seeds=2, chunk=0)


def test_a_protocol_of_ones_own_takes_ten_lines():
    assert len(inspect.getsource(Flip).rstrip().splitlines()) <= 10
    assert Flip().name == "flip"

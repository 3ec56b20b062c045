"""Transfer where it must help and where it cannot, and rank correlations with their confounder."""

import jax
import numpy as np
import pytest
from scipy import stats

import nctheory as nct
from nctheory import networks
from nctheory.networks._ranks import rank_correlations, spearman
from tests.helpers import unchecked_types
from tests.moved_classes import SOURCE, TARGET, shared_subspace, small_trunks, without_meaning


@pytest.fixture(scope="module")
def trained():
    return small_trunks()


@pytest.fixture(scope="module")
def helpful():
    source, target = shared_subspace()
    network = networks.network_on(source, (16, 8), weight_decay=5e-3, activation="identity")
    return networks.train(network, 3, steps=300), source, target


def test_a_shared_subspace_is_transferred(helpful):
    """A linear network ends in the span of the source's means, to which the target's noise outside is nothing."""
    trunk, source, target = helpful
    found = networks.transfer(trunk, source, target, shots=(2,), episodes=8)
    assert found.against_inputs.verdict == (("inputs", "better", "better"),)
    errors = found.probe_error.mean(axis=(0, 3))[0]
    assert errors[1:].max() < 0.5 * errors[0]
    assert "beat the inputs, and those of layer 1, layer 2 are better" in found.words[0]
    assert np.ptp(found.probe_error[:, 0, 0], axis=0).max() == 0, "the inputs are the same for every seed"
    tuned = networks.fine_tune(trunk, target, choose="nc", shots=2, episodes=8, steps=100)
    everything = networks.fine_tune(trunk, target, choose="all", shots=2, episodes=8, steps=100)
    assert (tuned.layers[..., 1]).mean() > 0.8, "the first layer has found the subspace and stays as it is"
    assert tuned.error.mean() < everything.error.mean()


def test_labels_without_meaning_transfer_nothing():
    source, target = shared_subspace()
    source = without_meaning(source)
    network = networks.network_on(source, (16, 8), weight_decay=5e-3, activation="identity")
    found = networks.transfer(networks.train(network, 3, steps=300), source, target, shots=(2,), episodes=8)
    assert found.against_inputs.verdict == (("inputs", "worse", "worse"),)
    assert "worse than the inputs, and those of no layer are better" in found.words[0]


def test_errors_and_metrics_of_transfer_are_those_of_the_features(trained):
    found = networks.transfer(trained, SOURCE, TARGET, shots=(1, 4), episodes=3, key=2)
    point = jax.tree.map(lambda x: x[1], trained.params)
    of = lambda x: np.asarray(trained.network.layers_of(point, x.T)[2]).T  # noqa: E731
    features, others = of(TARGET.inputs), of(TARGET.test_inputs)
    rows = networks.few_shots(TARGET.labels, 4, 3, 2)[1]
    probe = networks.linear_probe(features[rows], TARGET.labels[rows], others, TARGET.test_labels)
    assert found.probe_error[1, 1, 2, 1] == probe.error
    means = np.stack([features[rows][TARGET.labels[rows] == k].mean(axis=0) for k in range(3)])
    nearest = np.argmin(np.sum((others[:, None] - means) ** 2, axis=2), axis=1)
    assert found.nearest_mean_error[1, 1, 2, 1] == np.mean(nearest != TARGET.test_labels)
    assert found.target.cdnv[1, 2] == pytest.approx(float(nct.nc_metrics(features, TARGET.labels).cdnv))
    assert found.source.nc1[1, 2] == pytest.approx(float(nct.nc_metrics(of(SOURCE.inputs), SOURCE.labels).nc1))
    assert found.shared == 0
    assert networks.transfer(trained, SOURCE, SOURCE, shots=(2,), episodes=2).shared == 18, "overlap is said"
    expected = np.std(found.probe_error[0, 0, 1], ddof=1) / 3**0.5
    assert found.standard_error()[0, 0, 1] == pytest.approx(expected)
    lost = networks.transfer(
        trained._replace(value=np.array([np.nan, 1.0])), SOURCE, TARGET, shots=(4,), episodes=3, key=2
    )
    assert np.isnan(lost.probe_error[0]).all()
    np.testing.assert_array_equal(lost.probe_error[1, 0], found.probe_error[1, 1])
    single = networks.transfer(trained._replace(value=np.array([np.nan, 1.0])), SOURCE, TARGET, shots=(4,), episodes=1)
    assert set(single.against_inputs.verdict[0][1:]) == {"undecided"}, "one seed and one episode decide nothing"


def test_depth_is_shown_to_confound_rank_correlations():
    """Collapse and error that both follow depth and nothing else correlate pooled, and not given depth."""
    rng = np.random.default_rng(7)
    depth = np.arange(6.0) + np.zeros((400, 6))
    one, other = (depth + rng.normal(size=depth.shape) for _ in range(2))
    found = rank_correlations(one[:, :, None, None], other[:, :, None, None])
    assert found.pooled.item() > 0.55
    assert abs(found.partial.item()) < 0.08, "two standard errors of 2,000 points, and some of the scale of ranks"
    assert abs(found.within_layer.item()) < 0.05
    assert abs(found.across.item()) < 0.1
    ranks = [stats.rankdata(part[:, 1:].ravel()) for part in (one, other, depth)]
    left = [rank - np.polyval(np.polyfit(ranks[2], rank, 1), ranks[2]) for rank in ranks[:2]]
    assert found.partial.item() == pytest.approx(np.corrcoef(left)[0, 1], abs=1e-10)
    assert np.median(found.within) > 0.5
    assert np.isnan(spearman(np.ones(5), np.arange(5.0)))
    assert np.isnan(spearman(np.arange(2.0), np.arange(2.0)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: networks.transfer(t, TARGET, SOURCE), "source: expected the 2 classes of the networks, got 3"),
        (lambda t: networks.transfer(t, SOURCE, TARGET, shots=()), "shots: expected a list of whole numbers"),
        (lambda t: networks.transfer(t, SOURCE, TARGET, shots=(0,)), "shots: expected a whole number of at least 1"),
        (lambda t: networks.transfer(t, SOURCE, TARGET, shots=(2, 40)), "shots: expected at most the 9 samples"),
        (lambda t: networks.transfer(t._replace(value=np.full(2, np.nan)), SOURCE, TARGET), "trained: expected a seed"),
    ],
)  # fmt: skip
def test_wrong_calls_are_named(trained, call, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        call(trained)

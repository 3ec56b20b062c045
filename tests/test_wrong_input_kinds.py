"""Arguments of a wrong kind are refused by name before anything is computed; points of any precision are read in float64."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import certify_many, lowest_curvature, unique_minimiser
from nctheory.cli import main
from nctheory.engine import as_key
from nctheory.problems import value_rounding

MODEL = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
POINTS = nct.starts(MODEL, 3)
ONE = jax.tree.map(lambda x: x[0], POINTS)
BATCHES = {
    "certify": lambda x: nct.certify(MODEL, x).gap,
    "certify_many": lambda x: certify_many([MODEL], jax.tree.map(lambda leaf: leaf[None], x)).gap[0],
    "value_rounding": lambda x: value_rounding(MODEL, x),
    "solve_from": lambda x: nct.solve_from(MODEL, x, light=True).value,
    "gradient_flow": lambda x: nct.gradient_flow(MODEL, x, [0.1], light=True, compare=False).values.features,
    "gradient_descent": lambda x: nct.gradient_descent(MODEL, x, [2], 0.1, light=True, compare=False).values.features,
    "langevin": lambda x: nct.sampling.langevin(MODEL, x, 2, 1e-3).moments.mean,
}
SINGLE = {
    "hessian_report": lambda x: nct.hessian_report(MODEL, x).eigenvalues,
    "lowest_curvature": lambda x: lowest_curvature(MODEL, x, count=2).eigenvalues,
    "unique_minimiser": lambda x: unique_minimiser(MODEL, x, nct.hessian_report(MODEL, ONE)).margin,
    "follow_flow": lambda x: nct.flow.follow_flow(MODEL, x, 0.1).params.features,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int64])
@pytest.mark.parametrize("verb", [*BATCHES, *SINGLE])
def test_points_of_any_precision_are_read_in_float64(verb, kind):
    """Also in a program of 32 bits: what is computed is that of the same numbers in float64."""
    call, points = (BATCHES[verb], POINTS) if verb in BATCHES else (SINGLE[verb], ONE)
    coarse = jax.tree.map(lambda x: np.asarray(3.0 * x, kind), points)
    wide = call(jax.tree.map(lambda x: np.asarray(x, np.float64), coarse))
    np.testing.assert_array_equal(call(coarse), wide)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        np.testing.assert_array_equal(call(jax.tree.map(jnp.asarray, coarse)), wide)


@pytest.mark.slow
def test_points_of_single_precision_contradict_no_bound():
    ends = nct.solve(MODEL, 3, light=True)
    with jax.enable_x64(False):
        points = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), ends.params)
        bound = nct.certify(MODEL, points)
    assert not bound.contradicts(ends.value).any()
    assert (bound.gap > -1e-14).all()


@pytest.mark.parametrize("verb", [*BATCHES, *SINGLE])
def test_points_that_are_not_real_are_refused(verb):
    call, points = (BATCHES[verb], POINTS) if verb in BATCHES else (SINGLE[verb], ONE)
    for kind in (complex, bool, str):
        with pytest.raises(ValueError, match=r"(params|points): expected \.weights\[0\] of real numbers, got"):
            call(jax.tree.map(lambda x, kind=kind: np.asarray(x, kind), points))


@pytest.mark.parametrize("verb", BATCHES)
def test_no_points_are_refused(verb):
    with pytest.raises(ValueError, match=r"(params|points): expected at least one point, got none"):
        BATCHES[verb](jax.tree.map(lambda x: x[:0], POINTS))


@pytest.mark.slow
@pytest.mark.parametrize("verb", [*BATCHES, *SINGLE])
def test_points_in_another_container_are_those_of_the_problem(verb):
    call, points = (BATCHES[verb], POINTS) if verb in BATCHES else (SINGLE[verb], ONE)
    np.testing.assert_array_equal(call((points.weights[0], points.features)), call(points))


@pytest.mark.parametrize("verb", ["hessian_report", "lowest_curvature", "unique_minimiser"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_point_that_is_not_finite_is_refused(verb, number):
    features = np.array(ONE.features)
    features[0, 1] = number
    with pytest.raises(ValueError, match=rf"params: expected finite numbers, got {number} in \.features"):
        SINGLE[verb](ONE._replace(features=features))


LOSSES = ["mse", "cross_entropy", nct.losses.focal(2.0), nct.losses.label_smoothing(0.1)]


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES, ids=["mse", "cross_entropy", "focal", "smoothed"])
@pytest.mark.parametrize("bias", [None, 0.0])
def test_a_minimum_is_a_number_whatever_the_decays(loss, bias):
    for decay in ((1e-300, 1e-300), (1e-160, 1e-200), (1e300, 1e300), (1e307, 1e307), (1e-300, 1e300), (1e300, 1e-300)):
        model = nct.unconstrained_features(counts=(2, 2, 2), dim=3, loss=loss, weight_decay=decay, bias=bias)
        found = nct.global_minimum(model)
        for name, value in found._replace(stationary_values=None)._asdict().items():
            assert name == "theorem" or value is None or np.isfinite(value).all(), (decay, name)
    small = nct.unconstrained_features(counts=(2, 2, 2), dim=3, loss=loss, weight_decay=(1e-308, 1e-300), bias=bias)
    with pytest.raises(nct.NoClosedForm, match="needs lambda_W above 1e-307"):
        nct.global_minimum(small)


def test_a_minimum_of_tiny_decays_is_that_of_the_formula():
    r"""$\log(1+(K-1)e^{-a})+\kappa(K-1)a$ with $a=\log(1/\kappa-K+1)$, $\kappa=\sqrt2\cdot10^{-300}$ and K = 3."""
    model = nct.unconstrained_features(counts=(2, 2, 2), dim=3, loss="cross_entropy", weight_decay=(1e-300, 1e-300))
    kappa = np.sqrt(2.0) * 1e-300
    scale = -np.log(kappa)
    assert nct.global_minimum(model).value == pytest.approx(2.0 * kappa * (1.0 + scale), rel=1e-12)


def test_a_chain_whose_factors_leave_the_numbers_has_no_closed_form():
    chain = nct.deep_linear(widths=(2, 2, 2), counts=(1, 1), loss="mse", weight_decay=(1e-300, 1e-300, 1e300))
    with pytest.raises(nct.NoClosedForm, match="its gram_weights leaves the range of float64"):
        nct.global_minimum(chain)


def test_keys_are_numbers_and_keys():
    words = np.asarray(jax.random.key_data(jax.random.key(3)))
    for key in (3, np.int64(3), np.uint8(3), jax.random.key(3), jax.random.PRNGKey(3), np.asarray(words)):
        np.testing.assert_array_equal(jax.random.key_data(as_key(key)), words)
    with jax.enable_x64(True):
        assert as_key(2**63 - 1).shape == ()


# In the tests types are checked by beartype, which users do not have: what they meet is seen in a program of its own.
PREPARED = """
import json, dataclasses, numpy as np, jax
import nctheory as nct
from nctheory.networks import error_on, gaussian_mixture, layer_metrics, network_on, train
model = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
points = nct.starts(model, 2)
data = gaussian_mixture(counts=(3, 3), dim=2, spread=0.1, test=2)
network = network_on(data, (2,))
trained = train(network, 1, steps=1)
nan = np.where(np.arange(2) == 0, np.nan, data.test_inputs)
theorem = nct.theorems.find_theorem("ufm-mse-nobias")
def decayed(decay):
    return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, decay))
def diagram():
    chosen = nct.phase.find_diagram("mse-collapse")
    return dataclasses.replace(chosen, model=decayed)
"""
KEY = "key: expected a whole number"
CASES = {
    **{f"nct.solve(model, 1, {key})": KEY for key in ("1.5", "None", "'a'", "2**70", "-3", "np.int64(-3)", "True")},
    "nct.solve(model, 1, jax.random.split(jax.random.key(0)))": KEY + " from 0 to 2^63 - 1 or one JAX key, got key<fry>",
    "nct.solve(model, 1, np.zeros(2))": KEY,
    "nct.solve_many([model], 1, 'a')": KEY,
    "nct.starts(model, 1, 'a')": KEY,
    "nct.survey(model, 1, key='a')": KEY,
    "nct.census(model, 1, 'a')": KEY,
    "nct.verify('ufm-mse-nobias', key='a')": KEY,
    "nct.falsify('ufm-mse-nobias', key=1.5)": KEY,
    "nct.sweep(decayed, {'decay': [0.1]}, key='a')": KEY,
    "nct.phase_diagram('mse-collapse', key=1.5)": KEY,
    "nct.gradient_descent(model, points, [1], 0.1, key='a')": KEY,
    "nct.sampling.langevin(model, points, 1, 0.1, key='a')": KEY,
    "nct.compare_protocols(model, key='a')": KEY,
    "nct.certificates.lowest_curvature(model, jax.tree.map(lambda x: x[0], points), 1, key='a')": KEY,
    "nct.closed_form.minimiser(model, nct.global_minimum(model), key='a')": KEY,
    "train(network, key='a')": KEY,
    "nct.networks.transfer(trained, data, data, key='a')": KEY,
    "nct.networks.fine_tune(trained, data, choose='head', key='a')": KEY,
    "nct.networks.nearest_mean_bounds(trained, data, key=-1)": KEY,
    "gaussian_mixture(counts=(2, 2), dim=2, spread=0.1, key=1.5)": KEY,
    "nct.networks.markov_sequences(counts=(2, 2), vocabulary=3, length=2, key=None)": KEY,
    "data.noisy_labels(0.5, key='a')": KEY,
    "data.permuted_labels(key=-1)": KEY,
    "nct.generalisation.sampled_few_shot_error(data.inputs, data.labels, 1, key='a')": KEY,
    "nct.solve(model, 1, tolerance='a')": "tolerance: expected a finite positive number, got a",
    "nct.solve(model, 1, scale=None)": "scale: expected a finite positive number, got None",
    "nct.solve(model, 1, budget='a')": "budget: expected at least 1 gradient evaluation, got a",
    "nct.solve(model, 1, chunk='a')": "chunk: expected at least 1, got a",
    "nct.solve_from(model, points, tolerance='a')": "tolerance: expected a finite positive number, got a",
    "nct.gradient_flow(model, points, [1.0], tolerance='a')": "tolerance: expected a finite positive number, got a",
    "nct.gradient_flow(model, points, [1.0], light=2)": "light: expected True or False, got 2",
    "nct.gradient_descent(model, points, [1], 0.1, light=2)": "light: expected True or False, got 2",
    "nct.starts(model, 1, scale=None)": "scale: expected a finite number, got None",
    "nct.census(model, 1, tolerance='a')": "tolerance: expected a",
    "train(network, rate='a')": "rate: expected a positive number, got a",
    "nct.Axis('d', 'd', 'a', 0.3)": "axis 'd': expected low < high, got a, 0.3",
    "nct.solve(model, 1, devices=[])": "devices: expected a list of one JAX device or more, got []",
    "nct.solve(model, 1, devices='cpu')": "devices: expected a list of one JAX device or more, got 'cpu'",
    "nct.survey(model, 1, devices='cpu')": "devices: expected a list of one JAX device or more, got 'cpu'",
    "nct.verify('ufm-mse-nobias', devices=[])": "devices: expected a list of one JAX device or more, got []",
    "nct.solve(model, 1, light=2)": "light: expected True or False, got 2",
    "nct.nc_metrics({}, data.labels)": "features: expected at least one layer or sample, got none",
    "nct.nc_metrics([], data.labels)": "features: expected at least one layer or sample, got none",
    "train(network, checkpoints=3)": "checkpoints: expected numbers of steps, got 3",
    "nct.phase_diagram('mse-collapse', grid=2.5)": "grid: expected at least 2 values on each axis",
    "nct.phase_diagram('mse-collapse', rows=2.5)": "rows: expected a whole number of at least 2, got 2.5",
    "nct.sweep(decayed, 2.5)": "grid: expected values by the names of the model's arguments, got 2.5",
    "nct.sweep(decayed, {'width': [2]})": "grid: expected axes by the names of the model's arguments, got 'width'",
    "nct.phase_diagram(diagram(), grid=2, rows=2, seeds=1)": "grid: expected axes by the names of the model's arguments",
    "nct.verify(dataclasses.replace(theorem, instances=lambda key: None))": "instances: expected a list of Instance",
    "error_on(trained, nan, data.test_labels)": "inputs: expected finite numbers, got others in sample 0",
    "layer_metrics(trained, nan, data.test_labels)": "inputs: expected finite numbers, got others in sample 0",
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What each of the cases raises, in one program without beartype."""
    ask = """
    found = {}
    for case in json.loads(CASES):
        try:
            eval(case)
            found[case] = "nothing was raised"
        except Exception as error:
            found[case] = f"{type(error).__name__}: {error}"
    print(json.dumps(found))
    """
    code = PREPARED + f"CASES = {json.dumps(list(CASES))!r}\n" + textwrap.dedent(ask)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path_factory.mktemp("wrong"),
        env={**os.environ, "PYTHONPATH": str(Path(nct.__file__).parents[1])},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_an_argument_of_a_wrong_kind_is_refused_by_name(case, outcomes):
    assert outcomes[case].startswith(f"ValueError: {CASES[case]}")


def test_a_file_that_draws_nothing_is_told_at_the_command_line(tmp_path, capsys):
    """Instances are counted for the progress bar before anything else asks for them."""
    text = (Path(nct.__file__).parents[1] / "proofs_numeric" / "template.py").read_text()
    file = tmp_path / "nothing_drawn.py"
    file.write_text(
        text.replace("instances=draw_instances", "instances=lambda key: None").replace("ridge-regression", "none")
    )
    assert main(["verify", str(file)]) == 2
    assert "instances: expected a list of Instance" in capsys.readouterr().err

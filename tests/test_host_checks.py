"""Checks that a host program switches on for its own programs (for NaN, infinity, leaked tracers) raise in no verb."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory.engine import float64, in_float64

CHECKS = ("jax_debug_nans", "jax_debug_infs", "jax_check_tracer_leaks")


@pytest.mark.parametrize("wrapper", [float64, in_float64])
def test_checks_are_off_within_and_on_again_after(wrapper):
    quotient = wrapper(lambda x: jax.numpy.asarray(x) / jax.numpy.zeros(()))
    with jax.debug_nans(True), jax.debug_infs(True), jax.check_tracer_leaks(True):
        assert np.isnan(quotient(0.0))
        assert np.isinf(quotient(1.0))
        with pytest.raises(FloatingPointError):
            (jax.numpy.zeros(()) / jax.numpy.zeros(())).block_until_ready()
        assert [getattr(jax.config, name) for name in CHECKS] == [True] * 3


@pytest.mark.slow
@pytest.mark.parametrize("check", CHECKS)
def test_no_verb_raises_under_a_check_of_the_host_program(check, tmp_path):
    verbs = f"""
    import jax
    jax.config.update("{check}", True)
    import nctheory as nct
    p = nct.unconstrained_features(counts=(2, 2), dim=3, loss="mse", weight_decay=(.02, .02))
    begin = nct.starts(p, 2)
    assert nct.solve(p, seeds=2).converged.all()
    for workers in (1, 2):
        assert nct.gradient_flow(p, begin, [1., 10.], workers=workers).followed.all()
    assert nct.gradient_flow(p, begin, [1., 10.], event=lambda p, x: p.objective(x) - .2).followed.all()
    assert nct.gradient_descent(p, begin, [1, 10], 0.1).followed.all()
    assert nct.dynamics("saxe-2layer", seeds=2).outcome == "holds"
    assert jax.config.{check}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(verbs)], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(nct.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]

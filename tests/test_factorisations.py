"""Factorisations of many matrices wait for nobody: what is called, to which bits, and that real processes end."""

import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest

from nctheory.engine import fast_compile, unshared_factorisations
from nctheory.engine._factorisations import SHARED_OPERATIONS, _unshared
from tests.helpers import usual_environment

MATRICES = 60


def _has_shared(program):
    """Whether there is anything to be replaced."""
    return _unshared(program) is not program


def _solve(x):
    return jnp.linalg.solve(x, jnp.ones((x.shape[0], 2)))


def _of_lineax(x):
    return lineax.linear_solve(lineax.MatrixLinearOperator(x), x[0], lineax.LU()).value


def _with_reference(x):
    held = jax.new_ref(x)

    def body(_, carry):
        held[...] = jnp.linalg.inv(held[...]) + x
        return carry

    jax.lax.fori_loop(0, 2, body, 0)
    return held[...]


FUNCTIONS = {
    "lineax": _of_lineax,
    "cholesky": lambda x: jnp.linalg.cholesky(x @ x.T + jnp.eye(x.shape[0])),
    "eigenvalues": jnp.linalg.eigh,
    "general eigenvalues": jnp.linalg.eig,
    "singular values": jnp.linalg.svd,
    "orthogonal": lambda x: jnp.linalg.qr(x[:, :3], mode="complete"),
    "triangular": lambda x: jax.scipy.linalg.solve_triangular(x, x[:, :2], trans=1, lower=True),
    "determinant": jnp.linalg.slogdet,
    "solve": _solve,
    "least squares": lambda x: jnp.linalg.lstsq(x[:, :3], x[:, 3])[0],
    "pseudo-inverse": lambda x: jnp.linalg.pinv(x[:4]),
    "gradient": jax.grad(lambda x: jnp.sum(jnp.linalg.eigh(x @ x.T)[1] ** 3)),
    "hessian": jax.hessian(lambda x: jnp.sum(_solve(x))),
    "Schur": jax.scipy.linalg.schur,
    "loop": lambda x: jax.lax.fori_loop(0, 3, lambda _, y: jnp.linalg.inv(y) + x, x),
    "while": lambda x: jax.lax.while_loop(lambda y: jnp.linalg.det(y) > 1e3, jnp.linalg.inv, x),
    "choice": lambda x: jax.lax.cond(x[0, 0] > 0, jnp.linalg.inv, lambda y: y, x),
    "scan": lambda x: jax.lax.scan(lambda y, _: (jnp.linalg.inv(y), y), x, length=2)[1],
    "compiled within": jax.jit(jax.checkpoint(jnp.linalg.inv)),
}


@pytest.fixture
def matrices(rng):
    return jnp.asarray(rng.normal(size=(MATRICES, 7, 7)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_each_matrix_by_itself_and_no_call_is_shared(name, matrices):
    many = jax.vmap(FUNCTIONS[name])
    assert _has_shared(jax.make_jaxpr(many)(matrices).jaxpr)  # as JAX makes it
    assert not _has_shared(jax.make_jaxpr(unshared_factorisations(many))(matrices).jaxpr)
    found = jax.jit(unshared_factorisations(many))(matrices)
    assert jax.tree.structure(found) == jax.tree.structure(jax.eval_shape(many, matrices))
    # What comes before and after the factorisations is compiled in other pieces, so that sums may differ in the last bits.
    for i in range(0, MATRICES, 7):
        alone = jax.jit(FUNCTIONS[name])(matrices[i])
        jax.tree.map(lambda x, y, i=i: np.testing.assert_allclose(x[i], y, rtol=1e-9, atol=1e-9), found, alone)


@pytest.mark.parametrize("function", [jnp.linalg.eigh, jnp.linalg.svd, jnp.linalg.qr, jnp.linalg.cholesky])
def test_a_factorisation_alone_is_the_same_to_the_last_bit(function, matrices):
    matrices = matrices @ matrices.mT
    found, usual = jax.jit(unshared_factorisations(function))(matrices), jax.jit(function)(matrices)
    jax.tree.map(np.testing.assert_array_equal, found, usual)


@pytest.mark.parametrize("program", ["reference", "other precision"])
def test_programs_that_cannot_be_traced_anew_are_changed_where_they_stand(program, matrices):
    if program == "reference":
        found = jax.jit(unshared_factorisations(jax.vmap(jnp.linalg.inv)))(matrices)
        twice = jax.jit(unshared_factorisations(_with_reference))(matrices)
        np.testing.assert_allclose(twice, jnp.linalg.inv(found + matrices) + matrices, rtol=1e-6, atol=1e-6)
        return

    def in_double(x):
        with jax.enable_x64(True):
            return jax.lax.fori_loop(0, 2, lambda _, y: jnp.linalg.inv(y), x.astype(jnp.float64))

    with jax.enable_x64(False):
        single = matrices.astype(jnp.float32)
        found = jax.jit(unshared_factorisations(in_double))(single)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.asarray(single, np.float64), rtol=1e-9, atol=1e-9)


def test_what_is_small_enough_stays_one_call():
    """JAX counts 5 n^3 operations for eigenvalues; ten are reckoned here."""
    few = int((SHARED_OPERATIONS - 1) / (10 * 7**3))
    small, large = (jnp.zeros((count, 7, 7)) for count in (few, few + 1))
    assert not _has_shared(jax.make_jaxpr(jnp.linalg.eigvalsh)(small).jaxpr)
    assert _has_shared(jax.make_jaxpr(jnp.linalg.eigvalsh)(large).jaxpr)
    assert not _has_shared(jax.make_jaxpr(jnp.linalg.eigvalsh)(jnp.zeros((1, 90, 90))).jaxpr)  # one matrix never is


def test_arguments_of_any_kind_keep_their_places():
    """Keys, numbers of Python, whole numbers, trees, static arguments."""

    def function(tree, key, *, times, name):
        drawn = jax.random.normal(key, (MATRICES, 9, 9))
        inverse = jnp.linalg.inv(drawn) * tree["factor"]
        return {name: inverse * times, "count": tree["count"] + 1}

    program = fast_compile(function, static_argnames=("times", "name"))
    given = {"factor": 2.0, "count": jnp.asarray(3)}
    found = program(given, jax.random.key(1), times=2, name="inverse")
    drawn = jax.random.normal(jax.random.key(1), (MATRICES, 9, 9))
    np.testing.assert_allclose(found["inverse"], 4 * np.linalg.inv(drawn), rtol=1e-9)
    assert int(found["count"]) == 4


@pytest.mark.slow
def test_programs_full_of_factorisations_end_beside_each_other():
    """Four threads with four independent solves each, on two threads of JAX: without care none of JAX 0.10 comes back."""
    script = """
        import threading
        import jax, jax.numpy as jnp, numpy as np
        from nctheory.engine import fast_compile
        jax.config.update("jax_enable_x64", True)
        given = [jnp.asarray(np.random.default_rng(n).normal(size=(256, n, n))) for n in (30, 31, 32, 33)]
        solves = fast_compile(lambda *many: [jnp.linalg.solve(x, x) for x in many])
        spectra = fast_compile(lambda *many: [jnp.linalg.eigh(x)[0] for x in many])
        import lineax as lx
        one = lambda x: lx.linear_solve(lx.MatrixLinearOperator(x), x[0], lx.LU()).value
        big = [jnp.asarray(np.random.default_rng(n).normal(size=(32, n, n))) for n in (150, 151, 152, 153)]
        opaque = fast_compile(lambda *many: [jax.vmap(one)(x) for x in many])
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("i",))
        parts = jax.sharding.PartitionSpec("i")
        total = lambda x: jax.lax.psum(jnp.sum(jax.lax.fori_loop(0, 2, lambda _, y: jnp.linalg.inv(y), x)), "i")
        apart = fast_compile(jax.shard_map(total, mesh=mesh, in_specs=parts, out_specs=jax.sharding.PartitionSpec()))
        assert abs(apart(given[0]) - given[0].sum()) < 1e-6 * abs(given[0]).sum()
        def work():
            for _ in range(4):
                jax.block_until_ready([solves(*given), spectra(*given), opaque(*big)])
        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print("all ended")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=usual_environment() | {"NPROC": "2", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stdout) == (0, "all ended\n"), done.stderr

"""Rules of extended precision, primitive by primitive, against float64 and against what factorisations must satisfy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nctheory.engine import extended
from tests.test_extended import both_ways


def test_the_other_factorisations(rng):
    a, spd = rng.normal(size=(3, 2)), np.eye(3) + 0.1
    square = rng.normal(size=(2, 3, 3))

    def rebuild(x):
        left, values, right = jnp.linalg.svd(x, full_matrices=False)
        unitary, upper = jnp.linalg.qr(x)
        return (
            (left * values[None, :]) @ right - x,
            unitary @ upper - x,
            unitary.T @ unitary - jnp.eye(unitary.shape[1]),
        )

    for matrix in (a, a.T):
        assert all(np.max(np.abs(x)) < 1e-45 for x in extended(rebuild, matrix))
    root, inverse = extended(lambda x: (jnp.linalg.cholesky(x), jnp.linalg.inv(x)), spd)
    assert np.max(np.abs(root @ root.T - spd)) < 1e-45
    assert np.max(np.abs(inverse @ spd - np.eye(3))) < 1e-45
    for mode in ("reduced", "complete"):
        both_ways(lambda x, mode=mode: [jnp.linalg.qr(y, mode=mode) for y in (x, x.T)], a)
    both_ways(
        lambda x: (jnp.linalg.det(x), jnp.linalg.solve(x, x + 1.0), jnp.linalg.cholesky(x)), square
    )  # NaN at last
    solve = jax.lax.linalg.triangular_solve
    sides = [
        dict(left_side=i, lower=j, transpose_a=k) for i in (True, False) for j in (True, False) for k in (True, False)
    ]
    both_ways(lambda x: [solve(x, x + 1.0, **side) for side in sides], square + 3.0 * np.eye(3))
    both_ways(lambda x: (jnp.linalg.svd(x, compute_uv=False), jnp.linalg.norm(x, ord="nuc")), a)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_elementwise_functions_and_what_is_not_finite(rng):
    special = np.concatenate([rng.normal(size=9), [0.0, 1.0, -1.0, 0.5, 2.5, np.inf, -np.inf, np.nan, 750.0, -750.0]])
    names = "sin cos tan sinh cosh tanh arctan arcsinh cbrt exp exp2 expm1 floor ceil round sign abs square"
    names += " log log1p sqrt arcsin arccos arccosh arctanh isfinite isnan reciprocal positive"
    both_ways(lambda x: [getattr(jnp, name)(x) for name in names.split()], special)
    both_ways(
        lambda x: [f(x) for f in (jax.nn.sigmoid, jax.nn.softplus, jax.lax.rsqrt, jax.lax.erf, jax.lax.erfc)], special
    )
    x, y = np.broadcast_arrays(special[:, None], special[None, :])
    both_ways(lambda x, y: [x + y, x - y, x * y, x / y, jnp.maximum(x, y), jnp.minimum(x, y)], x, y)
    both_ways(jnp.arctan2, x[:9, 5:14], y[:9, 5:14])
    both_ways(lambda x, y: [x < y, x <= y, x > y, x >= y, x == y, x != y, (x < y) & ~(x > 0) | (y > 1)], x, y)
    both_ways(lambda x: [jnp.power(jnp.abs(x), e) for e in (0.0, 0.5, -0.5, 2.0)] + [x**2, x**3, x**-2, x**0], special)
    both_ways(lambda x: [x % 0.7, x // 0.7, jnp.clip(x, -1.0, 1.0), jnp.nan_to_num(x), x.astype(bool)], special[:14])
    both_ways(lambda x: [x.astype(int), jax.lax.round(x, jax.lax.RoundingMethod.AWAY_FROM_ZERO)], special[:14])


def test_nothing_underflows_and_nothing_hangs():
    tiny, far = extended(lambda x: (jnp.exp(-x), jnp.exp(jnp.exp(x))), np.float64(1e4))
    assert 0 < tiny.item() < 1e-300
    assert np.isinf(float(far.item()))


def test_moving_reducing_sorting(rng):
    x, i = rng.normal(size=(3, 4)), np.array([0, 2, 5, -1, 2])
    holes = np.where(x > 0.5, np.nan, x)
    both_ways(lambda x: [x[1], x[:, i[:2]], x[i[:2, None], i[1:2]], x[::-1, 1::2], x.T.reshape(2, 6), x[:, None]], x)
    both_ways(
        lambda x: [jnp.take(x, i, mode="clip"), jnp.take(x, i, mode="fill", fill_value=2.0), jnp.take(x, i + 9)], x
    )
    both_ways(lambda x: [jnp.take_along_axis(x, jnp.argsort(x, axis=k), axis=k) for k in (0, 1)], x)
    both_ways(lambda x: jax.vmap(lambda r, k: (r[k], jax.lax.dynamic_slice(r, (k,), (2,))))(x, jnp.array([0, 2, 3])), x)
    both_ways(lambda x: jax.vmap(lambda r, k: r.at[k].add(r[0]))(x, jnp.array([0, 2, 2])), x)
    changes = ("set", "add", "multiply", "min", "max")
    both_ways(lambda x: [getattr(x.at[:, i[3:]], change)(0.3) for change in changes], x)
    both_ways(lambda x: [x.ravel().at[i].add(1.0), x.at[0, 1].set(2.0), x.at[9].add(1.0, mode="drop")], x)
    both_ways(lambda x: jax.lax.dynamic_update_slice(x, x[:2, :2], (2, 1)), x)
    both_ways(lambda x: [jnp.pad(x, 1), jax.lax.pad(x, 1.5, ((-1, 2, 1), (0, -1, 2)))], x)
    both_ways(lambda x: [jnp.stack([x, x]), jnp.concatenate([x, x[:1]]), jnp.split(x, 2, axis=1), jnp.tile(x, 2)], x)
    both_ways(lambda x: [x.sum(0), x.prod(), x.max(1), x.min((0, 1)), jnp.any(x > 1), jnp.all(x < 9, axis=0)], x)
    both_ways(lambda x: [x[:0].sum(0), x[:, :0] @ x[:0], x[:0].max(0, initial=-1.0), jnp.cumsum(x[:0], axis=0)], x)
    both_ways(lambda x: [jnp.argmax(x, 1), jnp.argmin(x), x.max(0), jnp.sort(x), jnp.argsort(x, axis=0)], holes)
    both_ways(lambda x: [jnp.cumsum(x, 1), jnp.cumprod(x, 0), jax.lax.cummax(x, 1, reverse=True), jax.lax.cummin(x)], x)
    both_ways(
        lambda x: [
            jnp.arange(3.0) + x[:, 0],
            (jnp.arange(-5, 5) // 2).astype(float) * x[0, 0],
            jnp.linspace(0.0, 1.0, 4) @ x.T,
        ],
        x,
    )
    both_ways(lambda x: [jnp.arange(-5, 5) % 3, jnp.searchsorted(jnp.sort(x[0]), 0.1), jnp.eye(3, dtype=int)], x)
    both_ways(
        lambda x: [jax.grad(lambda v: jnp.sort(v.ravel())[3])(x), jax.hessian(lambda v: jnp.sum(v) ** 3)(x[0])], x
    )

"""Learning curves of two-layer linear networks per second, against `vmap(diffeqsolve)` and a SciPy loop over the seeds.

All follow the same balanced starts of a 16-16-16 network to the same 200 output times, with Dormand and Prince's method of
order 8, and are held against the closed form before any time counts. The diffrax side is what one would write: one `vmap`
over all seeds, `jax.grad` of the loss, the same tolerance. Ours computes each path a second time for its error unless
`compare=False`; both are shown. `python -m benchmarks.dynamics [--seeds N] [--repeats R]`.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from threadpoolctl import threadpool_limits

import nctheory as nct
from benchmarks.machine import describe

WIDTH, TIMES, TOLERANCE = 16, 200, 1e-11
LOOP = 8
"""Seeds of the SciPy loop."""


def heights(problem: nct.problems.DeepLinear, params: nct.problems.ChainParams) -> jax.Array:
    """Diagonal of the product: the modes, because the correlation is diagonal."""
    return jnp.diagonal(params.weights[1] @ params.weights[0])


def setting(seeds: int) -> tuple[nct.problems.DeepLinear, nct.problems.ChainParams, np.ndarray, np.ndarray]:
    """Network, starts, times, and the exact heights."""
    rng = np.random.default_rng(0)
    strengths = np.linspace(2.0, 0.5, WIDTH)
    inputs = np.sqrt(WIDTH) * np.eye(WIDTH)
    network = nct.deep_linear(
        widths=(WIDTH,) * 3, inputs=inputs, targets=np.diag(strengths) @ inputs, loss="mse", weight_decay=(0.0, 0.0)
    )
    begun = 10.0 ** rng.uniform(-4.0, -2.0, size=(seeds, WIDTH))
    frames = np.linalg.qr(rng.normal(size=(seeds, WIDTH, WIDTH)))[0]
    root = np.sqrt(begun)
    starts = nct.problems.ChainParams(
        (frames * root[:, None, :], root[:, :, None] * np.swapaxes(frames, 1, 2)), None, None
    )
    times = np.linspace(0.0, 12.0, TIMES + 1)[1:]
    exact = nct.closed_form.mode_height(2, strengths[None, None, :], begun[:, None, :], times[None, :, None])
    return network, starts, times, np.asarray(exact)


def with_diffrax(
    network: nct.problems.DeepLinear, starts: nct.problems.ChainParams, times: np.ndarray
) -> Callable[[], np.ndarray]:
    """One vmap over all seeds."""
    target = jnp.asarray(network.targets) @ jnp.asarray(network.inputs).T / WIDTH

    def loss(weights: tuple[jax.Array, jax.Array]) -> jax.Array:
        return 0.5 * jnp.sum((weights[1] @ weights[0] - target) ** 2)

    slope = jax.grad(loss)

    @jax.jit
    @jax.vmap
    def curves(weights: tuple[jax.Array, jax.Array]) -> jax.Array:
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, args: jax.tree.map(jnp.negative, slope(y))),
            diffrax.Dopri8(),
            t0=0.0,
            t1=times[-1],
            dt0=None,
            y0=weights,
            stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=1e-2 * TOLERANCE),
            saveat=diffrax.SaveAt(ts=jnp.asarray(times), fn=lambda t, y, args: jnp.diagonal(y[1] @ y[0])),
            max_steps=10_000,
        )
        assert found.ys is not None
        return found.ys

    weights = tuple(jnp.asarray(w) for w in starts.weights)
    return lambda: np.asarray(curves(weights))


def with_scipy(
    network: nct.problems.DeepLinear, starts: nct.problems.ChainParams, times: np.ndarray
) -> Callable[[], np.ndarray]:
    """A loop over a few seeds, in NumPy."""
    target = np.asarray(network.targets) @ np.asarray(network.inputs).T / WIDTH

    def slope(t: float, flat: np.ndarray) -> np.ndarray:
        low, up = flat.reshape(2, WIDTH, WIDTH)
        rest = target - up @ low
        return np.stack([up.T @ rest, rest @ low.T]).ravel()

    def run() -> np.ndarray:
        out = []
        for low, up in zip(starts.weights[0][:LOOP], starts.weights[1][:LOOP], strict=True):
            begin = np.stack([low, up]).ravel()
            found = solve_ivp(
                slope, (0.0, times[-1]), begin, method="DOP853", t_eval=times, rtol=TOLERANCE, atol=1e-2 * TOLERANCE
            )
            rows = found.y.T.reshape(-1, 2, WIDTH, WIDTH)
            out.append(np.diagonal(rows[:, 1] @ rows[:, 0], axis1=1, axis2=2))
        return np.array(out)

    return run


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print(describe())
    network, starts, times, exact = setting(args.seeds)

    def ours(compare: bool) -> Callable[[], np.ndarray]:
        def run() -> np.ndarray:
            found = nct.gradient_flow(network, starts, times, observe=heights, tolerance=TOLERANCE, compare=compare)
            assert found.followed.all()
            assert found.drift.max() < 1e-9
            return np.asarray(found.values)

        return run

    peers = {
        "ours": ours(True),
        "ours, without the error": ours(False),
        "vmap(diffeqsolve)": with_diffrax(network, starts, times),
        "scipy solve_ivp loop": with_scipy(network, starts, times),
    }
    taken: dict[str, list[float]] = {name: [] for name in peers}
    away = {}
    with threadpool_limits(1, user_api="blas"):
        for i in range(args.repeats + 1):  # the first round compiles
            for name, run in peers.items():
                begin = time.perf_counter()
                curves = run()
                seconds = time.perf_counter() - begin
                known = exact[: len(curves)]
                away[name] = float((np.linalg.norm(curves - known, axis=2) / np.linalg.norm(known, axis=2)).max())
                if i:
                    taken[name].append(1e3 * seconds / len(curves))
    print(f"{args.seeds} curves of {TIMES} times, medians of {args.repeats} rounds")
    print(
        "| peer | ms/curve (min-max) | ratio to ours | all seeds, s | largest relative deviation |\n|---|---|---|---|---|"
    )
    base = statistics.median(taken["ours"])
    for name, some in taken.items():
        middle = statistics.median(some)
        print(
            f"| {name} | {middle:.3g} ({min(some):.3g}-{max(some):.3g}) | {middle / base:.2g} | "
            f"{1e-3 * middle * args.seeds:.3g} | {away[name]:.1e} |"
        )


if __name__ == "__main__":
    main()

"""The flow in single precision, for devices that are faster at it or know nothing else; all else stays in float64."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from nctheory.engine import Array
from nctheory.flow._backend import backend_of, join_points, split_points
from nctheory.flow._program import fresh, over_devices
from nctheory.flow._record import Record, Settings
from nctheory.flow._stages import Stage
from nctheory.problems import Family, Scales

DOUBLE_PLATFORMS = ("cpu", "gpu", "cuda", "rocm")
"""The platforms whose devices compute in float64."""


class Points(NamedTuple):
    """The starts of a chunk; the leading axis is that of the seeds."""

    point: Array
    live: Array
    context: Array
    scales: Scales
    """The characteristic scales of every seed's problem."""


def _flow_block(family: Family, points: Points, settings: Settings, platform: str) -> Record:
    records = jax.vmap(lambda point, context, scales: fresh(point, settings, Stage.FLOW, context, scales))(
        points.point, points.context, points.scales
    )
    from nctheory.flow._ode import flow_stage, integrator_of  # here: what needs no flow waits for no diffrax

    backend = backend_of(family, points.live.shape[0], platform)
    integrator = integrator_of(backend.unrolled)
    if platform == "cpu":
        return flow_stage(backend.value_and_grad, records, points.live, settings, backend.run, integrator)
    split = split_points(family, records)
    return join_points(flow_stage(backend.value_and_grad, split, points.live, settings, backend.run, integrator))


@partial(jax.jit, static_argnames="devices")
def flow_chunk(family: Family, points: Points, settings: Settings, devices: tuple[Any, ...]) -> Record:
    """Follow the flow of one chunk down to the first hand-over, in the precision of its arguments."""
    block = over_devices(partial(_flow_block, platform=devices[0].platform), devices, (False, True, False))
    return block(family, points, settings)


def in_float32(tree: Any) -> Any:
    """A pytree with its floating-point leaves in float32."""
    return jax.tree.map(
        lambda x: np.asarray(x, np.float32) if np.asarray(x).dtype == np.float64 else np.asarray(x), tree
    )


def flow_in_single(family: Family, points: Points, settings: Settings, devices: tuple[Any, ...]) -> Record:
    """The float64 records of seeds whose flow has been followed in float32, ready for the hand-over's test in float64.

    In single precision the gradient is known to about $10^{-7}$ of its largest size. Whatever the flow cannot reach for
    that reason it leaves to the float64 stages, which go on from where it stands. A seed that left the finite numbers
    starts again in float64.
    """
    with jax.enable_x64(False), jax.default_matmul_precision("highest"):  # never TF32
        arguments = (in_float32(family), in_float32(points), in_float32(settings))
        if len(devices) == 1:
            arguments = jax.device_put(arguments, devices[0])
        found = jax.tree.map(np.asarray, flow_chunk(*arguments, devices=devices))
    # The records are widened to float64; tolerance, unit and context, which float32 has rounded, are taken afresh.
    lost = ~np.all(np.isfinite(found.point), axis=1) | ~np.isfinite(found.grad_norm)
    whole = found._replace(
        **{
            name: np.asarray(getattr(found, name), np.float64)
            for name in ("step", "time", "value", "grad_norm", "peak", "radius")
        }
    )
    point = np.where(lost[:, None], points.point, found.point).astype(np.float64)
    return whole._replace(
        point=point,
        anchor=point,
        context=np.asarray(points.context),
        tolerance=np.asarray(settings.tolerance) * points.scales.gradient,
        length=np.asarray(points.scales.length),
        step=np.where(lost, 0.0, whole.step),
        time=np.where(lost, 0.0, whole.time),
        steps=whole.steps.astype(np.int64),
        attempts=whole.attempts.astype(np.int64),
        peak=np.where(lost, 0.0, whole.peak),
        trigger=np.full(len(lost), float(settings.switch)),
        stage=np.where(lost, Stage.FLOW, Stage.HANDOVER_TEST).astype(np.int64),
    )


def memory_budget(devices: tuple[Any, ...]) -> int:
    """The bytes that a solve may use by default: a quarter of what the devices report as free, else 512 MiB."""
    free = []
    for device in devices:
        stats = device.memory_stats() if device.platform != "cpu" else None
        if stats and "bytes_limit" in stats:
            free.append((stats["bytes_limit"] - stats.get("bytes_in_use", 0)) // 4)
    return len(devices) * min(free) if free else 512 * 2**20

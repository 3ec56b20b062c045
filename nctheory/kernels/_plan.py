"""How the work of one seed is laid out over the threads of a block, for a shape and the shared memory of a device."""

from itertools import pairwise
from typing import NamedTuple

from nctheory.engine import shown

WARP = 32
"""The threads of a CUDA device that go in step."""
MAX_THREADS = 128
"""The most threads a block: with more, fewer seeds share a multiprocessor, and its barriers are waited for longer
(conventional)."""
RESIDENT = 256
"""At least so many threads share a multiprocessor's registers, which leaves each of them 255 (read off the compiler's report:
with fewer registers the polish of K = 10, d = 16 spills)."""
SMALL, RESIDENT_SMALL = 12, 384
"""Where a thread owns at most so many numbers of a vector, the polish does with the 168 registers that so many threads leave
each (read off the compiler's report: at most 60 bytes spilled), and half as many warps again wait for one another."""
MAX_FACTOR, MAX_NUMBERS = 512, 32
"""The most numbers of W, and of a thread's columns of H, with which a kernel keeps vectors in registers (conventional)."""
MAX_LAYERS = 3
"""The most layers of a chain, whose features are one more factor: the source names their widths (conventional)."""
MAX_TILE = 32
"""The most numbers of a product over columns that one thread adds up at a time, so that they stay in registers
(conventional)."""


class KernelUnavailable(RuntimeError):
    """Why no kernel can run; the message is a clause that can stand after a colon."""


@shown()
class Shape(NamedTuple):
    r"""What a kernel is compiled for: the model $Z=W_L\cdots W_1H+b1^\top$ with all factors free, L up to `MAX_LAYERS`; or
    $Z=WH$ with the columns of H on a sphere.

    >>> Shape(10, 16, 100, cross_entropy=True, bias=True).numbers
    1770
    """

    classes: int
    """K, the rows of the last layer."""
    dim: int
    """d, the columns of the first layer and the rows of H."""
    columns: int
    """N, the columns of H."""
    cross_entropy: bool
    """Whether the loss is cross-entropy; else it is squared error."""
    bias: bool
    """Whether there is a bias, free or decayed."""
    hidden: tuple[int, ...] = ()
    """The widths between the layers; none where there is one."""
    spheres: str = ""
    """Where the columns of H lie on a sphere, what holds W: every row on a sphere ("sphere"), the whole of it on one ("norm"),
    its decay ("decay"), or that it is given ("fixed"); empty for a chain."""

    @property
    def widths(self) -> tuple[int, ...]:
        """The widths from H to the logits.

        >>> Shape(10, 16, 100, cross_entropy=True, bias=True, hidden=(12,)).widths
        (16, 12, 10)
        """
        return (self.dim, *self.hidden, self.classes)

    @property
    def layer_numbers(self) -> int:
        """The numbers of all layers; a given one has none.

        >>> Shape(10, 16, 100, cross_entropy=True, bias=False, spheres="fixed").layer_numbers
        0
        """
        if self.spheres == "fixed":
            return 0
        return sum(below * above for below, above in pairwise(self.widths))

    @property
    def groups(self) -> int:
        """The groups of numbers of W that are held by their lengths.

        >>> [Shape(10, 16, 100, True, False, spheres=held).groups for held in ("sphere", "norm", "decay")]
        [10, 1, 0]
        """
        return {"sphere": self.classes, "norm": 1}.get(self.spheres, 0)

    @property
    def tall(self) -> int:
        """The most rows of a sum over columns: of the logits' gradient, or of what the first layer makes of H."""
        return max(self.classes, self.widths[1])

    @property
    def numbers(self) -> int:
        """The number of parameters."""
        return self.layer_numbers + self.dim * self.columns + self.classes * self.bias

    @property
    def member_numbers(self) -> int:
        """The numbers of a problem: targets, weights and multiplicities of the columns, and the decays; on spheres both
        lengths, and W where it is given."""
        lengths = 2 * bool(self.spheres) + self.classes * self.dim * (self.spheres == "fixed")
        return (self.classes + 2) * self.columns + len(self.widths) + 1 + lengths


@shown()
class Plan(NamedTuple):
    """How a block works on one seed."""

    threads: int
    warp: int
    tile_k: int
    tile_d: int
    """A thread adds up this many rows and columns of a product over the columns of H."""
    slices: int
    """This many neighbouring threads share a tile, each with its part of the columns."""

    @property
    def blocks(self) -> int:
        """The blocks that a multiprocessor is to hold at least."""
        return max(1, RESIDENT // self.threads)

    def polish_blocks(self, shape: Shape) -> int:
        """The blocks that a multiprocessor is to hold at least while they polish."""
        return max(1, (RESIDENT_SMALL if self.own(shape) <= SMALL else RESIDENT) // self.threads)

    def own(self, shape: Shape) -> int:
        """How many numbers of a vector a thread owns at most: of H, of the layers, and of b.

        >>> shape = Shape(4, 8, 20, cross_entropy=True, bias=True)
        >>> plan_of(shape, 2**16).own(shape)
        10
        """
        of_bias = -(-shape.classes // self.threads) * shape.bias
        return -(-shape.columns // self.threads) * shape.dim - (-shape.layer_numbers // self.threads) + of_bias

    def unrolled(self, shape: Shape) -> int:
        """How far loops over a factor, and over a thread's part of a vector, are written out.

        Wholly where that keeps vectors in registers, and not at all where they would not fit: the program would take minutes
        to compile.
        """
        own = -(-shape.columns // self.threads) * shape.dim
        return MAX_NUMBERS if shape.classes * shape.dim <= MAX_FACTOR and own <= MAX_NUMBERS else 1

    def shared_bytes(self, shape: Shape) -> int:
        """The shared memory that a block takes.

        >>> shape = Shape(4, 8, 20, cross_entropy=True, bias=True)
        >>> plan_of(shape, 2**16).shared_bytes(shape)
        4576
        """
        k, d, low, tall = shape.classes, shape.dim, shape.widths[1], shape.tall
        matrices = 3 * (k * d + k * d % 2) + low * d + low * d % 2 + 2 * k + tall + 2 * low * low
        numbers = matrices + (tall + d) * (self.threads + 1) + 4 * (self.threads // self.warp)
        return 8 * (numbers + numbers % 2 + _deep_numbers(shape) + _sphere_numbers(shape))


def _deep_numbers(shape: Shape) -> int:
    """The numbers that a block of a chain of several layers shares besides (`Deep` in `block.cuh`)."""
    if not shape.hidden:
        return 0
    k, d, widest = shape.classes, shape.dim, max(shape.widths)
    # The layers of a point and of a direction, with the products above and below each of them.
    layers = shape.layer_numbers + k * sum(shape.widths[1:]) + d * sum(shape.widths[:-1])
    numbers = 2 * layers + k * d + 2 * widest * d + 3 * widest * widest
    return numbers + numbers % 2


def _sphere_numbers(shape: Shape) -> int:
    """The numbers that a block shares besides for points on spheres (`Turned` and `Held` in `block.cuh`)."""
    k, d = shape.classes, shape.dim
    turned = -(-d // k) * k * d * (shape.spheres not in ("", "fixed"))
    held = 3 * k * d + 6 * shape.groups if shape.groups else 0
    return turned + turned % 2 + held + held % 2


def plan_of(shape: Shape, memory: int, *, warp: int = WARP, threads: int = MAX_THREADS) -> Plan:
    """The plan of a shape for a device with so many bytes of shared memory for a block, of at most `threads` threads.

    A thread has a column each where that is possible. Raises KernelUnavailable where no plan fits.

    >>> plan_of(Shape(10, 16, 100, cross_entropy=True, bias=True), 2**16).threads
    128
    >>> plan_of(Shape(20, 50, 500, cross_entropy=True, bias=True), 2**14)
    Traceback (most recent call last):
    ...
    nctheory.kernels._plan.KernelUnavailable: K = 20, d = 50 takes 75344 bytes of shared memory, and the device has 16384
    """
    # As many as there are columns, or as the tiles of a product need.
    wanted = max(shape.columns, 2 * shape.tall * shape.dim // MAX_TILE)
    warps = min(threads // warp, -(-wanted // warp))
    least = 0
    while warps > 0:
        plan = _tiled(shape, warps * warp, warp)
        if plan is None:
            break
        least = plan.shared_bytes(shape)
        if least <= memory:
            return plan
        warps //= 2
    told = f"K = {shape.classes}, d = {shape.dim}"
    if least == 0:
        raise KernelUnavailable(f"{told} has more numbers than {threads} threads can add up")
    raise KernelUnavailable(f"{told} takes {least} bytes of shared memory, and the device has {memory}")


def _tiled(shape: Shape, threads: int, warp: int) -> Plan | None:
    """The plan of the least work: numbers read and added up for a product over columns, and sums over slices; None where the
    threads are too few."""
    columns = min(shape.columns, threads)
    best, least = None, float("inf")
    for tile_k in range(1, min(shape.tall, MAX_TILE) + 1):
        for tile_d in range(1, min(shape.dim, MAX_TILE // tile_k) + 1):
            tiles = -(-shape.tall // tile_k) * -(-shape.dim // tile_d)
            if tiles > threads:
                continue
            slices = 1
            while 2 * slices <= warp and 2 * slices * tiles <= threads:
                slices *= 2
            # Reading a number from shared memory takes about as long as two products, as does passing one to a neighbour.
            reading = -(-columns // slices) * (tile_k + tile_d + 0.5 * tile_k * tile_d)
            work = reading + tile_k * tile_d * (slices.bit_length() - 1)
            if work < least:
                best, least = Plan(threads, warp, tile_k, tile_d, slices), work
    return best

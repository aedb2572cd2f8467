"""Bounds of weighted sums in float32, over all orders in which terms and constants can be added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.ir.ops import TrinaryConv2d

Array = npt.NDArray[Any]

UNIT = 2.0**-24  # relative error of one float32 rounding
LARGEST = float(np.finfo(np.float32).max)
MAX_TABLE = 1 << 15  # entries of a table of tightest bounds; a second to compute
MAX_BIASES = 2  # of a sum whose bounds are tightened


@dataclass(frozen=True)
class Biases:
    """Constants added to a weighted sum, float64 that broadcast against it.

    Attributes:
        total, magnitude: their sum, and that of their magnitudes.
        finest: the smallest power of two of which all are multiples.
        count: how many they are.
        apart: each of them, where they are MAX_BIASES at most.
    """

    total: Array = field(default_factory=lambda: np.zeros(()))
    magnitude: Array = field(default_factory=lambda: np.zeros(()))
    finest: Array = field(default_factory=lambda: np.full((), np.inf))
    count: int = 0
    apart: tuple[Array, ...] = ()

    def and_one(self, bias: Array) -> Biases:
        """These and one more."""
        finest = np.minimum(self.finest, quantum(bias))
        apart = (*self.apart, bias) if self.count < MAX_BIASES else ()
        return Biases(self.total + bias, self.magnitude + np.abs(bias), finest, self.count + 1, apart)


@dataclass(frozen=True)
class WeightedSum:
    """Integer sums n = a - b of terms k * scale, k an integer: positive k add up to a <= plus, others to -b >= -minus.

    All arrays broadcast against [batch or 1, *frame]; counts are int64.

    Attributes:
        n: the sums.
        scale: float32.
        plus, minus: what the positive k, and the others negated, add up to at most.
        terms: how many there are at most.
        largest: the largest k, either sign.
        tolerance: by how much, relatively, a term of the source model may be off k * scale.
        refine: bool, where bounds shall be the tightest over all orders of summation instead of a cheap estimate.
    """

    n: Array
    scale: Array
    plus: Array
    minus: Array
    terms: Array
    largest: Array
    tolerance: Array
    refine: Array

    @staticmethod
    def of(layer: TrinaryConv2d, n: Array, plus: Array, minus: Array, refine: Array) -> WeightedSum:
        """What the source model of a layer adds up for the sums n, [batch, channels, height or 1, width or 1], with
        integer terms of up to plus and minus, which broadcast against n; refine: bool [channels]."""
        column = (1, len(layer.weight), 1, 1)
        magnitudes = np.abs(layer.weight.reshape(len(layer.weight), -1)).astype(np.int64)
        return WeightedSum(
            n=n,
            scale=layer.scale.reshape(column),
            plus=plus,
            minus=minus,
            terms=np.count_nonzero(magnitudes, axis=1).reshape(column),
            largest=magnitudes.max(axis=1, initial=0).reshape(column),
            tolerance=np.full(column, layer.tolerance),
            refine=refine.reshape(column),
        )

    @property
    def can_refine(self) -> Array:
        """bool: where `refine` may make a difference; with biases it may still make none."""
        found: Array = (self.tolerance == 0) & ((self.plus + 1) * (self.minus + 1) <= 2 * MAX_TABLE)
        return found

    def bounds(self, biases: Biases) -> tuple[Array, Array]:
        """Bounds of scale * n + biases over all orders in which the terms and the biases can be added.

        NaN where a partial sum may pass float32's largest number.
        """
        scale = self.scale.astype(np.float64)
        exact = self.n * scale + biases.total
        products = scale * (self.plus + self.minus)
        total = products + biases.magnitude
        never_rounds = (total < np.minimum(quantum(scale), biases.finest) * 2.0**24) & (self.tolerance == 0)
        # every addition is off by a unit of a partial sum; a few more for the products and what is neglected here
        partial = scale * np.maximum(self.plus, self.minus) + biases.magnitude
        error = ((self.terms + max(0, biases.count - 1)) * partial + 9 * total) * UNIT + self.tolerance * products
        error = np.where(never_rounds, 0.0, error)
        low, high = exact - error, exact + error
        table = (self.plus + 1) * (self.minus + 1) << min(biases.count, MAX_BIASES)
        tabled = self.can_refine & (table <= 2 * MAX_TABLE) & (biases.count <= MAX_BIASES)
        if np.any(self.refine & tabled & ~never_rounds):
            self._tighten(self.refine & tabled, biases.apart, low, high)
        overflows = total * (1 + 4 * UNIT) > LARGEST
        return np.where(overflows, np.nan, low), np.where(overflows, np.nan, high)

    def _tighten(self, where: Array, biases: Sequence[Array], low: Array, high: Array) -> None:
        """Replaces the bounds of the elements to refine, in place; one table for each kind of element.

        A term k * scale that is a float32 counts as k terms: some order of adding those up gives just it.
        """
        spread = np.broadcast_arrays(where, self.scale, self.plus, self.minus, *biases, self.n, low)
        chosen = np.flatnonzero(spread[0])
        keys = np.stack([field.reshape(-1)[chosen].astype(np.float64) for field in spread[1:-2]])
        kinds, member = np.unique(keys, axis=1, return_inverse=True)
        n = spread[-2].reshape(-1)[chosen].astype(np.int64)
        for kind in range(kinds.shape[1]):
            scale, plus, minus, *offsets = kinds[:, kind]
            bottom, top = summation_extremes(np.float32(scale), np.array(offsets, np.float32), int(plus), int(minus))
            here = np.flatnonzero(member.reshape(-1) == kind)
            index = n[here] + int(minus)
            inside = (index >= 0) & (index < top.size)
            low.reshape(-1)[chosen[here[inside]]] = bottom[index[inside]]
            high.reshape(-1)[chosen[here[inside]]] = top[index[inside]]


def quantum(x: Array) -> Array:
    """The largest power of two that divides x (float32 values in float64); infinity for 0."""
    mantissa, exponent = np.frexp(x)
    digits = np.abs(mantissa * 2.0**53).astype(np.int64)
    lowest = (digits & -digits).astype(np.float64)
    return np.where(x == 0, np.inf, np.ldexp(lowest, exponent - 53))


def summation_extremes(scale: np.float32, biases: Array, plus: int, minus: int) -> tuple[Array, Array]:
    """Smallest and largest float32 result for every sum -minus..plus, over all orders and trees of summation.

    Rounding is monotone, so the largest sum of two disjoint parts is the rounded sum of the parts' largest sums.
    """
    return -_largest_results(scale, -biases, minus, plus)[::-1], _largest_results(scale, biases, plus, minus)


def _largest_results(scale: np.float32, biases: Array, plus: int, minus: int) -> Array:
    """float32 [minus + plus + 1]: the largest result for each sum -minus..plus of the terms and the biases [few]."""
    subsets = 1 << len(biases)
    # largest sums of the biases in a subset, a terms +scale and b terms -scale
    largest = np.full((subsets, plus + 1, minus + 1), -np.inf, np.float32)
    best = np.full(plus + minus + 1, -np.inf, np.float32)
    splits = [[one for one in range(both + 1) if one & both == one and one & 1 == both & 1] for both in range(subsets)]
    for a in range(plus + 1):
        for b in range(minus + 1):
            for both in range(subsets):
                if a + b + both.bit_count() == 1:
                    largest[both, a, b] = scale * np.float32(a - b) if not both else biases[both.bit_length() - 1]
                for one in splits[both]:
                    if a + b + both.bit_count() > 1:
                        sums = largest[one, : a + 1, : b + 1] + largest[both - one, a::-1, b::-1]
                        largest[both, a, b] = max(largest[both, a, b], sums.max())
            best[a - b + minus] = max(best[a - b + minus], largest[-1, a, b] if a + b or len(biases) else 0)
    return best

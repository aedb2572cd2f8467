"""How integer weights sit on axons: how many an input takes, of which types, and what each is worth to a neuron.

Every input of a layer takes up to D axons, its digits, each of a fixed type. A neuron has a strength for every type,
and a crossbar bit says whether a digit counts. So a weight is a sum of strengths:

    weights      axons an input   strengths
    0, 1         1                1
    -1..1        2                -1, 1
    -2..1        2                1, -2
    -4..3        3                1, 2, -4
    -8..7        4                1, 2, 4, -8
    -18..17      6                1 twice, 3 twice, 9, -18

and so on: with t types and d <= t digits, strengths are powers of two whose signs are chosen so that they span any
2^d consecutive integers around 0. More digits than types share types, with strengths in a mixed radix. Neurons choose
their signs on their own; a neuron whose weights are multiples of g has its strengths multiplied by g.

Or, where the layer has no more different weights than there are types, each weight is a type of its own and every
synapse one axon. Whichever takes fewer axons is the layer's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from tncc.errors import ChipLimit
from tncc.ir.chip import Chip
from tncc.ir.netlist import AXON_TYPES
from tncc.ir.ops import SpikingConv2d

Array = npt.NDArray[Any]

MAX_DIGITS = 16  # 625 different weights with four types


@dataclass(frozen=True)
class AxonCode:
    """The code of one layer. A kind is a way of weighting the digits that some features share.

    Attributes:
        types: the axon type of every digit, ascending.
        kind: int64 [features].
        strengths: int16 [kinds, AXON_TYPES], 0 where the chip has no such type.
        used: uint16 [kinds], the digits that a kind uses, as bits.
        table: uint16 [kinds, 2 * largest + 1], the digits that make up each weight -largest..largest, as bits.
    """

    types: tuple[int, ...]
    kind: Array = field(repr=False)
    strengths: Array = field(repr=False)
    used: Array = field(repr=False)
    table: Array = field(repr=False)

    @property
    def digits(self) -> int:
        """Axons that an input takes at most."""
        return len(self.types)

    def bits(self, weight: Array) -> Array:
        """uint16 like `weight` [features, ...]: bit d is set where digit d counts."""
        largest = self.table.shape[1] // 2
        kind = self.kind.reshape(-1, *(1,) * (weight.ndim - 1))
        found: Array = self.table[kind, weight.astype(np.int64) + largest]
        return found

    def axons_per_input(self) -> Array:
        """int64 [features]: the axons that each input of a feature takes at most."""
        found: Array = np.bitwise_count(self.used)[self.kind].astype(np.int64)
        return found


def axon_code(op: SpikingConv2d, chip: Chip) -> AxonCode:
    """The code with the fewest axons an input for the layer's weights.

    Raises CompileError: no code of at most MAX_DIGITS digits holds the weights of some filter.
    """
    flat = op.weight.reshape(op.weight.shape[0], -1).astype(np.int64)
    low, high = flat.min(axis=1, initial=0), flat.max(axis=1, initial=0)
    one = np.ones(len(flat), np.int64)
    factors = (np.maximum(np.gcd.reduce(flat, axis=1), 1), one) if flat.shape[1] else (one,)
    for factor in factors:  # a large factor may take the strengths out of range
        ranges = np.stack([low // factor, high // factor, factor], axis=1)
        different, member = np.unique(ranges, axis=0, return_inverse=True)
        found = _choose(different, chip)
        if found is not None:
            break
    plain = _one_axon_a_weight(flat, chip)
    if found is None and plain is not None:
        return plain
    if found is None:
        worst = int(np.argmax((different[:, 1] - different[:, 0])[member.reshape(-1)]))
        raise ChipLimit(
            f"filter {worst} has weights {low[worst]}..{high[worst]}; no {MAX_DIGITS} axons of {chip.axon_types} types "
            f"with strengths up to {chip.max_weight} make up all of them",
            op.location,
            "quantise the weights to fewer bits",
        )
    multiplicity, choices = found
    types = tuple(np.repeat(np.arange(len(multiplicity)), multiplicity).tolist())
    kinds, kind_of_range = np.unique(choices, axis=0, return_inverse=True)
    largest = max(int(high.max(initial=0)), -int(low.min(initial=0)))
    coded = [_table(row[:AXON_TYPES], row[AXON_TYPES:], types, largest) for row in kinds]
    code = AxonCode(
        types,
        kind_of_range.reshape(-1)[member.reshape(-1)],
        kinds[:, :AXON_TYPES].astype(np.int16),
        np.array([used for used, _ in coded], np.uint16).reshape(len(coded)),
        np.array([table for _, table in coded], np.uint16).reshape(len(coded), 2 * largest + 1),
    )
    return plain if plain is not None and _axons(op, plain) < _axons(op, code) else code


def _one_axon_a_weight(flat: Array, chip: Chip) -> AxonCode | None:
    """The code where every different weight is a type; None where they are too many, or none is above 1.

    flat: int64 [features, n].
    """
    values = np.unique(flat[flat != 0])
    largest = int(np.abs(values).max(initial=0))
    if not 1 < largest <= chip.max_weight or values.size > min(chip.axon_types, AXON_TYPES):
        return None
    strengths = np.zeros((1, AXON_TYPES), np.int16)
    strengths[0, : values.size] = values
    table = np.zeros((1, 2 * largest + 1), np.uint16)
    table[0, values + largest] = 1 << np.arange(values.size)
    used = np.array([(1 << values.size) - 1], np.uint16)
    return AxonCode(tuple(range(values.size)), np.zeros(len(flat), np.int64), strengths, used, table)


def _axons(op: SpikingConv2d, code: AxonCode) -> int:
    """Axons for all inputs of every convolution group's filters, were they in one core."""
    bits = code.bits(op.weight).reshape(op.groups, op.weight.shape[0] // op.groups, -1)
    return int(np.bitwise_count(np.bitwise_or.reduce(bits, axis=1)).sum())


def _choose(ranges: Array, chip: Chip) -> tuple[tuple[int, ...], Array] | None:
    """(digits of each type, int64 [ranges, 2 * AXON_TYPES]: strengths and digits used of each type), for as few digits
    as hold all ranges; None where there are none. ranges: int64 [n, 3], lowest and highest weight / factor, factor."""
    low, high, factor = ranges.T
    types = min(chip.axon_types, AXON_TYPES)
    needed = np.ceil(np.log2(np.maximum(high - low + 1, 2))).astype(np.int64)  # exact: far below 2^52
    choices = np.zeros((len(ranges), 2 * AXON_TYPES), np.int64)
    digits = int(needed.max(initial=1))
    if digits > 1 and types > 1:
        needed = np.maximum(needed, 2)
    simple = needed <= types
    for count in np.unique(needed[simple]).tolist():
        here = np.flatnonzero(simple & (needed == count))
        signs = _signs(low[here], high[here], count)
        choices[here, :count] = np.where(signs, -1, 1) * 2 ** np.arange(count)
        choices[here, AXON_TYPES : AXON_TYPES + count] = 1
    if types > 1 and digits > 1:
        choices[(low >= -1) & (high <= 1), :2] = (-1, 1)  # one digit a weight
    if digits <= types:
        multiplicity = (1,) * digits
    else:
        shared = _sharing(low[~simple], high[~simple], types)
        if shared is None:
            return None
        multiplicity, choices[~simple, :types] = shared
        choices[~simple, AXON_TYPES : AXON_TYPES + types] = multiplicity
    choices[:, :AXON_TYPES] *= factor[:, None]
    return (multiplicity, choices) if np.abs(choices[:, :AXON_TYPES]).max(initial=0) <= chip.max_weight else None


def _signs(low: Array, high: Array, digits: int) -> Array:
    """bool [n, digits]: which powers of two count as negative, so that low..high is in reach; alike for all where
    that is possible, and two's complement where possible."""
    middle = 1 << (digits - 1)
    if int(high.max()) - int(low.min()) < 1 << digits:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    below = np.clip(middle, -low, (1 << digits) - 1 - high)  # what the negative ones add up to
    found: Array = (below[:, None] >> np.arange(digits) & 1).astype(bool)
    return found


def _sharing(low: Array, high: Array, types: int) -> tuple[tuple[int, ...], Array] | None:
    """(digits of each type, int64 [n, types] strengths): the fewest digits, more than types, that hold all ranges."""
    negative = np.array(list(product((False, True), repeat=types)))
    for digits in range(types + 1, MAX_DIGITS + 1):
        for multiplicity in sorted(_compositions(digits, types), key=lambda m: -int(np.prod(np.add(m, 1)))):
            reach = int(np.prod(np.add(multiplicity, 1))) - 1
            if reach < int((high - low).max()):
                break
            strengths = np.cumprod([1, *np.add(multiplicity[:-1], 1)])
            below = (negative * strengths * multiplicity).sum(axis=1)
            fits = (below >= -low[:, None]) & (reach - below >= high[:, None])
            if np.all(fits.any(axis=1)):
                chosen = np.argmin(np.where(fits, np.abs(2 * below - reach), np.iinfo(np.int64).max), axis=1)
                return multiplicity, np.where(negative[chosen], -strengths, strengths)
    return None


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways of writing `total` as a sum of that many positive numbers."""
    if parts == 1:
        yield (total,)
        return
    for first in range(1, total - parts + 2):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)


def _table(strengths: Array, used: Array, types: tuple[int, ...], largest: int) -> tuple[int, Array]:
    """(digits used, uint16 [2 * largest + 1]: the fewest digits that make up each weight), as bits.

    strengths, used: int [axon types], how much a digit of each type counts and how many of them the kind uses.
    """
    first = [types.index(t) if t in types else 0 for t in range(len(used))]
    table = np.zeros(2 * largest + 1, np.uint16)
    fewest = np.full(2 * largest + 1, MAX_DIGITS + 1)
    for counts in product(*(range(n + 1) for n in used.tolist())):
        value = int(np.dot(counts, strengths)) + largest
        if 0 <= value <= 2 * largest and sum(counts) < fewest[value]:
            fewest[value] = sum(counts)
            table[value] = sum(((1 << n) - 1) << start for n, start in zip(counts, first, strict=True))
    return sum(((1 << n) - 1) << start for n, start in zip(used.tolist(), first, strict=True)), table

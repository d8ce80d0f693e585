"""Instructions to which no loop in Python's words is turned: vectors of gathered numbers, and counters of threads.

numba keeps the machine code of a file until the text of that file changes: those that use this one name its digest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


WHOLE, LANE = ir.IntType(64), ir.IntType(32)
FOUR = 4
FUSED = ("contract",)  # a product and a sum in one instruction; nothing else may move


def adding_rows(width: int) -> Callable[..., None]:
    """A function that puts sum_p data[p] X[indices[p], c : c + width], start <= p < end, into sums[c : c + width].

    The sums stay in vector registers over the entries of the row, to which no loop in Python's words is turned.
    """

    @intrinsic
    def add_rows(
        context: Any,
        data: Any,
        indices: Any,
        X: Any,
        start: Any = None,
        end: Any = None,
        c: Any = None,
        sums: Any = None,
    ) -> Any:
        number, place = X.dtype, types.uint64
        signature = types.void(data, indices, X, place, place, place, sums)

        def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            return _sum_of_rows(
                target, builder, signature.args, values, ir.VectorType(target.get_data_type(number), width)
            )

        return signature, generate

    return add_rows


def _sum_of_rows(target: Any, builder: Any, kinds: Any, values: Any, vector: Any) -> Any:
    """The instructions: one loop over p with the vector of sums."""
    start, end, column = values[3:6]
    data, indices, X, sums = (target.make_array(kinds[k])(target, builder, values[k]) for k in (0, 1, 2, 6))
    align = kinds[2].dtype.bitwidth // 8
    zero, unknown = ir.Constant(vector, None), ir.Constant(vector, ir.Undefined)
    columns, before = builder.extract_value(X.shape, 1), builder.basic_block
    entries, done = (builder.append_basic_block(name) for name in ("entries", "done"))
    builder.cbranch(builder.icmp_unsigned("<", start, end), entries, done)

    builder.position_at_end(entries)
    p, total = builder.phi(WHOLE), builder.phi(vector)
    row = builder.zext(builder.load(builder.gep(indices.data, [p])), WHOLE)
    first = builder.gep(X.data, [builder.add(builder.mul(row, columns), column)])
    x = builder.load(builder.bitcast(first, vector.as_pointer()), align=align)
    entry = builder.insert_element(unknown, builder.load(builder.gep(data.data, [p])), LANE(0))
    entry = builder.shuffle_vector(entry, unknown, ir.Constant(ir.VectorType(LANE, vector.count), None))
    more = builder.fadd(total, builder.fmul(entry, x, flags=FUSED), flags=FUSED)
    following = builder.add(p, WHOLE(1))
    builder.cbranch(builder.icmp_unsigned("<", following, end), entries, done)
    for phi, at_start, later in ((p, start, following), (total, zero, more)):
        phi.add_incoming(at_start, before)
        phi.add_incoming(later, entries)

    builder.position_at_end(done)
    result = builder.phi(vector)
    result.add_incoming(zero, before)
    result.add_incoming(more, entries)
    builder.store(result, builder.bitcast(builder.gep(sums.data, [column]), vector.as_pointer()), align=align)
    return target.get_dummy_value()


@intrinsic
def sum_of_row(context: Any, indices: Any, data: Any, x: Any, start: Any = None, end: Any = None) -> Any:
    """sum_p data[p] x[indices[p]] over the start <= p < end of a row of at least eight entries, four at a time.

    The last eight are read whatever is left of them, with 0 times 0 in the place of those that were there before, so
    that no jump depends on the length of a row modulo eight, which a processor guesses wrongly.
    """
    number, place = x.dtype, types.uint64

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        arrays = [target.make_array(kinds[k])(target, builder, values[k]).data for k in range(3)]
        return _sum_of_eights(builder, ir.VectorType(target.get_data_type(number), FOUR), arrays, *values[3:])

    return number(indices, data, x, place, place), generate


def _sum_of_eights(builder: Any, four: Any, arrays: Any, start: Any, end: Any) -> Any:
    """The instructions: one loop over p with two vectors of sums, then the last eight."""
    indices, data, x = arrays
    align, zero = {ir.DoubleType(): 8, ir.FloatType(): 4}[four.element], ir.Constant(four, None)

    def products(total: Any, p: Any, taken: Callable[[Any], Any] = lambda four: four) -> Any:
        """total + data[p] x[indices[p]] of four p, of both factors what is `taken`."""
        gathered = ir.Constant(four, ir.Undefined)
        for k in range(FOUR):
            place = builder.zext(builder.load(builder.gep(indices, [builder.add(p, WHOLE(k))])), WHOLE)
            gathered = builder.insert_element(gathered, builder.load(builder.gep(x, [place])), LANE(k))
        entries = builder.load(builder.bitcast(builder.gep(data, [p]), four.as_pointer()), align=align)
        return builder.fadd(total, builder.fmul(taken(entries), taken(gathered), flags=FUSED), flags=FUSED)

    before, last = builder.basic_block, builder.sub(end, WHOLE(2 * FOUR))
    eights, rest = (builder.append_basic_block(name) for name in ("eights", "rest"))
    builder.branch(eights)

    builder.position_at_end(eights)
    p, even, odd = builder.phi(WHOLE), builder.phi(four), builder.phi(four)
    reached = [builder.add(p, WHOLE(2 * FOUR)), products(even, p), products(odd, builder.add(p, WHOLE(FOUR)))]
    builder.cbranch(builder.icmp_unsigned("<=", reached[0], last), eights, rest)
    for phi, at_start, later in zip((p, even, odd), (start, zero, zero), reached, strict=True):
        phi.add_incoming(at_start, before)
        phi.add_incoming(later, eights)

    builder.position_at_end(rest)
    there = builder.trunc(builder.sub(reached[0], last), LANE)  # of the last eight, those that are in the sums
    lanes = ir.VectorType(LANE, FOUR)
    unknown = ir.Constant(lanes, ir.Undefined)
    there = builder.shuffle_vector(builder.insert_element(unknown, there, LANE(0)), unknown, ir.Constant(lanes, None))
    for k in range(2):
        number = ir.Constant(lanes, [FOUR * k + lane for lane in range(FOUR)])
        new = builder.icmp_signed(">=", number, there)
        place = builder.add(last, WHOLE(FOUR * k))
        reached[1 + k] = products(reached[1 + k], place, lambda four, new=new: builder.select(new, four, zero))
    total = builder.fadd(reached[1], reached[2])
    a, b, c, d = (builder.extract_element(total, LANE(k)) for k in range(FOUR))
    return builder.fadd(builder.fadd(a, b), builder.fadd(c, d))


@intrinsic
def raise_by(context: Any, counters: Any, place: Any = None, amount: Any = None) -> Any:
    """counters[place] += amount by one thread at a time, seen by all in the same order; returns what it was before."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, values[0])
        return builder.atomic_rmw("add", builder.gep(array.data, [values[1]]), values[2], "seq_cst")

    return types.int64(counters, types.int64, types.int64), generate

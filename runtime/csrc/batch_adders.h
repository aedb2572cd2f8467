/* Part of csrc/batch_kernel.h: counters of bits, in carry-save adders.
 *
 * What a class adds up is known before it starts, so its literals lie in order of use in one stream. They are added in
 * blocks of 32, whose carries go up to the high planes, and then the rest: there the low planes' last sums are nobody's,
 * and of the high ones only the answer is wanted, with and without one more carry. What two classes share comes before
 * all that, in the low planes and one carry. */

TN_FN static INLINE lanes literal(const uint64_t *rows, uint16_t index)
{
    lanes found;
#ifdef TN_LOAD_LANES
    TN_LOAD_LANES(found, rows, index);
#else
    EACH_LANE found.v[l] = *(const TN_V *)(rows + index + l * (int)(sizeof(TN_V) / 8));
#endif
    return found;
}

/* Plane p of a counter's start: the same in every tick. */
TN_FN static INLINE lanes start_plane(const uint16_t *stream, int p)
{
    lanes found;
    uint32_t bits;
    memcpy(&bits, stream + 2 * p, sizeof bits);
    TN_V value = TN_SPLAT32(bits);
    EACH_LANE found.v[l] = value;
    return found;
}

/* Adds a and b to `sum`, whose new value nobody reads where this is the `last` addition to it; returns the carry. */
TN_FN static INLINE lanes add_two(lanes *sum, lanes a, lanes b, int last)
{
    lanes carry;
    EACH_LANE
    {
        TN_V a_ = a.v[l], b_ = b.v[l], s_ = sum->v[l];
        if (last)
            carry.v[l] = TN_MAJORITY(a_, b_, s_);
        else
            TN_FULL_ADDER(sum->v[l], carry.v[l], a_, b_, s_);
    }
    return carry;
}

/* Adds two literals to `sum`; returns the carry. Their indices are loaded together: a load for each would keep the load
 * ports from the rows (the empty assembly keeps the compiler from making it two loads again). */
TN_FN static INLINE lanes add_literals(const uint64_t *rows, const uint16_t *index, lanes *sum, int last)
{
    uint32_t both;
    memcpy(&both, index, sizeof both);
    __asm__("" : "+r"(both));
    lanes a = literal(rows, (uint16_t)both), b = literal(rows, (uint16_t)(both >> 16));
    return add_two(sum, a, b, last);
}

/* Adds a; returns the carry. */
TN_FN static INLINE lanes add_one(lanes *sum, lanes a)
{
    EACH_LANE
    {
        TN_V carry = sum->v[l] & a.v[l];
        sum->v[l] ^= a.v[l];
        a.v[l] = carry;
    }
    return a;
}

/* The planes of a counter that are kept in registers. */
typedef struct {
    lanes ones, twos, fours, eights, sixteens;
} low_planes;

/* Adds four literals; returns the carry of weight 4. */
TN_FN static INLINE lanes add_four(const uint64_t *rows, const uint16_t *index, low_planes *low, int last)
{
    lanes a = add_literals(rows, index, &low->ones, 0), b = add_literals(rows, index + 2, &low->ones, last);
    return add_two(&low->twos, a, b, last);
}

/* Adds eight literals; returns the carry of weight 8. */
TN_FN static INLINE lanes add_eight(const uint64_t *rows, const uint16_t *index, low_planes *low, int last)
{
    lanes a = add_four(rows, index, low, 0), b = add_four(rows, index + 4, low, last);
    return add_two(&low->fours, a, b, last);
}

/* Adds sixteen literals; returns the carry of weight 16. */
TN_FN static INLINE lanes add_sixteen(const uint64_t *rows, const uint16_t *index, low_planes *low, int last)
{
    lanes a = add_eight(rows, index, low, 0), b = add_eight(rows, index + 8, low, last);
    return add_two(&low->eights, a, b, last);
}

/* Starts loading the literals that come some classes later: 512 bytes on. */
TN_FN static INLINE void prefetch_literals(const uint16_t *index)
{
    __builtin_prefetch((const void *)((uintptr_t)index + 512));
}

/* Adds 32 literals; returns the carry of weight 32. */
TN_FN static INLINE lanes add_block(const uint64_t *rows, const uint16_t *index, low_planes *low)
{
    lanes a = add_sixteen(rows, index, low, 0), b = add_sixteen(rows, index + 16, low, 0);
    return add_two(&low->sixteens, a, b, 0);
}

/* Adds `fours` times four literals; returns the carry of weight 32. `fours`, from 1 to 7, is known when compiling.
 * `last`: of the low planes only the sixteens are read afterwards. */
TN_FN static INLINE lanes add_some(const uint64_t *rows, const uint16_t *index, int fours, low_planes *low, int last)
{
    lanes carry8 = {0}, carry16 = {0}, carry;
    if (fours & 4) {
        carry16 = add_sixteen(rows, index, low, last && fours == 4);
        index += 16;
    }
    if (fours & 2) {
        carry8 = add_eight(rows, index, low, last && fours % 4 == 2);
        index += 8;
    }
    if (fours & 1) {
        carry = add_four(rows, index, low, last);
        carry = add_one(&low->fours, carry);
        carry = fours & 2 ? add_two(&low->eights, carry8, carry, last) : add_one(&low->eights, carry);
    } else
        carry = add_one(&low->eights, carry8);
    if (fours == 4)
        return add_one(&low->sixteens, carry16);
    return fours & 4 ? add_two(&low->sixteens, carry16, carry, 0) : add_one(&low->sixteens, carry);
}

/* Adds fours % 8 times four literals; returns the carry of weight 32. One jump, to code without any: branches on what is
 * still to add would be mispredicted wherever a class has more or fewer literals than the one before. */
TN_FN static INLINE lanes add_rest(const uint64_t *rows, const uint16_t *index, int fours, low_planes *low, int last)
{
    lanes none = {0};
    prefetch_literals(index);
    switch (fours % 8) {
    case 1:
        return add_some(rows, index, 1, low, last);
    case 2:
        return add_some(rows, index, 2, low, last);
    case 3:
        return add_some(rows, index, 3, low, last);
    case 4:
        return add_some(rows, index, 4, low, last);
    case 5:
        return add_some(rows, index, 5, low, last);
    case 6:
        return add_some(rows, index, 6, low, last);
    case 7:
        return add_some(rows, index, 7, low, last);
    default:
        return none;
    }
}

/* Adds `carry` to `n` planes. */
TN_FN static INLINE void ripple(lanes *plane, int n, lanes carry)
{
    for (int p = 0; p < n; p++)
        carry = add_one(&plane[p], carry);
}

/* The answer, the counter's top plane, as it will be where the rest carries and where it does not. */
typedef struct {
    lanes carried, not_carried;
} answers;

/* What the first class of a pair had counted when the shared literals were added: the low planes, and the carry of weight
 * 32. */
typedef struct {
    low_planes low;
    lanes carry;
} shared_count;

/* Adds n blocks of 32 literals to the low planes and to n_high others; `n_high` is known when compiling. `carries`: two of
 * weight 32 to begin with, or NULL. */
TN_FN static INLINE answers add_blocks(const uint64_t *rows, const uint16_t *index, int n, low_planes *low,
                                       const uint16_t *start, int n_high, const lanes *carries)
{
    lanes high[4], carry = {0};
    answers top = {0};
    for (int p = 0; p < n_high; p++)
        high[p] = start_plane(start, 5 + p);
    if (n_high && carries)
        ripple(high + 1, n_high - 1, add_two(&high[0], carries[0], carries[1], 0));
    for (; n; index += 32) {
        prefetch_literals(index);
        carry = add_block(rows, index, low);
        if (!--n)
            break; /* the last block's carry waits for the rest's */
        ripple(high, n_high, carry);
    }
    EACH_LANE
    {
        if (n_high == 1) {
            top.not_carried.v[l] = high[0].v[l] ^ carry.v[l];
            top.carried.v[l] = ~top.not_carried.v[l];
        } else if (n_high) {
            TN_V both = high[0].v[l] & carry.v[l], any = high[0].v[l] | carry.v[l];
            for (int p = 1; p < n_high - 1; p++)
                both &= high[p].v[l], any &= high[p].v[l];
            top.not_carried.v[l] = high[n_high - 1].v[l] ^ both;
            top.carried.v[l] = high[n_high - 1].v[l] ^ any;
        }
    }
    return top;
}

TN_FN static INLINE low_planes start_low(const uint16_t *start)
{
    return (low_planes){start_plane(start, 0), start_plane(start, 1), start_plane(start, 2), start_plane(start, 3),
                        start_plane(start, 4)};
}

/* Adds what is the same in every tick; returns the carry of weight 32. */
TN_FN static INLINE lanes add_constant(low_planes *low, low_planes constant)
{
    lanes carry = add_one(&low->ones, constant.ones);
    carry = add_two(&low->twos, constant.twos, carry, 0);
    carry = add_two(&low->fours, constant.fours, carry, 0);
    carry = add_two(&low->eights, constant.eights, carry, 0);
    return add_two(&low->sixteens, constant.sixteens, carry, 0);
}

/* Begins a class of a pair: the low planes, and two carries of weight 32. Returns where its own literals begin. */
TN_FN static INLINE const uint16_t *begin_sharing(const uint64_t *rows, const tn_class *class, const uint16_t *index,
                                                  low_planes *low, lanes carries[2], shared_count *shared)
{
    memset(&carries[1], 0, sizeof carries[1]);
    if (class->part == TN_SECOND) {
        low_planes missing = *low;
        *low = shared->low;
        carries[0] = shared->carry;
        carries[1] = add_constant(low, missing);
        return index;
    }
    carries[0] = class->shared == TN_MOST_SHARED ? add_block(rows, index, low)
                                                 : add_rest(rows, index, class->shared, low, 0);
    *shared = (shared_count){*low, carries[0]};
    return index + 4 * class->shared;
}

/* Where every weight is 1 or -1, as in a trinary network; or where there are none. */
TN_FN static INLINE lanes evaluate_plain(const uint64_t *rows, const tn_class *class, const uint16_t *start,
                                         shared_count *shared)
{
    int fours = class->fours, n_high = class->n_high;
    const uint16_t *index = start + 2 * (5 + n_high) + 2;
    low_planes low = start_low(start);
    lanes carry, inverted = start_plane(start, 5 + n_high), two_carries[2], *carries = NULL;
    answers top;
    if (class->part != TN_ALONE) {
        carries = two_carries;
        index = begin_sharing(rows, class, index, &low, carries, shared);
    }
    switch (n_high) { /* the compiler unrolls the planes of each case */
    case 0:
        top = add_blocks(rows, index, fours / 8, &low, start, 0, carries);
        break;
    case 1:
        top = add_blocks(rows, index, fours / 8, &low, start, 1, carries);
        break;
    case 2:
        top = add_blocks(rows, index, fours / 8, &low, start, 2, carries);
        break;
    case 3:
        top = add_blocks(rows, index, fours / 8, &low, start, 3, carries);
        break;
    default:
        top = add_blocks(rows, index, fours / 8, &low, start, 4, carries);
    }
    carry = add_rest(rows, index + fours / 8 * 32, fours, &low, 1);
    if (!n_high)
        return low.sixteens;
    EACH_LANE carry.v[l] = TN_SELECT(carry.v[l], top.carried.v[l], top.not_carried.v[l]) ^ inverted.v[l];
    return carry;
}

/* Any weights. */
TN_FN static lanes evaluate_weighted(const uint64_t *rows, const tn_class *class, const uint16_t *stream)
{
    lanes counter[TN_COUNTER_PLANES];
    int planes = class->top + 1;
    for (int p = 0; p < planes; p++)
        counter[p] = start_plane(stream, p);
    stream += 2 * planes;
    for (int p = planes; p < TN_COUNTER_PLANES; p++)
        memset(&counter[p], 0, sizeof counter[p]);
    for (int s = 0; s < class->n_segments; s++) {
        int plane = stream[0], fours = stream[1], n_high = class->top - plane - 4;
        low_planes low;
        memcpy(&low, counter + plane, sizeof low);
        stream += 2;
        for (int n = fours / 8; n; n--, stream += 32)
            ripple(counter + plane + 5, n_high, add_block(rows, stream, &low));
        ripple(counter + plane + 5, n_high, add_rest(rows, stream, fours, &low, 0));
        stream += 4 * (fours % 8);
        memcpy(counter + plane, &low, sizeof low);
    }
    return counter[class->top];
}

TN_FN static INLINE lanes evaluate_lanes(const uint64_t *rows, const tn_class *class, const uint16_t *stream,
                                         shared_count *shared)
{
    return class->n_high <= 4 ? evaluate_plain(rows, class, stream, shared) : evaluate_weighted(rows, class, stream);
}

/* Full adders and the loads they need, and nothing else: 32 rows, within the first cache level, added in order. Returns
 * something that depends on all of them. */
TN_FN static uint64_t add_only(uint64_t rounds)
{
#define ROW(i) (TN_ROW_WORDS * (i))
#define EIGHT(i) ROW(i), ROW(i + 1), ROW(i + 2), ROW(i + 3), ROW(i + 4), ROW(i + 5), ROW(i + 6), ROW(i + 7)
    static const uint16_t in_order[32] = {EIGHT(0), EIGHT(8), EIGHT(16), EIGHT(24)};
    uint64_t rows[32 * TN_ROW_WORDS] __attribute__((aligned(64)));
    for (int i = 0; i < 32 * TN_ROW_WORDS; i++)
        rows[i] = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)i;
    low_planes low;
    low.ones = low.twos = low.fours = low.eights = low.sixteens = literal(rows, 0);
    lanes sum = low.ones;
    for (uint64_t round = 0; round < rounds; round++) {
        lanes carry = add_block(rows, in_order, &low);
        EACH_LANE sum.v[l] ^= carry.v[l];
    }
    uint64_t seen[sizeof(lanes) / 8], all = 0;
    memcpy(seen, &sum, sizeof seen);
    for (size_t i = 0; i < sizeof(lanes) / 8; i++)
        all ^= seen[i];
    return all;
}

/* Part of csrc/batch_avx2.c and batch_scalar.c: what csrc/batch_kernel.h wants of the including unit, in operations that the
 * compiler has for every vector. The unit has defined TN_FN, TN_V and TN_SPLAT. */
#define TN_FULL_ADDER(sum, carry, a, b, c) \
    do { \
        TN_V half = (a) ^ (b); \
        carry = ((a) & (b)) | (half & (c)); \
        sum = half ^ (c); \
    } while (0)
#define TN_MAJORITY(a, b, c) (((a) & (b)) | (((a) | (b)) & (c)))
#define TN_SELECT(which, one, zero) (((which) & (one)) | (~(which) & (zero)))
#define TN_SPLAT32(half) TN_SPLAT((uint64_t)(half) << 32 | (half))
#define TN_ADD_WHERE(sum, bits, mask, weight) ((sum) + (TN_SPLAT(weight) & (TN_V)(((bits) & (mask)) != TN_SPLAT(0))))
#define TN_SHIFT(words, before, n) ((words) << (n) | (before) >> (64 - (n)))
#define TN_SHIFT_LEFT(words, n) ((words) << (n))
#define TN_SHIFT_RIGHT(words, n) ((words) >> (n))

typedef struct {
    uint64_t sum;
} tally;

typedef uint64_t bit_count;

TN_FN static inline bit_count count_bits(const void *row, const uint64_t *wanted)
{
    const uint64_t *words = row;
    uint64_t count = 0;
    for (int w = 0; w < TN_ROW_WORDS; w++)
        count += (uint64_t)__builtin_popcountll(words[w] & wanted[w]);
    return count;
}

TN_FN static inline void tally_add(tally *t, bit_count count, const uint64_t *weight)
{
    t->sum += count * (uint32_t)*weight;
}

TN_FN static inline int64_t tally_total(const tally *t)
{
    return (int64_t)t->sum;
}

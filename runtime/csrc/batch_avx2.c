/* The batch engine's kernels for AVX2. */
#include "batch_internal.h"

#if TN_HAS_X86
#include <immintrin.h>

#define TN_FN TN_TARGET_AVX2
#define TN_KERNELS tn_batch_avx2

typedef uint64_t tn_v256 __attribute__((vector_size(32), may_alias));
#define TN_V tn_v256
#define TN_LANES 2
#define TN_SPLAT(word) ((tn_v256){(word), (word), (word), (word)})
#define TN_FULL_ADDER(sum, carry, a, b, c) \
    do { \
        tn_v256 half = (a) ^ (b); \
        carry = ((a) & (b)) | (half & (c)); \
        sum = half ^ (c); \
    } while (0)
#define TN_SPLAT32(half) TN_SPLAT((uint64_t)(half) << 32 | (half))
#define TN_ADD_WHERE(sum, bits, mask, weight) ((sum) + (TN_SPLAT(weight) & (tn_v256)(((bits) & (mask)) != TN_SPLAT(0))))
#define TN_LAST_AND(a, b) __builtin_shuffle(a, b, (tn_v256){3, 4, 5, 6})
#define TN_SHIFT(words, before, n) ((words) << (n) | (before) >> (64 - (n)))
#define TN_MAJORITY(a, b, c) (((a) & (b)) | (((a) | (b)) & (c)))
#define TN_SELECT(which, one, zero) (((which) & (one)) | (~(which) & (zero)))
#define TN_STREAM(to, value) _mm256_stream_si256((__m256i *)(to), (__m256i)(value))
#define TN_STREAMED() _mm_sfence()
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

#include "batch_kernel.h"
#endif

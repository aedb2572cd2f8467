/* The batch engine's kernels for AVX-512: a full adder is two instructions. */
#include "batch_internal.h"

#if TN_HAS_X86
#include <immintrin.h>

#define TN_FN TN_TARGET_AVX512
#define TN_KERNELS tn_batch_avx512

#define TN_V __m512i
#define TN_LANES 2
#define TN_SPLAT(word) _mm512_set1_epi64((long long)(word))
#define TN_SPLAT32(half) _mm512_set1_epi32((int)(half))
/* The carry from a, b and the new sum: a where a and b agree, else the opposite of the sum. It may then overwrite a, where
 * the majority of a, b and c, which all are still needed, would cost a copy. */
#define TN_FULL_ADDER(sum, carry, a, b, c) \
    do { \
        sum = _mm512_ternarylogic_epi64(c, a, b, 0x96); \
        carry = _mm512_ternarylogic_epi64(a, b, sum, 0xd4); \
    } while (0)
/* With the index scaled within the address: for two loads the compiler shifts it first, one instruction more a literal (5 % of
 * the time). */
#define TN_LOAD_LANES(to, rows, index) \
    __asm__("vmovdqa64 (%2,%3,8), %0\n\tvmovdqa64 64(%2,%3,8), %1" \
            : "=&v"((to).v[0]), "=v"((to).v[1]) \
            : "r"(rows), "r"((uint64_t)(index)), "m"(*(const char(*)[])(rows)))
#define TN_ADD_WHERE(sum, bits, mask, weight) \
    _mm512_mask_add_epi64(sum, _mm512_test_epi64_mask(bits, mask), sum, _mm512_set1_epi64((long long)(weight)))
#define TN_LAST_AND(a, b) _mm512_alignr_epi64(b, a, 7)
#define TN_SHIFT(words, before, n) _mm512_shldv_epi64(words, before, _mm512_set1_epi64(n))
#define TN_MAJORITY(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xe8)
#define TN_SELECT(which, one, zero) _mm512_ternarylogic_epi64(which, one, zero, 0xca)
#define TN_STREAM(to, value) _mm512_stream_si512(to, value)
#define TN_STREAMED() _mm_sfence()
#define TN_SHIFT_LEFT(words, n) _mm512_slli_epi64(words, (unsigned)(n))
#define TN_SHIFT_RIGHT(words, n) _mm512_srl_epi64(words, _mm_cvtsi32_si128((int)(n)))

typedef struct {
    __m512i sum;
} tally;

typedef __m512i bit_count;

TN_FN static inline bit_count count_bits(const void *row, const uint64_t *wanted)
{
    const __m512i *bits = row;
    __m512i count = _mm512_setzero_si512();
    for (int i = 0; i < TN_ROW_WORDS / 8; i++) {
        __m512i both = _mm512_and_si512(bits[i], _mm512_load_si512(wanted + 8 * i));
        count = _mm512_add_epi64(count, _mm512_popcnt_epi64(both));
    }
    return count;
}

TN_FN static inline void tally_add(tally *t, bit_count count, const uint64_t *weight)
{
    t->sum = _mm512_add_epi64(t->sum, _mm512_mul_epu32(count, _mm512_set1_epi64((long long)*weight)));
}

TN_FN static inline int64_t tally_total(const tally *t)
{
    return _mm512_reduce_add_epi64(t->sum);
}

#include "batch_kernel.h"
#endif

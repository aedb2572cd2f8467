/* The batch engine's kernels for AVX-512: a full adder is two instructions. */
#include "batch_internal.h"

#if TN_HAS_X86
#include <immintrin.h>

#define TN_FN TN_TARGET_AVX512
#define TN_KERNELS tn_batch_avx512

#define TN_V __m512i
#define TN_LANES 2
#define TN_SPLAT(word) _mm512_set1_epi64((long long)(word))
#define TN_SUM3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define TN_MAJORITY3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0xe8)

TN_FN static inline __mmask64 first_bytes(size_t n)
{
    return n < 64 ? (UINT64_C(1) << n) - 1 : ~UINT64_C(0);
}

TN_FN static inline uint64_t pack_bits(const uint8_t *bytes, size_t n)
{
    __m512i all = _mm512_maskz_loadu_epi8(first_bytes(n), bytes);
    return _mm512_test_epi8_mask(all, all);
}

TN_FN static inline void expand_bits(uint8_t *bytes, uint64_t bits, size_t n)
{
    _mm512_mask_storeu_epi8(bytes, first_bytes(n), _mm512_maskz_set1_epi8(bits, 1));
}

#include "batch_kernel.h"
#endif

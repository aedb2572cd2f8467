/* The tick engine's kernels for AVX-512. */
#include "tick_internal.h"

#if TN_HAS_X86
#include <immintrin.h>
#include <string.h>

#define TN_FN TN_TARGET_AVX512
#define TN_KERNELS tn_kernels_avx512

#define TN_V __m256i
#define TN_SUM3(a, b, c) _mm256_ternarylogic_epi64(a, b, c, 0x96)
#define TN_MAJORITY3(a, b, c) _mm256_ternarylogic_epi64(a, b, c, 0xe8)

TN_FN static inline void expand_plane(uint8_t count[TN_NEURONS], const uint64_t *plane, uint8_t value)
{
    for (int word = 0; word < TN_NEURON_WORDS; word++) {
        __m512i at = _mm512_load_si512(count + 64 * word);
        at = _mm512_mask_add_epi8(at, plane[word], at, _mm512_set1_epi8((char)value));
        _mm512_store_si512(count + 64 * word, at);
    }
}

TN_FN static inline void pack_bytes(const uint8_t *bytes, int n, uint64_t bits[TN_NEURON_WORDS])
{
    memset(bits, 0, TN_NEURON_WORDS * sizeof *bits);
    for (int word = 0; 64 * word < n; word++) {
        __m512i flags = _mm512_load_si512(bytes + 64 * word);
        bits[word] = _mm512_test_epi8_mask(flags, flags);
    }
}

#include "tick_kernel.h"
#endif

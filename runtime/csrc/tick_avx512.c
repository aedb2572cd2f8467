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

TN_FN static inline void expand_planes(uint8_t count[TN_NEURONS], const uint64_t (*planes)[TN_NEURON_WORDS], int n)
{
    for (int word = 0; word < TN_NEURON_WORDS; word++) {
        __m512i sum = _mm512_setzero_si512();
        for (int p = 0; p < n; p++)
            sum = _mm512_mask_add_epi8(sum, planes[p][word], sum, _mm512_set1_epi8((char)(1 << p)));
        _mm512_store_si512(count + 64 * word, sum);
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

TN_FN static inline uint32_t sum_bytes(const uint8_t count[TN_NEURONS])
{
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < TN_NEURONS; i += 64)
        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_load_si512(count + i), _mm512_setzero_si512()));
    return (uint32_t)_mm512_reduce_add_epi64(sum);
}

TN_FN static inline void expand_palette(const tn_core *core, int16_t to[TN_SIMPLE_FIELDS][TN_NEURONS])
{
    for (int i = 0; i < core->lanes_used; i += 32) {
        __m512i index = _mm512_cvtepu8_epi16(_mm256_load_si256((const __m256i *)(core->palette_index + i)));
        for (int f = 0; f < TN_SIMPLE_FIELDS; f++)
            _mm512_store_si512(to[f] + i, _mm512_permutexvar_epi16(index, _mm512_load_si512(core->palette->field[f])));
    }
}
#define TN_EXPAND_PALETTE expand_palette

#include "tick_kernel.h"
#endif

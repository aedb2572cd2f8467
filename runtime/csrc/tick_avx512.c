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

TN_FN static uint32_t list_bits(const uint64_t bits[4], uint8_t numbers[256 + TN_LINE])
{
    static const uint8_t NUMBERS[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                        32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                        48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    __m512i number = _mm512_loadu_si512(NUMBERS);
    uint32_t count = 0;
    for (int word = 0; word < 4; word++) {
        _mm512_storeu_si512(numbers + count, _mm512_maskz_compress_epi8(bits[word], number));
        count += (uint32_t)_mm_popcnt_u64(bits[word]);
        number = _mm512_add_epi8(number, _mm512_set1_epi8(64));
    }
    return count;
}
#define TN_LIST list_bits

#include "tick_small_avx512.h"

#define TN_POPCOUNT (uint64_t)_mm_popcnt_u64
#include "tick_kernel.h"
#endif

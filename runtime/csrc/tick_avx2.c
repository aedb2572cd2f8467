/* The tick engine's kernels for AVX2. */
#include "tick_internal.h"

#if TN_HAS_X86
#include <immintrin.h>
#include <string.h>

#define TN_FN TN_TARGET_AVX2
#define TN_KERNELS tn_kernels_avx2

typedef uint64_t tn_v256 __attribute__((vector_size(32), may_alias));
#define TN_V tn_v256
#define TN_SUM3(a, b, c) ((a) ^ (b) ^ (c))
#define TN_MAJORITY3(a, b, c) (((a) & (b)) | (((a) ^ (b)) & (c)))

TN_FN static inline void expand_planes(uint8_t count[TN_NEURONS], const uint64_t (*planes)[TN_NEURON_WORDS], int n)
{
    const __m256i which = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
    const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    for (int i = 0; i < TN_NEURONS; i += 32) {
        __m256i sum = _mm256_setzero_si256();
        for (int p = 0; p < n; p++) {
            __m256i bits = _mm256_shuffle_epi8(_mm256_set1_epi32((int)(planes[p][i / 64] >> i % 64)), spread);
            __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, which), which);
            sum = _mm256_add_epi8(sum, _mm256_and_si256(set, _mm256_set1_epi8((char)(1 << p))));
        }
        _mm256_store_si256((__m256i *)(count + i), sum);
    }
}

TN_FN static inline void pack_bytes(const uint8_t *bytes, int n, uint64_t bits[TN_NEURON_WORDS])
{
    memset(bits, 0, TN_NEURON_WORDS * sizeof *bits);
    for (int i = 0; i < n; i += 32) {
        __m256i flags = _mm256_slli_epi16(_mm256_load_si256((const __m256i *)(bytes + i)), 7);
        bits[i / 64] |= (uint64_t)(uint32_t)_mm256_movemask_epi8(flags) << i % 64;
    }
}

TN_FN static inline uint32_t sum_bytes(const uint8_t count[TN_NEURONS])
{
    __m256i sum = _mm256_setzero_si256();
    for (int i = 0; i < TN_NEURONS; i += 32)
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_load_si256((const __m256i *)(count + i)), _mm256_setzero_si256()));
    return (uint32_t)(_mm256_extract_epi64(sum, 0) + _mm256_extract_epi64(sum, 1) + _mm256_extract_epi64(sum, 2) +
                      _mm256_extract_epi64(sum, 3));
}

#define TN_POPCOUNT __builtin_popcountll
#include "tick_kernel.h"
#endif

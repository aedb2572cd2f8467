/* The tick engine's kernels in portable C. */
#include "bits.h"
#include "tick_internal.h"

#define TN_FN
#define TN_KERNELS tn_kernels_scalar

typedef uint64_t tn_v256 __attribute__((vector_size(32), may_alias));
#define TN_V tn_v256
#define TN_SUM3(a, b, c) ((a) ^ (b) ^ (c))
#define TN_MAJORITY3(a, b, c) (((a) & (b)) | (((a) ^ (b)) & (c)))

static inline void expand_planes(uint8_t count[TN_NEURONS], const uint64_t (*planes)[TN_NEURON_WORDS], int n)
{
    for (int i = 0; i < TN_NEURONS; i += 8) {
        uint64_t sum = 0; /* no byte overflows: every power of two is added once */
        for (int p = 0; p < n; p++)
            sum += tn_spread_bits(planes[p][i / 64] >> i % 64 & 255) << p;
        memcpy(count + i, &sum, 8);
    }
}

static inline void pack_bytes(const uint8_t *bytes, int n, uint64_t bits[TN_NEURON_WORDS])
{
    for (int word = 0; word < TN_NEURON_WORDS; word++)
        bits[word] = 64 * word < n ? tn_pack_bits(bytes + 64 * word, 64) : 0;
}

static inline uint32_t sum_bytes(const uint8_t count[TN_NEURONS])
{
    uint32_t sum = 0;
    for (int i = 0; i < TN_NEURONS; i++)
        sum += count[i];
    return sum;
}

#define TN_POPCOUNT tn_popcount
#include "tick_kernel.h"

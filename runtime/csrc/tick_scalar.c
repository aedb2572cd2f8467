/* The tick engine's kernels in portable C. */
#include "tick_internal.h"

#define TN_FN
#define TN_KERNELS tn_kernels_scalar

typedef uint64_t tn_v256 __attribute__((vector_size(32), may_alias));
#define TN_V tn_v256
#define TN_SUM3(a, b, c) ((a) ^ (b) ^ (c))
#define TN_MAJORITY3(a, b, c) (((a) & (b)) | (((a) ^ (b)) & (c)))

static inline void expand_plane(uint8_t count[TN_NEURONS], const uint64_t *plane, uint8_t value)
{
    for (int i = 0; i < TN_NEURONS; i += 8) {
        uint64_t bits = plane[i / 64] >> i % 64 & 255, bytes, sum;
        bytes = (bits * UINT64_C(0x0101010101010101)) & UINT64_C(0x8040201008040201); /* byte k holds bit k, at place k */
        bytes = ((bytes + UINT64_C(0x00406070787c7e7f)) >> 7 & UINT64_C(0x0101010101010101)) * value;
        __builtin_memcpy(&sum, count + i, 8);
        sum += bytes; /* no byte overflows: every value is added once */
        __builtin_memcpy(count + i, &sum, 8);
    }
}

static inline void pack_bytes(const uint8_t *bytes, int n, uint64_t bits[TN_NEURON_WORDS])
{
    for (int word = 0; word < TN_NEURON_WORDS; word++) {
        bits[word] = 0;
        for (int i = 0; i < 64 && 64 * word < n; i += 8) {
            uint64_t eight;
            __builtin_memcpy(&eight, bytes + 64 * word + i, 8);
            bits[word] |= (eight * UINT64_C(0x0102040810204080) >> 56) << i;
        }
    }
}

#include "tick_kernel.h"

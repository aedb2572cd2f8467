/* Between bytes and bits, in portable C. */
#ifndef TN_BITS_H
#define TN_BITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bit i of the result: bytes[i] is not 0. n is 0..64. */
static inline uint64_t tn_pack_bits(const uint8_t *bytes, size_t n)
{
    uint64_t found = 0;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t eight = 0;
        memcpy(&eight, bytes + i, n - i < 8 ? n - i : 8);
        eight |= eight >> 4; /* any bit of a byte to its lowest */
        eight |= eight >> 2;
        eight |= eight >> 1;
        eight &= UINT64_C(0x0101010101010101);
        found |= (eight * UINT64_C(0x0102040810204080) >> 56) << i;
    }
    return found;
}

/* Byte k of the result is bit k of `bits` (0..255). */
static inline uint64_t tn_spread_bits(uint64_t bits)
{
    uint64_t bytes = (bits * UINT64_C(0x0101010101010101)) & UINT64_C(0x8040201008040201); /* bit k in byte k, at k */
    return (bytes + UINT64_C(0x00406070787c7e7f)) >> 7 & UINT64_C(0x0101010101010101);
}

/* The number of set bits: what the compiler's own costs a call without an instruction for it. */
static inline uint64_t tn_popcount(uint64_t bits)
{
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return bits * UINT64_C(0x0101010101010101) >> 56;
}

#endif

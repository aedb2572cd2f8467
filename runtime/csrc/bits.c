#include "batch_internal.h"

void tn_transpose64(uint64_t words[64])
{
    uint64_t mask = UINT64_C(0x00000000ffffffff);
    for (int half = 32; half; half >>= 1, mask ^= mask << half) {
        for (int base = 0; base < 64; base += 2 * half)
            for (int i = base; i < base + half; i++) {
                uint64_t swap = (words[i] >> half ^ words[i + half]) & mask;
                words[i] ^= swap << half;
                words[i + half] ^= swap;
            }
    }
}

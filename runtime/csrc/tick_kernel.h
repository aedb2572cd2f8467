/* The kernels that evaluate one core for one tick, written once and compiled for each instruction set.
 *
 * The including unit defines TN_FN (what functions are compiled for), TN_KERNELS (the table's name), TN_V (a type of
 * 256 bits with &, | and ^), TN_SUM3 and TN_MAJORITY3 (a full adder's two outputs), and three functions:
 * expand_planes(count, planes, n) turns n <= 8 bit planes of 256 lanes into 256 bytes;
 * pack_bytes(bytes, n, bits) gathers 0/1 bytes into bits; sum_bytes(count) adds 256 bytes up.
 *
 * The rows of the active axons of one type are added up as bit planes by carry-save adders, eight rows at a time. */

#include <string.h>

#define TN_PLANES 9 /* 0..256 active rows */

/* rows[0..n - 1] summed bit by bit: bit p of lane j's count is bit j of planes[p]. Returns the number of planes. */
TN_FN static inline int add_rows(const TN_V *const *rows, int n, TN_V planes[TN_PLANES])
{
    TN_V ones = {0}, twos = {0}, fours = {0}, a, b, c, d, e;
    int used = 3;
    for (int p = 3; (n + 7) >> p; p++)
        planes[p] = ones;
    for (int i = 0; i < n; i += 8) {
        const TN_V *const *r = rows + i;
        TN_V x = *r[0], y = *r[1];
        a = TN_MAJORITY3(ones, x, y);
        ones = TN_SUM3(ones, x, y);
        x = *r[2], y = *r[3];
        b = TN_MAJORITY3(ones, x, y);
        ones = TN_SUM3(ones, x, y);
        c = TN_MAJORITY3(twos, a, b);
        twos = TN_SUM3(twos, a, b);
        x = *r[4], y = *r[5];
        a = TN_MAJORITY3(ones, x, y);
        ones = TN_SUM3(ones, x, y);
        x = *r[6], y = *r[7];
        b = TN_MAJORITY3(ones, x, y);
        ones = TN_SUM3(ones, x, y);
        d = TN_MAJORITY3(twos, a, b);
        twos = TN_SUM3(twos, a, b);
        e = TN_MAJORITY3(fours, c, d);
        fours = TN_SUM3(fours, c, d);
        /* after i + 8 rows the count is at most i + 8: higher planes are still zero */
        for (int p = 3; (i + 8) >> p; p++) {
            TN_V carry = planes[p] & e;
            planes[p] ^= e;
            e = carry;
            used = p + 1;
        }
    }
    planes[0] = ones;
    planes[1] = twos;
    planes[2] = fours;
    return used;
}

/* Per type the number of active axons each neuron has a synapse with, 0..255; returns synaptic events. The axons of a
 * type beyond 255 are left in `left` (a core whose 256 axons share one type and are all active). */
TN_FN static inline uint32_t count_active(const tn_core *core, const uint64_t active[TN_AXON_WORDS],
                                          uint8_t counts[TN_AXON_TYPES][TN_NEURONS], int *left)
{
    static const uint64_t zero_row[TN_NEURON_WORDS] __attribute__((aligned(32))) = {0};
    uint32_t events = 0;
    *left = -1;
    for (int g = 0; g < TN_AXON_TYPES; g++) {
        const TN_V *rows[TN_AXONS + 8];
        int n = 0;
        for (int word = 0; word < TN_AXON_WORDS; word++) {
            for (uint64_t bits = tn_of_type(core, g, word, active[word]); bits; bits &= bits - 1) {
                int axon = 64 * word + __builtin_ctzll(bits);
                rows[n++] = (const TN_V *)core->rows[axon];
            }
        }
        if (n == TN_AXONS) {
            n--;
            *left = TN_AXONS - 1;
            for (int w = 0; w < TN_NEURON_WORDS; w++)
                events += (uint32_t)TN_POPCOUNT(core->rows[*left][w]);
        }
        for (int pad = n; pad & 7; pad++)
            rows[pad] = (const TN_V *)zero_row;
        TN_V planes[TN_PLANES];
        int used = n ? add_rows(rows, n, planes) : 0;
        expand_planes(counts[g], (const uint64_t(*)[TN_NEURON_WORDS])planes, used < 8 ? used : 8);
        events += n ? sum_bytes(counts[g]) : 0;
    }
    return events;
}

#define TN_LANE int16_t
#define TN_NAME(name) name##_narrow
#define TN_WIDE 0
#include "tick_lanes.h"
#undef TN_LANE
#undef TN_NAME
#undef TN_WIDE

#define TN_LANE int32_t
#define TN_NAME(name) name##_wide
#define TN_WIDE 1
#include "tick_lanes.h"

#ifndef TN_SMALL_KERNEL
#define TN_SMALL_KERNEL NULL
#endif

#ifndef TN_LIST
#define TN_LIST list_fired
TN_FN static uint32_t list_fired(const uint64_t fired[TN_NEURON_WORDS], uint8_t neurons[TN_NEURONS + TN_LINE])
{
    uint32_t count = 0;
    for (int word = 0; word < TN_NEURON_WORDS; word++)
        for (uint64_t bits = fired[word]; bits; bits &= bits - 1)
            neurons[count++] = (uint8_t)(64 * word + __builtin_ctzll(bits));
    return count;
}
#endif

TN_FN static uint64_t sum_fired(const uint64_t fired[TN_NEURON_WORDS], const uint64_t (*planes)[TN_NEURON_WORDS], int n)
{
    uint64_t sum = 0;
    for (int p = 0; p < n; p++) {
        uint64_t count = 0;
        for (int word = 0; word < TN_NEURON_WORDS; word++)
            count += TN_POPCOUNT(fired[word] & planes[p][word]);
        sum += count << p;
    }
    return sum;
}

const tn_kernels TN_KERNELS = {
    {{simple_narrow, general_narrow}, {simple_wide, general_wide}}, TN_SMALL_KERNEL, TN_LIST, sum_fired};

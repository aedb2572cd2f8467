/* The batch engine's kernels, written once and compiled for each instruction set.
 *
 * The including unit defines TN_FN (what functions are compiled for), TN_KERNELS (the table's name), TN_V (a vector
 * type with &, |, ^, ~), TN_LANES (vectors handled together, so that an index is loaded once for them), TN_FULL_ADDER(sum,
 * carry, a, b, c), TN_SPLAT(word), TN_LAST_AND(a, b): the last word of a, then all but the last of b,
 * TN_SHIFT(words, before, n): words << n | before >> (64 - n) for n in 1..15, and sums of weighted bits: bit_count = count_bits(row, wanted), the
 * bits set in both, and tally_add(&tally, count, weight below 2^32). */

#include <string.h>

enum { VECTORS = TN_ROW_WORDS * 8 / (int)sizeof(TN_V) };

/* TN_LANES vectors that go through the same operations. */
typedef struct {
    TN_V v[TN_LANES];
} lanes;

#define EACH_LANE for (int l = 0; l < TN_LANES; l++)

/* sum, carry <- sum + a + b */
#define FULL_ADDER(sum, carry, a, b) \
    do { \
        EACH_LANE \
        { \
            TN_V a_ = (a).v[l], b_ = (b).v[l], s_ = (sum).v[l]; \
            TN_FULL_ADDER((sum).v[l], (carry).v[l], a_, b_, s_); \
        } \
    } while (0)

typedef struct {
    TN_V v[VECTORS];
} row;

TN_FN static inline __attribute__((always_inline)) lanes literal(const uint64_t *rows, uint16_t index)
{
    lanes found;
    EACH_LANE found.v[l] = *(const TN_V *)(rows + index + l * (int)(sizeof(TN_V) / 8));
    return found;
}

/* Adds eight literals; returns the carry of weight 8. */
TN_FN static inline __attribute__((always_inline)) lanes add_eight(const uint64_t *rows, const uint16_t *index,
                                                                   lanes *ones, lanes *twos, lanes *fours)
{
    lanes a, b, c, d, x, y;
    x = literal(rows, index[0]), y = literal(rows, index[1]);
    FULL_ADDER(*ones, a, x, y);
    x = literal(rows, index[2]), y = literal(rows, index[3]);
    FULL_ADDER(*ones, b, x, y);
    FULL_ADDER(*twos, c, a, b);
    x = literal(rows, index[4]), y = literal(rows, index[5]);
    FULL_ADDER(*ones, a, x, y);
    x = literal(rows, index[6]), y = literal(rows, index[7]);
    FULL_ADDER(*ones, b, x, y);
    FULL_ADDER(*twos, d, a, b);
    FULL_ADDER(*fours, a, c, d);
    return a;
}

/* Adds `carry` to `n` planes. */
TN_FN static inline __attribute__((always_inline)) void ripple(lanes *plane, int n, lanes carry)
{
    for (int p = 0; p < n; p++)
        EACH_LANE
        {
            TN_V next = plane[p].v[l] & carry.v[l];
            plane[p].v[l] ^= carry.v[l];
            carry.v[l] = next;
        }
}

/* Adds `groups` times eight literals of weight 1 to a counter: five low planes, kept in registers, and n_high others. */
TN_FN static inline __attribute__((always_inline)) void add_groups(const uint64_t *rows, const uint16_t *index, int groups,
                                                                   lanes low[5], lanes *high, int n_high)
{
    lanes ones = low[0], twos = low[1], fours = low[2], eights = low[3], sixteens = low[4];
    lanes a, b, c, d;
    for (; groups >= 4; groups -= 4, index += 32) {
        a = add_eight(rows, index, &ones, &twos, &fours);
        b = add_eight(rows, index + 8, &ones, &twos, &fours);
        FULL_ADDER(eights, c, a, b);
        a = add_eight(rows, index + 16, &ones, &twos, &fours);
        b = add_eight(rows, index + 24, &ones, &twos, &fours);
        FULL_ADDER(eights, d, a, b);
        FULL_ADDER(sixteens, a, c, d);
        ripple(high, n_high, a);
    }
    if (groups >= 2) {
        a = add_eight(rows, index, &ones, &twos, &fours);
        b = add_eight(rows, index + 8, &ones, &twos, &fours);
        FULL_ADDER(eights, c, a, b);
        EACH_LANE
        {
            a.v[l] = sixteens.v[l] & c.v[l];
            sixteens.v[l] ^= c.v[l];
        }
        ripple(high, n_high, a);
        groups -= 2;
        index += 16;
    }
    if (groups) {
        a = add_eight(rows, index, &ones, &twos, &fours);
        EACH_LANE
        {
            b.v[l] = eights.v[l] & a.v[l];
            eights.v[l] ^= a.v[l];
            c.v[l] = sixteens.v[l] & b.v[l];
            sixteens.v[l] ^= b.v[l];
        }
        ripple(high, n_high, c);
    }
    low[0] = ones, low[1] = twos, low[2] = fours, low[3] = eights, low[4] = sixteens;
}

/* Where every weight is 1 or -1, as in a trinary network: one segment, of plane 0. */
TN_FN static inline lanes evaluate_plain(const uint64_t *rows, const tn_class *class, const uint16_t *stream)
{
    lanes low[5], high[TN_COUNTER_PLANES];
    int n_high = class->top > 4 ? class->top - 4 : 0;
    for (int p = 0; p < 5; p++)
        low[p] = literal(rows, stream[p]);
    for (int p = 0; p < n_high; p++)
        high[p] = literal(rows, stream[5 + p]);
    stream += 5 + n_high;
    add_groups(rows, stream + 2, stream[1], low, high, n_high);
    switch (class->top) {
    case 0:
        return low[0];
    case 1:
        return low[1];
    case 2:
        return low[2];
    case 3:
        return low[3];
    case 4:
        return low[4];
    default:
        return high[n_high - 1];
    }
}

/* Any weights. */
TN_FN static lanes evaluate_weighted(const uint64_t *rows, const tn_class *class, const uint16_t *stream)
{
    lanes counter[TN_COUNTER_PLANES];
    int planes = class->top > 4 ? class->top + 1 : 5;
    for (int p = 0; p < planes; p++)
        counter[p] = literal(rows, stream[p]);
    stream += planes;
    for (int p = planes; p < TN_COUNTER_PLANES; p++)
        memset(&counter[p], 0, sizeof counter[p]);
    for (int s = 0; s < class->n_segments; s++) {
        int plane = stream[0], groups = stream[1], n_high = class->top - plane - 4;
        add_groups(rows, stream + 2, groups, counter + plane, counter + plane + 5, n_high);
        stream += 2 + 8 * groups;
    }
    return counter[class->top];
}

TN_FN static inline void evaluate_class(const row *rows, const tn_class *class, const uint16_t *stream, int chunks,
                                        uint64_t fired[TN_ROW_WORDS])
{
    const int words = (int)(sizeof(lanes) / 8);
    for (int chunk = 0; chunk < chunks; chunk++) {
        const uint64_t *from = (const uint64_t *)rows + chunk * words;
        lanes found = class->plain ? evaluate_plain(from, class, stream) : evaluate_weighted(from, class, stream);
        memcpy(fired + chunk * words, &found, sizeof found);
    }
}

TN_FN static inline void copy_row(uint64_t *to, const uint64_t *from)
{
    *(row *)to = *(const row *)from;
}

TN_FN static inline void join_row(uint64_t *to, const uint64_t *from)
{
    for (int i = 0; i < VECTORS; i++)
        ((TN_V *)to)[i] |= ((const TN_V *)from)[i];
}

TN_FN static inline void invert_row(uint64_t *to, const uint64_t *from)
{
    for (int i = 0; i < VECTORS; i++)
        ((TN_V *)to)[i] = ~((const TN_V *)from)[i];
}

/* words << delay, the lowest bits from the 16 ticks before. */
TN_FN static inline void shift_row(uint64_t *to, const uint64_t *words, int delay, uint16_t history)
{
    TN_V before = TN_SPLAT((uint64_t)history << 48);
    for (int i = 0; i < VECTORS; i++) {
        TN_V now = ((const TN_V *)words)[i];
        ((TN_V *)to)[i] = TN_SHIFT(now, TN_LAST_AND(before, now), delay);
        before = now;
    }
}

/* The rows of a core and their complements; returns synaptic events. */
TN_FN static inline int64_t gather(const tn_block *block, const tn_batch_core *core, const tn_program *program, row *rows)
{
    const tn_batch_tables *tables = block->tables;
    const uint32_t *begin = tables->row_begin + core->first_row, *fan_out = tables->fan_out + program->fan_out;
    tally events = {0};
    for (int r = 0; r < program->n_rows; r++) {
        uint64_t *plain = (uint64_t *)&rows[2 * r];
        copy_row(plain, block->rows[tables->row_signals[begin[r]]]);
        for (uint32_t i = begin[r] + 1; i < begin[r + 1]; i++)
            join_row(plain, block->rows[tables->row_signals[i]]);
        invert_row((uint64_t *)&rows[2 * r + 1], plain);
        tally_add(&events, count_bits(plain, block->wanted), fan_out[r]);
    }
    memset(&rows[2 * program->n_rows], 0, sizeof *rows);
    memset(&rows[2 * program->n_rows + 1], 255, sizeof *rows);
    return tally_total(&events);
}

/* The last 16 ticks of a spike train of `n` ticks that follow those in `history`. */
TN_FN static inline uint16_t latest_ticks(const uint64_t *words, uint16_t history, size_t n)
{
    if (n < 16)
        return (uint16_t)((uint32_t)history >> n | words[0] << (16 - n));
    size_t from = n - 16;
    uint64_t latest = words[from / 64] >> from % 64;
    if (from % 64 > 48)
        latest |= words[from / 64 + 1] << (64 - from % 64);
    return (uint16_t)latest;
}

/* Writes a source's signals from its spike train. */
TN_FN static inline void emit(const tn_block *block, const uint64_t *words, uint32_t signal, uint32_t end)
{
    for (; signal < end; signal++) {
        int delay = block->tables->signal_delay[signal];
        if (!delay) {
            copy_row(block->rows[block->tables->signal_row[signal]], words);
            continue;
        }
        shift_row(block->rows[block->tables->signal_row[signal]], words, delay, block->history[signal]);
        block->history[signal] = latest_ticks(words, block->history[signal], block->ticks);
    }
}

/* Starts loading up to `most` rows of a core that will be evaluated soon, from *at on. Forced inline, for a compiler
 * drops calls of a function that seems to do nothing. */
TN_FN static inline __attribute__((always_inline)) void prefetch_rows(const tn_block *block, const uint32_t **at,
                                                                      const uint32_t *end, int most)
{
    for (; most-- && *at < end; ++*at) {
        const char *row = (const char *)block->rows[**at];
        __builtin_prefetch(row, 0, 2); /* not yet to the first level, which this core's rows fill */
        __builtin_prefetch(row + 64, 0, 2);
    }
}

TN_FN static void evaluate_core(const tn_block *block, size_t c, size_t next, tn_core_result *result)
{
    const tn_batch_tables *tables = block->tables;
    const tn_batch_core *core = &tables->cores[c];
    const tn_program *program = &tables->programs[core->program];
    const tn_class *class = tables->classes + program->classes;
    const uint16_t *literals = tables->literals + program->literals;
    row rows[TN_LITERALS] __attribute__((aligned(64)));
    uint64_t fired[TN_ROW_WORDS] __attribute__((aligned(64))) = {0};
    int chunk_ticks = (int)sizeof(lanes) * 8, chunks = ((int)block->ticks + chunk_ticks - 1) / chunk_ticks;
    result->events = gather(block, core, program, rows);
    tally spikes = {0}, hops = {0};
    const uint32_t *soon = tables->row_signals + tables->row_begin[tables->cores[next].first_row];
    const uint32_t *soon_end =
        tables->row_signals +
        tables->row_begin[tables->cores[next].first_row + tables->programs[tables->cores[next].program].n_rows];
    int prefetches = program->n_classes ? (int)(soon_end - soon) / program->n_classes + 1 : 0;
    for (int k = 0; k < program->n_classes; k++, class++) {
        prefetch_rows(block, &soon, soon_end, prefetches);
        evaluate_class(rows, class, literals + class->stream, chunks, fired);
        size_t source = core->first_class + (size_t)class->number;
        const uint32_t *signal = tables->class_signals + source;
        bit_count count = count_bits(fired, block->wanted);
        tally_add(&spikes, count, class->copies);
        tally_add(&hops, count, (uint32_t)tables->class_hops[source]);
        if (result->fired)
            copy_row(result->fired[class->number], fired);
        emit(block, fired, signal[0], signal[1]);
    }
    result->spikes = tally_total(&spikes);
    result->hops = tally_total(&hops);
}

typedef uint8_t bytes16 __attribute__((vector_size(16), may_alias));
#define TN_INTERLEAVE_LOW(a, b) \
    __builtin_shuffle(a, b, (bytes16){0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23})
#define TN_INTERLEAVE_HIGH(a, b) \
    __builtin_shuffle(a, b, (bytes16){8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31})
#define TN_EVEN(a, b) __builtin_shuffle(a, b, (bytes16){0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30})
#define TN_ODD(a, b) __builtin_shuffle(a, b, (bytes16){1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31})

/* from[8][64] to to[64][8], by interleaving three times. */
TN_FN static inline void interleave(uint8_t *to, const uint8_t *from)
{
    for (int at = 0; at < 64; at += 16) {
        bytes16 a[8], b[8];
        for (int i = 0; i < 8; i++)
            a[i] = *(const bytes16 *)(from + 64 * i + at);
        for (int step = 0; step < 3; step++) {
            for (int i = 0; i < 4; i++) { /* rows i and i + 4 become rows 2 i and 2 i + 1, their bytes alternating */
                b[2 * i] = TN_INTERLEAVE_LOW(a[i], a[i + 4]);
                b[2 * i + 1] = TN_INTERLEAVE_HIGH(a[i], a[i + 4]);
            }
            memcpy(a, b, sizeof a);
        }
        memcpy(to + 8 * at, a, sizeof a);
    }
}

/* The other way: from[64][8] to to[8][64]. */
TN_FN static inline void deinterleave(uint8_t *to, const uint8_t *from)
{
    for (int at = 0; at < 64; at += 16) {
        bytes16 a[8], b[8];
        memcpy(a, from + 8 * at, sizeof a);
        for (int step = 0; step < 3; step++) {
            for (int i = 0; i < 4; i++) {
                b[i] = TN_EVEN(a[2 * i], a[2 * i + 1]);
                b[i + 4] = TN_ODD(a[2 * i], a[2 * i + 1]);
            }
            memcpy(a, b, sizeof a);
        }
        for (int i = 0; i < 8; i++)
            *(bytes16 *)(to + 64 * i + at) = a[i];
    }
}

/* Byte p of the result: bits of pin p in eight ticks, whose rows lie `stride` bytes apart. */
TN_FN static inline void pack_ticks(uint8_t *restrict to, const uint8_t *restrict pins, size_t stride)
{
    for (int p = 0; p < 64; p++) {
        uint8_t bits = 0;
        for (size_t t = 0; t < 8; t++)
            bits = (uint8_t)(bits | (pins[t * stride + (size_t)p] & 1) << t);
        to[p] = bits;
    }
}

/* The spike trains of up to 64 pins in up to 64 ticks, one word each. */
TN_FN static inline void pack_tile(uint64_t words[64], const uint8_t *pins, size_t stride, size_t n, size_t ticks)
{
    uint8_t packed[8][64] __attribute__((aligned(64))) = {{0}}, edge[8][64];
    for (size_t tick = 0; tick < ticks; tick += 8) {
        const uint8_t *from = pins + tick * stride;
        if (n == 64 && ticks - tick >= 8) {
            pack_ticks(packed[tick / 8], from, stride);
            continue;
        }
        memset(edge, 0, sizeof edge);
        for (size_t t = 0; t < 8 && tick + t < ticks; t++)
            memcpy(edge[t], from + t * stride, n);
        pack_ticks(packed[tick / 8], edge[0], 64);
    }
    interleave((uint8_t *)words, packed[0]);
}

/* All pins of a job for 64 ticks before the next 64: the rows of 64 ticks lie on 64 pages, which then are at hand. */
TN_FN static void pack_pins(const tn_block *block, const uint8_t *pins, size_t first)
{
    size_t all = block->tables->input_pins, n = all - first < TN_PINS_A_JOB ? all - first : TN_PINS_A_JOB;
    const uint32_t *signal = block->tables->pin_signals + first;
    uint64_t trains[TN_PINS_A_JOB][TN_ROW_WORDS] __attribute__((aligned(64)));
    memset(trains, 0, sizeof trains);
    for (size_t tile = 0; pins && tile < block->ticks; tile += 64)
        for (size_t begin = 0; begin < n; begin += 64) {
            uint64_t words[64] __attribute__((aligned(64)));
            size_t here = n - begin < 64 ? n - begin : 64, ticks = block->ticks - tile < 64 ? block->ticks - tile : 64;
            pack_tile(words, pins + tile * all + first + begin, all, here, ticks);
            for (size_t p = 0; p < here; p++)
                trains[begin + p][tile / 64] = words[p];
        }
    for (size_t p = 0; p < n; p++)
        emit(block, trains[p], signal[p], signal[p + 1]);
}

TN_FN static inline void unpack_tick(uint8_t *restrict to, const uint8_t *restrict packed, int tick)
{
    for (int p = 0; p < 64; p++)
        to[p] = packed[p] >> tick & 1;
}

/* The other way: up to 64 pins' words to bytes. */
TN_FN static inline void unpack_tile(uint8_t *outputs, size_t stride, const uint64_t words[64], size_t n, size_t ticks)
{
    uint8_t packed[8][64] __attribute__((aligned(64))), edge[64];
    deinterleave(packed[0], (const uint8_t *)words);
    for (size_t t = 0; t < ticks; t++) {
        if (n == 64) {
            unpack_tick(outputs + t * stride, packed[t / 8], t % 8);
        } else {
            unpack_tick(edge, packed[t / 8], t % 8);
            memcpy(outputs + t * stride, edge, n);
        }
    }
}

TN_FN static void write_outputs(const tn_block *block, uint8_t *outputs, size_t first)
{
    const tn_batch_tables *tables = block->tables;
    size_t all = tables->output_pins, n = all - first < TN_PINS_A_JOB ? all - first : TN_PINS_A_JOB;
    for (size_t tile = 0; tile < block->ticks; tile += 64)
        for (size_t begin = 0; begin < n; begin += 64) {
            uint64_t words[64] __attribute__((aligned(64))) = {0};
            size_t here = n - begin < 64 ? n - begin : 64, ticks = block->ticks - tile < 64 ? block->ticks - tile : 64;
            const uint32_t *signal = tables->output_begin + first + begin;
            for (size_t p = 0; p < here; p++)
                for (uint32_t i = signal[p]; i < signal[p + 1]; i++)
                    words[p] |= block->rows[tables->output_signals[i]][tile / 64];
            unpack_tile(outputs + tile * all + first + begin, all, words, here, ticks);
        }
}

/* Full adders and the loads they need, and nothing else: 32 rows, within the first cache level, added in order. Returns
 * something that depends on all of them. */
TN_FN static uint64_t add_only(uint64_t rounds)
{
#define ROW(i) (TN_ROW_WORDS * (i))
#define EIGHT(i) ROW(i), ROW(i + 1), ROW(i + 2), ROW(i + 3), ROW(i + 4), ROW(i + 5), ROW(i + 6), ROW(i + 7)
    static const uint16_t in_order[32] = {EIGHT(0), EIGHT(8), EIGHT(16), EIGHT(24)};
    uint64_t rows[32 * TN_ROW_WORDS] __attribute__((aligned(64)));
    for (int i = 0; i < 32 * TN_ROW_WORDS; i++)
        rows[i] = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)i;
    lanes ones, twos, fours, eights, sixteens, a, b, c, d;
    ones = twos = fours = eights = sixteens = literal(rows, 0);
    lanes sum = ones;
    for (uint64_t round = 0; round < rounds; round++) {
        a = add_eight(rows, in_order, &ones, &twos, &fours);
        b = add_eight(rows, in_order + 8, &ones, &twos, &fours);
        FULL_ADDER(eights, c, a, b);
        a = add_eight(rows, in_order + 16, &ones, &twos, &fours);
        b = add_eight(rows, in_order + 24, &ones, &twos, &fours);
        FULL_ADDER(eights, d, a, b);
        FULL_ADDER(sixteens, a, c, d);
        EACH_LANE sum.v[l] ^= a.v[l];
    }
    uint64_t seen[sizeof(lanes) / 8], all = 0;
    memcpy(seen, &sum, sizeof seen);
    for (size_t i = 0; i < sizeof(lanes) / 8; i++)
        all ^= seen[i];
    return all;
}

const tn_batch_kernels TN_KERNELS = {evaluate_core, pack_pins, write_outputs, add_only, 31 * 8 * (int)sizeof(lanes)};

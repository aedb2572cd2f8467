/* The batch engine's kernels, written once and compiled for each instruction set.
 *
 * The including unit defines:
 * - TN_FN, what functions are compiled for, and TN_KERNELS, the table's name;
 * - TN_V, a vector type with &, |, ^, ~, and TN_LANES, vectors handled together, so that an index is loaded once for them;
 * - TN_FULL_ADDER(sum, carry, a, b, c); TN_SPLAT(word), TN_SPLAT32(half a word);
 * - TN_LAST_AND(a, b): the last word of a, then all but the last of b; TN_SHIFT(words, before, n):
 *   words << n | before >> (64 - n) for n in 1..15; TN_SHIFT_LEFT and TN_SHIFT_RIGHT(words, n);
 * - maybe TN_LOAD_LANES(lanes, rows, index): loads all lanes from word `index` of `rows` on;
 * - TN_ADD_WHERE(sum, bits, weight): sum + weight in the words where bits are not 0;
 * - sums of weighted bits: bit_count = count_bits(row, wanted), the bits set in both; tally_add(&tally, count, &weight)
 *   takes the low 32 bits of a uint64_t; tally_total(&tally). */

#include <string.h>

#define INLINE inline __attribute__((always_inline))

enum {
    VECTORS = TN_ROW_WORDS * 8 / (int)sizeof(TN_V),
    CHUNKS = VECTORS / TN_LANES,
    AHEAD = 2 /* classes from loading the row to write until it is written */
};

/* TN_LANES vectors that go through the same operations. */
typedef struct __attribute__((may_alias)) {
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

typedef struct __attribute__((may_alias)) {
    TN_V v[VECTORS];
} row;

TN_FN static INLINE lanes literal(const uint64_t *rows, uint16_t index)
{
    lanes found;
#ifdef TN_LOAD_LANES
    TN_LOAD_LANES(found, rows, index);
#else
    EACH_LANE found.v[l] = *(const TN_V *)(rows + index + l * (int)(sizeof(TN_V) / 8));
#endif
    return found;
}

/* Plane p of a counter's start: the same in every tick. */
TN_FN static INLINE lanes start_plane(const uint16_t *stream, int p)
{
    lanes found;
    uint32_t bits;
    memcpy(&bits, stream + 2 * p, sizeof bits);
    TN_V value = TN_SPLAT32(bits);
    EACH_LANE found.v[l] = value;
    return found;
}

/* Adds four literals; returns the carry of weight 4. */
TN_FN static INLINE lanes add_four(const uint64_t *rows, const uint16_t *index, lanes *ones, lanes *twos)
{
    lanes a, b, c, x, y;
    x = literal(rows, index[0]), y = literal(rows, index[1]);
    FULL_ADDER(*ones, a, x, y);
    x = literal(rows, index[2]), y = literal(rows, index[3]);
    FULL_ADDER(*ones, b, x, y);
    FULL_ADDER(*twos, c, a, b);
    return c;
}

/* Adds eight literals; returns the carry of weight 8. */
TN_FN static INLINE lanes add_eight(const uint64_t *rows, const uint16_t *index, lanes *ones, lanes *twos, lanes *fours)
{
    lanes a = add_four(rows, index, ones, twos), b = add_four(rows, index + 4, ones, twos), c;
    FULL_ADDER(*fours, c, a, b);
    return c;
}

/* Adds `carry` to `n` planes. */
TN_FN static INLINE void ripple(lanes *plane, int n, lanes carry)
{
    for (int p = 0; p < n; p++)
        EACH_LANE
        {
            TN_V next = plane[p].v[l] & carry.v[l];
            plane[p].v[l] ^= carry.v[l];
            carry.v[l] = next;
        }
}

/* Adds `fours` times four literals of weight 1 to a counter: five low planes, kept in registers, and n_high others. */
TN_FN static INLINE void add_literals(const uint64_t *rows, const uint16_t *index, int n_fours, lanes low[5], lanes *high,
                                      int n_high)
{
    lanes ones = low[0], twos = low[1], fours = low[2], eights = low[3], sixteens = low[4];
    lanes a, b, c, d;
    for (; n_fours >= 8; n_fours -= 8, index += 32) {
        a = add_eight(rows, index, &ones, &twos, &fours);
        b = add_eight(rows, index + 8, &ones, &twos, &fours);
        FULL_ADDER(eights, c, a, b);
        a = add_eight(rows, index + 16, &ones, &twos, &fours);
        b = add_eight(rows, index + 24, &ones, &twos, &fours);
        FULL_ADDER(eights, d, a, b);
        FULL_ADDER(sixteens, a, c, d);
        ripple(high, n_high, a);
    }
    if (n_fours) { /* carries of weight 4, 8 and 16 wait, so that they ripple up once */
        lanes carry4, carry8, carry16;
        EACH_LANE carry4.v[l] = carry8.v[l] = carry16.v[l] = TN_SPLAT(0);
        if (n_fours & 4) {
            a = add_eight(rows, index, &ones, &twos, &fours);
            b = add_eight(rows, index + 8, &ones, &twos, &fours);
            FULL_ADDER(eights, carry16, a, b);
            index += 16;
        }
        if (n_fours & 2) {
            carry8 = add_eight(rows, index, &ones, &twos, &fours);
            index += 8;
        }
        if (n_fours & 1)
            carry4 = add_four(rows, index, &ones, &twos);
        EACH_LANE
        {
            a.v[l] = fours.v[l] & carry4.v[l];
            fours.v[l] ^= carry4.v[l];
        }
        FULL_ADDER(eights, b, carry8, a);
        FULL_ADDER(sixteens, c, carry16, b);
        ripple(high, n_high, c);
    }
    low[0] = ones, low[1] = twos, low[2] = fours, low[3] = eights, low[4] = sixteens;
}

/* Where every weight is 1 or -1, as in a trinary network: one segment, of plane 0. */
TN_FN static INLINE lanes evaluate_plain(const uint64_t *rows, const uint16_t *stream, int n_high)
{
    lanes low[5], high[5];
    for (int p = 0; p < 5; p++)
        low[p] = start_plane(stream, p);
    for (int p = 0; p < n_high; p++)
        high[p] = start_plane(stream, 5 + p);
    stream += 2 * (5 + n_high);
    add_literals(rows, stream + 2, stream[1], low, high, n_high);
    return n_high ? high[n_high - 1] : low[4];
}

/* Any weights. */
TN_FN static lanes evaluate_weighted(const uint64_t *rows, const tn_class *class, const uint16_t *stream)
{
    lanes counter[TN_COUNTER_PLANES];
    int planes = class->top + 1;
    for (int p = 0; p < planes; p++)
        counter[p] = start_plane(stream, p);
    stream += 2 * planes;
    for (int p = planes; p < TN_COUNTER_PLANES; p++)
        memset(&counter[p], 0, sizeof counter[p]);
    for (int s = 0; s < class->n_segments; s++) {
        int plane = stream[0], n_fours = stream[1], n_high = class->top - plane - 4;
        add_literals(rows, stream + 2, n_fours, counter + plane, counter + plane + 5, n_high);
        stream += 2 + 4 * n_fours;
    }
    return counter[class->top];
}

TN_FN static INLINE lanes evaluate_lanes(const uint64_t *rows, const tn_class *class, const uint16_t *stream)
{
    switch (class->n_high) { /* the compiler unrolls the planes of each case */
    case 0:
        return evaluate_plain(rows, stream, 0);
    case 1:
        return evaluate_plain(rows, stream, 1);
    case 2:
        return evaluate_plain(rows, stream, 2);
    case 3:
        return evaluate_plain(rows, stream, 3);
    case 4:
        return evaluate_plain(rows, stream, 4);
    default:
        return evaluate_weighted(rows, class, stream);
    }
}

TN_FN static INLINE row evaluate_class(const row *rows, const tn_class *class, const uint16_t *stream, int chunks)
{
    row found;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        if (chunk && chunk >= chunks)
            break;
        lanes part = evaluate_lanes((const uint64_t *)rows + chunk * (int)(sizeof(lanes) / 8), class, stream);
        EACH_LANE found.v[chunk * TN_LANES + l] = part.v[l];
    }
    return found;
}

/* words << delay, the lowest bits from the 16 ticks before. */
TN_FN static INLINE void shift_row(row *to, const row *words, int delay, uint16_t history)
{
    TN_V before = TN_SPLAT((uint64_t)history << 48);
    for (int i = 0; i < VECTORS; i++) {
        TN_V now = words->v[i];
        to->v[i] = TN_SHIFT(now, TN_LAST_AND(before, now), delay);
        before = now;
    }
}

/* Adds `weight` to every word of `sum` where `bits` have the sampled tick's bit. */
TN_FN static INLINE void add_sampled(row *sum, const row *bits, const tn_block *block, const uint64_t *weight)
{
    for (int i = 0; i < VECTORS; i++)
        sum->v[i] = TN_ADD_WHERE(sum->v[i], bits->v[i] & ((const TN_V *)block->sampled)[i], *weight);
}

/* The rows of a core and their complements; counts synaptic events. */
TN_FN static INLINE void gather(const tn_block *block, const tn_batch_core *core, const tn_program *program, row *rows,
                                tn_core_result *result)
{
    const tn_batch_tables *tables = block->tables;
    const uint32_t *begin = tables->row_begin + core->first_row;
    const uint64_t *fan_out = tables->fan_out + program->fan_out;
    const row *held = (const row *)block->rows;
    tally events = {0};
    row sampled = {0};
    for (int r = 0; r < program->n_rows; r++) {
        row plain = held[tables->row_signals[begin[r]]];
        for (uint32_t i = begin[r] + 1; i < begin[r + 1]; i++)
            for (int v = 0; v < VECTORS; v++)
                plain.v[v] |= held[tables->row_signals[i]].v[v];
        rows[2 * r] = plain;
        for (int v = 0; v < VECTORS; v++)
            rows[2 * r + 1].v[v] = ~plain.v[v];
        tally_add(&events, count_bits(&plain, block->wanted), &fan_out[r]);
        add_sampled(&sampled, &plain, block, &fan_out[r]);
    }
    memset(&rows[2 * program->n_rows], 0, sizeof *rows);
    memset(&rows[2 * program->n_rows + 1], 255, sizeof *rows);
    result->events = tally_total(&events);
    memcpy(result->sampled_events, &sampled, sizeof sampled);
}

/* The last 16 ticks of a spike train of `n` ticks that follow those in `history`. */
TN_FN static inline uint16_t latest_ticks(const uint64_t *words, uint16_t history, size_t n)
{
    if (n == TN_ROW_TICKS)
        return (uint16_t)(words[TN_ROW_WORDS - 1] >> 48);
    if (n < 16)
        return (uint16_t)((uint32_t)history >> n | words[0] << (16 - n));
    size_t from = n - 16;
    uint64_t latest = words[from / 64] >> from % 64;
    if (from % 64 > 48)
        latest |= words[from / 64 + 1] << (64 - from % 64);
    return (uint16_t)latest;
}

/* Writes one of a source's signals, held in `row_number`, from its spike train. */
TN_FN static INLINE void emit(const tn_block *block, const row *words, uint32_t signal, uint32_t row_number, int delay)
{
    row *to = (row *)block->rows + row_number;
    if (!delay) {
        *to = *words;
        return;
    }
    shift_row(to, words, delay, block->history[signal]);
    block->history[signal] = latest_ticks((const uint64_t *)words, block->history[signal], block->ticks);
}

TN_FN static INLINE void emit_all(const tn_block *block, const row *words, uint32_t signal, uint32_t end)
{
    for (; signal < end; signal++)
        emit(block, words, signal, block->tables->signal_row[signal], block->tables->signal_delay[signal]);
}

/* Starts loading up to `most` rows that a core will soon read, from *at on. (Forced inline, as all here: the compiler
 * drops calls of a function that seems to do nothing.) */
TN_FN static INLINE void prefetch_rows(const tn_block *block, const uint32_t **at, const uint32_t *end, int most)
{
    for (; most-- && *at < end; ++*at) {
        const char *row = (const char *)block->rows[**at];
        __builtin_prefetch(row, 0, 2); /* not yet to the first level, which this core's rows fill */
        __builtin_prefetch(row + 64, 0, 2);
    }
}

/* The same for a row that will be written. */
TN_FN static INLINE void prefetch_written(const tn_block *block, const tn_emission *emission)
{
    const char *row = (const char *)block->rows[emission->row];
    __builtin_prefetch(row, 1, 2);
    __builtin_prefetch(row + 64, 1, 2);
}

TN_FN static void evaluate_core(const tn_block *block, size_t c, size_t next, tn_core_result *result)
{
    const tn_batch_tables *tables = block->tables;
    const tn_batch_core *core = &tables->cores[c];
    const tn_program *program = &tables->programs[core->program];
    const tn_class *class = tables->classes + program->classes;
    const tn_emission *emission = tables->emissions + core->first_class, *end = emission + program->n_classes;
    const uint16_t *literals = tables->literals + program->literals;
    row rows[TN_LITERALS];
    int chunk_ticks = (int)sizeof(lanes) * 8, chunks = ((int)block->ticks + chunk_ticks - 1) / chunk_ticks;
    gather(block, core, program, rows, result);
    tally spikes = {0}, hops = {0};
    row sampled = {0};
    const tn_batch_core *later = &tables->cores[next];
    const uint32_t *begin = tables->row_begin + later->first_row, *soon = tables->row_signals + begin[0],
                   *soon_end = tables->row_signals + begin[tables->programs[later->program].n_rows];
    int prefetches = program->n_classes ? (int)(soon_end - soon) / program->n_classes + 1 : 0;
    for (; emission < end; emission++, class++) {
        prefetch_rows(block, &soon, soon_end, prefetches);
        prefetch_written(block, end - emission > AHEAD ? emission + AHEAD : emission);
        row found = evaluate_class(rows, class, literals + class->stream, chunks);
        bit_count count = count_bits(&found, block->wanted);
        uint64_t hops_of_one = emission->weight >> 32;
        tally_add(&spikes, count, &emission->weight);
        tally_add(&hops, count, &hops_of_one);
        add_sampled(&sampled, &found, block, &emission->weight);
        if (result->fired)
            ((row *)result->fired)[class->number] = found;
        if (emission->n_signals) {
            emit(block, &found, emission->signal, emission->row, emission->delay);
            emit_all(block, &found, emission->signal + 1, emission->signal + emission->n_signals);
        }
    }
    result->spikes = tally_total(&spikes);
    result->hops = tally_total(&hops);
    memcpy(result->sampled_fired, &sampled, sizeof sampled);
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

#include "batch_pins.h"

const tn_batch_kernels TN_KERNELS = {evaluate_core, pack_pins, write_outputs, add_only, 31 * 8 * (int)sizeof(lanes)};

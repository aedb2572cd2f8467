/* The batch engine's kernels, written once and compiled for each instruction set.
 *
 * The including unit defines:
 * - TN_FN, what functions are compiled for, and TN_KERNELS, the table's name;
 * - TN_V, a vector type with &, |, ^, ~, and TN_LANES, vectors handled together, so that an index is loaded once for them;
 * - TN_FULL_ADDER(sum, carry, a, b, c); TN_MAJORITY(a, b, c); TN_SELECT(which, one, zero): bit by bit;
 * - TN_SPLAT(word), TN_SPLAT32(half a word);
 * - TN_LAST_AND(a, b): the last word of a, then all but the last of b; TN_SHIFT(words, before, n):
 *   words << n | before >> (64 - n) for n in 1..15; TN_SHIFT_LEFT and TN_SHIFT_RIGHT(words, n);
 * - maybe TN_LOAD_LANES(lanes, rows, index): loads all lanes from word `index` of `rows` on;
 * - TN_STREAM(to, vector): stores past the caches where that is possible, TN_STREAMED(): after all of them;
 * - TN_ADD_WHERE(sum, bits, mask, weight): sum + weight in the words where bits & mask is not 0;
 * - sums of weighted bits: bit_count = count_bits(row, wanted), the bits set in both; tally_add(&tally, count, &weight)
 *   takes the low 32 bits of a uint64_t; tally_total(&tally). */

#include <string.h>

enum {
    VECTORS = TN_ROW_WORDS * 8 / (int)sizeof(TN_V),
    CHUNKS = VECTORS / TN_LANES,
    GATHERED = sizeof(TN_V) == 64 ? 8 : 1, /* rows read before any is written, where there are registers for them */
    TOGETHER = 8                           /* classes evaluated before they are counted and emitted */
};

/* TN_LANES vectors that go through the same operations. */
typedef struct __attribute__((may_alias)) {
    TN_V v[TN_LANES];
} lanes;

#define EACH_LANE for (int l = 0; l < TN_LANES; l++)

typedef struct __attribute__((may_alias)) {
    TN_V v[VECTORS];
} row;

#include "batch_adders.h"

/* A class's spike train. Beyond the chunks that hold the block's ticks it is not computed: there, as in all rows, anything. */
TN_FN static INLINE row evaluate_class(const row *rows, const tn_class *class, const uint16_t *stream, int chunks,
                                       shared_count shared[CHUNKS])
{
    row found;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        if (chunk && chunk >= chunks)
            break;
        lanes part = evaluate_lanes((const uint64_t *)rows + chunk * (int)(sizeof(lanes) / 8), class, stream,
                                    &shared[chunk]);
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
        sum->v[i] = TN_ADD_WHERE(sum->v[i], bits->v[i], ((const TN_V *)block->sampled)[i], *weight);
}

/* One of a core's rows: the signals that reach it, joined. */
TN_FN static INLINE row joined(const tn_block *block, const uint32_t *signal, const uint32_t *end)
{
    const row *held = (const row *)block->rows;
    row all = held[*signal++];
    for (; signal < end; signal++)
        for (int v = 0; v < VECTORS; v++)
            all.v[v] |= held[*signal].v[v];
    return all;
}

typedef struct {
    tally events;
    row sampled;
} gathered;

/* The next n of a core's rows (n is known when compiling) and their complements. All are read before any is
 * written: a load waits for an earlier store to another address that differs by a multiple of 4096. */
TN_FN static INLINE void gather_some(const tn_block *block, const uint32_t *begin, const uint64_t *fan_out, row *rows, int n,
                                     gathered *sums)
{
    row plain[GATHERED];
    const uint32_t *signals = block->tables->row_signals;
    _Pragma("GCC unroll 8") for (int r = 0; r < n; r++)
        plain[r] = joined(block, signals + begin[r], signals + begin[r + 1]);
    _Pragma("GCC unroll 8") for (int r = 0; r < n; r++)
    {
        rows[2 * r] = plain[r];
        for (int v = 0; v < VECTORS; v++)
            rows[2 * r + 1].v[v] = ~plain[r].v[v];
        tally_add(&sums->events, count_bits(&plain[r], block->wanted), &fan_out[r]);
        add_sampled(&sums->sampled, &plain[r], block, &fan_out[r]);
    }
}

/* The rows of a core and their complements; counts synaptic events. */
TN_FN static INLINE void gather(const tn_block *block, const tn_batch_core *core, const tn_program *program, row *rows,
                                tn_core_result *result)
{
    const tn_batch_tables *tables = block->tables;
    const uint32_t *begin = tables->row_begin + core->first_row;
    const uint64_t *fan_out = tables->fan_out + program->fan_out;
    gathered sums = {0};
    int r = 0;
    for (; r + GATHERED <= program->n_rows; r += GATHERED)
        gather_some(block, begin + r, fan_out + r, rows + 2 * r, GATHERED, &sums);
    for (; r < program->n_rows; r++)
        gather_some(block, begin + r, fan_out + r, rows + 2 * r, 1, &sums);
    memset(&rows[2 * program->n_rows], 0, sizeof *rows);
    result->events = tally_total(&sums.events);
    *(row *)result->sampled_events = sums.sampled;
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

/* Starts loading the next `pairs` pairs of rows that a core will soon read, from *at on, unless that has come to the end: up to
 * one class's pairs go past it, to what tn_batch_find_programs leaves room for. (Forced inline, as all here: the compiler
 * drops calls of a function that seems to do nothing.) */
TN_FN static INLINE void prefetch_rows(const tn_block *block, const uint32_t **at, const uint32_t *end, int pairs)
{
    if (*at >= end)
        return;
    do
        for (int i = 0; i < 2; i++) {
            const char *row = (const char *)block->rows[*(*at)++];
            __builtin_prefetch(row, 0, 2); /* not yet to the first level, which this core's rows fill */
            __builtin_prefetch(row + 64, 0, 2);
        }
    while (--pairs);
}

/* The same for a row that will be written. */
TN_FN static INLINE void prefetch_written(const tn_block *block, const tn_emission *emission)
{
    const char *row = (const char *)block->rows[emission->row];
    __builtin_prefetch(row, 1, 2);
    __builtin_prefetch(row + 64, 1, 2);
}

/* What a core's classes fired, added up. */
typedef struct {
    tally spikes, hops;
    row sampled;
} core_sums;

/* Counts and emits what `n` classes, whose spike trains are `found`, fired. Apart from their evaluation: the adders' loop
 * stays small, and their loads do not wait for these stores. */
TN_FN static __attribute__((noinline)) void finish_classes(const tn_block *block, const row *found, const tn_emission *emission,
                                                           int n, core_sums *sums)
{
    tally spikes = sums->spikes, hops = sums->hops;
    row sampled = sums->sampled;
    for (int k = 0; k < n; k++, found++, emission++) {
        bit_count count = count_bits(found, block->wanted);
        uint64_t hops_of_one = emission->weight >> 32;
        tally_add(&spikes, count, &emission->weight);
        tally_add(&hops, count, &hops_of_one);
        add_sampled(&sampled, found, block, &emission->weight);
        if (emission->n_signals) {
            emit(block, found, emission->signal, emission->row, emission->delay);
            emit_all(block, found, emission->signal + 1, emission->signal + emission->n_signals);
        }
    }
    *sums = (core_sums){spikes, hops, sampled};
}

TN_FN static void evaluate_core(const tn_block *block, size_t c, size_t next, tn_core_result *result)
{
    const tn_batch_tables *tables = block->tables;
    const tn_batch_core *core = &tables->cores[c];
    const tn_program *program = &tables->programs[core->program];
    const tn_class *class = tables->classes + program->classes;
    const tn_emission *emission = tables->emissions + core->first_class;
    const uint16_t *literals = tables->literals + program->literals;
    row rows[TN_LITERALS], found[TOGETHER];
    shared_count shared[CHUNKS] = {0};
    int chunk_ticks = (int)sizeof(lanes) * 8, chunks = ((int)block->ticks + chunk_ticks - 1) / chunk_ticks;
    gather(block, core, program, rows, result);
    core_sums sums = {0};
    const tn_batch_core *later = &tables->cores[next];
    const uint32_t *begin = tables->row_begin + later->first_row, *soon = tables->row_signals + begin[0],
                   *soon_end = tables->row_signals + begin[tables->programs[later->program].n_rows];
    int pairs = program->n_classes ? (int)(soon_end - soon) / (2 * program->n_classes) + 1 : 0;
    for (int left = program->n_classes, n; left; left -= n, emission += n) {
        n = left < TOGETHER ? left : TOGETHER;
        for (int k = 0; k < n; k++, class++) {
            prefetch_rows(block, &soon, soon_end, pairs);
            prefetch_written(block, &emission[k]);
            found[k] = evaluate_class(rows, class, literals + class->stream, chunks, shared);
            if (result->fired)
                ((row *)result->fired)[class->number] = found[k];
        }
        finish_classes(block, found, emission, n, &sums);
    }
    result->spikes = tally_total(&sums.spikes);
    result->hops = tally_total(&sums.hops);
    *(row *)result->sampled_fired = sums.sampled;
}

#include "batch_pins.h"

const tn_batch_kernels TN_KERNELS = {evaluate_core, pack_pins, write_outputs, add_only, 31 * 8 * (int)sizeof(lanes)};

/* The batch engine's kernels, written once and compiled for each instruction set.
 *
 * The including unit defines TN_FN (what functions are compiled for), TN_KERNELS (the table's name), TN_V (a vector
 * type with &, |, ^), TN_LANES (vectors handled together, so that an index is loaded once for them), TN_SUM3 and
 * TN_MAJORITY3 (a full adder's outputs) and expand_bits(bytes, bits): 64 bytes 0 or 1 from a word. */

#include <string.h>

enum { VECTORS = TN_ROW_WORDS * 8 / (int)sizeof(TN_V), CHUNKS = VECTORS / TN_LANES };

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
            (carry).v[l] = TN_MAJORITY3(s_, a_, b_); \
            (sum).v[l] = TN_SUM3(s_, a_, b_); \
        } \
    } while (0)

typedef struct {
    TN_V v[VECTORS];
} row;

TN_FN static inline __attribute__((always_inline)) lanes literal(const row *rows, uint16_t index, int chunk)
{
    lanes found;
    EACH_LANE found.v[l] = rows[index].v[chunk * TN_LANES + l];
    return found;
}

/* Adds eight literals; returns the carry of weight 8. */
TN_FN static inline __attribute__((always_inline)) lanes add_eight(const row *rows, const uint16_t *index, int chunk,
                                                                   lanes *ones, lanes *twos, lanes *fours)
{
    lanes a, b, c, d, x, y;
    x = literal(rows, index[0], chunk), y = literal(rows, index[1], chunk);
    FULL_ADDER(*ones, a, x, y);
    x = literal(rows, index[2], chunk), y = literal(rows, index[3], chunk);
    FULL_ADDER(*ones, b, x, y);
    FULL_ADDER(*twos, c, a, b);
    x = literal(rows, index[4], chunk), y = literal(rows, index[5], chunk);
    FULL_ADDER(*ones, a, x, y);
    x = literal(rows, index[6], chunk), y = literal(rows, index[7], chunk);
    FULL_ADDER(*ones, b, x, y);
    FULL_ADDER(*twos, d, a, b);
    FULL_ADDER(*fours, a, c, d);
    return a;
}

/* Adds `carry` to the planes from *plane to *last. */
TN_FN static inline __attribute__((always_inline)) void ripple(lanes *plane, const lanes *last, lanes carry)
{
    for (; plane <= last; plane++)
        EACH_LANE
        {
            TN_V next = plane->v[l] & carry.v[l];
            plane->v[l] ^= carry.v[l];
            carry.v[l] = next;
        }
}

/* Adds `groups` times eight literals of weight 1 to a counter of planes 0..top. */
TN_FN static inline __attribute__((always_inline)) void add_groups(const row *rows, const uint16_t *index, int groups,
                                                                   int chunk, lanes *counter, int top)
{
    lanes ones = counter[0], twos = counter[1], fours = counter[2], eights = counter[3], sixteens = counter[4];
    lanes a, b, c, d;
    for (; groups >= 4; groups -= 4, index += 32) {
        a = add_eight(rows, index, chunk, &ones, &twos, &fours);
        b = add_eight(rows, index + 8, chunk, &ones, &twos, &fours);
        FULL_ADDER(eights, c, a, b);
        a = add_eight(rows, index + 16, chunk, &ones, &twos, &fours);
        b = add_eight(rows, index + 24, chunk, &ones, &twos, &fours);
        FULL_ADDER(eights, d, a, b);
        FULL_ADDER(sixteens, a, c, d);
        ripple(counter + 5, counter + top, a);
    }
    if (groups >= 2) {
        a = add_eight(rows, index, chunk, &ones, &twos, &fours);
        b = add_eight(rows, index + 8, chunk, &ones, &twos, &fours);
        FULL_ADDER(eights, c, a, b);
        EACH_LANE
        {
            a.v[l] = sixteens.v[l] & c.v[l];
            sixteens.v[l] ^= c.v[l];
        }
        ripple(counter + 5, counter + top, a);
        groups -= 2;
        index += 16;
    }
    if (groups) {
        a = add_eight(rows, index, chunk, &ones, &twos, &fours);
        EACH_LANE
        {
            b.v[l] = eights.v[l] & a.v[l];
            eights.v[l] ^= a.v[l];
            c.v[l] = sixteens.v[l] & b.v[l];
            sixteens.v[l] ^= b.v[l];
        }
        ripple(counter + 5, counter + top, c);
    }
    counter[0] = ones, counter[1] = twos, counter[2] = fours, counter[3] = eights, counter[4] = sixteens;
}

TN_FN static inline void evaluate_class(const row *rows, const tn_class *class, const uint16_t *segment, int chunks,
                                        uint64_t fired[TN_ROW_WORDS])
{
    static const uint64_t constant[2] = {0, ~UINT64_C(0)};
    for (int chunk = 0; chunk < chunks; chunk++) {
        lanes counter[TN_COUNTER_PLANES];
        int planes = class->top < 4 ? 4 : class->top;
        for (int p = 0; p <= planes; p++)
            EACH_LANE counter[p].v[l] = TN_SPLAT(constant[class->start >> p & 1]);
        const uint16_t *at = segment;
        for (int s = 0; s < class->n_segments; s++) {
            int plane = at[0], groups = at[1];
            for (int p = planes + 1; p < plane + 5; p++) /* planes that the adder touches, and nobody reads */
                EACH_LANE counter[p].v[l] = TN_SPLAT(0);
            add_groups(rows, at + 2, groups, chunk, counter + plane, class->top - plane);
            at += 2 + 8 * groups;
        }
        memcpy(fired + chunk * (int)(sizeof(lanes) / 8), &counter[class->top], sizeof(lanes));
    }
}

/* The rows of a core and their complements; returns synaptic events. */
TN_FN static inline int64_t gather(const tn_block *block, const tn_batch_core *core, const tn_program *program, row *rows)
{
    const tn_batch_tables *tables = block->tables;
    const uint32_t *begin = tables->row_begin + core->first_row, *fan_out = tables->fan_out + program->fan_out;
    int64_t events = 0;
    for (int r = 0; r < program->n_rows; r++) {
        uint64_t *plain = (uint64_t *)&rows[2 * r], *inverse = (uint64_t *)&rows[2 * r + 1];
        const uint64_t *first = block->signals[tables->row_signals[begin[r]]];
        int64_t count = 0;
        for (int w = 0; w < TN_ROW_WORDS; w++)
            plain[w] = first[w];
        for (uint32_t i = begin[r] + 1; i < begin[r + 1]; i++)
            for (int w = 0; w < TN_ROW_WORDS; w++)
                plain[w] |= block->signals[tables->row_signals[i]][w];
        for (int w = 0; w < TN_ROW_WORDS; w++) {
            inverse[w] = ~plain[w];
            count += __builtin_popcountll(plain[w] & block->wanted[w]);
        }
        events += count * fan_out[r];
    }
    memset(&rows[2 * program->n_rows], 0, sizeof *rows);
    return events;
}

/* Writes a source's signals from its spike train, words[1..TN_ROW_WORDS]; words[0] is overwritten. */
TN_FN static inline void emit(const tn_block *block, uint64_t words[TN_ROW_WORDS + 1], uint32_t signal, uint32_t end)
{
    for (; signal < end; signal++) {
        int delay = block->tables->signal_delay[signal];
        uint64_t *out = block->signals[signal];
        if (!delay) {
            memcpy(out, words + 1, TN_ROW_WORDS * sizeof *out);
            continue;
        }
        uint32_t history = block->history[signal];
        words[0] = (uint64_t)history << 48;
        for (int w = 0; w < TN_ROW_WORDS; w++)
            out[w] = words[w + 1] << delay | words[w] >> (64 - delay);
        size_t n = block->ticks;
        if (n >= 16) {
            size_t from = n - 16; /* the row's bits from..n - 1 */
            uint64_t latest = words[1 + from / 64] >> from % 64;
            if (from % 64 > 48)
                latest |= words[2 + from / 64] << (64 - from % 64);
            block->history[signal] = (uint16_t)latest;
        } else {
            block->history[signal] = (uint16_t)(history >> n | words[1] << (16 - n));
        }
    }
}

TN_FN static void evaluate_core(const tn_block *block, size_t c, tn_core_result *result)
{
    const tn_batch_tables *tables = block->tables;
    const tn_batch_core *core = &tables->cores[c];
    const tn_program *program = &tables->programs[core->program];
    const tn_class *class = tables->classes + program->classes;
    const uint16_t *literals = tables->literals + program->literals;
    row rows[TN_LITERALS] __attribute__((aligned(64)));
    int chunk_ticks = (int)sizeof(lanes) * 8, chunks = ((int)block->ticks + chunk_ticks - 1) / chunk_ticks;
    result->events = gather(block, core, program, rows);
    result->spikes = result->hops = 0;
    for (int k = 0; k < program->n_classes; k++, class++) {
        uint64_t words[TN_ROW_WORDS + 8] __attribute__((aligned(64))) = {0};
        uint64_t *fired = words + 8; /* aligned; the word before is for `emit` */
        evaluate_class(rows, class, literals + class->segments, chunks, fired);
        int64_t count = 0;
        for (int w = 0; w < TN_ROW_WORDS; w++)
            count += __builtin_popcountll(fired[w] & block->wanted[w]);
        const uint32_t *signal = tables->class_signals + core->first_class + k;
        result->spikes += count * class->copies;
        result->hops += count * tables->class_hops[core->first_class + (uint32_t)k];
        if (result->fired)
            memcpy(result->fired[k], fired, sizeof *result->fired);
        emit(block, words + 7, signal[0], signal[1]);
    }
}

TN_FN static void pack_pins(const tn_block *block, const uint8_t *pins, size_t first)
{
    size_t all = block->tables->input_pins, n = all - first < 64 ? all - first : 64;
    uint64_t trains[64][TN_ROW_WORDS + 1] __attribute__((aligned(64)));
    memset(trains, 0, sizeof trains);
    for (size_t tile = 0; pins && tile < block->ticks; tile += 64) {
        uint64_t words[64] = {0};
        size_t ticks = block->ticks - tile < 64 ? block->ticks - tile : 64;
        for (size_t t = 0; t < ticks; t++)
            words[t] = pack_bits(pins + (tile + t) * all + first, n);
        tn_transpose64(words);
        for (size_t p = 0; p < n; p++)
            trains[p][1 + tile / 64] = words[p];
    }
    for (size_t p = 0; p < n; p++)
        emit(block, trains[p], block->tables->pin_signals[first + p], block->tables->pin_signals[first + p + 1]);
}

TN_FN static void write_outputs(const tn_block *block, uint8_t *outputs, size_t first)
{
    const tn_batch_tables *tables = block->tables;
    size_t all = tables->output_pins, n = all - first < 64 ? all - first : 64;
    for (size_t tile = 0; tile < block->ticks; tile += 64) {
        uint64_t words[64] = {0};
        size_t ticks = block->ticks - tile < 64 ? block->ticks - tile : 64;
        for (size_t p = 0; p < n; p++)
            for (uint32_t i = tables->output_begin[first + p]; i < tables->output_begin[first + p + 1]; i++)
                words[p] |= block->signals[tables->output_signals[i]][tile / 64];
        tn_transpose64(words);
        for (size_t t = 0; t < ticks; t++)
            expand_bits(outputs + (tile + t) * all + first, words[t], n);
    }
}

const tn_batch_kernels TN_KERNELS = {evaluate_core, pack_pins, write_outputs};

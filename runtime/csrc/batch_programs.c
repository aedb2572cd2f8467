/* A core's rows, and the literals that its classes add up. */
#include "batch_build.h"

#include <stdlib.h>
#include <string.h>

/* Rows of core c: row_of_axon filled in, rows appended. */
static tn_error find_rows(tn_batch_build_state *b, size_t c, const uint64_t rows[TN_AXONS][TN_NEURON_WORDS],
                          int16_t row_of_axon[TN_AXONS], uint16_t *n_rows)
{
    *n_rows = 0;
    for (int axon = 0; axon < TN_AXONS; axon++) {
        const uint32_t *begin = b->incoming_begin + c * TN_AXONS + (size_t)axon;
        uint32_t n = begin[1] - begin[0];
        row_of_axon[axon] = -1;
        if (!n || !(rows[axon][0] | rows[axon][1] | rows[axon][2] | rows[axon][3]))
            continue;
        uint32_t first = b->incoming[begin[0]];
        int alone = 1; /* every spike of the axon is a spike of one signal */
        for (uint32_t i = 1; i < n; i++)
            alone &= b->incoming[begin[0] + i] == first;
        if (alone && b->seen_core[first] == c + 1) {
            row_of_axon[axon] = (int16_t)b->seen_row[first];
            continue;
        }
        uint32_t kept = alone ? 1 : n, *signals = tn_vector_add(&b->row_signals, kept);
        uint32_t *row_begin = tn_vector_add(&b->row_begin, 1);
        if (!signals || !row_begin)
            return TN_ERROR_MEMORY;
        memcpy(signals, b->incoming + begin[0], kept * sizeof *signals);
        *row_begin = (uint32_t)(b->row_signals.count - kept);
        if (alone) {
            b->seen_core[first] = (uint32_t)c + 1;
            b->seen_row[first] = *n_rows;
        }
        row_of_axon[axon] = (int16_t)(*n_rows)++;
    }
    return TN_OK;
}

/* Appends {plane, groups of four, literals} for the rows whose |weight| has bit `plane`, if there are any; returns the
 * groups, -1: no memory. */
static int add_segment(tn_batch_build_state *b, const int32_t *weight, uint16_t n_rows, int plane)
{
    uint16_t found[TN_AXONS + 8];
    int n = 0;
    for (uint16_t r = 0; r < n_rows; r++) {
        uint32_t size = (uint32_t)(weight[r] < 0 ? -weight[r] : weight[r]);
        if (size >> plane & 1)
            found[n++] = (uint16_t)(TN_ROW_WORDS * (2 * r + (weight[r] < 0)));
    }
    if (!n)
        return 0;
    while (n % 4)
        found[n++] = (uint16_t)(TN_ROW_WORDS * 2 * n_rows);
    uint16_t *to = tn_vector_add(&b->literals, (size_t)n + 2);
    if (!to)
        return -1;
    to[0] = (uint16_t)plane;
    to[1] = (uint16_t)(n / 4);
    memcpy(to + 2, found, (size_t)n * sizeof *found);
    return n / 4;
}

/* Appends the counter's start value, plane by plane: 32 bits each, all 0 or all 1. */
static tn_error add_start(tn_batch_build_state *b, uint32_t start, int top)
{
    uint16_t *to = tn_vector_add(&b->literals, 2 * ((size_t)top + 1));
    if (!to)
        return TN_ERROR_MEMORY;
    for (int p = 0; p <= top; p++)
        to[2 * p] = to[2 * p + 1] = start >> p & 1 ? UINT16_MAX : 0;
    return TN_OK;
}

static tn_error add_class(tn_batch_build_state *b, const tn_program *program, tn_class *class, const int32_t *weight,
                          int32_t least_sum)
{
    int64_t negative = 0, total = 0;
    uint32_t any = 0;
    for (int r = 0; r < program->n_rows; r++) {
        int32_t size = weight[r] < 0 ? -weight[r] : weight[r];
        total += size;
        negative += weight[r] < 0 ? size : 0;
        any |= (uint32_t)size;
    }
    int64_t need = least_sum + negative; /* fires where the sum of the literals reaches this */
    class->stream = (uint32_t)(b->literals.count - program->literals);
    class->top = 4;
    if (need <= 0 || need > total) {
        uint16_t *nothing;
        if (add_start(b, need <= 0 ? 16 : 0, class->top) || !(nothing = tn_vector_add(&b->literals, 2)))
            return TN_ERROR_MEMORY;
        memset(nothing, 0, 2 * sizeof *nothing);
        return TN_OK;
    }
    while ((INT64_C(1) << class->top) < need || (INT64_C(1) << class->top) < total - need + 1)
        class->top++;
    if (add_start(b, (uint32_t)((INT64_C(1) << class->top) - need), class->top))
        return TN_ERROR_MEMORY;
    for (int plane = 0; any >> plane; plane++) {
        int added = add_segment(b, weight, program->n_rows, plane);
        if (added < 0)
            return TN_ERROR_MEMORY;
        class->fours = (uint16_t)(class->fours + added);
        class->n_segments = (uint8_t)(class->n_segments + (added > 0));
    }
    class->n_high = any == 1 ? (uint8_t)(class->top - 4) : TN_WEIGHTED;
    return TN_OK;
}

/* Classes of the same shape one after the other, so that branches repeat. */
static int compare_classes(const void *left, const void *right)
{
    const tn_class *a = left, *b = right;
    if (a->n_high != b->n_high)
        return a->n_high < b->n_high ? -1 : 1;
    if (a->fours != b->fours)
        return a->fours < b->fours ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

/* Lays the classes' literals in the order of the classes, in which they are read. begin[k]: where those of class number k are,
 * from the program's first on. */
static tn_error order_literals(tn_batch_build_state *b, const tn_program *program, tn_class *classes, const uint32_t *begin)
{
    size_t n = b->literals.count - program->literals;
    if (!n) /* no classes, and maybe no memory for literals yet */
        return TN_OK;
    uint16_t *literals = (uint16_t *)b->literals.items + program->literals, *old = malloc(n * sizeof *old);
    if (!old)
        return TN_ERROR_MEMORY;
    memcpy(old, literals, n * sizeof *old);
    uint32_t at = 0;
    for (int k = 0; k < program->n_classes; k++) {
        uint32_t from = begin[classes[k].number], length = begin[classes[k].number + 1] - from;
        memcpy(literals + at, old + from, length * sizeof *old);
        classes[k].stream = at;
        at += length;
    }
    free(old);
    return TN_OK;
}

static tn_error add_program(tn_batch_build_state *b, size_t c, const tn_program_key *key, uint16_t n_rows,
                            const uint64_t rows[TN_AXONS][TN_NEURON_WORDS])
{
    const tn_chip *chip = b->chip;
    const tn_neuron_types *types = &chip->types;
    const tn_shape *s = (const tn_shape *)b->shapes.items + key->shape;
    const uint8_t *axon_type = chip->axon_types + (size_t)key->axon_types * chip->axons;
    tn_program program = {n_rows, s->n_classes, b->classes.count, b->literals.count, b->fan_out.count, 0};
    uint64_t columns[TN_NEURONS][TN_AXON_WORDS];
    tn_batch_columns(rows, columns);
    uint64_t *fan_out = tn_vector_add(&b->fan_out, n_rows);
    tn_class class[TN_NEURONS];
    tn_program *to = tn_vector_add(&b->programs, 1);
    if (!fan_out || !to)
        return TN_ERROR_MEMORY;
    memset(fan_out, 0, n_rows * sizeof *fan_out);
    for (int axon = 0; axon < TN_AXONS; axon++)
        for (int w = 0; key->row_of_axon[axon] >= 0 && w < TN_NEURON_WORDS; w++)
            fan_out[key->row_of_axon[axon]] += (uint64_t)__builtin_popcountll(rows[axon][w]);
    for (int k = 0; k < s->n_classes; k++) {
        size_t j = s->member[k], t = (size_t)chip->neuron_type[c * chip->neurons + j];
        int32_t weight[TN_AXONS] = {0};
        for (int word = 0; word < TN_AXON_WORDS; word++)
            for (uint64_t bits = columns[j][word]; bits; bits &= bits - 1) {
                int axon = 64 * word + __builtin_ctzll(bits);
                if (key->row_of_axon[axon] >= 0)
                    weight[key->row_of_axon[axon]] += types->weights[4 * t + axon_type[axon]];
            }
        class[k] = (tn_class){.copies = s->copies[k], .number = (uint8_t)k};
        tn_error error = add_class(b, &program, &class[k], weight, types->threshold[t] - types->leak[t]);
        if (error)
            return error;
    }
    uint32_t begin[TN_NEURONS + 1];
    for (int k = 0; k < s->n_classes; k++)
        begin[k] = class[k].stream;
    begin[s->n_classes] = (uint32_t)(b->literals.count - program.literals);
    qsort(class, s->n_classes, sizeof *class, compare_classes);
    if (order_literals(b, &program, class, begin))
        return TN_ERROR_MEMORY;
    tn_class *classes = tn_vector_add(&b->classes, s->n_classes);
    if (!classes)
        return TN_ERROR_MEMORY;
    memcpy(classes, class, s->n_classes * sizeof *class);
    program.work = b->literals.count - program.literals;
    *to = program;
    return TN_OK;
}

tn_error tn_batch_find_programs(tn_batch_build_state *b)
{
    const tn_chip *chip = b->chip;
    tn_batch_tables *out = b->out;
    b->seen_core = calloc(out->n_signals + 1, sizeof *b->seen_core);
    b->seen_row = calloc(out->n_signals + 1, sizeof *b->seen_row);
    if (!b->seen_core || !b->seen_row)
        return TN_ERROR_MEMORY;
    size_t most = 0; /* signals that one core reads */
    for (size_t c = 0; c < chip->n_cores; c++) {
        uint64_t rows[TN_AXONS][TN_NEURON_WORDS];
        size_t before = b->row_signals.count;
        tn_program_key key = {.axon_types = chip->axon_types_index[c], .shape = b->shape_of[c]};
        uint16_t n_rows;
        tn_chip_rows(chip, c, rows);
        out->cores[c].first_row = b->row_begin.count;
        tn_error error = find_rows(b, c, rows, key.row_of_axon, &n_rows);
        if (error)
            return error;
        if (b->row_signals.count - before > most)
            most = b->row_signals.count - before;
        size_t known = b->program_keys.count, number = tn_intern_add(&b->program_keys, &key);
        if (number == SIZE_MAX)
            return TN_ERROR_MEMORY;
        if (number == known && (error = add_program(b, c, &key, n_rows, rows)))
            return error;
        out->cores[c].program = (uint32_t)number;
    }
    uint32_t *last = tn_vector_add(&b->row_begin, 1);
    if (!last)
        return TN_ERROR_MEMORY;
    *last = (uint32_t)b->row_signals.count;
    /* The kernels look ahead in n / (2 classes) + 1 pairs a class, n the signals of the core they look at, and see its end
     * only between classes: up to n + 1 too many. */
    uint32_t *ahead = tn_vector_add(&b->row_signals, most + 1);
    if (!ahead)
        return TN_ERROR_MEMORY;
    memset(ahead, 0, (most + 1) * sizeof *ahead);
    return TN_OK;
}

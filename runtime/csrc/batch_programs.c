/* A core's rows, and the weights of what its classes add up. */
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
    if (!fan_out)
        return TN_ERROR_MEMORY;
    memset(fan_out, 0, n_rows * sizeof *fan_out);
    for (int axon = 0; axon < TN_AXONS; axon++)
        for (int w = 0; key->row_of_axon[axon] >= 0 && w < TN_NEURON_WORDS; w++)
            fan_out[key->row_of_axon[axon]] += (uint64_t)__builtin_popcountll(rows[axon][w]);
    for (int k = 0; k < s->n_classes; k++) {
        size_t j = s->member[k], t = (size_t)chip->neuron_type[c * chip->neurons + j];
        tn_sum *sum = &b->sums[k];
        *sum = (tn_sum){.least = types->threshold[t] - types->leak[t], .copies = s->copies[k]};
        for (int word = 0; word < TN_AXON_WORDS; word++)
            for (uint64_t bits = columns[j][word]; bits; bits &= bits - 1) {
                int axon = 64 * word + __builtin_ctzll(bits);
                if (key->row_of_axon[axon] >= 0)
                    sum->weight[key->row_of_axon[axon]] += types->weights[4 * t + axon_type[axon]];
            }
    }
    tn_error error = tn_batch_add_classes(b, n_rows, s->n_classes);
    if (error)
        return error;
    program.work = b->literals.count - program.literals;
    tn_program *to = tn_vector_add(&b->programs, 1);
    if (!to)
        return TN_ERROR_MEMORY;
    *to = program;
    return TN_OK;
}

tn_error tn_batch_find_programs(tn_batch_build_state *b)
{
    const tn_chip *chip = b->chip;
    tn_batch_tables *out = b->out;
    b->seen_core = calloc(out->n_signals + 1, sizeof *b->seen_core);
    b->seen_row = calloc(out->n_signals + 1, sizeof *b->seen_row);
    b->sums = malloc(TN_NEURONS * sizeof *b->sums);
    if (!b->seen_core || !b->seen_row || !b->sums)
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

/* Classes of neurons and the signals they and the input pins make. */
#include "batch_build.h"

#include <stdlib.h>
#include <string.h>

void tn_batch_columns(const uint64_t rows[TN_AXONS][TN_NEURON_WORDS], uint64_t columns[TN_NEURONS][TN_AXON_WORDS])
{
    for (int a = 0; a < TN_AXON_WORDS; a++)
        for (int j = 0; j < TN_NEURON_WORDS; j++) {
            uint64_t tile[64];
            for (int i = 0; i < 64; i++)
                tile[i] = rows[64 * a + i][j];
            tn_transpose64(tile);
            for (int i = 0; i < 64; i++)
                columns[64 * j + i][a] = tile[i];
        }
}

static uint64_t hash_column(const uint64_t column[TN_AXON_WORDS], int32_t type)
{
    uint64_t hash = (uint64_t)type * UINT64_C(0x9e3779b97f4a7c15);
    for (int w = 0; w < TN_AXON_WORDS; w++) {
        hash = (hash ^ column[w]) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    return hash;
}

static void group_neurons(tn_shape *found, const tn_chip *chip, size_t core)
{
    uint64_t rows[TN_AXONS][TN_NEURON_WORDS], columns[TN_NEURONS][TN_AXON_WORDS];
    const int32_t *type = chip->neuron_type + core * chip->neurons;
    uint16_t slots[2 * TN_NEURONS] = {0}; /* class + 1 */
    tn_chip_rows(chip, core, rows);
    tn_batch_columns(rows, columns);
    memset(found, 0, sizeof *found);
    for (size_t j = 0; j < chip->neurons; j++) {
        if (type[j] < 0)
            continue;
        size_t slot = hash_column(columns[j], type[j]) % (2 * TN_NEURONS);
        for (; slots[slot]; slot = (slot + 1) % (2 * TN_NEURONS)) {
            uint16_t member = found->member[slots[slot] - 1];
            if (type[member] == type[j] && !memcmp(columns[member], columns[j], sizeof columns[j]))
                break;
        }
        if (!slots[slot]) {
            found->member[found->n_classes] = (uint16_t)j;
            slots[slot] = ++found->n_classes;
        }
        found->class_of[j] = (uint8_t)(slots[slot] - 1);
        found->copies[slots[slot] - 1]++;
    }
}

tn_error tn_batch_find_signals(tn_batch_build_state *b)
{
    const tn_chip *chip = b->chip;
    tn_batch_tables *out = b->out;
    uint32_t classes = 0;
    for (size_t c = 0; c < chip->n_cores; c++) {
        tn_shape_key key = {.crossbar = chip->crossbar_index[c]};
        memset(key.type, -1, sizeof key.type);
        memcpy(key.type, chip->neuron_type + c * chip->neurons, chip->neurons * sizeof *key.type);
        size_t known = b->shape_keys.count, number = tn_intern_add(&b->shape_keys, &key);
        if (number == SIZE_MAX)
            return TN_ERROR_MEMORY;
        if (number == known) {
            tn_shape *new_shape = tn_vector_add(&b->shapes, 1);
            if (!new_shape)
                return TN_ERROR_MEMORY;
            group_neurons(new_shape, chip, c);
        }
        const tn_shape *s = (const tn_shape *)b->shapes.items + number;
        b->shape_of[c] = (uint32_t)number;
        out->cores[c].first_class = classes;
        classes += s->n_classes;
        memcpy(out->class_of + c * chip->neurons, s->class_of, chip->neurons);
        for (size_t j = 0; j < chip->neurons; j++)
            out->used[c * chip->neurons + j] = key.type[j] >= 0;
    }
    b->class_signals = calloc(classes + 1, sizeof *b->class_signals);
    b->class_hops = calloc(classes + 1, sizeof *b->class_hops);
    b->class_delays = calloc(classes + 1, sizeof *b->class_delays);
    if (!b->class_signals || !b->class_hops || !b->class_delays)
        return TN_ERROR_MEMORY;
    for (size_t c = 0; c < chip->n_cores; c++)
        for (size_t j = 0; j < chip->neurons; j++) {
            size_t i = c * chip->neurons + j, class = out->cores[c].first_class + out->class_of[i];
            if (!out->used[i])
                continue;
            if (chip->target_core[i] >= 0) {
                b->class_delays[class] |= (uint16_t)(1 << chip->target_delay[i]);
                b->class_hops[class] += chip->target_hops[i];
            } else if (chip->target_core[i] == TN_OUTPUT) {
                b->class_delays[class] |= 1;
                b->class_hops[class] += chip->target_hops[i];
            }
        }
    for (size_t i = 0; i < chip->n_inputs; i++)
        b->pin_delays[chip->input_pin[i]] |= (uint16_t)(1 << chip->input_delay[i]);
    for (size_t k = 0; k < classes; k++)
        if (b->class_hops[k] > UINT32_MAX / TN_NEURONS) /* a mesh far beyond any that could be built */
            return TN_ERROR_CHIP;
    uint64_t signals = 0;
    for (size_t pin = 0; pin < chip->input_pins; pin++) {
        out->pin_signals[pin] = (uint32_t)signals;
        signals += (uint64_t)__builtin_popcount(b->pin_delays[pin]);
    }
    out->pin_signals[chip->input_pins] = (uint32_t)signals;
    for (size_t k = 0; k < classes; k++) {
        b->class_signals[k] = (uint32_t)signals;
        signals += (uint64_t)__builtin_popcount(b->class_delays[k]);
    }
    b->class_signals[classes] = (uint32_t)signals;
    out->n_signals = signals;
    if (signals > UINT32_MAX || !(out->signal_delay = calloc(signals + 1, 1)))
        return TN_ERROR_MEMORY;
    size_t signal = 0;
    for (size_t i = 0; i < chip->input_pins + classes; i++) {
        uint32_t delays = i < chip->input_pins ? b->pin_delays[i] : b->class_delays[i - chip->input_pins];
        for (; delays; delays &= delays - 1)
            out->signal_delay[signal++] = (uint8_t)__builtin_ctz(delays);
    }
    return TN_OK;
}

static uint32_t signal_of(uint32_t first, uint16_t delays, int delay)
{
    return first + (uint32_t)__builtin_popcount(delays & ((1u << delay) - 1));
}

static uint32_t signal_of_neuron(const tn_batch_build_state *b, size_t core, size_t i, int delay)
{
    size_t class = b->out->cores[core].first_class + b->out->class_of[i];
    return signal_of(b->class_signals[class], b->class_delays[class], delay);
}

/* Counting sort of (place, signal) pairs: twice over the pairs, first counting, then placing. */
typedef struct {
    uint32_t *begin, *items;
    int placing;
} sorter;

static void sorter_add(sorter *s, size_t place, uint32_t signal)
{
    if (s->placing)
        s->items[s->begin[place]++] = signal;
    else
        s->begin[place + 1]++;
}

void tn_sum_counts(uint32_t *begin, size_t places)
{
    for (size_t i = 0; i < places; i++)
        begin[i + 1] += begin[i];
}

static void add_pairs(tn_batch_build_state *b, sorter *axons, sorter *pins)
{
    const tn_chip *chip = b->chip;
    for (size_t i = 0; i < chip->n_inputs; i++) {
        size_t pin = (size_t)chip->input_pin[i], place = (size_t)chip->input_core[i] * TN_AXONS + (size_t)chip->input_axon[i];
        sorter_add(axons, place, signal_of(b->out->pin_signals[pin], b->pin_delays[pin], chip->input_delay[i]));
    }
    for (size_t c = 0; c < chip->n_cores; c++)
        for (size_t j = 0; j < chip->neurons; j++) {
            size_t i = c * chip->neurons + j;
            if (!b->out->used[i])
                continue;
            if (chip->target_core[i] >= 0)
                sorter_add(axons, (size_t)chip->target_core[i] * TN_AXONS + (size_t)chip->target_axon[i],
                           signal_of_neuron(b, c, i, chip->target_delay[i]));
            else if (chip->target_core[i] == TN_OUTPUT)
                sorter_add(pins, (size_t)chip->target_axon[i], signal_of_neuron(b, c, i, 0));
        }
}

tn_error tn_batch_connect(tn_batch_build_state *b)
{
    const tn_chip *chip = b->chip;
    tn_batch_tables *out = b->out;
    size_t places = chip->n_cores * TN_AXONS, pins = chip->output_pins;
    sorter by_axon = {calloc(places + 2, sizeof(uint32_t)), NULL, 0}, by_pin = {calloc(pins + 2, sizeof(uint32_t)), NULL, 0};
    b->incoming_begin = by_axon.begin;
    out->output_begin = by_pin.begin;
    if (!by_axon.begin || !by_pin.begin)
        return TN_ERROR_MEMORY;
    /* counts lie one place further on, so that after placing, begin[i] is where place i begins */
    by_axon.begin++;
    by_pin.begin++;
    add_pairs(b, &by_axon, &by_pin);
    by_axon.begin--;
    by_pin.begin--;
    tn_sum_counts(by_axon.begin, places + 1);
    tn_sum_counts(by_pin.begin, pins + 1);
    b->incoming = calloc(by_axon.begin[places + 1] + 1, sizeof(uint32_t));
    out->output_signals = calloc(by_pin.begin[pins + 1] + 1, sizeof(uint32_t));
    if (!b->incoming || !out->output_signals)
        return TN_ERROR_MEMORY;
    by_axon = (sorter){by_axon.begin + 1, b->incoming, 1};
    by_pin = (sorter){by_pin.begin + 1, out->output_signals, 1};
    add_pairs(b, &by_axon, &by_pin);
    return TN_OK;
}

/* Compiles a chip for the batch engine: classes, then signals, then rows and programs, then the order. */
#include "batch_build.h"

#include <stdlib.h>
#include <string.h>

#include "memoryless.h"

/* Room for `more` further items at its end, or NULL. */
void *tn_vector_add(tn_vector *v, size_t more)
{
    if (!v->items || v->count + more > v->capacity) {
        size_t capacity = 2 * (v->count + more) + 64;
        void *grown = realloc(v->items, capacity * v->item_bytes);
        if (!grown)
            return NULL;
        v->items = grown;
        v->capacity = capacity;
    }
    v->count += more;
    return (uint8_t *)v->items + (v->count - more) * v->item_bytes;
}

static tn_error check_memoryless(const tn_chip *chip)
{
    for (size_t i = 0; i < chip->n_cores * chip->neurons; i++)
        if (chip->neuron_type[i] >= 0 && !tn_memoryless(&chip->types, (size_t)chip->neuron_type[i]))
            return TN_ERROR_STATEFUL;
    return TN_OK;
}

static tn_error build_all(tn_batch_build_state *b)
{
    const tn_chip *chip = b->chip;
    tn_batch_tables *out = b->out;
    size_t n = chip->n_cores;
    tn_error error = check_memoryless(chip);
    if (error)
        return error;
    out->cores = calloc(n + 1, sizeof *out->cores);
    out->order = calloc(n + 1, sizeof *out->order);
    out->class_of = calloc(n * chip->neurons + 1, 1);
    out->used = calloc(n * chip->neurons + 1, 1);
    out->pin_signals = calloc(chip->input_pins + 1, sizeof *out->pin_signals);
    b->shape_of = calloc(n + 1, sizeof *b->shape_of);
    b->pin_delays = calloc(chip->input_pins + 1, sizeof *b->pin_delays);
    if (!out->cores || !out->order || !out->class_of || !out->used || !out->pin_signals || !b->shape_of || !b->pin_delays)
        return TN_ERROR_MEMORY;
    if ((error = tn_batch_find_signals(b)) || (error = tn_batch_connect(b)) || (error = tn_batch_find_programs(b)))
        return error;
    return tn_batch_order_cores(b);
}

tn_error tn_batch_build(tn_batch_tables *tables, const tn_chip *chip)
{
    tn_batch_build_state b = {.chip = chip, .out = tables};
    memset(tables, 0, sizeof *tables);
    tables->n_cores = chip->n_cores;
    tables->neurons = chip->neurons;
    tables->input_pins = chip->input_pins;
    tables->output_pins = chip->output_pins;
    tn_intern_init(&b.shape_keys, sizeof(tn_shape_key));
    tn_intern_init(&b.program_keys, sizeof(tn_program_key));
    b.shapes.item_bytes = sizeof(tn_shape);
    b.programs.item_bytes = sizeof(tn_program);
    b.classes.item_bytes = sizeof(tn_class);
    b.literals.item_bytes = sizeof(uint16_t);
    b.fan_out.item_bytes = sizeof(uint64_t);
    b.row_begin.item_bytes = b.row_signals.item_bytes = sizeof(uint32_t);
    tn_error error = build_all(&b);
    tables->programs = b.programs.items;
    tables->classes = b.classes.items;
    tables->literals = b.literals.items;
    tables->fan_out = b.fan_out.items;
    tables->row_begin = b.row_begin.items;
    tables->row_signals = b.row_signals.items;
    tn_intern_free(&b.shape_keys);
    tn_intern_free(&b.program_keys);
    free(b.shapes.items);
    free(b.shape_of);
    free(b.class_signals);
    free(b.class_hops);
    free(b.class_delays);
    free(b.pin_delays);
    free(b.incoming_begin);
    free(b.incoming);
    free(b.seen_core);
    free(b.seen_row);
    free(b.sums);
    if (error)
        tn_batch_tables_free(tables);
    return error;
}

void tn_batch_tables_free(tn_batch_tables *tables)
{
    void *const owned[] = {tables->cores,         tables->order,        tables->wave_begin,  tables->programs,
                           tables->classes,       tables->literals,     tables->fan_out,      tables->row_begin,
                           tables->row_signals,   tables->pin_signals,  tables->signal_delay,  tables->emissions,
                           tables->class_of,     tables->used,         tables->output_begin,
                           tables->output_signals, tables->signal_row};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    memset(tables, 0, sizeof *tables);
}

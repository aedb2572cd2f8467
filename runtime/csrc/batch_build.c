/* Compiles a chip for the batch engine: classes, then signals, then rows and programs, then the order. */
#include "batch_internal.h"

#include <stdlib.h>
#include <string.h>

#include "intern.h"
#include "memoryless.h"
#include "schedule.h"

typedef struct {
    int32_t crossbar;
    int32_t type[TN_NEURONS];
} shape_key;

typedef struct {
    int32_t axon_types;
    uint32_t shape;
    int16_t row_of_axon[TN_AXONS]; /* -1: no source or no synapse */
} program_key;

/* A core's neurons grouped into classes; shared by cores of equal crossbar and neuron types. */
typedef struct {
    uint16_t n_classes;
    uint8_t class_of[TN_NEURONS];
    uint16_t member[TN_NEURONS]; /* by class: its first neuron */
    uint16_t copies[TN_NEURONS]; /* by class */
} shape;

/* A growing array. */
typedef struct {
    void *items;
    size_t count, capacity, item_bytes;
} vector;

/* Room for `more` further items at its end, or NULL. */
static void *vector_add(vector *v, size_t more)
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

typedef struct {
    const tn_chip *chip;
    tn_batch_tables *out;
    tn_intern shape_keys, program_keys;
    vector shapes, programs, classes, literals, fan_out, row_begin, row_signals;
    uint32_t *shape_of;       /* [N] */
    uint16_t *class_delays;   /* by class of all cores: a bit for each delay in use, bit 0: an output pin */
    uint16_t *pin_delays;     /* [input pins] */
    uint32_t *incoming_begin; /* [N * 256 + 1] */
    uint32_t *incoming;       /* signals by (core, axon) */
    uint32_t *seen_core;      /* by signal: 1 + the core that has a row for it alone */
    uint16_t *seen_row;       /* by signal: that row */
} build;

static void columns_of(const uint64_t rows[TN_AXONS][TN_NEURON_WORDS], uint64_t columns[TN_NEURONS][TN_AXON_WORDS])
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

static void group_neurons(shape *found, const tn_chip *chip, size_t core)
{
    uint64_t rows[TN_AXONS][TN_NEURON_WORDS], columns[TN_NEURONS][TN_AXON_WORDS];
    const int32_t *type = chip->neuron_type + core * chip->neurons;
    uint16_t slots[2 * TN_NEURONS] = {0}; /* class + 1 */
    tn_chip_rows(chip, core, rows);
    columns_of(rows, columns);
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

static tn_error find_classes(build *b)
{
    const tn_chip *chip = b->chip;
    tn_batch_tables *out = b->out;
    uint32_t classes = 0;
    for (size_t c = 0; c < chip->n_cores; c++) {
        shape_key key = {.crossbar = chip->crossbar_index[c]};
        memset(key.type, -1, sizeof key.type);
        memcpy(key.type, chip->neuron_type + c * chip->neurons, chip->neurons * sizeof *key.type);
        size_t known = b->shape_keys.count, number = tn_intern_add(&b->shape_keys, &key);
        if (number == SIZE_MAX)
            return TN_ERROR_MEMORY;
        if (number == known) {
            shape *new_shape = vector_add(&b->shapes, 1);
            if (!new_shape)
                return TN_ERROR_MEMORY;
            group_neurons(new_shape, chip, c);
        }
        const shape *s = (const shape *)b->shapes.items + number;
        b->shape_of[c] = (uint32_t)number;
        out->cores[c].first_class = classes;
        classes += s->n_classes;
        memcpy(out->class_of + c * chip->neurons, s->class_of, chip->neurons);
        for (size_t j = 0; j < chip->neurons; j++)
            out->used[c * chip->neurons + j] = key.type[j] >= 0;
    }
    out->class_signals = calloc(classes + 1, sizeof *out->class_signals);
    out->class_hops = calloc(classes + 1, sizeof *out->class_hops);
    b->class_delays = calloc(classes + 1, sizeof *b->class_delays);
    if (!out->class_signals || !out->class_hops || !b->class_delays)
        return TN_ERROR_MEMORY;
    for (size_t c = 0; c < chip->n_cores; c++)
        for (size_t j = 0; j < chip->neurons; j++) {
            size_t i = c * chip->neurons + j, class = out->cores[c].first_class + out->class_of[i];
            if (!out->used[i])
                continue;
            if (chip->target_core[i] >= 0) {
                b->class_delays[class] |= (uint16_t)(1 << chip->target_delay[i]);
                out->class_hops[class] += chip->target_hops[i];
            } else if (chip->target_core[i] == TN_OUTPUT) {
                b->class_delays[class] |= 1;
                out->class_hops[class] += chip->target_hops[i];
            }
        }
    for (size_t i = 0; i < chip->n_inputs; i++)
        b->pin_delays[chip->input_pin[i]] |= (uint16_t)(1 << chip->input_delay[i]);
    for (size_t k = 0; k < classes; k++)
        if (out->class_hops[k] > UINT32_MAX) /* a mesh far beyond any that could be built */
            return TN_ERROR_CHIP;
    uint64_t signals = 0;
    for (size_t pin = 0; pin < chip->input_pins; pin++) {
        out->pin_signals[pin] = (uint32_t)signals;
        signals += (uint64_t)__builtin_popcount(b->pin_delays[pin]);
    }
    out->pin_signals[chip->input_pins] = (uint32_t)signals;
    for (size_t k = 0; k < classes; k++) {
        out->class_signals[k] = (uint32_t)signals;
        signals += (uint64_t)__builtin_popcount(b->class_delays[k]);
    }
    out->class_signals[classes] = (uint32_t)signals;
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

static uint32_t signal_of_neuron(const build *b, size_t core, size_t i, int delay)
{
    size_t class = b->out->cores[core].first_class + b->out->class_of[i];
    return signal_of(b->out->class_signals[class], b->class_delays[class], delay);
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

static void sum_counts(uint32_t *begin, size_t places)
{
    for (size_t i = 0; i < places; i++)
        begin[i + 1] += begin[i];
}

static void add_pairs(build *b, sorter *axons, sorter *pins)
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

static tn_error connect(build *b)
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
    sum_counts(by_axon.begin, places + 1);
    sum_counts(by_pin.begin, pins + 1);
    b->incoming = calloc(by_axon.begin[places + 1] + 1, sizeof(uint32_t));
    out->output_signals = calloc(by_pin.begin[pins + 1] + 1, sizeof(uint32_t));
    if (!b->incoming || !out->output_signals)
        return TN_ERROR_MEMORY;
    by_axon = (sorter){by_axon.begin + 1, b->incoming, 1};
    by_pin = (sorter){by_pin.begin + 1, out->output_signals, 1};
    add_pairs(b, &by_axon, &by_pin);
    return TN_OK;
}

/* Rows of core c: row_of_axon filled in, rows appended. */
static tn_error find_rows(build *b, size_t c, const uint64_t rows[TN_AXONS][TN_NEURON_WORDS],
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
        uint32_t kept = alone ? 1 : n, *signals = vector_add(&b->row_signals, kept);
        uint32_t *row_begin = vector_add(&b->row_begin, 1);
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

/* Appends {plane, groups, literals} for the rows whose |weight| has bit `plane`; 1 where there are any, -1 no memory. */
static int add_segment(build *b, const int32_t *weight, uint16_t n_rows, int plane)
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
    while (n % 8)
        found[n++] = (uint16_t)(TN_ROW_WORDS * 2 * n_rows);
    uint16_t *to = vector_add(&b->literals, (size_t)n + 2);
    if (!to)
        return -1;
    to[0] = (uint16_t)plane;
    to[1] = (uint16_t)(n / 8);
    memcpy(to + 2, found, (size_t)n * sizeof *found);
    return 1;
}

/* Appends the counter's start value, plane by plane, as literals. */
static tn_error add_start(build *b, uint32_t start, int top, uint16_t n_rows)
{
    int planes = top > 4 ? top + 1 : 5;
    uint16_t *to = vector_add(&b->literals, (size_t)planes);
    if (!to)
        return TN_ERROR_MEMORY;
    for (int p = 0; p < planes; p++)
        to[p] = (uint16_t)(TN_ROW_WORDS * (2 * n_rows + (start >> p & 1)));
    return TN_OK;
}

static tn_error add_class(build *b, const tn_program *program, tn_class *class, const int32_t *weight, int32_t least_sum)
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
    if (need <= 0 || need > total)
        return add_start(b, need <= 0, 0, program->n_rows);
    while ((INT64_C(1) << class->top) < need || (INT64_C(1) << class->top) < total - need + 1)
        class->top++;
    if (add_start(b, (uint32_t)((INT64_C(1) << class->top) - need), class->top, program->n_rows))
        return TN_ERROR_MEMORY;
    for (int plane = 0; any >> plane; plane++) {
        int added = add_segment(b, weight, program->n_rows, plane);
        if (added < 0)
            return TN_ERROR_MEMORY;
        class->n_segments = (uint8_t)(class->n_segments + added);
    }
    class->plain = any == 1;
    class->groups = (uint16_t)((b->literals.count - program->literals - class->stream) / 8);
    return TN_OK;
}

/* Classes of the same shape one after the other, so that branches repeat. */
static int compare_classes(const void *left, const void *right)
{
    const tn_class *a = left, *b = right;
    if (a->n_segments != b->n_segments)
        return a->n_segments < b->n_segments ? -1 : 1;
    if (a->groups != b->groups)
        return a->groups < b->groups ? -1 : 1;
    if (a->top != b->top)
        return a->top < b->top ? -1 : 1;
    return (a->number > b->number) - (a->number < b->number);
}

static tn_error add_program(build *b, size_t c, const program_key *key, uint16_t n_rows,
                            const uint64_t rows[TN_AXONS][TN_NEURON_WORDS])
{
    const tn_chip *chip = b->chip;
    const tn_neuron_types *types = &chip->types;
    const shape *s = (const shape *)b->shapes.items + key->shape;
    const uint8_t *axon_type = chip->axon_types + (size_t)key->axon_types * chip->axons;
    tn_program program = {n_rows, s->n_classes, b->classes.count, b->literals.count, b->fan_out.count, 0};
    uint64_t columns[TN_NEURONS][TN_AXON_WORDS];
    columns_of(rows, columns);
    uint32_t *fan_out = vector_add(&b->fan_out, n_rows);
    tn_class class[TN_NEURONS];
    tn_program *to = vector_add(&b->programs, 1);
    if (!fan_out || !to)
        return TN_ERROR_MEMORY;
    memset(fan_out, 0, n_rows * sizeof *fan_out);
    for (int axon = 0; axon < TN_AXONS; axon++)
        for (int w = 0; key->row_of_axon[axon] >= 0 && w < TN_NEURON_WORDS; w++)
            fan_out[key->row_of_axon[axon]] += (uint32_t)__builtin_popcountll(rows[axon][w]);
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
    qsort(class, s->n_classes, sizeof *class, compare_classes);
    tn_class *classes = vector_add(&b->classes, s->n_classes);
    if (!classes)
        return TN_ERROR_MEMORY;
    memcpy(classes, class, s->n_classes * sizeof *class);
    program.work = b->literals.count - program.literals;
    *to = program;
    return TN_OK;
}

static tn_error find_programs(build *b)
{
    const tn_chip *chip = b->chip;
    tn_batch_tables *out = b->out;
    b->seen_core = calloc(out->n_signals + 1, sizeof *b->seen_core);
    b->seen_row = calloc(out->n_signals + 1, sizeof *b->seen_row);
    if (!b->seen_core || !b->seen_row)
        return TN_ERROR_MEMORY;
    for (size_t c = 0; c < chip->n_cores; c++) {
        uint64_t rows[TN_AXONS][TN_NEURON_WORDS];
        program_key key = {.axon_types = chip->axon_types_index[c], .shape = b->shape_of[c]};
        uint16_t n_rows;
        tn_chip_rows(chip, c, rows);
        out->cores[c].first_row = b->row_begin.count;
        tn_error error = find_rows(b, c, rows, key.row_of_axon, &n_rows);
        if (error)
            return error;
        size_t known = b->program_keys.count, number = tn_intern_add(&b->program_keys, &key);
        if (number == SIZE_MAX)
            return TN_ERROR_MEMORY;
        if (number == known && (error = add_program(b, c, &key, n_rows, rows)))
            return error;
        out->cores[c].program = (uint32_t)number;
    }
    uint32_t *last = vector_add(&b->row_begin, 1);
    if (!last)
        return TN_ERROR_MEMORY;
    *last = (uint32_t)b->row_signals.count;
    return TN_OK;
}

typedef struct {
    uint64_t work;
    uint32_t level, program, core;
} order_item;

static int compare_order(const void *left, const void *right)
{
    const order_item *a = left, *b = right;
    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    if (a->work != b->work)
        return a->work > b->work ? -1 : 1;
    if (a->program != b->program) /* equal programs together: they share literals */
        return a->program < b->program ? -1 : 1;
    return (a->core > b->core) - (a->core < b->core);
}

static tn_error order_cores(build *b)
{
    const tn_chip *chip = b->chip;
    tn_batch_tables *out = b->out;
    size_t n = chip->n_cores;
    uint32_t *level = calloc(n + 1, sizeof *level);
    order_item *items = calloc(n + 1, sizeof *items);
    tn_error error = level && items ? tn_levels(chip, level, &out->n_levels) : TN_ERROR_MEMORY;
    if (!error && !(out->level_begin = calloc(out->n_levels + 1, sizeof *out->level_begin)))
        error = TN_ERROR_MEMORY;
    if (!error) {
        const tn_program *programs = b->programs.items;
        for (size_t c = 0; c < n; c++) {
            items[c] = (order_item){programs[out->cores[c].program].work, level[c], out->cores[c].program, (uint32_t)c};
            out->level_begin[level[c] + 1]++;
        }
        sum_counts(out->level_begin, out->n_levels);
        qsort(items, n, sizeof *items, compare_order);
        for (size_t i = 0; i < n; i++)
            out->order[i] = items[i].core;
    }
    free(level);
    free(items);
    return error;
}

/* Rows for signals, handed on: a signal needs its row from the step that makes it to the last that reads it. */
typedef struct {
    uint32_t *last;  /* [n_signals]: the last step that reads it: 1 + level, or one more than all levels for outputs */
    uint32_t *free;  /* a stack of rows */
    uint32_t *ends;  /* signals by last step */
    uint32_t *begin; /* [steps + 1] into ends */
    size_t n_free;
} row_plan;

static void find_last_steps(const build *b, row_plan *plan)
{
    const tn_batch_tables *out = b->out;
    const tn_program *programs = b->programs.items;
    const uint32_t *row_begin = b->row_begin.items, *row_signals = b->row_signals.items;
    for (size_t level = 0; level < out->n_levels; level++)
        for (uint32_t i = out->level_begin[level]; i < out->level_begin[level + 1]; i++) {
            const tn_batch_core *core = &out->cores[out->order[i]];
            uint32_t first = row_begin[core->first_row], end = row_begin[core->first_row + programs[core->program].n_rows];
            for (uint32_t k = first; k < end; k++)
                plan->last[row_signals[k]] = (uint32_t)level + 1; /* levels come in order: the greatest stays */
        }
    for (uint32_t i = 0; i < out->output_begin[out->output_pins]; i++)
        plan->last[out->output_signals[i]] = (uint32_t)out->n_levels + 1;
    for (size_t i = 0; i < out->n_signals; i++)
        plan->begin[plan->last[i] + 1]++;
    sum_counts(plan->begin, out->n_levels + 2);
    for (size_t i = 0; i < out->n_signals; i++)
        plan->ends[plan->begin[plan->last[i]]++] = (uint32_t)i;
    for (size_t step = out->n_levels + 2; step > 0; step--) /* placing moved every beginning to the next */
        plan->begin[step] = plan->begin[step - 1];
    plan->begin[0] = 0;
}

static void hold(tn_batch_tables *out, row_plan *plan, uint32_t first, uint32_t end)
{
    for (uint32_t signal = first; signal < end; signal++)
        out->signal_row[signal] = plan->n_free ? plan->free[--plan->n_free] : (uint32_t)out->n_held++;
}

static void assign_rows(const build *b, row_plan *plan)
{
    tn_batch_tables *out = b->out;
    const tn_program *programs = b->programs.items;
    hold(out, plan, 0, out->pin_signals[out->input_pins]);
    for (size_t step = 1; step <= out->n_levels; step++) {
        /* what the steps before this one read last makes room; signals that nobody reads keep a row each */
        for (uint32_t i = plan->begin[step - 1]; step > 1 && i < plan->begin[step]; i++)
            plan->free[plan->n_free++] = out->signal_row[plan->ends[i]];
        for (uint32_t i = out->level_begin[step - 1]; i < out->level_begin[step]; i++) {
            const tn_batch_core *core = &out->cores[out->order[i]];
            const uint32_t *signals = out->class_signals + core->first_class;
            hold(out, plan, signals[0], signals[programs[core->program].n_classes]);
        }
    }
    uint32_t *row_signals = b->row_signals.items;
    for (size_t i = 0; i < b->row_signals.count; i++)
        row_signals[i] = out->signal_row[row_signals[i]];
    for (uint32_t i = 0; i < out->output_begin[out->output_pins]; i++)
        out->output_signals[i] = out->signal_row[out->output_signals[i]];
}

static tn_error plan_rows(const build *b)
{
    tn_batch_tables *out = b->out;
    size_t n = out->n_signals + 1;
    row_plan plan = {calloc(n, sizeof *plan.last), calloc(n, sizeof *plan.free), calloc(n, sizeof *plan.ends),
                     calloc(out->n_levels + 3, sizeof *plan.begin), 0};
    out->signal_row = calloc(n, sizeof *out->signal_row);
    int ok = plan.last && plan.free && plan.ends && plan.begin && out->signal_row;
    if (ok) {
        find_last_steps(b, &plan);
        assign_rows(b, &plan);
    }
    free(plan.last);
    free(plan.free);
    free(plan.ends);
    free(plan.begin);
    return ok ? TN_OK : TN_ERROR_MEMORY;
}

static tn_error check_memoryless(const tn_chip *chip)
{
    for (size_t i = 0; i < chip->n_cores * chip->neurons; i++)
        if (chip->neuron_type[i] >= 0 && !tn_memoryless(&chip->types, (size_t)chip->neuron_type[i]))
            return TN_ERROR_STATEFUL;
    return TN_OK;
}

static tn_error build_all(build *b)
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
    if ((error = find_classes(b)) || (error = connect(b)) || (error = find_programs(b)))
        return error;
    if ((error = order_cores(b)))
        return error;
    return plan_rows(b);
}

tn_error tn_batch_build(tn_batch_tables *tables, const tn_chip *chip)
{
    build b = {.chip = chip, .out = tables};
    memset(tables, 0, sizeof *tables);
    tables->n_cores = chip->n_cores;
    tables->neurons = chip->neurons;
    tables->input_pins = chip->input_pins;
    tables->output_pins = chip->output_pins;
    tn_intern_init(&b.shape_keys, sizeof(shape_key));
    tn_intern_init(&b.program_keys, sizeof(program_key));
    b.shapes.item_bytes = sizeof(shape);
    b.programs.item_bytes = sizeof(tn_program);
    b.classes.item_bytes = sizeof(tn_class);
    b.literals.item_bytes = sizeof(uint16_t);
    b.fan_out.item_bytes = b.row_begin.item_bytes = b.row_signals.item_bytes = sizeof(uint32_t);
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
    free(b.class_delays);
    free(b.pin_delays);
    free(b.incoming_begin);
    free(b.incoming);
    free(b.seen_core);
    free(b.seen_row);
    if (error)
        tn_batch_tables_free(tables);
    return error;
}

void tn_batch_tables_free(tn_batch_tables *tables)
{
    void *const owned[] = {tables->cores,         tables->order,        tables->level_begin,  tables->programs,
                           tables->classes,       tables->literals,     tables->fan_out,      tables->row_begin,
                           tables->row_signals,   tables->pin_signals,  tables->class_signals, tables->signal_delay,
                           tables->class_hops,    tables->class_of,     tables->used,         tables->output_begin,
                           tables->output_signals, tables->signal_row};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    memset(tables, 0, sizeof *tables);
}

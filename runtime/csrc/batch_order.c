/* The order of evaluation, and where signals are held meanwhile: what one core makes for another lies together, for a
 * core whose rows came one by one from all over memory would wait for page walks. */
#include "batch_build.h"

#include <stdlib.h>
#include <string.h>

#include "schedule.h"

/* The signals that a core reads, row by row. */
static const uint32_t *inputs_of(const tn_batch_build_state *b, size_t c, uint32_t *n)
{
    const tn_batch_core *core = &b->out->cores[c];
    const uint32_t *begin = (const uint32_t *)b->row_begin.items + core->first_row;
    *n = begin[((const tn_program *)b->programs.items)[core->program].n_rows] - begin[0];
    return (const uint32_t *)b->row_signals.items + begin[0];
}

typedef struct {
    uint64_t work;
    uint32_t wave, program, core;
} order_item;

static int compare_order(const void *left, const void *right)
{
    const order_item *a = left, *b = right;
    if (a->wave != b->wave)
        return a->wave < b->wave ? -1 : 1;
    if (a->work != b->work)
        return a->work > b->work ? -1 : 1;
    if (a->program != b->program) /* equal programs together: they share literals */
        return a->program < b->program ? -1 : 1;
    return (a->core > b->core) - (a->core < b->core);
}

static tn_error order_cores(const tn_batch_build_state *b)
{
    tn_batch_tables *out = b->out;
    size_t n = out->n_cores;
    const tn_program *programs = b->programs.items;
    uint32_t *level = calloc(n + 1, sizeof *level);
    order_item *items = calloc(n + 1, sizeof *items);
    tn_error error = level && items ? tn_levels(b->chip, level, &out->n_waves) : TN_ERROR_MEMORY;
    if (!error && !(out->wave_begin = calloc(out->n_waves + 1, sizeof *out->wave_begin)))
        error = TN_ERROR_MEMORY;
    if (!error) {
        for (size_t c = 0; c < n; c++) {
            items[c] = (order_item){programs[out->cores[c].program].work, level[c], out->cores[c].program, (uint32_t)c};
            out->wave_begin[level[c] + 1]++;
        }
        tn_sum_counts(out->wave_begin, out->n_waves);
        qsort(items, n, sizeof *items, compare_order);
        for (size_t i = 0; i < n; i++)
            out->order[i] = items[i].core;
    }
    free(level);
    free(items);
    return error;
}

/* A signal needs its row from the wave that makes it to the last that reads it. */
typedef struct {
    uint32_t *last;       /* by signal: 1 + the last wave that reads it; for outputs one more than all of
                             them; 0: never read */
    uint32_t *in_use;     /* signals in the order in which they are first read */
    uint32_t *made;       /* signals by maker, each maker's as in in_use */
    uint32_t *made_begin; /* [cores + 3] */
    uint32_t *ends;       /* signals by last wave */
    uint32_t *ends_begin; /* [waves + 3] */
    uint64_t *free;       /* a bit for each row */
} row_plan;

/* items = 0..n - 1 sorted by key; begin[k]: where key k begins. begin has a place more than keys + 1 and is all 0. */
static void sort_by_key(uint32_t *sorted, uint32_t *begin, const uint32_t *items, const uint32_t *key, size_t n,
                        size_t keys)
{
    for (size_t i = 0; i < n; i++)
        begin[key[items[i]] + 2]++;
    tn_sum_counts(begin, keys + 1);
    for (size_t i = 0; i < n; i++)
        sorted[begin[key[items[i]] + 1]++] = items[i];
}

/* By signal: 1 + the place in the order of the core that makes it; 0 for input pins. */
static void find_makers(const tn_batch_build_state *b, uint32_t *maker)
{
    const tn_batch_tables *out = b->out;
    const tn_program *programs = b->programs.items;
    for (size_t i = 0; i < out->n_cores; i++) {
        const tn_batch_core *core = &out->cores[out->order[i]];
        const uint32_t *signals = b->class_signals + core->first_class;
        for (uint32_t signal = signals[0]; signal < signals[programs[core->program].n_classes]; signal++)
            maker[signal] = (uint32_t)i + 1;
    }
}

static void find_last_waves(const tn_batch_build_state *b, row_plan *plan)
{
    const tn_batch_tables *out = b->out;
    uint32_t used = 0;
    for (size_t wave = 0; wave < out->n_waves; wave++)
        for (uint32_t i = out->wave_begin[wave]; i < out->wave_begin[wave + 1]; i++) {
            uint32_t n;
            const uint32_t *inputs = inputs_of(b, out->order[i], &n);
            for (uint32_t k = 0; k < n; k++) {
                if (!plan->last[inputs[k]])
                    plan->in_use[used++] = inputs[k];
                plan->last[inputs[k]] = (uint32_t)wave + 1; /* waves come in order: the greatest stays */
            }
        }
    for (uint32_t i = 0; i < out->output_begin[out->output_pins]; i++) {
        uint32_t signal = out->output_signals[i];
        if (!plan->last[signal])
            plan->in_use[used++] = signal;
        plan->last[signal] = (uint32_t)out->n_waves + 1;
    }
    for (uint32_t signal = 0; signal < out->n_signals; signal++)
        if (!plan->last[signal])
            plan->in_use[used++] = signal;
}

/* Gives the signals rows, the lowest that are free from row `from` on: a core's lie close together, in the order in
 * which they are read. */
static void hold(tn_batch_tables *out, row_plan *plan, const uint32_t *signals, size_t n, size_t *from)
{
    for (size_t i = 0; i < n; i++) {
        while (*from < out->n_held / 64 + 1 && !plan->free[*from])
            ++*from;
        size_t row = out->n_held;
        if (*from < out->n_held / 64 + 1) {
            row = 64 * *from + (size_t)__builtin_ctzll(plan->free[*from]);
            plan->free[*from] &= plan->free[*from] - 1;
        } else {
            out->n_held++;
        }
        out->signal_row[signals[i]] = (uint32_t)row;
    }
}

static void assign_rows(const tn_batch_build_state *b, row_plan *plan)
{
    tn_batch_tables *out = b->out;
    for (uint32_t pin_signal = 0; pin_signal < out->pin_signals[out->input_pins]; pin_signal++)
        out->signal_row[pin_signal] = (uint32_t)out->n_held++;
    for (size_t wave = 0; wave < out->n_waves; wave++) {
        /* what the waves before this one read last makes room; signals that nobody reads keep a row each */
        for (uint32_t i = plan->ends_begin[wave]; wave && i < plan->ends_begin[wave + 1]; i++) {
            uint32_t row = out->signal_row[plan->ends[i]];
            plan->free[row / 64] |= UINT64_C(1) << row % 64;
        }
        size_t from = 0, first = out->wave_begin[wave] + 1, end = out->wave_begin[wave + 1] + 1;
        hold(out, plan, plan->made + plan->made_begin[first], plan->made_begin[end] - plan->made_begin[first], &from);
    }
    uint32_t *row_signals = b->row_signals.items;
    for (size_t i = 0; i < b->row_signals.count; i++)
        row_signals[i] = out->signal_row[row_signals[i]];
    for (uint32_t i = 0; i < out->output_begin[out->output_pins]; i++)
        out->output_signals[i] = out->signal_row[out->output_signals[i]];
}

static tn_error plan_rows(const tn_batch_build_state *b)
{
    tn_batch_tables *out = b->out;
    size_t n = out->n_signals + 1, cores = out->n_cores;
    row_plan plan = {calloc(n, sizeof(uint32_t)),         calloc(n, sizeof(uint32_t)),
                     calloc(n, sizeof(uint32_t)),         calloc(cores + 4, sizeof(uint32_t)),
                     calloc(n, sizeof(uint32_t)),         calloc(out->n_waves + 5, sizeof(uint32_t)),
                     calloc(n / 64 + 2, sizeof(uint64_t))};
    uint32_t *maker = calloc(n, sizeof *maker);
    out->signal_row = calloc(n, sizeof *out->signal_row);
    int ok = plan.last && plan.in_use && plan.made && plan.made_begin && plan.ends && plan.ends_begin && plan.free &&
             maker && out->signal_row;
    if (ok) {
        find_makers(b, maker);
        find_last_waves(b, &plan);
        sort_by_key(plan.made, plan.made_begin, plan.in_use, maker, out->n_signals, cores + 1);
        sort_by_key(plan.ends, plan.ends_begin, plan.in_use, plan.last, out->n_signals, out->n_waves + 2);
        assign_rows(b, &plan);
    }
    void *const scratch[] = {plan.last, plan.in_use,     plan.made, plan.made_begin,
                             plan.ends, plan.ends_begin, plan.free, maker};
    for (size_t i = 0; i < sizeof scratch / sizeof *scratch; i++)
        free(scratch[i]);
    return ok ? TN_OK : TN_ERROR_MEMORY;
}

static tn_error list_emissions(const tn_batch_build_state *b)
{
    tn_batch_tables *out = b->out;
    size_t classes = 0;
    for (size_t c = 0; c < out->n_cores; c++)
        classes += ((const tn_program *)b->programs.items)[out->cores[c].program].n_classes;
    if (!(out->emissions = calloc(classes + 1, sizeof *out->emissions)))
        return TN_ERROR_MEMORY;
    for (size_t c = 0; c < out->n_cores; c++) {
        const tn_program *program = (const tn_program *)b->programs.items + out->cores[c].program;
        const tn_class *class = (const tn_class *)b->classes.items + program->classes;
        for (size_t k = 0; k < program->n_classes; k++, class++) {
            size_t source = out->cores[c].first_class + (size_t)class->number;
            uint32_t signal = b->class_signals[source];
            out->emissions[out->cores[c].first_class + k] =
                (tn_emission){signal, b->class_signals[source + 1] - signal, out->signal_row[signal],
                              out->signal_delay[signal], (uint64_t)b->class_hops[source] << 32 | class->copies};
        }
    }
    return TN_OK;
}

tn_error tn_batch_order_cores(const tn_batch_build_state *b)
{
    tn_error error = order_cores(b);
    if (error || (error = plan_rows(b)))
        return error;
    return list_emissions(b);
}

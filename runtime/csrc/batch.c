#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "batch_internal.h"
#include "memory.h"
#include "threads.h"

typedef struct {
    int64_t hops;
    int64_t sampled[TN_ROW_WORDS][TN_SAMPLED]; /* of the block under way, by word of the row */
    tn_spike_list recorded;
    uint64_t (*fired)[TN_ROW_WORDS]; /* [256]: scratch while recording */
} thread_state;

struct tn_batch {
    tn_batch_tables tables;
    const tn_batch_kernels *kernels;
    size_t n_threads;
    uint64_t (*rows)[TN_ROW_WORDS]; /* the signals */
    uint16_t *history;
    int64_t *core_spikes, *core_events; /* [N] */
    tn_peak *peaks;                     /* [N] */
    thread_state *threads;
    int64_t tick;
};

static const tn_batch_kernels *kernels_of(tn_variant variant)
{
#if TN_HAS_X86
    if (variant != TN_SCALAR)
        return variant == TN_AVX512 ? &tn_batch_avx512 : &tn_batch_avx2;
#endif
    (void)variant;
    return &tn_batch_scalar;
}

tn_error tn_batch_new(tn_batch **out, const tn_chip *chip, size_t threads, tn_variant variant)
{
    if (!tn_variant_supported(variant))
        return TN_ERROR_VARIANT;
    tn_batch *engine = calloc(1, sizeof *engine);
    if (!engine)
        return TN_ERROR_MEMORY;
    engine->kernels = kernels_of(variant);
    engine->n_threads = threads;
    tn_error error = tn_batch_build(&engine->tables, chip);
    if (!error) {
        size_t n = engine->tables.n_signals + 1;
        engine->rows = tn_allocate(engine->tables.n_held * sizeof *engine->rows);
        engine->history = calloc(n, sizeof *engine->history);
        engine->core_spikes = calloc(chip->n_cores + 1, sizeof *engine->core_spikes);
        engine->core_events = calloc(chip->n_cores + 1, sizeof *engine->core_events);
        engine->peaks = calloc(chip->n_cores + 1, sizeof *engine->peaks);
        engine->threads = calloc(threads, sizeof *engine->threads);
        if (!engine->rows || !engine->history || !engine->core_spikes || !engine->core_events || !engine->peaks ||
            !engine->threads)
            error = TN_ERROR_MEMORY;
    }
    if (error) {
        tn_batch_free(engine);
        return error;
    }
    tn_batch_reset(engine);
    *out = engine;
    return TN_OK;
}

void tn_batch_free(tn_batch *engine)
{
    if (!engine)
        return;
    for (size_t t = 0; engine->threads && t < engine->n_threads; t++) {
        tn_spike_list_free(&engine->threads[t].recorded);
        free(engine->threads[t].fired);
    }
    free(engine->threads);
    free(engine->rows);
    free(engine->history);
    free(engine->core_spikes);
    free(engine->core_events);
    free(engine->peaks);
    tn_batch_tables_free(&engine->tables);
    free(engine);
}

void tn_batch_reset(tn_batch *engine)
{
    size_t n = engine->tables.n_cores;
    memset(engine->history, 0, engine->tables.n_signals * sizeof *engine->history);
    memset(engine->core_spikes, 0, n * sizeof *engine->core_spikes);
    memset(engine->core_events, 0, n * sizeof *engine->core_events);
    memset(engine->peaks, 0, n * sizeof *engine->peaks);
    for (size_t t = 0; t < engine->n_threads; t++) {
        engine->threads[t].hops = 0;
        tn_spike_list_clear(&engine->threads[t].recorded);
    }
    engine->tick = 0;
}

/* A step is a set of jobs that may run in any order; all of one step are done before the next begins. The first step
 * packs the pins, then comes a step a wave, the last writes the outputs. */
typedef struct {
    tn_batch *engine;
    const tn_batch_work *work;
    size_t n_steps;
    atomic_size_t *next[2]; /* [n_steps]: the next job of each step, for even and odd blocks */
    tn_barrier barrier;
} shared_run;

static size_t jobs_of(const tn_batch_tables *tables, size_t n_steps, size_t step)
{
    if (step == 0)
        return (tables->input_pins + TN_PINS_A_JOB - 1) / TN_PINS_A_JOB;
    if (step == n_steps - 1)
        return (tables->output_pins + TN_PINS_A_JOB - 1) / TN_PINS_A_JOB;
    return tables->wave_begin[step] - tables->wave_begin[step - 1];
}

static void record(const tn_batch_tables *tables, const tn_block *block, size_t core, int64_t tick, const uint8_t *wanted,
                   const uint64_t (*fired)[TN_ROW_WORDS], tn_spike_list *list)
{
    for (size_t j = 0; j < tables->neurons; j++) {
        size_t i = core * tables->neurons + j;
        if (!wanted[i] || !tables->used[i])
            continue;
        for (int w = 0; w < TN_ROW_WORDS; w++)
            for (uint64_t bits = fired[tables->class_of[i]][w] & block->wanted[w]; bits; bits &= bits - 1)
                tn_spike_list_add(list, (tn_spike){tick + 64 * w + __builtin_ctzll(bits), (int32_t)core, (int32_t)j});
    }
}

static void do_core(tn_batch *engine, const tn_batch_work *work, const tn_block *block, size_t core, size_t next,
                    int64_t tick, thread_state *own)
{
    tn_core_result result = {.fired = work->record ? own->fired : NULL};
    engine->kernels->core(block, core, next, &result);
    engine->core_spikes[core] += result.spikes;
    engine->core_events[core] += result.events;
    own->hops += result.hops;
    for (size_t w = 0; w < TN_ROW_WORDS; w++) {
        int64_t spikes = (uint32_t)result.sampled_fired[w], events = (int64_t)result.sampled_events[w];
        tn_peak_raise(&engine->peaks[core], spikes, events);
        own->sampled[w][0] += spikes;
        own->sampled[w][1] += events;
        own->sampled[w][2] += (int64_t)(result.sampled_fired[w] >> 32);
    }
    if (work->record)
        record(&engine->tables, block, core, tick, work->record, (const uint64_t(*)[TN_ROW_WORDS])own->fired,
               &own->recorded);
}

static void do_job(tn_batch *engine, const shared_run *run, const tn_block *block, size_t begin, size_t step, size_t job,
                   thread_state *own)
{
    const tn_batch_work *work = run->work;
    const tn_batch_tables *tables = &engine->tables;
    if (step == 0)
        engine->kernels->pins(block, work->pins ? work->pins + begin * tables->input_pins : NULL, job * TN_PINS_A_JOB);
    else if (step == run->n_steps - 1)
        engine->kernels->outputs(block, work->outputs + begin * tables->output_pins, job * TN_PINS_A_JOB);
    else {
        size_t at = tables->wave_begin[step - 1] + job, next = at + engine->n_threads;
        next = next < tables->wave_begin[step] ? next : at;
        do_core(engine, work, block, tables->order[at], tables->order[next], engine->tick + (int64_t)begin, own);
    }
}

/* Adds what a thread saw in a block's sampled ticks to the run's. */
static void add_samples(const tn_block *block, int64_t tick, size_t samples_before, thread_state *own, int64_t *sampled)
{
    for (int w = 0; w < TN_ROW_WORDS; w++)
        if (block->sampled[w]) {
            int64_t at = tick + 64 * w + __builtin_ctzll(block->sampled[w]);
            int64_t *to = sampled + TN_SAMPLED * (tn_samples_before(at) - samples_before);
            for (int k = 0; k < TN_SAMPLED; k++)
                __atomic_fetch_add(&to[k], own->sampled[w][k], __ATOMIC_RELAXED);
        }
    memset(own->sampled, 0, sizeof own->sampled);
}

static void run_thread(void *argument, size_t thread)
{
    shared_run *run = argument;
    tn_batch *engine = run->engine;
    tn_block block = {.tables = &engine->tables, .rows = engine->rows, .history = engine->history};
    for (size_t begin = 0, odd = 0; begin < run->work->ticks; begin += TN_ROW_TICKS, odd ^= 1) {
        size_t left = run->work->ticks - begin;
        block.ticks = left < TN_ROW_TICKS ? left : TN_ROW_TICKS;
        for (size_t w = 0; w < TN_ROW_WORDS; w++)
            block.wanted[w] = block.ticks >= 64 * (w + 1) ? ~UINT64_C(0)
                              : block.ticks > 64 * w      ? (UINT64_C(1) << block.ticks % 64) - 1
                                                          : 0;
        int64_t tick = engine->tick + (int64_t)begin;
        int first = (int)((TN_SAMPLE_AT - tick) & (TN_SAMPLE_EVERY - 1)); /* of 64 ticks, one a word */
        for (size_t w = 0; w < TN_ROW_WORDS; w++)
            block.sampled[w] = block.wanted[w] & UINT64_C(1) << first;
        for (size_t step = 0; step < run->n_steps; step++) {
            size_t jobs = jobs_of(&engine->tables, run->n_steps, step), job;
            while ((job = atomic_fetch_add_explicit(&run->next[odd][step], 1, memory_order_relaxed)) < jobs)
                do_job(engine, run, &block, begin, step, job, &engine->threads[thread]);
            tn_barrier_wait(&run->barrier);
            if (!thread) /* nobody counts jobs of the other block before the next barrier */
                atomic_store_explicit(&run->next[!odd][step], 0, memory_order_relaxed);
        }
        add_samples(&block, tick, tn_samples_before(engine->tick), &engine->threads[thread], run->work->sampled);
        tn_barrier_wait(&run->barrier);
    }
}

tn_error tn_batch_run(tn_batch *engine, const tn_batch_work *work)
{
    size_t n_steps = engine->tables.n_waves + 2;
    atomic_size_t *next = calloc(2 * n_steps, sizeof *next);
    if (!next)
        return TN_ERROR_MEMORY;
    for (size_t t = 0; t < engine->n_threads; t++) {
        thread_state *own = &engine->threads[t];
        tn_spike_list_clear(&own->recorded);
        if (work->record && !own->fired && !(own->fired = tn_allocate(TN_NEURONS * sizeof *own->fired))) {
            free(next);
            return TN_ERROR_MEMORY;
        }
    }
    shared_run run = {engine, work, n_steps, {next, next + n_steps}, {engine->n_threads, 0, 0}};
    tn_error error = tn_threads_run(engine->n_threads, run_thread, &run);
    free(next);
    if (error)
        return error;
    engine->tick += (int64_t)work->ticks;
    for (size_t t = 0; t < engine->n_threads; t++)
        if (engine->threads[t].recorded.failed)
            return TN_ERROR_MEMORY;
    return TN_OK;
}

size_t tn_batch_flight_count(const tn_batch *engine, size_t *of_pins)
{
    *of_pins = engine->tables.pin_signals[engine->tables.input_pins];
    return engine->tables.n_signals;
}

void tn_batch_get_flight(const tn_batch *engine, uint16_t *flight)
{
    memcpy(flight, engine->history, engine->tables.n_signals * sizeof *flight);
}

void tn_batch_set_flight(tn_batch *engine, const uint16_t *flight, int64_t tick)
{
    engine->tick = tick;
    memcpy(engine->history, flight, engine->tables.n_signals * sizeof *flight);
}

const tn_spike_list *tn_batch_recorded(const tn_batch *engine, size_t thread)
{
    return &engine->threads[thread].recorded;
}

size_t tn_batch_threads(const tn_batch *engine)
{
    return engine->n_threads;
}

int64_t tn_batch_tick(const tn_batch *engine)
{
    return engine->tick;
}

int64_t tn_batch_stats(const tn_batch *engine, int64_t *core_spikes, int64_t *core_synaptic_events, tn_peak *peaks)
{
    size_t n = engine->tables.n_cores;
    if (n) {
        memcpy(core_spikes, engine->core_spikes, n * sizeof *core_spikes);
        memcpy(core_synaptic_events, engine->core_events, n * sizeof *core_synaptic_events);
        memcpy(peaks, engine->peaks, n * sizeof *peaks);
    }
    int64_t hops = 0;
    for (size_t t = 0; t < engine->n_threads; t++)
        hops += engine->threads[t].hops;
    return hops;
}

typedef struct {
    const tn_batch_kernels *kernels;
    uint64_t rounds;
    atomic_uint_fast64_t seen;
} roofline;

static void add_only(void *argument, size_t thread)
{
    roofline *r = argument;
    (void)thread;
    atomic_fetch_xor(&r->seen, r->kernels->add_only(r->rounds));
}

tn_error tn_batch_roofline(tn_variant variant, size_t threads, uint64_t rounds, double *adders)
{
    if (!tn_variant_supported(variant))
        return TN_ERROR_VARIANT;
    roofline r = {kernels_of(variant), rounds, 0};
    *adders = (double)rounds * (double)threads * r.kernels->adders_a_round;
    return tn_threads_run(threads, add_only, &r);
}

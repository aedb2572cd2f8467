#include "tick.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "threads.h"
#include "tick_build.h"
#include "tick_internal.h"

enum {
    CORES_A_THREAD = 32,  /* below this a thread costs more than it brings */
    CORES_WITH_LISTS = 512, /* from here on the slots of spikes in flight outgrow the caches */
    LISTED_A_CORE = 16,
};

/* What one thread writes: spikes in flight by due slot, counts and recorded spikes. Any thread's spikes may be for any
 * core, so each has its own ring of slots and the reader joins them. */
typedef struct {
    uint64_t *ring; /* [16, N, 4] */
    /* On a large chip spikes are first noted in a list a slot: a list is written in order, and set in the ring's slot,
     * which then is at hand, when it is full or about to be due. */
    uint32_t *lists; /* [16, list_capacity] places as tn_target.where without the delay; NULL on a small chip */
    uint32_t listed[TN_DELAY_SLOTS];
    int64_t hops;
    tn_spike_list recorded;
} lane_of_thread;

struct tn_tick {
    tn_tick_tables tables;
    size_t n_threads, neurons, input_pins, output_pins, n_inputs;
    tn_input *inputs;   /* [K] */
    size_t *pin_begin;  /* [input pins + 1] into inputs */
    lane_of_thread *threads;
    uint32_t list_capacity;
    int64_t *core_spikes, *core_events; /* [N] */
    int64_t tick;
    tn_kernel *kernels[2][3]; /* [wide][kind] */
};

tn_error tn_tick_new(tn_tick **out, const tn_chip *chip, size_t threads, tn_variant variant)
{
    if (!tn_variant_supported(variant))
        return TN_ERROR_VARIANT;
    if (chip->output_pins > (size_t)1 << TN_WHERE_BITS)
        return TN_ERROR_CHIP;
    tn_tick *engine = calloc(1, sizeof *engine);
    if (!engine)
        return TN_ERROR_MEMORY;
    size_t n = chip->n_cores, useful = (n + CORES_A_THREAD - 1) / CORES_A_THREAD;
    engine->n_threads = threads < useful ? threads : useful ? useful : 1;
    engine->neurons = chip->neurons;
    engine->input_pins = chip->input_pins;
    engine->output_pins = chip->output_pins;
    engine->n_inputs = chip->n_inputs;
    const tn_kernels *table = &tn_kernels_scalar;
#if TN_HAS_X86
    table = variant == TN_AVX512 ? &tn_kernels_avx512 : variant == TN_AVX2 ? &tn_kernels_avx2 : table;
#endif
    for (int wide = 0; wide < 2; wide++) {
        engine->kernels[wide][TN_SIMPLE] = (*table)[wide][0];
        engine->kernels[wide][TN_GENERAL] = (*table)[wide][1];
        engine->kernels[wide][TN_STOCHASTIC] = tn_kernel_stochastic;
    }
    engine->inputs = calloc(chip->n_inputs + 1, sizeof *engine->inputs);
    engine->pin_begin = calloc(chip->input_pins + 2, sizeof *engine->pin_begin);
    engine->core_spikes = calloc(n + 1, sizeof *engine->core_spikes);
    engine->core_events = calloc(n + 1, sizeof *engine->core_events);
    engine->threads = calloc(engine->n_threads, sizeof *engine->threads);
    int ok = engine->inputs && engine->pin_begin && engine->core_spikes && engine->core_events && engine->threads;
    for (size_t t = 0; ok && t < engine->n_threads; t++)
        ok = (engine->threads[t].ring = tn_allocate(TN_DELAY_SLOTS * n * sizeof(uint64_t[TN_AXON_WORDS]))) != NULL;
    if (n >= CORES_WITH_LISTS) {
        engine->list_capacity = (uint32_t)(n * LISTED_A_CORE);
        for (size_t t = 0; ok && t < engine->n_threads; t++)
            ok = (engine->threads[t].lists = tn_allocate(TN_DELAY_SLOTS * engine->list_capacity * sizeof(uint32_t))) != NULL;
    }
    tn_error error = ok ? tn_tick_build(&engine->tables, chip, variant == TN_AVX512) : TN_ERROR_MEMORY;
    if (error) {
        tn_tick_free(engine);
        return error;
    }
    for (size_t i = 0; i < chip->n_inputs; i++) {
        engine->inputs[i].pin = (uint32_t)chip->input_pin[i];
        engine->inputs[i].where = (uint32_t)chip->input_delay[i] << TN_WHERE_BITS |
                                  (uint32_t)chip->input_core[i] << 8 | (uint32_t)chip->input_axon[i];
        engine->pin_begin[chip->input_pin[i] + 1]++;
    }
    for (size_t pin = 0; pin < chip->input_pins; pin++)
        engine->pin_begin[pin + 1] += engine->pin_begin[pin];
    tn_tick_reset(engine);
    *out = engine;
    return TN_OK;
}

void tn_tick_free(tn_tick *engine)
{
    if (!engine)
        return;
    for (size_t t = 0; engine->threads && t < engine->n_threads; t++) {
        free(engine->threads[t].ring);
        free(engine->threads[t].lists);
        tn_spike_list_free(&engine->threads[t].recorded);
    }
    free(engine->threads);
    free(engine->inputs);
    free(engine->pin_begin);
    free(engine->core_spikes);
    free(engine->core_events);
    tn_tick_tables_free(&engine->tables);
    free(engine);
}

void tn_tick_reset(tn_tick *engine)
{
    tn_tick_tables *tables = &engine->tables;
    size_t n = tables->n_cores;
    for (size_t c = 0; c < n; c++) {
        tn_core *core = &tables->cores[c];
        const int32_t *initial = tables->initial[tables->initial_index[c]];
        if (core->wide)
            memcpy(core->potential, initial, TN_NEURONS * sizeof *initial);
        else
            for (int j = 0; j < TN_NEURONS; j++)
                ((int16_t *)core->potential)[j] = (int16_t)initial[j];
        core->random = tables->seed[c];
        core->quiet = 0;
        engine->core_spikes[c] = engine->core_events[c] = 0;
    }
    for (size_t t = 0; t < engine->n_threads; t++) {
        memset(engine->threads[t].ring, 0, TN_DELAY_SLOTS * n * sizeof(uint64_t[TN_AXON_WORDS]));
        engine->threads[t].hops = 0;
        memset(engine->threads[t].listed, 0, sizeof engine->threads[t].listed);
        tn_spike_list_clear(&engine->threads[t].recorded);
    }
    engine->tick = 0;
}

/* One thread's part of a run. */
typedef struct {
    tn_tick *engine;
    const tn_tick_work *work;
    tn_barrier barrier;
} shared_run;

typedef struct {
    shared_run *run;
    tn_tick *engine;
    lane_of_thread *own;
    size_t thread, core_begin, core_end, probe_begin, probe_end, slot;
    size_t list_capacity;
    uint32_t *lists, *listed; /* of `own` */
    uint64_t *slot_of_delay[TN_DELAY_SLOTS]; /* in the thread's own ring */
} worker;

static const uint32_t AXON_MASK = (UINT32_C(1) << TN_WHERE_BITS) - 1;

static inline void set_axon(uint64_t *slot, uint32_t axon)
{
    slot[axon / 64] |= UINT64_C(1) << axon % 64;
}

static void set_listed(const worker *w, size_t slot)
{
    lane_of_thread *own = w->own;
    const uint32_t *list = own->lists + slot * w->engine->list_capacity;
    uint64_t *to = own->ring + slot * w->engine->tables.n_cores * TN_AXON_WORDS;
    for (uint32_t i = 0; i < own->listed[slot]; i++)
        set_axon(to, list[i]);
    own->listed[slot] = 0;
}

static inline void deliver(const worker *w, uint32_t where)
{
    uint32_t delay = where >> TN_WHERE_BITS, axon = where & AXON_MASK;
    if (!w->lists) {
        set_axon(w->slot_of_delay[delay], axon);
        return;
    }
    size_t slot = (w->slot + delay) % TN_DELAY_SLOTS;
    uint32_t count = w->listed[slot];
    w->lists[slot * w->list_capacity + count] = axon;
    w->listed[slot] = count + 1;
    if (count + 1 == w->list_capacity)
        set_listed(w, slot);
}

static void deliver_pins(const worker *w, const uint8_t *pins)
{
    const tn_tick *engine = w->engine;
    size_t begin = engine->input_pins * w->thread / engine->n_threads;
    size_t end = engine->input_pins * (w->thread + 1) / engine->n_threads;
    for (size_t pin = begin; pin < end;) {
        uint64_t eight = 0;
        size_t n = end - pin < 8 ? end - pin : 8;
        memcpy(&eight, pins + pin, n);
        for (size_t i = 0; eight; i++, eight >>= 8)
            if (eight & 255)
                for (size_t k = engine->pin_begin[pin + i]; k < engine->pin_begin[pin + i + 1]; k++)
                    deliver(w, engine->inputs[k].where);
        pin += n;
    }
}

static void deliver_events(const worker *w, const tn_events *events, size_t begin, size_t end)
{
    size_t first = begin + (end - begin) * w->thread / w->engine->n_threads;
    size_t last = begin + (end - begin) * (w->thread + 1) / w->engine->n_threads;
    for (size_t i = first; i < last; i++)
        deliver(w, (uint32_t)events->delay[i] << TN_WHERE_BITS | (uint32_t)events->core[i] << 8 |
                       (uint32_t)events->axon[i]);
}

static inline void scatter(const worker *w, size_t c, const uint64_t fired[TN_NEURON_WORDS], uint8_t *outputs)
{
    tn_tick *engine = w->engine;
    const tn_core *core = &engine->tables.cores[c];
    const tn_target *target = engine->tables.targets[c];
    int64_t hops = 0;
    int count = 0;
    for (int word = 0; word < TN_NEURON_WORDS; word++, target += 64) {
        count += __builtin_popcountll(fired[word]);
        for (uint64_t bits = fired[word] & core->routed[word]; bits; bits &= bits - 1) {
            tn_target to = target[__builtin_ctzll(bits)];
            deliver(w, to.where);
            hops += to.hops;
        }
        for (uint64_t bits = fired[word] & core->output[word]; bits; bits &= bits - 1) {
            tn_target to = target[__builtin_ctzll(bits)];
            __atomic_store_n(&outputs[to.where], 1, __ATOMIC_RELAXED); /* neurons of different threads may share a pin */
            hops += to.hops;
        }
    }
    engine->core_spikes[c] += count;
    w->own->hops += hops;
}

static void record(const worker *w, size_t c, const uint64_t fired[TN_NEURON_WORDS], int64_t tick)
{
    const uint8_t *wanted = w->run->work->record + c * w->engine->neurons;
    for (int word = 0; word < TN_NEURON_WORDS; word++)
        for (uint64_t bits = fired[word]; bits; bits &= bits - 1) {
            int j = 64 * word + __builtin_ctzll(bits);
            if (wanted[j])
                tn_spike_list_add(&w->own->recorded, (tn_spike){tick, (int32_t)c, j});
        }
}

/* Takes what is due for core c at `slot` out of all rings; 1 where there is anything. */
static inline int take_due(const worker *w, size_t c, size_t slot, uint64_t active[TN_AXON_WORDS])
{
    const tn_tick *engine = w->engine;
    uint64_t any = 0;
    memset(active, 0, TN_AXON_WORDS * sizeof *active);
    for (size_t t = 0; t < engine->n_threads; t++) {
        uint64_t *due = engine->threads[t].ring + slot + c * TN_AXON_WORDS;
        for (int word = 0; word < TN_AXON_WORDS; word++) {
            active[word] |= due[word];
            any |= due[word];
            due[word] = 0;
        }
    }
    return any != 0;
}

/* Starts loading the rows that evaluating the core will read: a chip is larger than the caches, and the rest of a core
 * is read in order, which the processor foresees. */
static inline void prefetch_rows(const tn_core *core, const uint64_t active[TN_AXON_WORDS])
{
    for (int word = 0; word < TN_AXON_WORDS; word++)
        for (uint64_t bits = active[word]; bits; bits &= bits - 1)
            __builtin_prefetch(core->rows[64 * word + __builtin_ctzll(bits)], 0, 2);
}

static void evaluate_cores(const worker *w, int64_t tick, uint8_t *outputs)
{
    tn_tick *engine = w->engine;
    size_t slot = (size_t)(tick % TN_DELAY_SLOTS) * engine->tables.n_cores * TN_AXON_WORDS;
    uint64_t due[2][TN_AXON_WORDS], fired[TN_NEURON_WORDS];
    int any[2] = {0, 0};
    for (size_t c = w->core_begin; c <= w->core_end; c++) { /* each core's input is taken one round before its turn */
        size_t now = (c + 1) % 2, ahead = c % 2;
        if (c < w->core_end) {
            any[ahead] = take_due(w, c, slot, due[ahead]);
            prefetch_rows(&engine->tables.cores[c], due[ahead]);
        }
        if (c == w->core_begin)
            continue;
        tn_core *core = &engine->tables.cores[c - 1];
        if (core->quiet && !any[now])
            continue;
        engine->core_events[c - 1] += engine->kernels[core->wide][core->kind](core, due[now], fired);
        if (fired[0] | fired[1] | fired[2] | fired[3]) {
            scatter(w, c - 1, fired, outputs);
            if (w->run->work->record)
                record(w, c - 1, fired, tick);
        }
    }
}

static void probe(const worker *w, int32_t *potentials)
{
    const int32_t *probes = w->run->work->probes;
    for (size_t i = w->probe_begin; i < w->probe_end; i++) {
        const tn_core *core = &w->engine->tables.cores[probes[2 * i]];
        int32_t j = probes[2 * i + 1];
        potentials[i] = core->wide ? ((int32_t *)core->potential)[j] : ((int16_t *)core->potential)[j];
    }
}

static void run_thread(void *argument, size_t thread)
{
    shared_run *run = argument;
    tn_tick *engine = run->engine;
    const tn_tick_work *work = run->work;
    size_t n = engine->tables.n_cores, threads = engine->n_threads, event = 0;
    worker w = {run, engine, &engine->threads[thread], thread, n * thread / threads, n * (thread + 1) / threads, 0, 0, 0,
                engine->list_capacity, engine->threads[thread].lists, engine->threads[thread].listed, {0}};
    while (w.probe_begin < work->n_probes && (size_t)work->probes[2 * w.probe_begin] < w.core_begin)
        w.probe_begin++;
    for (w.probe_end = w.probe_begin; w.probe_end < work->n_probes;)
        if ((size_t)work->probes[2 * w.probe_end++] >= w.core_end) {
            w.probe_end--;
            break;
        }
    for (size_t i = 0; i < work->ticks; i++) {
        int64_t tick = engine->tick + (int64_t)i;
        w.slot = (size_t)(tick % TN_DELAY_SLOTS);
        for (int delay = 0; delay < TN_DELAY_SLOTS; delay++)
            w.slot_of_delay[delay] = w.own->ring + (size_t)((tick + delay) % TN_DELAY_SLOTS) * n * TN_AXON_WORDS;
        if (work->pins)
            deliver_pins(&w, work->pins + i * engine->input_pins);
        size_t begin = event;
        while (event < work->events.count && work->events.tick[event] == tick)
            event++;
        deliver_events(&w, &work->events, begin, event);
        evaluate_cores(&w, tick, work->outputs + i * engine->output_pins);
        if (work->n_probes)
            probe(&w, work->potentials + i * work->n_probes);
        if (w.own->lists)
            set_listed(&w, (w.slot + 1) % TN_DELAY_SLOTS);
        tn_barrier_wait(&run->barrier);
    }
}

static tn_error check_work(const tn_tick *engine, const tn_tick_work *work)
{
    const tn_events *e = &work->events;
    size_t n = engine->tables.n_cores;
    for (size_t i = 0; i < e->count; i++)
        if (e->tick[i] < engine->tick || e->tick[i] >= engine->tick + (int64_t)work->ticks || e->core[i] < 0 ||
            (size_t)e->core[i] >= n || e->axon[i] < 0 || e->axon[i] >= TN_AXONS || e->delay[i] < 1 ||
            e->delay[i] >= TN_DELAY_SLOTS || (i && e->tick[i] < e->tick[i - 1]))
            return TN_ERROR_EVENT;
    for (size_t i = 0; i < work->n_probes; i++)
        if (work->probes[2 * i] < 0 || (size_t)work->probes[2 * i] >= n || work->probes[2 * i + 1] < 0 ||
            (size_t)work->probes[2 * i + 1] >= engine->neurons || (i && work->probes[2 * i] < work->probes[2 * i - 2]))
            return TN_ERROR_PROBE;
    return TN_OK;
}

tn_error tn_tick_run(tn_tick *engine, const tn_tick_work *work)
{
    tn_error error = check_work(engine, work);
    if (error)
        return error;
    shared_run run = {engine, work, {engine->n_threads, 0, 0}};
    for (size_t t = 0; t < engine->n_threads; t++)
        tn_spike_list_clear(&engine->threads[t].recorded);
    error = tn_threads_run(engine->n_threads, run_thread, &run);
    if (error)
        return error;
    engine->tick += (int64_t)work->ticks;
    for (size_t t = 0; t < engine->n_threads; t++)
        if (engine->threads[t].recorded.failed)
            return TN_ERROR_MEMORY;
    return TN_OK;
}

const tn_spike_list *tn_tick_recorded(const tn_tick *engine, size_t thread)
{
    return &engine->threads[thread].recorded;
}

size_t tn_tick_threads(const tn_tick *engine)
{
    return engine->n_threads;
}

void tn_tick_stats(const tn_tick *engine, int64_t *core_spikes, int64_t *core_synaptic_events, int64_t *hops)
{
    size_t n = engine->tables.n_cores;
    if (n) {
        memcpy(core_spikes, engine->core_spikes, n * sizeof *core_spikes);
        memcpy(core_synaptic_events, engine->core_events, n * sizeof *core_synaptic_events);
    }
    *hops = 0;
    for (size_t t = 0; t < engine->n_threads; t++)
        *hops += engine->threads[t].hops;
}

#include "tick.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "threads.h"
#include "tick_build.h"
#include "tick_flight.h"
#include "tick_internal.h"

enum {
    CORES_A_THREAD = 32, /* below this a thread costs more than it brings */
    CORES_AHEAD = 4,     /* so far ahead a core's first lines start loading */
};

/* An input connection. */
typedef struct {
    uint32_t pin, where;
} input;

/* What one thread writes, on cache lines of its own. */
typedef struct {
    tn_flight flight;
    int64_t hops;
    tn_spike_list recorded;
    tn_turn turns[2];
    uint8_t padding[2 * TN_LINE];
} lane_of_thread;

struct tn_tick {
    tn_tick_tables tables;
    size_t n_threads, neurons, input_pins, output_pins, n_inputs;
    input *inputs;     /* [K] */
    size_t *pin_begin; /* [input pins + 1] into inputs */
    lane_of_thread *threads;
    tn_peak *peaks; /* [N] */
    int64_t tick;
    const tn_kernels *kernels;
};

/* Room for the spikes of a thread's neurons, and of input connections, whose pins any thread may read. */
static tn_error init_flight(tn_tick *engine, size_t thread)
{
    size_t n = engine->tables.n_cores, threads = engine->n_threads, senders[TN_REGIONS] = {0};
    for (size_t c = n * thread / threads; c < n * (thread + 1) / threads; c++)
        for (size_t j = 0; j < engine->neurons; j++) {
            const tn_core *core = &engine->tables.cores[c];
            if (core->routed[j / 64] >> j % 64 & 1)
                senders[core->targets[j] >> TN_REGION_SHIFT & (TN_REGIONS - 1)]++;
        }
    for (size_t i = 0; i < engine->n_inputs; i++)
        senders[engine->inputs[i].where >> TN_REGION_SHIFT & (TN_REGIONS - 1)]++;
    return tn_flight_init(&engine->threads[thread].flight, n, senders);
}

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
    engine->kernels = &tn_kernels_scalar;
#if TN_HAS_X86
    if (variant != TN_SCALAR)
        engine->kernels = variant == TN_AVX2 ? &tn_kernels_avx2 : &tn_kernels_avx512;
#endif
    engine->inputs = calloc(chip->n_inputs + 1, sizeof *engine->inputs);
    engine->pin_begin = calloc(chip->input_pins + 2, sizeof *engine->pin_begin);
    engine->threads = calloc(engine->n_threads, sizeof *engine->threads);
    engine->peaks = calloc(n + 1, sizeof *engine->peaks);
    int ok = engine->inputs && engine->pin_begin && engine->threads && engine->peaks;
    tn_error error = ok ? tn_tick_build(&engine->tables, chip, engine->kernels->small != NULL) : TN_ERROR_MEMORY;
    if (error) {
        tn_tick_free(engine);
        return error;
    }
    for (size_t i = 0; i < chip->n_inputs; i++) {
        engine->inputs[i].pin = (uint32_t)chip->input_pin[i];
        engine->inputs[i].where = tn_where(chip->input_delay[i], chip->input_core[i], chip->input_axon[i]);
        engine->pin_begin[chip->input_pin[i] + 1]++;
    }
    for (size_t pin = 0; pin < chip->input_pins; pin++)
        engine->pin_begin[pin + 1] += engine->pin_begin[pin];
    for (size_t t = 0; t < engine->n_threads; t++)
        if ((error = init_flight(engine, t))) {
            tn_tick_free(engine);
            return error;
        }
    tn_tick_reset(engine);
    *out = engine;
    return TN_OK;
}

void tn_tick_free(tn_tick *engine)
{
    if (!engine)
        return;
    for (size_t t = 0; engine->threads && t < engine->n_threads; t++) {
        tn_flight_free(&engine->threads[t].flight);
        tn_spike_list_free(&engine->threads[t].recorded);
    }
    free(engine->threads);
    free(engine->peaks);
    free(engine->inputs);
    free(engine->pin_begin);
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
        core->spikes = core->events = 0;
    }
    for (size_t t = 0; t < engine->n_threads; t++) {
        tn_flight_reset(&engine->threads[t].flight);
        engine->threads[t].hops = 0;
        tn_spike_list_clear(&engine->threads[t].recorded);
    }
    memset(engine->peaks, 0, n * sizeof *engine->peaks);
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
    size_t thread, core_begin, core_end, probe_begin, probe_end;
} worker;

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
                    tn_flight_send(&w->own->flight, engine->inputs[k].where);
        pin += n;
    }
}

static void deliver_events(const worker *w, const tn_events *events, size_t begin, size_t end)
{
    size_t first = begin + (end - begin) * w->thread / w->engine->n_threads;
    size_t last = begin + (end - begin) * (w->thread + 1) / w->engine->n_threads;
    for (size_t i = first; i < last; i++)
        tn_flight_send(&w->own->flight, tn_where(events->delay[i], events->core[i], events->axon[i]));
}

static void set_pins(const tn_core *core, const uint64_t fired[TN_NEURON_WORDS], uint8_t *outputs)
{
    for (int word = 0; word < TN_NEURON_WORDS; word++)
        for (uint64_t bits = fired[word] & core->output[word]; bits; bits &= bits - 1) /* threads may share a pin */
            __atomic_store_n(&outputs[core->targets[64 * word + __builtin_ctzll(bits)]], 1, __ATOMIC_RELAXED);
}

/* Sends a core's spikes on their way, and counts them and their hops. */
static inline void scatter(const worker *w, tn_core *core, const uint64_t fired[TN_NEURON_WORDS], uint8_t *outputs)
{
    const tn_tick *engine = w->engine;
    const uint64_t(*hops)[TN_NEURON_WORDS] = (const void *)(core->targets + TN_NEURONS);
    uint8_t neurons[TN_NEURONS + TN_LINE];
    uint32_t count = engine->kernels->list(fired, neurons);
    core->spikes += count;
    w->own->hops += (int64_t)engine->kernels->sum(fired, hops, engine->tables.n_hop_planes);
    if (!core->all_routed) {
        uint64_t routed[TN_NEURON_WORDS];
        for (int word = 0; word < TN_NEURON_WORDS; word++)
            routed[word] = fired[word] & core->routed[word];
        count = engine->kernels->list(routed, neurons);
        set_pins(core, fired, outputs);
    }
    for (uint32_t i = 0; i < count; i++)
        tn_flight_send(&w->own->flight, core->targets[neurons[i]]);
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

/* The first lines of a core that is soon to have its turn. */
static inline void prefetch_core(const worker *w, size_t c)
{
    const tn_core *cores = w->engine->tables.cores;
    if (c + CORES_AHEAD >= w->core_end)
        return;
    __builtin_prefetch(&cores[c + CORES_AHEAD]);
    __builtin_prefetch(cores[c + CORES_AHEAD].used);
    __builtin_prefetch(cores[c + CORES_AHEAD / 2].types);
}

/* The next core from *c on that has anything to do at `tick`, and its input, joined from all threads' bitmaps; moves *c
 * behind it. NULL where there is none. */
static inline tn_turn *take_turn(const worker *w, tn_turn *turn, size_t *c, int64_t tick)
{
    const tn_tick *engine = w->engine;
    while (*c < w->core_end) {
        size_t place = *c * TN_AXON_WORDS;
        uint64_t any = 0;
        prefetch_core(w, *c);
        turn->core = &engine->tables.cores[(*c)++];
        memset(turn->active, 0, sizeof turn->active);
        for (size_t t = 0; t < engine->n_threads; t++) {
            const uint64_t *due = engine->threads[t].flight.due[tick % 2] + place;
            for (int word = 0; word < TN_AXON_WORDS; word++) {
                turn->active[word] |= due[word];
                any |= due[word];
            }
        }
        turn->listed = 0;
        if (any || !turn->core->quiet)
            return turn;
    }
    return NULL;
}

static tn_kernel *kernel_of(const tn_kernels *kernels, const tn_core *core)
{
    if (core->kind == TN_STOCHASTIC)
        return tn_kernel_stochastic;
    return core->palette ? kernels->small : kernels->lanes[core->wide][core->kind];
}

/* What a core does in a sampled tick: `before` and `hops_before` are its totals and the thread's before that. */
static void sample(const worker *w, const tn_core *core, tn_peak before, int64_t hops_before, int64_t tick)
{
    const tn_tick *engine = w->engine;
    size_t number = tn_samples_before(tick) - tn_samples_before(engine->tick);
    int64_t spikes = core->spikes - before.spikes, events = core->events - before.events;
    int64_t *to = w->run->work->sampled + TN_SAMPLED * number;
    tn_peak_raise(&engine->peaks[core - engine->tables.cores], spikes, events);
    __atomic_fetch_add(&to[0], spikes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&to[1], events, __ATOMIC_RELAXED);
    __atomic_fetch_add(&to[2], w->own->hops - hops_before, __ATOMIC_RELAXED);
}

static void evaluate_cores(const worker *w, int64_t tick, uint8_t *outputs)
{
    const tn_core *cores = w->engine->tables.cores;
    uint64_t fired[TN_NEURON_WORDS];
    int sampled = tick % TN_SAMPLE_EVERY == TN_SAMPLE_AT;
    size_t c = w->core_begin;
    tn_turn *turn = take_turn(w, &w->own->turns[0], &c, tick);
    while (turn) { /* a core's input is taken while another has its turn, to load what it will need */
        tn_turn *next = take_turn(w, &w->own->turns[turn == &w->own->turns[0]], &c, tick);
        tn_core *core = turn->core;
        tn_peak before = {core->spikes, core->events};
        int64_t hops_before = w->own->hops;
        core->events += kernel_of(w->engine->kernels, core)(turn, next, fired);
        if (fired[0] | fired[1] | fired[2] | fired[3]) {
            scatter(w, core, fired, outputs);
            if (w->run->work->record)
                record(w, (size_t)(core - cores), fired, tick);
        }
        if (sampled)
            sample(w, core, before, hops_before, tick);
        turn = next;
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
    worker w = {run, engine, &engine->threads[thread], thread, n * thread / threads, n * (thread + 1) / threads, 0, 0};
    while (w.probe_begin < work->n_probes && (size_t)work->probes[2 * w.probe_begin] < w.core_begin)
        w.probe_begin++;
    for (w.probe_end = w.probe_begin; w.probe_end < work->n_probes;)
        if ((size_t)work->probes[2 * w.probe_end++] >= w.core_end) {
            w.probe_end--;
            break;
        }
    for (size_t i = 0; i < work->ticks; i++) {
        int64_t tick = engine->tick + (int64_t)i;
        tn_flight_open(&w.own->flight, tick);
        if (work->pins)
            deliver_pins(&w, work->pins + i * engine->input_pins);
        size_t begin = event;
        while (event < work->events.count && work->events.tick[event] == tick)
            event++;
        deliver_events(&w, &work->events, begin, event);
        evaluate_cores(&w, tick, work->outputs + i * engine->output_pins);
        if (work->n_probes)
            probe(&w, work->potentials + i * work->n_probes);
        tn_flight_close(&w.own->flight, tick);
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
    for (size_t t = 0; t < engine->n_threads; t++) {
        tn_spike_list_clear(&engine->threads[t].recorded);
        if ((error = tn_flight_expect(&engine->threads[t].flight, work->events.count)))
            return error;
    }
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

int64_t tn_tick_tick(const tn_tick *engine)
{
    return engine->tick;
}

int64_t tn_tick_stats(const tn_tick *engine, int64_t *core_spikes, int64_t *core_synaptic_events, tn_peak *peaks)
{
    size_t n = engine->tables.n_cores;
    for (size_t c = 0; c < n; c++) {
        core_spikes[c] = engine->tables.cores[c].spikes;
        core_synaptic_events[c] = engine->tables.cores[c].events;
        peaks[c] = engine->peaks[c];
    }
    int64_t hops = 0;
    for (size_t t = 0; t < engine->n_threads; t++)
        hops += engine->threads[t].hops;
    return hops;
}

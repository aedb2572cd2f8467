/* The tick engine: any chip, the full neuron model, one tick after another.
 *
 * A handle holds a compiled copy of the chip and its state. Calls on one handle must not overlap; different handles
 * are independent. Results never depend on the number of threads or on the variant. */
#ifndef TN_TICK_H
#define TN_TICK_H

#include "chip.h"
#include "sample.h"
#include "spikes.h"
#include "variant.h"

typedef struct tn_tick tn_tick;

/* Input spikes straight to axons, sorted by source tick; spike i is due at tick[i] + delay[i]. */
typedef struct {
    size_t count;
    const int64_t *tick;
    const int32_t *core, *axon;
    const uint8_t *delay; /* 1..15 */
} tn_events;

/* One call of tn_tick_run. All memory is the caller's. */
typedef struct {
    size_t ticks;
    const uint8_t *pins; /* [ticks, input pins], nonzero = a spike; NULL: none */
    tn_events events;
    uint8_t *outputs;       /* [ticks, output pins], zeroed by the caller: spikes are set to 1 */
    const uint8_t *record;  /* [N, M] nonzero: collect that neuron's spikes; NULL: none */
    int64_t *sampled;       /* [sampled ticks, TN_SAMPLED] of the run, csrc/sample.h: added to */
    size_t n_probes;
    const int32_t *probes; /* [n_probes, 2]: core, neuron; sorted by core */
    int32_t *potentials;   /* [ticks, n_probes] */
} tn_tick_work;

/* Compiles a checked chip. `threads` at least 1. TN_OK and *engine, or an error. */
tn_error tn_tick_new(tn_tick **engine, const tn_chip *chip, size_t threads, tn_variant variant);
void tn_tick_free(tn_tick *engine);

/* Back to tick 0: initial potentials, seeds, no spike in flight, counts zero. */
void tn_tick_reset(tn_tick *engine);

/* Evaluates work->ticks ticks. On an error nothing has been evaluated, except with TN_ERROR_MEMORY while recording. */
tn_error tn_tick_run(tn_tick *engine, const tn_tick_work *work);

/* The spikes recorded by one thread in the last run, in no order to rely on; owned by the engine until the next run. */
const tn_spike_list *tn_tick_recorded(const tn_tick *engine, size_t thread);
size_t tn_tick_threads(const tn_tick *engine);

/* The tick to be evaluated next. */
int64_t tn_tick_tick(const tn_tick *engine);

/* Since reset, per core ([N], the caller's): spikes fired, synaptic events, and the most of each in one sampled tick.
 * Returns all mesh hops. */
int64_t tn_tick_stats(const tn_tick *engine, int64_t *core_spikes, int64_t *core_synaptic_events, tn_peak *peaks);

#endif

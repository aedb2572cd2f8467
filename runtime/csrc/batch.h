/* The batch engine: memoryless neurons in cores that form no loop, 1,024 ticks at a time, one bit a tick.
 *
 * Cores are evaluated in topological order. A neuron is a threshold on a count, and the count is kept as bit planes
 * and raised by carry-save adders (csrc/batch_kernel.h); a delay is a shift. State between calls is the last 16 ticks
 * of every spike train, so a run may be cut into calls anywhere. Calls on one handle must not overlap. */
#ifndef TN_BATCH_H
#define TN_BATCH_H

#include "chip.h"
#include "sample.h"
#include "spikes.h"
#include "variant.h"

typedef struct tn_batch tn_batch;

/* One call of tn_batch_run. All memory is the caller's. */
typedef struct {
    size_t ticks;
    const uint8_t *pins;   /* [ticks, input pins], 0 or 1 = a spike; NULL: none */
    uint8_t *outputs;      /* [ticks, output pins], overwritten */
    const uint8_t *record; /* [N, M] nonzero: collect that neuron's spikes; NULL: none */
    int64_t *sampled;      /* [sampled ticks, TN_SAMPLED] of the run, csrc/sample.h: added to */
} tn_batch_work;

/* Compiles a checked chip. TN_ERROR_STATEFUL or TN_ERROR_CYCLE where it is not one for this engine. */
tn_error tn_batch_new(tn_batch **engine, const tn_chip *chip, size_t threads, tn_variant variant);
void tn_batch_free(tn_batch *engine);

/* Back to tick 0: no spike in flight, counts zero. */
void tn_batch_reset(tn_batch *engine);

/* Evaluates work->ticks ticks. On an error nothing has been evaluated, except with TN_ERROR_MEMORY while recording. */
tn_error tn_batch_run(tn_batch *engine, const tn_batch_work *work);

/* The spikes in flight: per spike train and delay its last 16 ticks. Those of input pins come first, pin by pin, then
 * those of neurons; a chip that differs only in input connections has the same numbers for its neurons. */
size_t tn_batch_flight_count(const tn_batch *engine, size_t *of_pins);
void tn_batch_get_flight(const tn_batch *engine, uint16_t *flight);
/* Continues at `tick`. */
void tn_batch_set_flight(tn_batch *engine, const uint16_t *flight, int64_t tick);

/* The spikes recorded by one thread in the last run, in no order to rely on; owned by the engine until the next run. */
const tn_spike_list *tn_batch_recorded(const tn_batch *engine, size_t thread);
size_t tn_batch_threads(const tn_batch *engine);

/* The tick to be evaluated next. */
int64_t tn_batch_tick(const tn_batch *engine);

/* Since reset, per core ([N], the caller's): spikes fired, synaptic events, and the most of each in one sampled tick.
 * Returns all mesh hops. */
int64_t tn_batch_stats(const tn_batch *engine, int64_t *core_spikes, int64_t *core_synaptic_events, tn_peak *peaks);

/* The bound on speed: runs `rounds` of nothing but full adders over rows in the first cache level, on each of `threads`
 * threads; *adders is the number done, one a bit of time. */
tn_error tn_batch_roofline(tn_variant variant, size_t threads, uint64_t rounds, double *adders);

#endif

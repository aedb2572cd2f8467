/* Python's view of an engine of either kind: a capsule that holds it, and the functions that both kinds offer. */
#ifndef TN_ENGINE_BINDING_H
#define TN_ENGINE_BINDING_H

#include "binding.h"
#include "sample.h"
#include "variant.h"

/* What an engine of one kind does; `engine` is its tn_tick or tn_batch. */
typedef struct {
    tn_error (*new)(void **engine, const tn_chip *chip, size_t threads, tn_variant variant);
    void (*free)(void *engine);
    void (*reset)(void *engine);
    int64_t (*tick)(const void *engine);
    size_t (*threads)(const void *engine);
    tn_list_of *recorded;
    int64_t (*stats)(const void *engine, int64_t *core_spikes, int64_t *core_synaptic_events, tn_peak *peaks);
} tn_engine_kind;

typedef struct {
    const tn_engine_kind *kind;
    void *engine;
    size_t n_cores, neurons, input_pins, output_pins;
    int busy; /* a call that has released the interpreter lock is under way; guarded by that lock */
} tn_handle;

/* NAME_new of the Python module: args are (config, hops, threads, variant). */
PyObject *tn_engine_new(const tn_engine_kind *kind, PyObject *args);

/* The handle in a capsule, of the given kind (NULL: any) and not running in another thread; or NULL with TypeError,
 * ValueError or RuntimeError set. */
tn_handle *tn_open_engine(PyObject *capsule, const tn_engine_kind *kind);

/* The arrays that both kinds run on; `ticks` is checked too. 0, or -1 with an exception set. */
typedef struct {
    size_t ticks;
    const uint8_t *pins;
    uint8_t *outputs;
    const uint8_t *record;
    int64_t *sampled;
} tn_run_arrays;

int tn_read_run(tn_run_arrays *run, tn_buffers *buffers, const tn_handle *h, Py_ssize_t ticks, PyObject *pins,
                PyObject *outputs, PyObject *record, PyObject *sampled);

#endif

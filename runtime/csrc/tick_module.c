/* Python's view of the tick engine, beside what csrc/engine_binding.h offers. runtime/_native.pyi has the signatures. */
#include "engine_binding.h"
#include "tick.h"

static tn_error new_tick(void **engine, const tn_chip *chip, size_t threads, tn_variant variant)
{
    return tn_tick_new((tn_tick **)engine, chip, threads, variant);
}

static void free_tick(void *engine)
{
    tn_tick_free(engine);
}

static void reset_tick(void *engine)
{
    tn_tick_reset(engine);
}

static int64_t tick_of(const void *engine)
{
    return tn_tick_tick(engine);
}

static size_t threads_of(const void *engine)
{
    return tn_tick_threads(engine);
}

static const tn_spike_list *recorded_by(const void *engine, size_t thread)
{
    return tn_tick_recorded(engine, thread);
}

static int64_t stats_of(const void *engine, int64_t *core_spikes, int64_t *core_synaptic_events, tn_peak *peaks)
{
    return tn_tick_stats(engine, core_spikes, core_synaptic_events, peaks);
}

static const tn_engine_kind TICK = {new_tick, free_tick, reset_tick, tick_of, threads_of, recorded_by, stats_of};

static PyObject *tick_new(PyObject *self, PyObject *args)
{
    (void)self;
    return tn_engine_new(&TICK, args);
}

static int read_events(tn_events *events, tn_buffers *buffers, PyObject *tuple)
{
    PyObject *tick, *core, *axon, *delay;
    if (tuple == Py_None)
        return 0;
    if (!PyArg_ParseTuple(tuple, "OOOO:events", &tick, &core, &axon, &delay))
        return -1;
    return (events->tick = tn_buffers_add_any(buffers, tick, "events tick", TN_I64, &events->count)) &&
                   (events->core = tn_buffers_add(buffers, core, "events core", TN_I32, events->count, 0)) &&
                   (events->axon = tn_buffers_add(buffers, axon, "events axon", TN_I32, events->count, 0)) &&
                   (events->delay = tn_buffers_add(buffers, delay, "events delay", TN_U8, events->count, 0))
               ? 0
               : -1;
}

static PyObject *tick_run(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *pins, *events, *outputs, *record, *sampled, *probes, *potentials;
    Py_ssize_t ticks;
    if (!PyArg_ParseTuple(args, "OnOOOOOOO:tick_run", &capsule, &ticks, &pins, &events, &outputs, &record, &sampled, &probes,
                          &potentials))
        return NULL;
    tn_handle *h = tn_open_engine(capsule, &TICK);
    if (!h)
        return NULL;
    tn_buffers buffers = {0};
    tn_run_arrays run;
    tn_tick_work work = {0};
    size_t probe_numbers = 0;
    int ok = !tn_read_run(&run, &buffers, h, ticks, pins, outputs, record, sampled) &&
             !read_events(&work.events, &buffers, events);
    if (ok && probes != Py_None) {
        work.probes = tn_buffers_add_any(&buffers, probes, "probes", TN_I32, &probe_numbers);
        work.n_probes = probe_numbers / 2;
        work.potentials = !work.probes ? NULL
                                       : tn_buffers_add(&buffers, potentials, "potentials", TN_I32,
                                                        tn_times(run.ticks, work.n_probes), 1);
        ok = work.potentials != NULL;
    }
    tn_error error = TN_OK;
    if (ok) {
        work.ticks = run.ticks;
        work.pins = run.pins;
        work.outputs = run.outputs;
        work.record = run.record;
        work.sampled = run.sampled;
        h->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        error = tn_tick_run(h->engine, &work);
        Py_END_ALLOW_THREADS
        h->busy = 0;
    }
    tn_buffers_release(&buffers);
    if (error)
        return tn_raise(error);
    return ok ? Py_NewRef(Py_None) : NULL;
}

/* The functions' documentation is runtime/_native.pyi. */
static PyMethodDef methods[] = {
    {"tick_new", tick_new, METH_VARARGS, NULL},
    {"tick_run", tick_run, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int tn_tick_register(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

/* Python's view of the tick engine: a capsule and the functions on it. runtime/_native.pyi has the signatures. */
#include "binding.h"
#include "tick.h"

#include <stdlib.h>

static const char CAPSULE[] = "tncc.runtime._native.tick";

typedef struct {
    tn_tick *engine;
    size_t n_cores, neurons, input_pins, output_pins;
    int busy; /* a call that has released the interpreter lock is under way; guarded by that lock */
} handle;

static void destroy(PyObject *capsule)
{
    handle *h = PyCapsule_GetPointer(capsule, CAPSULE);
    tn_tick_free(h->engine);
    free(h);
}

static handle *open_handle(PyObject *capsule)
{
    handle *h = PyCapsule_GetPointer(capsule, CAPSULE);
    if (h && h->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the engine is running in another thread");
        return NULL;
    }
    return h;
}

static PyObject *tick_new(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *config, *hops;
    Py_ssize_t threads;
    int variant;
    if (!PyArg_ParseTuple(args, "OOni:tick_new", &config, &hops, &threads, &variant))
        return NULL;
    if (threads < 1 || threads > 1024 || variant < 0 || variant >= TN_VARIANT_COUNT) {
        PyErr_SetString(PyExc_ValueError, "threads must lie in 1..1024 and the variant be one of variants()");
        return NULL;
    }
    handle *h = calloc(1, sizeof *h);
    if (!h)
        return PyErr_NoMemory();
    tn_buffers buffers = {0};
    tn_chip chip;
    tn_error error;
    if (tn_chip_from_config(&chip, &buffers, config, hops))
        goto fail;
    *h = (handle){NULL, chip.n_cores, chip.neurons, chip.input_pins, chip.output_pins, 0};
    Py_BEGIN_ALLOW_THREADS
    error = tn_tick_new(&h->engine, &chip, (size_t)threads, (tn_variant)variant);
    Py_END_ALLOW_THREADS
    if (error) {
        tn_raise(error);
        goto fail;
    }
    PyObject *capsule = PyCapsule_New(h, CAPSULE, destroy);
    if (!capsule)
        goto fail;
    tn_buffers_release(&buffers);
    return capsule;
fail:
    tn_buffers_release(&buffers);
    tn_tick_free(h->engine);
    free(h);
    return NULL;
}

static PyObject *tick_reset(PyObject *self, PyObject *capsule)
{
    (void)self;
    handle *h = open_handle(capsule);
    if (!h)
        return NULL;
    tn_tick_reset(h->engine);
    Py_RETURN_NONE;
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
    PyObject *capsule, *pins, *events, *outputs, *record, *probes, *potentials;
    Py_ssize_t ticks;
    if (!PyArg_ParseTuple(args, "OnOOOOOO:tick_run", &capsule, &ticks, &pins, &events, &outputs, &record, &probes,
                          &potentials))
        return NULL;
    handle *h = open_handle(capsule);
    if (!h)
        return NULL;
    if (ticks < 0) {
        PyErr_SetString(PyExc_ValueError, "ticks is negative");
        return NULL;
    }
    tn_buffers buffers = {0};
    tn_tick_work work = {.ticks = (size_t)ticks};
    size_t probe_numbers = 0;
    int ok = (work.outputs = tn_buffers_add(&buffers, outputs, "outputs", TN_U8, tn_times(work.ticks, h->output_pins), 1)) &&
             (pins == Py_None ||
              (work.pins = tn_buffers_add(&buffers, pins, "pins", TN_U8, tn_times(work.ticks, h->input_pins), 0))) &&
             (record == Py_None ||
              (work.record = tn_buffers_add(&buffers, record, "record", TN_BOOL, h->n_cores * h->neurons, 0))) &&
             !read_events(&work.events, &buffers, events);
    if (ok && probes != Py_None) {
        work.probes = tn_buffers_add_any(&buffers, probes, "probes", TN_I32, &probe_numbers);
        work.n_probes = probe_numbers / 2;
        work.potentials = !work.probes ? NULL
                                       : tn_buffers_add(&buffers, potentials, "potentials", TN_I32,
                                                        tn_times(work.ticks, work.n_probes), 1);
        ok = work.potentials != NULL;
    }
    tn_error error = TN_OK;
    if (ok) {
        h->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        error = tn_tick_run(h->engine, &work);
        Py_END_ALLOW_THREADS
        h->busy = 0;
    }
    tn_buffers_release(&buffers);
    if (error)
        return tn_raise(error);
    if (!ok)
        return NULL;
    Py_RETURN_NONE;
}

static const tn_spike_list *list_of(const void *engine, size_t thread)
{
    return tn_tick_recorded(engine, thread);
}

static PyObject *tick_recorded_count(PyObject *self, PyObject *capsule)
{
    (void)self;
    handle *h = open_handle(capsule);
    return h ? PyLong_FromSize_t(tn_count_recorded(h->engine, tn_tick_threads(h->engine), list_of)) : NULL;
}

static PyObject *tick_recorded(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *tick, *core, *neuron;
    if (!PyArg_ParseTuple(args, "OOOO:tick_recorded", &capsule, &tick, &core, &neuron))
        return NULL;
    handle *h = open_handle(capsule);
    return h ? tn_copy_recorded(h->engine, tn_tick_threads(h->engine), list_of, tick, core, neuron) : NULL;
}

static PyObject *tick_stats(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *spikes_object, *events_object;
    if (!PyArg_ParseTuple(args, "OOO:tick_stats", &capsule, &spikes_object, &events_object))
        return NULL;
    handle *h = open_handle(capsule);
    if (!h)
        return NULL;
    tn_buffers buffers = {0};
    int64_t *spikes, *events, hops = 0;
    int ok = (spikes = tn_buffers_add(&buffers, spikes_object, "core_spikes", TN_I64, h->n_cores, 1)) &&
             (events = tn_buffers_add(&buffers, events_object, "core_synaptic_events", TN_I64, h->n_cores, 1));
    if (ok)
        tn_tick_stats(h->engine, spikes, events, &hops);
    tn_buffers_release(&buffers);
    return ok ? PyLong_FromLongLong(hops) : NULL;
}

/* The functions' documentation is runtime/_native.pyi. */
static PyMethodDef methods[] = {
    {"tick_new", tick_new, METH_VARARGS, NULL},
    {"tick_reset", tick_reset, METH_O, NULL},
    {"tick_run", tick_run, METH_VARARGS, NULL},
    {"tick_recorded_count", tick_recorded_count, METH_O, NULL},
    {"tick_recorded", tick_recorded, METH_VARARGS, NULL},
    {"tick_stats", tick_stats, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int tn_tick_register(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

#include "engine_binding.h"

#include <stdlib.h>

static const char CAPSULE[] = "tncc.runtime._native.engine";

static void destroy(PyObject *capsule)
{
    tn_handle *h = PyCapsule_GetPointer(capsule, CAPSULE);
    h->kind->free(h->engine);
    free(h);
}

tn_handle *tn_open_engine(PyObject *capsule, const tn_engine_kind *kind)
{
    tn_handle *h = PyCapsule_GetPointer(capsule, CAPSULE);
    if (h && kind && h->kind != kind) {
        PyErr_SetString(PyExc_TypeError, "an engine of the other kind");
        return NULL;
    }
    if (h && h->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the engine is running in another thread");
        return NULL;
    }
    return h;
}

PyObject *tn_engine_new(const tn_engine_kind *kind, PyObject *args)
{
    PyObject *config, *hops;
    Py_ssize_t threads;
    int variant;
    if (!PyArg_ParseTuple(args, "OOni", &config, &hops, &threads, &variant))
        return NULL;
    if (threads < 1 || threads > 1024 || variant < 0 || variant >= TN_VARIANT_COUNT) {
        PyErr_SetString(PyExc_ValueError, "threads must lie in 1..1024 and the variant be one of variants()");
        return NULL;
    }
    tn_handle *h = calloc(1, sizeof *h);
    if (!h)
        return PyErr_NoMemory();
    tn_buffers buffers = {0};
    tn_chip chip;
    PyObject *capsule = NULL;
    if (!tn_chip_from_config(&chip, &buffers, config, hops)) {
        tn_error error;
        *h = (tn_handle){kind, NULL, chip.n_cores, chip.neurons, chip.input_pins, chip.output_pins, 0};
        Py_BEGIN_ALLOW_THREADS
        error = kind->new(&h->engine, &chip, (size_t)threads, (tn_variant)variant);
        Py_END_ALLOW_THREADS
        capsule = error ? tn_raise(error) : PyCapsule_New(h, CAPSULE, destroy);
    }
    tn_buffers_release(&buffers);
    if (!capsule) {
        kind->free(h->engine);
        free(h);
    }
    return capsule;
}

int tn_read_run(tn_run_arrays *run, tn_buffers *buffers, const tn_handle *h, Py_ssize_t ticks, PyObject *pins,
                PyObject *outputs, PyObject *record, PyObject *sampled)
{
    *run = (tn_run_arrays){.ticks = (size_t)ticks};
    if (ticks < 0) {
        PyErr_SetString(PyExc_ValueError, "ticks is negative");
        return -1;
    }
    int64_t tick = h->kind->tick(h->engine);
    size_t samples = tn_samples_before(tick + ticks) - tn_samples_before(tick);
    return (run->outputs = tn_buffers_add(buffers, outputs, "outputs", TN_U8, tn_times(run->ticks, h->output_pins), 1)) &&
                   (pins == Py_None ||
                    (run->pins = tn_buffers_add(buffers, pins, "pins", TN_U8, tn_times(run->ticks, h->input_pins), 0))) &&
                   (record == Py_None ||
                    (run->record = tn_buffers_add(buffers, record, "record", TN_BOOL, h->n_cores * h->neurons, 0))) &&
                   (run->sampled = tn_buffers_add(buffers, sampled, "sampled", TN_I64, tn_times(samples, TN_SAMPLED), 1))
               ? 0
               : -1;
}

static PyObject *reset(PyObject *self, PyObject *capsule)
{
    (void)self;
    tn_handle *h = tn_open_engine(capsule, NULL);
    if (!h)
        return NULL;
    h->kind->reset(h->engine);
    Py_RETURN_NONE;
}

static PyObject *recorded_count(PyObject *self, PyObject *capsule)
{
    (void)self;
    tn_handle *h = tn_open_engine(capsule, NULL);
    return h ? PyLong_FromSize_t(tn_count_recorded(h->engine, h->kind->threads(h->engine), h->kind->recorded)) : NULL;
}

static PyObject *recorded(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *tick, *core, *neuron;
    if (!PyArg_ParseTuple(args, "OOOO:recorded", &capsule, &tick, &core, &neuron))
        return NULL;
    tn_handle *h = tn_open_engine(capsule, NULL);
    return h ? tn_copy_recorded(h->engine, h->kind->threads(h->engine), h->kind->recorded, tick, core, neuron) : NULL;
}

static PyObject *stats(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *spikes_object, *events_object, *peaks_object;
    if (!PyArg_ParseTuple(args, "OOOO:stats", &capsule, &spikes_object, &events_object, &peaks_object))
        return NULL;
    tn_handle *h = tn_open_engine(capsule, NULL);
    if (!h)
        return NULL;
    tn_buffers buffers = {0};
    int64_t *spikes, *events, hops = 0;
    tn_peak *peaks;
    int ok = (spikes = tn_buffers_add(&buffers, spikes_object, "core_spikes", TN_I64, h->n_cores, 1)) &&
             (events = tn_buffers_add(&buffers, events_object, "core_synaptic_events", TN_I64, h->n_cores, 1)) &&
             (peaks = tn_buffers_add(&buffers, peaks_object, "peaks", TN_I64, 2 * h->n_cores, 1));
    if (ok)
        hops = h->kind->stats(h->engine, spikes, events, peaks);
    tn_buffers_release(&buffers);
    return ok ? PyLong_FromLongLong(hops) : NULL;
}

/* The functions' documentation is runtime/_native.pyi. */
static PyMethodDef methods[] = {
    {"reset", reset, METH_O, NULL},
    {"recorded_count", recorded_count, METH_O, NULL},
    {"recorded", recorded, METH_VARARGS, NULL},
    {"stats", stats, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int tn_engine_register(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

/* Python's view of the batch engine: a capsule and the functions on it. runtime/_native.pyi has the signatures. */
#include "binding.h"
#include "batch.h"
#include "schedule.h"

#include <stdlib.h>

static const char CAPSULE[] = "tncc.runtime._native.batch";

typedef struct {
    tn_batch *engine;
    size_t n_cores, neurons, input_pins, output_pins;
    int busy; /* a call that has released the interpreter lock is under way; guarded by that lock */
} handle;

static void destroy(PyObject *capsule)
{
    handle *h = PyCapsule_GetPointer(capsule, CAPSULE);
    tn_batch_free(h->engine);
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

static PyObject *batch_new(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *config, *hops;
    Py_ssize_t threads;
    int variant;
    if (!PyArg_ParseTuple(args, "OOni:batch_new", &config, &hops, &threads, &variant))
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
    error = tn_batch_new(&h->engine, &chip, (size_t)threads, (tn_variant)variant);
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
    tn_batch_free(h->engine);
    free(h);
    return NULL;
}

static PyObject *batch_reset(PyObject *self, PyObject *capsule)
{
    (void)self;
    handle *h = open_handle(capsule);
    if (!h)
        return NULL;
    tn_batch_reset(h->engine);
    Py_RETURN_NONE;
}

static PyObject *batch_run(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *pins, *outputs, *record;
    Py_ssize_t ticks;
    if (!PyArg_ParseTuple(args, "OnOOO:batch_run", &capsule, &ticks, &pins, &outputs, &record))
        return NULL;
    handle *h = open_handle(capsule);
    if (!h)
        return NULL;
    if (ticks < 0) {
        PyErr_SetString(PyExc_ValueError, "ticks is negative");
        return NULL;
    }
    tn_buffers buffers = {0};
    tn_batch_work work = {.ticks = (size_t)ticks};
    int ok = (work.outputs = tn_buffers_add(&buffers, outputs, "outputs", TN_U8, tn_times(work.ticks, h->output_pins), 1)) &&
             (pins == Py_None ||
              (work.pins = tn_buffers_add(&buffers, pins, "pins", TN_U8, tn_times(work.ticks, h->input_pins), 0))) &&
             (record == Py_None ||
              (work.record = tn_buffers_add(&buffers, record, "record", TN_BOOL, h->n_cores * h->neurons, 0)));
    tn_error error = TN_OK;
    if (ok) {
        h->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        error = tn_batch_run(h->engine, &work);
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
    return tn_batch_recorded(engine, thread);
}

static PyObject *batch_recorded_count(PyObject *self, PyObject *capsule)
{
    (void)self;
    handle *h = open_handle(capsule);
    return h ? PyLong_FromSize_t(tn_count_recorded(h->engine, tn_batch_threads(h->engine), list_of)) : NULL;
}

static PyObject *batch_recorded(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *tick, *core, *neuron;
    if (!PyArg_ParseTuple(args, "OOOO:batch_recorded", &capsule, &tick, &core, &neuron))
        return NULL;
    handle *h = open_handle(capsule);
    return h ? tn_copy_recorded(h->engine, tn_batch_threads(h->engine), list_of, tick, core, neuron) : NULL;
}

static PyObject *batch_stats(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *spikes_object, *events_object;
    if (!PyArg_ParseTuple(args, "OOO:batch_stats", &capsule, &spikes_object, &events_object))
        return NULL;
    handle *h = open_handle(capsule);
    if (!h)
        return NULL;
    tn_buffers buffers = {0};
    int64_t *spikes, *events, hops = 0;
    int ok = (spikes = tn_buffers_add(&buffers, spikes_object, "core_spikes", TN_I64, h->n_cores, 1)) &&
             (events = tn_buffers_add(&buffers, events_object, "core_synaptic_events", TN_I64, h->n_cores, 1));
    if (ok)
        tn_batch_stats(h->engine, spikes, events, &hops);
    tn_buffers_release(&buffers);
    return ok ? PyLong_FromLongLong(hops) : NULL;
}

static PyObject *batch_flight_count(PyObject *self, PyObject *capsule)
{
    (void)self;
    handle *h = open_handle(capsule);
    if (!h)
        return NULL;
    size_t of_pins, all = tn_batch_flight_count(h->engine, &of_pins);
    return Py_BuildValue("nn", (Py_ssize_t)all, (Py_ssize_t)of_pins);
}

static PyObject *move_flight(PyObject *args, int out)
{
    PyObject *capsule, *flight_object;
    if (!PyArg_ParseTuple(args, "OO", &capsule, &flight_object))
        return NULL;
    handle *h = open_handle(capsule);
    if (!h)
        return NULL;
    tn_buffers buffers = {0};
    size_t of_pins;
    uint16_t *flight = tn_buffers_add(&buffers, flight_object, "flight", TN_U16,
                                      tn_batch_flight_count(h->engine, &of_pins), out);
    if (flight && out)
        tn_batch_get_flight(h->engine, flight);
    else if (flight)
        tn_batch_set_flight(h->engine, flight);
    tn_buffers_release(&buffers);
    return flight ? Py_NewRef(Py_None) : NULL;
}

static PyObject *batch_get_flight(PyObject *self, PyObject *args)
{
    (void)self;
    return move_flight(args, 1);
}

static PyObject *batch_set_flight(PyObject *self, PyObject *args)
{
    (void)self;
    return move_flight(args, 0);
}

static PyObject *roofline(PyObject *self, PyObject *args)
{
    (void)self;
    int variant;
    Py_ssize_t threads;
    unsigned long long rounds;
    double adders;
    tn_error error;
    if (!PyArg_ParseTuple(args, "inK:roofline", &variant, &threads, &rounds))
        return NULL;
    if (threads < 1 || threads > 1024 || variant < 0 || variant >= TN_VARIANT_COUNT) {
        PyErr_SetString(PyExc_ValueError, "threads must lie in 1..1024 and the variant be one of variants()");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    error = tn_batch_roofline((tn_variant)variant, (size_t)threads, rounds, &adders);
    Py_END_ALLOW_THREADS
    return error ? tn_raise(error) : PyFloat_FromDouble(adders);
}

static PyObject *stages(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *config, *hops, *stage_object;
    if (!PyArg_ParseTuple(args, "OOO:stages", &config, &hops, &stage_object))
        return NULL;
    tn_buffers buffers = {0};
    tn_chip chip;
    int32_t *stage;
    tn_error error = TN_OK;
    int ok = !tn_chip_from_config(&chip, &buffers, config, hops) &&
             (stage = tn_buffers_add(&buffers, stage_object, "stage", TN_I32, chip.n_cores, 1));
    if (ok)
        error = tn_stages(&chip, stage);
    tn_buffers_release(&buffers);
    if (error)
        return tn_raise(error);
    return ok ? Py_NewRef(Py_None) : NULL;
}

/* The functions' documentation is runtime/_native.pyi. */
static PyMethodDef methods[] = {
    {"batch_new", batch_new, METH_VARARGS, NULL},
    {"batch_reset", batch_reset, METH_O, NULL},
    {"batch_run", batch_run, METH_VARARGS, NULL},
    {"batch_recorded_count", batch_recorded_count, METH_O, NULL},
    {"batch_recorded", batch_recorded, METH_VARARGS, NULL},
    {"batch_stats", batch_stats, METH_VARARGS, NULL},
    {"batch_flight_count", batch_flight_count, METH_O, NULL},
    {"batch_get_flight", batch_get_flight, METH_VARARGS, NULL},
    {"batch_set_flight", batch_set_flight, METH_VARARGS, NULL},
    {"roofline", roofline, METH_VARARGS, NULL},
    {"stages", stages, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int tn_batch_register(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

/* Python's view of the batch engine, beside what csrc/engine_binding.h offers. runtime/_native.pyi has the signatures. */
#include "engine_binding.h"
#include "batch.h"
#include "schedule.h"

static tn_error new_batch(void **engine, const tn_chip *chip, size_t threads, tn_variant variant)
{
    return tn_batch_new((tn_batch **)engine, chip, threads, variant);
}

static void free_batch(void *engine)
{
    tn_batch_free(engine);
}

static void reset_batch(void *engine)
{
    tn_batch_reset(engine);
}

static int64_t tick_of(const void *engine)
{
    return tn_batch_tick(engine);
}

static size_t threads_of(const void *engine)
{
    return tn_batch_threads(engine);
}

static const tn_spike_list *recorded_by(const void *engine, size_t thread)
{
    return tn_batch_recorded(engine, thread);
}

static int64_t stats_of(const void *engine, int64_t *core_spikes, int64_t *core_synaptic_events, tn_peak *peaks)
{
    return tn_batch_stats(engine, core_spikes, core_synaptic_events, peaks);
}

static const tn_engine_kind BATCH = {new_batch, free_batch, reset_batch, tick_of, threads_of, recorded_by, stats_of};

static PyObject *batch_new(PyObject *self, PyObject *args)
{
    (void)self;
    return tn_engine_new(&BATCH, args);
}

static PyObject *batch_run(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *pins, *outputs, *record, *sampled;
    Py_ssize_t ticks;
    if (!PyArg_ParseTuple(args, "OnOOOO:batch_run", &capsule, &ticks, &pins, &outputs, &record, &sampled))
        return NULL;
    tn_handle *h = tn_open_engine(capsule, &BATCH);
    if (!h)
        return NULL;
    tn_buffers buffers = {0};
    tn_run_arrays run;
    int ok = !tn_read_run(&run, &buffers, h, ticks, pins, outputs, record, sampled);
    tn_error error = TN_OK;
    if (ok) {
        tn_batch_work work = {run.ticks, run.pins, run.outputs, run.record, run.sampled};
        h->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        error = tn_batch_run(h->engine, &work);
        Py_END_ALLOW_THREADS
        h->busy = 0;
    }
    tn_buffers_release(&buffers);
    if (error)
        return tn_raise(error);
    return ok ? Py_NewRef(Py_None) : NULL;
}

static PyObject *batch_flight_count(PyObject *self, PyObject *capsule)
{
    (void)self;
    tn_handle *h = tn_open_engine(capsule, &BATCH);
    if (!h)
        return NULL;
    size_t of_pins, all = tn_batch_flight_count(h->engine, &of_pins);
    return Py_BuildValue("nn", (Py_ssize_t)all, (Py_ssize_t)of_pins);
}

static uint16_t *flight_buffer(tn_buffers *buffers, tn_handle *h, PyObject *flight, int writable)
{
    size_t of_pins;
    return tn_buffers_add(buffers, flight, "flight", TN_U16, tn_batch_flight_count(h->engine, &of_pins), writable);
}

static PyObject *batch_get_flight(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *flight_object;
    if (!PyArg_ParseTuple(args, "OO:batch_get_flight", &capsule, &flight_object))
        return NULL;
    tn_handle *h = tn_open_engine(capsule, &BATCH);
    if (!h)
        return NULL;
    tn_buffers buffers = {0};
    uint16_t *flight = flight_buffer(&buffers, h, flight_object, 1);
    if (flight)
        tn_batch_get_flight(h->engine, flight);
    tn_buffers_release(&buffers);
    return flight ? Py_NewRef(Py_None) : NULL;
}

static PyObject *batch_set_flight(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *capsule, *flight_object;
    long long tick;
    if (!PyArg_ParseTuple(args, "OOL:batch_set_flight", &capsule, &flight_object, &tick))
        return NULL;
    tn_handle *h = tn_open_engine(capsule, &BATCH);
    if (!h)
        return NULL;
    tn_buffers buffers = {0};
    const uint16_t *flight = flight_buffer(&buffers, h, flight_object, 0);
    if (flight)
        tn_batch_set_flight(h->engine, flight, tick);
    tn_buffers_release(&buffers);
    return flight ? Py_NewRef(Py_None) : NULL;
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
    {"batch_run", batch_run, METH_VARARGS, NULL},
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

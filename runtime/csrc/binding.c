#include "binding.h"

#include <string.h>

static const struct {
    const char *name, *formats; /* struct-module codes that mean this kind on the platforms supported */
    size_t size;
} kinds[] = {
    [TN_U8] = {"uint8", "B", 1},   [TN_U16] = {"uint16", "H", 2}, [TN_I16] = {"int16", "h", 2},   [TN_I32] = {"int32", "il", 4},
    [TN_U32] = {"uint32", "IL", 4}, [TN_I64] = {"int64", "lq", 8}, [TN_BOOL] = {"bool", "?", 1},
};

void tn_buffers_release(tn_buffers *buffers)
{
    while (buffers->count)
        PyBuffer_Release(&buffers->views[--buffers->count]);
}

static Py_buffer *acquire(tn_buffers *buffers, PyObject *object, const char *name, tn_kind kind, int writable)
{
    if (buffers->count == TN_MAX_BUFFERS) {
        PyErr_SetString(PyExc_SystemError, "too many buffers in one call");
        return NULL;
    }
    Py_buffer *view = &buffers->views[buffers->count];
    if (PyObject_GetBuffer(object, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)))
        return NULL;
    buffers->count++;
    const char *format = view->format ? view->format : "B";
    if (*format == '@' || *format == '=' || *format == '<')
        format++;
    if ((size_t)view->itemsize != kinds[kind].size || !*format || format[1] || !strchr(kinds[kind].formats, *format)) {
        PyErr_Format(PyExc_TypeError, "%s: expected elements of type %s", name, kinds[kind].name);
        return NULL;
    }
    if (view->len && (uintptr_t)view->buf % kinds[kind].size) {
        PyErr_Format(PyExc_ValueError, "%s: the array is not aligned", name);
        return NULL;
    }
    return view;
}

static void *memory(const Py_buffer *view)
{
    static char nothing[8]; /* never written: only views of no elements point here */
    return view->len ? view->buf : nothing;
}

void *tn_buffers_add(tn_buffers *buffers, PyObject *object, const char *name, tn_kind kind, size_t count, int writable)
{
    Py_buffer *view = acquire(buffers, object, name, kind, writable);
    if (!view)
        return NULL;
    if ((size_t)view->len / kinds[kind].size != count) {
        PyErr_Format(PyExc_ValueError, "%s: holds %zd elements; expected %zu", name,
                     view->len / (Py_ssize_t)kinds[kind].size, count);
        return NULL;
    }
    return memory(view);
}

const void *tn_buffers_add_any(tn_buffers *buffers, PyObject *object, const char *name, tn_kind kind, size_t *count)
{
    Py_buffer *view = acquire(buffers, object, name, kind, 0);
    if (!view)
        return NULL;
    *count = (size_t)view->len / kinds[kind].size;
    return memory(view);
}

static int read_size(PyObject *config, const char *name, size_t most, size_t *out)
{
    PyObject *value = PyObject_GetAttrString(config, name);
    if (!value)
        return -1;
    size_t size = PyLong_AsSize_t(value);
    Py_DECREF(value);
    if (PyErr_Occurred())
        return -1;
    if (size > most) {
        PyErr_Format(PyExc_ValueError, "%s is %zu; at most %zu are supported", name, size, most);
        return -1;
    }
    *out = size;
    return 0;
}

/* An attribute's memory; `count` elements, or any number where count is NULL's target SIZE_MAX. */
static const void *attribute(tn_buffers *buffers, PyObject *config, const char *name, tn_kind kind, size_t *count)
{
    PyObject *value = PyObject_GetAttrString(config, name);
    if (!value)
        return NULL;
    const void *found = *count == SIZE_MAX ? tn_buffers_add_any(buffers, value, name, kind, count)
                                           : tn_buffers_add(buffers, value, name, kind, *count, 0);
    Py_DECREF(value); /* the buffer holds its own reference */
    return found;
}

static const void *field(tn_buffers *buffers, PyObject *types, const char *name, tn_kind kind, size_t count)
{
    PyObject *value = PyMapping_GetItemString(types, name);
    if (!value)
        return NULL;
    const void *found = tn_buffers_add(buffers, value, name, kind, count, 0);
    Py_DECREF(value);
    return found;
}

static int read_types(tn_neuron_types *types, tn_buffers *buffers, PyObject *config)
{
    PyObject *table = PyObject_GetAttrString(config, "neuron_types");
    if (!table)
        return -1;
    PyObject *leak = PyMapping_GetItemString(table, "leak");
    size_t n = 0;
    int ok = leak && (types->leak = tn_buffers_add_any(buffers, leak, "leak", TN_I16, &n)) != NULL;
    Py_XDECREF(leak);
    types->n_types = n;
    ok = ok && n <= SIZE_MAX / 4 && (types->weights = field(buffers, table, "weights", TN_I16, 4 * n)) &&
         (types->stochastic_weights = field(buffers, table, "stochastic_weights", TN_U8, 4 * n)) &&
         (types->stochastic_leak = field(buffers, table, "stochastic_leak", TN_U8, n)) &&
         (types->leak_reversal = field(buffers, table, "leak_reversal", TN_U8, n)) &&
         (types->threshold = field(buffers, table, "threshold", TN_I32, n)) &&
         (types->negative_threshold = field(buffers, table, "negative_threshold", TN_I32, n)) &&
         (types->threshold_random_bits = field(buffers, table, "threshold_random_bits", TN_U8, n)) &&
         (types->reset_mode = field(buffers, table, "reset_mode", TN_U8, n)) &&
         (types->negative_saturate = field(buffers, table, "negative_saturate", TN_U8, n)) &&
         (types->reset_potential = field(buffers, table, "reset_potential", TN_I32, n)) &&
         (types->initial_potential = field(buffers, table, "initial_potential", TN_I32, n));
    Py_DECREF(table);
    return ok ? 0 : -1;
}

int tn_chip_from_config(tn_chip *chip, tn_buffers *buffers, PyObject *config, PyObject *hops)
{
    memset(chip, 0, sizeof *chip);
    if (read_size(config, "axons", TN_AXONS, &chip->axons) || read_size(config, "neurons", TN_NEURONS, &chip->neurons) ||
        read_size(config, "n_cores", TN_MAX_CORES, &chip->n_cores) ||
        read_size(config, "input_pins", INT32_MAX, &chip->input_pins) ||
        read_size(config, "output_pins", INT32_MAX, &chip->output_pins))
        return -1;
    if (!chip->axons || !chip->neurons) {
        PyErr_SetString(PyExc_ValueError, "a core has at least one axon and one neuron");
        return -1;
    }
    size_t crossbar_bytes = SIZE_MAX, axon_type_bytes = SIZE_MAX, per_core = chip->n_cores;
    size_t per_neuron = chip->n_cores * chip->neurons, inputs = SIZE_MAX;
    int ok = (chip->crossbars = attribute(buffers, config, "crossbars", TN_U8, &crossbar_bytes)) &&
             (chip->axon_types = attribute(buffers, config, "axon_types", TN_U8, &axon_type_bytes)) &&
             (chip->crossbar_index = attribute(buffers, config, "crossbar_index", TN_I32, &per_core)) &&
             (chip->axon_types_index = attribute(buffers, config, "axon_types_index", TN_I32, &per_core)) &&
             (chip->seed = attribute(buffers, config, "seed", TN_U32, &per_core)) &&
             (chip->neuron_type = attribute(buffers, config, "neuron_type", TN_I32, &per_neuron)) &&
             (chip->target_core = attribute(buffers, config, "target_core", TN_I32, &per_neuron)) &&
             (chip->target_axon = attribute(buffers, config, "target_axon", TN_I32, &per_neuron)) &&
             (chip->target_delay = attribute(buffers, config, "target_delay", TN_U8, &per_neuron)) &&
             (chip->target_hops = tn_buffers_add(buffers, hops, "hops", TN_I32, per_neuron, 0)) &&
             (chip->input_pin = attribute(buffers, config, "input_pin", TN_I32, &inputs)) &&
             (chip->input_core = attribute(buffers, config, "input_core", TN_I32, &inputs)) &&
             (chip->input_axon = attribute(buffers, config, "input_axon", TN_I32, &inputs)) &&
             (chip->input_delay = attribute(buffers, config, "input_delay", TN_U8, &inputs)) &&
             !read_types(&chip->types, buffers, config);
    if (!ok)
        return -1;
    chip->n_crossbars = crossbar_bytes / (chip->axons * ((chip->neurons + 7) / 8));
    chip->n_axon_type_rows = axon_type_bytes / chip->axons;
    chip->n_inputs = inputs;
    tn_error error = tn_chip_check(chip);
    if (error) {
        tn_raise(error);
        return -1;
    }
    return 0;
}

PyObject *tn_raise(tn_error error)
{
    PyObject *kind = error == TN_ERROR_MEMORY   ? PyExc_MemoryError
                     : error == TN_ERROR_THREAD ? PyExc_RuntimeError
                                                : PyExc_ValueError;
    PyErr_SetString(kind, tn_error_text(error));
    return NULL;
}

size_t tn_times(size_t a, size_t b)
{
    return b && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

size_t tn_count_recorded(const void *engine, size_t threads, tn_list_of *list_of)
{
    size_t total = 0;
    for (size_t t = 0; t < threads; t++)
        total += list_of(engine, t)->count;
    return total;
}

PyObject *tn_copy_recorded(const void *engine, size_t threads, tn_list_of *list_of, PyObject *tick_object,
                           PyObject *core_object, PyObject *neuron_object)
{
    size_t total = tn_count_recorded(engine, threads, list_of);
    tn_buffers buffers = {0};
    int64_t *tick;
    int32_t *core, *neuron;
    int ok = (tick = tn_buffers_add(&buffers, tick_object, "tick", TN_I64, total, 1)) &&
             (core = tn_buffers_add(&buffers, core_object, "core", TN_I32, total, 1)) &&
             (neuron = tn_buffers_add(&buffers, neuron_object, "neuron", TN_I32, total, 1));
    for (size_t t = 0, at = 0; ok && t < threads; t++) {
        const tn_spike_list *list = list_of(engine, t);
        for (size_t i = 0; i < list->count; i++, at++) {
            tick[at] = list->spikes[i].tick;
            core[at] = list->spikes[i].core;
            neuron[at] = list->spikes[i].neuron;
        }
    }
    tn_buffers_release(&buffers);
    return ok ? Py_NewRef(Py_None) : NULL;
}

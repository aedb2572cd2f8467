/* tncc.runtime._native: the one extension. Each unit registers its own functions. */
#include "binding.h"
#include "variant.h"

int tn_place_register(PyObject *module); /* the placer's unit lives with the passes: passes/csrc/place_module.c */

/* The names of the variants this processor runs, by number, slowest first. */
static PyObject *variants(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    PyObject *found = PyDict_New();
    for (int v = 0; found && v < TN_VARIANT_COUNT; v++) {
        if (!tn_variant_supported((tn_variant)v))
            continue;
        PyObject *number = PyLong_FromLong(v);
        if (!number || PyDict_SetItemString(found, tn_variant_name((tn_variant)v), number))
            Py_CLEAR(found);
        Py_XDECREF(number);
    }
    return found;
}

static PyMethodDef methods[] = {
    {"variants", variants, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "tncc.runtime._native", "The simulator engines and the placer's inner loop, in C.", -1,
    methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (!module)
        return NULL;
    if (tn_engine_register(module) || tn_tick_register(module) || tn_batch_register(module) || tn_place_register(module)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}

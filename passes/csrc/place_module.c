/* Python's view of the placer. runtime/_native.pyi has the signature. */
#include "binding.h"
#include "place.h"

int tn_place_register(PyObject *module);

static PyObject *place_anneal(PyObject *self, PyObject *args)
{
    (void)self;
    PyObject *first, *neighbor, *weight, *column_at, *row_at, *grid, *place, *at, *random;
    unsigned long long moves;
    double temperature;
    int window;
    if (!PyArg_ParseTuple(args, "OOOOOOOOOKdi:place_anneal", &first, &neighbor, &weight, &column_at, &row_at, &grid,
                          &place, &at, &random, &moves, &temperature, &window))
        return NULL;
    tn_buffers buffers = {0};
    tn_placement p = {0};
    size_t edges = 0, length = 0;
    uint64_t *state = NULL;
    PyObject *result = NULL;
    if (!(p.first = tn_buffers_add_any(&buffers, first, "first", TN_I64, &length)))
        goto done;
    p.n_cores = length ? length - 1 : 0;
    if (!(p.neighbor = tn_buffers_add_any(&buffers, neighbor, "neighbor", TN_I32, &edges)) ||
        !(p.weight = tn_buffers_add(&buffers, weight, "weight", TN_I32, edges, 0)) ||
        !(p.column_at = tn_buffers_add_any(&buffers, column_at, "column_at", TN_I32, &p.width)) ||
        !(p.row_at = tn_buffers_add_any(&buffers, row_at, "row_at", TN_I32, &p.height)))
        goto done;
    if (p.width > 1 << 15 || p.height > 1 << 15) {
        PyErr_SetString(PyExc_ValueError, "the mesh is too large");
        goto done;
    }
    if (!(p.grid = tn_buffers_add(&buffers, grid, "grid", TN_I32, p.width * p.height, 1)) ||
        !(p.place = tn_buffers_add(&buffers, place, "place", TN_I32, p.n_cores, 1)) ||
        !(p.at = tn_buffers_add(&buffers, at, "at", TN_I16, 2 * p.n_cores, 1)) ||
        !(state = tn_buffers_add(&buffers, random, "random", TN_I64, 1, 1)))
        goto done;
    if (!length || (uint64_t)p.first[p.n_cores] != edges || !tn_placement_ok(&p) ||
        !(temperature >= 0 && temperature < 1e15)) {
        PyErr_SetString(PyExc_ValueError, "the placement's arrays do not agree");
        goto done;
    }
    int64_t cost;
    uint64_t accepted;
    Py_BEGIN_ALLOW_THREADS
    cost = tn_place_cost(&p);
    accepted = tn_place_anneal(&p, moves, temperature, window, state, &cost);
    Py_END_ALLOW_THREADS
    result = Py_BuildValue("KL", (unsigned long long)accepted, (long long)cost);
done:
    tn_buffers_release(&buffers);
    return result;
}

static PyMethodDef methods[] = {
    {"place_anneal", place_anneal, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int tn_place_register(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}

/* rows.c -- float32 rows that Python sees without copying them. */
#include "native.h"

#include <stdlib.h>

/* The buffer protocol (PEP 3118) came into the limited API with Python 3.11.  Since Python 3.3 the
 * struct and the numbers of the slots have been these, and since 3.9 types made from a spec may
 * have the slots. */
#if defined(Py_LIMITED_API) && Py_LIMITED_API < 0x030b0000
typedef struct {
    void *buf;
    PyObject *obj;
    Py_ssize_t len, itemsize;
    int readonly, ndim;
    char *format;
    Py_ssize_t *shape, *strides, *suboffsets;
    void *internal;
} Py_buffer;
enum { PyBUF_FORMAT = 0x4, PyBUF_ND = 0x8, PyBUF_F_CONTIGUOUS = 0x40 | 0x18 };
#ifndef Py_bf_getbuffer
#define Py_bf_getbuffer 1
#endif
#endif

enum { ALIGNMENT = 64 };

RowsObject *rows_new(size_t n_rows, size_t n_cols)
{
    const size_t width = n_cols * sizeof(float);
    RowsObject *rows;

    if (n_rows != 0 && width > (size_t)PY_SSIZE_T_MAX / 2 / n_rows) {
        PyErr_Format(PyExc_MemoryError, "%zu rows of %zu values do not fit into memory", n_rows,
                     n_cols);
        return NULL;
    }
    rows = PyObject_New(RowsObject, native_types.rows);
    if (!rows)
        return NULL;
    rows->values = aligned_alloc(ALIGNMENT, (n_rows * width + ALIGNMENT) / ALIGNMENT * ALIGNMENT);
    rows->shape[0] = (Py_ssize_t)n_rows;
    rows->shape[1] = (Py_ssize_t)n_cols;
    rows->strides[0] = (Py_ssize_t)width;
    rows->strides[1] = sizeof(float);
    if (!rows->values) {
        Py_DECREF(rows);
        PyErr_Format(PyExc_MemoryError, "out of memory: %zu rows of %zu values", n_rows, n_cols);
        return NULL;
    }
    return rows;
}

static PyObject *rows_refuse(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)type;
    (void)args;
    (void)keywords;
    PyErr_SetString(PyExc_TypeError, "only the library makes rows");
    return NULL;
}

static void rows_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    free(((RowsObject *)self)->values);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int rows_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    RowsObject *rows = (RowsObject *)self;

    if (!(flags & PyBUF_ND) || (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "rows are a two-dimensional buffer in C order");
        return -1;
    }
    *view = (Py_buffer){.buf = rows->values,
                        .obj = self,
                        .len = rows->shape[0] * rows->strides[0],
                        .itemsize = sizeof(float),
                        .ndim = 2,
                        .format = flags & PyBUF_FORMAT ? (char *)"f" : NULL,
                        .shape = rows->shape,
                        .strides = rows->strides};
    Py_INCREF(self);
    return 0;
}

static PyType_Slot rows_slots[] = {
    {Py_tp_doc, (void *)"float32 rows, for numpy.asarray()."},
    {Py_tp_new, (void *)rows_refuse},
    {Py_tp_dealloc, (void *)rows_dealloc},
    {Py_bf_getbuffer, (void *)rows_getbuffer},
    {0, NULL},
};

PyType_Spec rows_spec = {.name = "upg._native.Rows",
                         .basicsize = sizeof(RowsObject),
                         .flags = Py_TPFLAGS_DEFAULT,
                         .slots = rows_slots};

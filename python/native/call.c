/* call.c -- long calls: without the interpreter's lock, with callbacks, with errors at the end. */
#include "native.h"

PyObject *raise_status(upg_status status, const upg_error *err)
{
    PyObject *class = NULL;

    if (PyErr_Occurred())
        return NULL;
    if (status > UPG_OK && status < PyTuple_Size(native_types.errors))
        class = PyTuple_GetItem(native_types.errors, status);
    PyErr_SetString(class ? class : PyExc_RuntimeError, err->message);
    return NULL;
}

PyObject *new_none(void)
{
    Py_INCREF(Py_None);
    return Py_None;
}

int callback_or_null(PyObject **callback, const char *name)
{
    if (*callback == Py_None)
        *callback = NULL;
    if (!*callback || PyCallable_Check(*callback))
        return 0;
    PyErr_Format(PyExc_TypeError, "%s must be callable or None", name);
    return -1;
}

const char **c_strings(PyObject *tuple)
{
    const Py_ssize_t n = PyTuple_Size(tuple);
    const char **strings = PyMem_Calloc((size_t)n + 1, sizeof *strings);

    if (!strings) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        char *text;

        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), &text, NULL) < 0) {
            PyMem_Free((void *)strings);
            return NULL;
        }
        strings[i] = text;
    }
    return strings;
}

void call_begin(struct call *call)
{
    call->thread = PyEval_SaveThread();
}

void call_end(struct call *call)
{
    PyEval_RestoreThread(call->thread);
}

/* Whether an exception wants the call to stop; signal handlers run here. */
static int must_stop(void)
{
    return PyErr_Occurred() || PyErr_CheckSignals() < 0;
}

int call_progress(void *context, const char *stage, uint64_t done, uint64_t total)
{
    struct call *call = context;
    int stop;

    call_end(call);
    stop = must_stop();
    if (!stop && call->progress) {
        PyObject *result = PyObject_CallFunction(call->progress, "sKK", stage, done, total);

        stop = !result;
        Py_XDECREF(result);
    }
    call_begin(call);
    return stop;
}

int call_text(void *context, const char *text, size_t n_bytes)
{
    struct call *call = context;
    int stop;

    call_end(call);
    stop = must_stop();
    if (!stop && call->on_text) {
        PyObject *piece = PyUnicode_DecodeUTF8(text, (Py_ssize_t)n_bytes, "replace");
        PyObject *result = piece ? PyObject_CallFunctionObjArgs(call->on_text, piece, NULL) : NULL;

        stop = !result || PyObject_IsTrue(result) != 0;
        Py_XDECREF(result);
        Py_XDECREF(piece);
    }
    call_begin(call);
    return stop;
}

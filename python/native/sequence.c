/* sequence.c -- Sequence: append, logits, fork, truncate, generate. */
#include "native.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    PyObject_HEAD EngineObject *engine; /* a reference */
    upg_sequence *sequence;
    struct tomb *tomb; /* where it will lie */
} SequenceObject;

/* An object without a sequence yet. */
static SequenceObject *sequence_alloc(PyTypeObject *type, EngineObject *engine)
{
    SequenceObject *self = (SequenceObject *)PyType_GenericAlloc(type, 0);

    if (!self)
        return NULL;
    Py_INCREF(engine);
    self->engine = engine;
    self->tomb = tomb_new();
    if (!self->tomb) {
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    return self;
}

static void sequence_dealloc(PyObject *object)
{
    SequenceObject *self = (SequenceObject *)object;
    PyTypeObject *type = Py_TYPE(object);

    if (self->sequence)
        engine_bury(self->engine, self->sequence, self->tomb);
    else
        free(self->tomb);
    Py_XDECREF(self->engine);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *sequence_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"engine", "path", NULL};
    EngineObject *engine;
    const char *path = NULL;
    SequenceObject *self;
    struct call call = {0};
    upg_error err;
    upg_status status;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!|y:Sequence", names, native_types.engine,
                                     &engine, &path))
        return NULL;
    self = sequence_alloc(type, engine);
    if (!self)
        return NULL;
    if (engine_enter(engine) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    call_begin(&call);
    status = path ? upg_sequence_load(&self->sequence, engine->engine, path, &err)
                  : upg_sequence_new(&self->sequence, engine->engine, &err);
    call_end(&call);
    engine_leave(engine);
    if (status != UPG_OK) {
        Py_DECREF(self);
        return raise_status(status, &err);
    }
    return (PyObject *)self;
}

static PyObject *sequence_fork(PyObject *object, PyObject *unused)
{
    SequenceObject *self = (SequenceObject *)object;
    SequenceObject *copy = sequence_alloc(native_types.sequence, self->engine);
    upg_error err;
    upg_status status;

    (void)unused;
    if (!copy)
        return NULL;
    if (engine_enter(self->engine) < 0) {
        Py_DECREF(copy);
        return NULL;
    }
    status = upg_sequence_fork(&copy->sequence, self->sequence, &err);
    engine_leave(self->engine);
    if (status != UPG_OK) {
        Py_DECREF(copy);
        return raise_status(status, &err);
    }
    return (PyObject *)copy;
}

static PyObject *sequence_save(PyObject *object, PyObject *args)
{
    SequenceObject *self = (SequenceObject *)object;
    const char *path;
    struct call call = {0};
    upg_error err;
    upg_status status;

    if (!PyArg_ParseTuple(args, "y:save", &path) || engine_enter(self->engine) < 0)
        return NULL;
    call_begin(&call);
    status = upg_sequence_save(self->sequence, path, &err);
    call_end(&call);
    engine_leave(self->engine);
    if (status != UPG_OK)
        return raise_status(status, &err);
    return new_none();
}

static PyObject *sequence_ids(PyObject *object, PyObject *unused)
{
    SequenceObject *self = (SequenceObject *)object;
    PyObject *ids;

    (void)unused;
    if (engine_enter(self->engine) < 0)
        return NULL;
    ids = PyBytes_FromStringAndSize(
        (const char *)upg_sequence_ids(self->sequence),
        (Py_ssize_t)(upg_sequence_n_tokens(self->sequence) * sizeof(int32_t)));
    engine_leave(self->engine);
    return ids;
}

static PyObject *sequence_n_tokens(PyObject *object, PyObject *unused)
{
    SequenceObject *self = (SequenceObject *)object;
    size_t n;

    (void)unused;
    if (engine_enter(self->engine) < 0)
        return NULL;
    n = upg_sequence_n_tokens(self->sequence);
    engine_leave(self->engine);
    return PyLong_FromSize_t(n);
}

static PyObject *sequence_truncate(PyObject *object, PyObject *args)
{
    SequenceObject *self = (SequenceObject *)object;
    Py_ssize_t n_tokens;
    upg_error err;
    upg_status status;

    if (!PyArg_ParseTuple(args, "n:truncate", &n_tokens) || engine_enter(self->engine) < 0)
        return NULL;
    status = upg_sequence_truncate(self->sequence, (size_t)n_tokens, &err);
    engine_leave(self->engine);
    if (status != UPG_OK)
        return raise_status(status, &err);
    return new_none();
}

/* append(ids, n_logits, progress) -> Rows [n_logits, n_vocab] */
static PyObject *sequence_append(PyObject *object, PyObject *args)
{
    SequenceObject *self = (SequenceObject *)object;
    const char *bytes;
    Py_ssize_t n_bytes, n_logits;
    PyObject *progress;
    const int32_t *ids;
    size_t n, n_rows;
    struct call call = {0};
    RowsObject *rows = NULL;
    upg_model_info info;
    upg_error err;
    upg_status status;

    if (!PyArg_ParseTuple(args, "y#nO:append", &bytes, &n_bytes, &n_logits, &progress) ||
        ids_of_bytes(bytes, n_bytes, &ids, &n) < 0 || callback_or_null(&progress, "progress") < 0)
        return NULL;
    upg_model_get_info(((ModelObject *)self->engine->model)->model, &info);
    if (n_logits < 0 || (size_t)n_logits > n)
        return PyErr_Format(PyExc_ValueError, "logits of %zd tokens asked for, %zu given", n_logits,
                            n);
    rows = rows_new((size_t)n_logits, info.n_vocab);
    if (!rows || engine_enter(self->engine) < 0) {
        Py_XDECREF(rows);
        return NULL;
    }
    call.progress = progress;
    call_begin(&call);
    status =
        upg_sequence_append(self->sequence, ids, n, (size_t)n_logits, call_progress, &call, &err);
    if (status == UPG_OK && n_logits > 0)
        memcpy(rows->values, upg_sequence_logits(self->sequence, &n_rows),
               (size_t)n_logits * info.n_vocab * sizeof(float));
    call_end(&call);
    engine_leave(self->engine);
    if (status != UPG_OK) {
        Py_DECREF(rows);
        return raise_status(status, &err);
    }
    return (PyObject *)rows;
}

/* hidden(ids, progress) -> Rows [n_ids, d_model] */
static PyObject *sequence_hidden(PyObject *object, PyObject *args)
{
    SequenceObject *self = (SequenceObject *)object;
    const char *bytes;
    Py_ssize_t n_bytes;
    PyObject *progress;
    const int32_t *ids;
    size_t n;
    struct call call = {0};
    RowsObject *rows;
    upg_model_info info;
    upg_error err;
    upg_status status;

    if (!PyArg_ParseTuple(args, "y#O:hidden", &bytes, &n_bytes, &progress) ||
        ids_of_bytes(bytes, n_bytes, &ids, &n) < 0 || callback_or_null(&progress, "progress") < 0)
        return NULL;
    upg_model_get_info(((ModelObject *)self->engine->model)->model, &info);
    rows = rows_new(n, info.d_model);
    if (!rows || engine_enter(self->engine) < 0) {
        Py_XDECREF(rows);
        return NULL;
    }
    call.progress = progress;
    call_begin(&call);
    status = upg_sequence_append_hidden(self->sequence, ids, n, rows->values, call_progress, &call,
                                        &err);
    call_end(&call);
    engine_leave(self->engine);
    if (status != UPG_OK) {
        Py_DECREF(rows);
        return raise_status(status, &err);
    }
    return (PyObject *)rows;
}

static PyObject *generation_tuple(const upg_generation *g)
{
    return Py_BuildValue("NNindd",
                         PyUnicode_DecodeUTF8(g->text, (Py_ssize_t)g->n_text_bytes, "replace"),
                         bytes_of_ids(&g->ids), (int)g->finish, (Py_ssize_t)g->n_prompt_tokens,
                         g->prompt_seconds, g->generation_seconds);
}

/* generate(ids, choices, grammar, on_text, progress) */
static PyObject *sequence_generate(PyObject *object, PyObject *args)
{
    SequenceObject *self = (SequenceObject *)object;
    struct choices choices;
    upg_generate_options options;
    upg_generation generation = {0};
    struct call call = {0};
    const char *bytes;
    Py_ssize_t n_bytes;
    PyObject *tuple, *grammar, *on_text, *progress, *result = NULL;
    const int32_t *ids;
    size_t n;
    upg_error err;
    upg_status status;

    if (!PyArg_ParseTuple(args, "y#O!OOO:generate", &bytes, &n_bytes, &PyTuple_Type, &tuple,
                          &grammar, &on_text, &progress) ||
        ids_of_bytes(bytes, n_bytes, &ids, &n) < 0 || callback_or_null(&on_text, "on_text") < 0 ||
        callback_or_null(&progress, "progress") < 0 || choices_read(&choices, tuple) < 0)
        return NULL;
    call.on_text = on_text;
    call.progress = progress;
    upg_generate_options_defaults(&options);
    options.sampling = choices.sampling;
    options.max_tokens = choices.max_tokens;
    options.stop = choices.stop;
    options.n_stop = choices.n_stop;
    options.ignore_stop_ids = choices.ignore_stop_ids;
    options.on_text = call_text;
    options.on_text_context = &call;
    options.progress = call_progress;
    options.progress_context = &call;
    if (constraint_of(grammar, &options.constraint) < 0 || engine_enter(self->engine) < 0)
        goto done;
    call_begin(&call);
    status = upg_generate(self->sequence, ids, n, &options, &generation, &err);
    call_end(&call);
    engine_leave(self->engine);
    if (status != UPG_OK)
        raise_status(status, &err);
    else if (!PyErr_Occurred()) /* a callback's exception ends the answer without a failure */
        result = generation_tuple(&generation);
done:
    upg_constraint_free(options.constraint);
    upg_generation_clear(&generation);
    choices_clear(&choices);
    return result;
}

static PyMethodDef sequence_methods[] = {
    {"append", sequence_append, METH_VARARGS,
     "append(ids, n_logits, progress): run tokens; Rows of logits of the last n_logits."},
    {"fork", sequence_fork, METH_NOARGS, "A copy that shares what is computed."},
    {"hidden", sequence_hidden, METH_VARARGS,
     "hidden(ids, progress): run tokens; Rows of their states behind the last norm."},
    {"ids", sequence_ids, METH_NOARGS, "The tokens."},
    {"n_tokens", sequence_n_tokens, METH_NOARGS, "Number of tokens."},
    {"save", sequence_save, METH_VARARGS, "save(path): with what the cache holds."},
    {"truncate", sequence_truncate, METH_VARARGS, "truncate(n): forget tokens from n on."},
    {"generate", sequence_generate, METH_VARARGS,
     "generate(ids, choices, grammar, on_text, progress): (text, ids, finish, n_prompt, "
     "prompt_seconds, "
     "generation_seconds)."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot sequence_slots[] = {
    {Py_tp_doc, (void *)"Sequence(engine, path=None): a row of tokens, empty or saved."},
    {Py_tp_new, (void *)sequence_new},
    {Py_tp_dealloc, (void *)sequence_dealloc},
    {Py_tp_methods, (void *)sequence_methods},
    {0, NULL},
};

PyType_Spec sequence_spec = {.name = "upg._native.Sequence",
                             .basicsize = sizeof(SequenceObject),
                             .flags = Py_TPFLAGS_DEFAULT,
                             .slots = sequence_slots};

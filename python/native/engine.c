/* engine.c -- Engine: one thread at a time, and the sequences that wait to be freed.
 *
 * A Sequence may be deallocated anywhere: in another thread while this one computes, or by the
 * garbage collector within a callback.  Freeing it needs the engine, and waiting for the engine
 * there could wait for ever.  So a dead sequence goes on a list, which is emptied by whoever has the
 * engine, at once if nobody has it. */
#include "native.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct tomb {
    upg_sequence *sequence;
    struct tomb *next;
};

struct tomb *tomb_new(void)
{
    return calloc(1, sizeof(struct tomb));
}

static void free_dead(EngineObject *engine)
{
    struct tomb *tomb = atomic_exchange(&engine->dead, NULL);

    while (tomb) {
        struct tomb *next = tomb->next;

        upg_sequence_free(tomb->sequence);
        free(tomb);
        tomb = next;
    }
}

static int in_process(const EngineObject *engine)
{
    return engine->process == (int)getpid();
}

int engine_enter(EngineObject *engine)
{
    const PY_TIMEOUT_T patience = 100 * 1000; /* microseconds between looks at Ctrl-C */
    const unsigned long me = PyThread_get_thread_ident();

    if (!in_process(engine)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "this engine was made before fork(), and its threads did not come along");
        return -1;
    }
    if (atomic_load(&engine->owner) == me) {
        PyErr_SetString(PyExc_RuntimeError, "a callback cannot use the engine that is calling it");
        return -1;
    }
    while (!PyThread_acquire_lock(engine->lock, NOWAIT_LOCK)) {
        PyLockStatus got;

        if (PyErr_CheckSignals() < 0)
            return -1;
        Py_BEGIN_ALLOW_THREADS got = PyThread_acquire_lock_timed(engine->lock, patience, 0);
        Py_END_ALLOW_THREADS if (got == PY_LOCK_ACQUIRED) break;
    }
    atomic_store(&engine->owner, me);
    free_dead(engine);
    return 0;
}

void engine_leave(EngineObject *engine)
{
    free_dead(engine);
    atomic_store(&engine->owner, 0);
    PyThread_release_lock(engine->lock);
}

void engine_bury(EngineObject *engine, upg_sequence *sequence, struct tomb *tomb)
{
    if (!in_process(engine)) {
        free(tomb); /* the sequence is the parent's */
        return;
    }
    tomb->sequence = sequence;
    tomb->next = atomic_load(&engine->dead);
    while (!atomic_compare_exchange_weak(&engine->dead, &tomb->next, tomb))
        continue;
    if (PyThread_acquire_lock(engine->lock, NOWAIT_LOCK))
        engine_leave(engine);
}

static void engine_dealloc(PyObject *self)
{
    EngineObject *engine = (EngineObject *)self;
    PyTypeObject *type = Py_TYPE(self);

    if (in_process(engine)) {
        free_dead(engine);
        upg_engine_free(engine->engine);
        if (engine->lock)
            PyThread_free_lock(engine->lock);
    }
    Py_XDECREF(engine->model);
    PyObject_Free(self);
    Py_DECREF(type);
}

int engine_options_read(PyObject *args, PyObject *keywords, PyObject **model,
                        upg_engine_options *options)
{
    static char *names[] = {"model",   "threads", "context", "cache_tokens", "kv_type",
                            "compute", "tier",    "device",  "gpu_layers",   NULL};
    Py_ssize_t threads, context, cache_tokens, gpu_layers;
    int kv_type, compute;

    upg_engine_options_defaults(options);
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!nnniizzn:Engine", names, native_types.model,
                                     model, &threads, &context, &cache_tokens, &kv_type, &compute,
                                     &options->cpu_tier, &options->device, &gpu_layers))
        return -1;
    options->n_threads = (size_t)threads;
    options->context = (size_t)context;
    options->cache_tokens = (size_t)cache_tokens;
    options->kv_type = (upg_kv_type)kv_type;
    options->compute = (upg_compute)compute;
    options->gpu_layers = gpu_layers < 0 ? UPG_GPU_LAYERS_THAT_FIT : (size_t)gpu_layers;
    return 0;
}

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    PyObject *model;
    upg_engine_options options;
    EngineObject *self;
    struct call call = {0};
    upg_error err;
    upg_status status;

    if (engine_options_read(args, keywords, &model, &options) < 0)
        return NULL;
    self = (EngineObject *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    Py_INCREF(model);
    self->model = model;
    self->process = (int)getpid();
    self->lock = PyThread_allocate_lock();
    if (!self->lock) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    call_begin(&call);
    status = upg_engine_new(&self->engine, ((ModelObject *)model)->model, &options, &err);
    call_end(&call);
    if (status != UPG_OK) {
        Py_DECREF(self);
        return raise_status(status, &err);
    }
    return (PyObject *)self;
}

static PyObject *engine_tier(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(upg_engine_tier(((EngineObject *)self)->engine));
}

static PyObject *engine_n_bytes(PyObject *self, PyObject *unused)
{
    uint64_t n_bytes;

    (void)unused;
    if (engine_enter((EngineObject *)self) < 0)
        return NULL;
    n_bytes = upg_engine_n_bytes(((EngineObject *)self)->engine);
    engine_leave((EngineObject *)self);
    return PyLong_FromUnsignedLongLong(n_bytes);
}

static PyMethodDef engine_methods[] = {
    {"tier", engine_tier, METH_NOARGS, "Kernel tier in use and why no higher one."},
    {"n_bytes", engine_n_bytes, METH_NOARGS, "Bytes of caches and scratch."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot engine_slots[] = {
    {Py_tp_doc,
     (void *)"Engine(model, threads, context, cache_tokens, kv_type, compute, tier, device, "
             "gpu_layers)"},
    {Py_tp_new, (void *)engine_new},
    {Py_tp_dealloc, (void *)engine_dealloc},
    {Py_tp_methods, (void *)engine_methods},
    {0, NULL},
};

PyType_Spec engine_spec = {.name = "upg._native.Engine",
                           .basicsize = sizeof(EngineObject),
                           .flags = Py_TPFLAGS_DEFAULT,
                           .slots = engine_slots};

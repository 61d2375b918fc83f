/* scheduler.c -- Scheduler and Request: many answers at once. */
#include "answer.h"

#include <unistd.h>

typedef struct {
    PyObject_HEAD PyObject *model; /* a Model */
    upg_scheduler *scheduler;
    int process; /* its thread does not survive fork() */
} SchedulerObject;

typedef struct {
    PyObject_HEAD SchedulerObject *scheduler; /* a reference */
    struct answer *answer;
    uint64_t number;
} RequestObject;

static int in_process(const SchedulerObject *scheduler)
{
    return scheduler->process == (int)getpid();
}

/* ---- Scheduler ---- */

static PyObject *scheduler_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    upg_scheduler_options options;
    PyObject *model;
    SchedulerObject *self;
    struct call call = {0};
    upg_error err;
    upg_status status;

    upg_scheduler_options_defaults(&options);
    if (engine_options_read(args, keywords, &model, &options.engine) < 0)
        return NULL;
    self = (SchedulerObject *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    Py_INCREF(model);
    self->model = model;
    self->process = (int)getpid();
    call_begin(&call);
    status = upg_scheduler_new(&self->scheduler, ((ModelObject *)model)->model, &options, &err);
    call_end(&call);
    if (status != UPG_OK) {
        Py_DECREF(self);
        return raise_status(status, &err);
    }
    return (PyObject *)self;
}

static void scheduler_dealloc(PyObject *object)
{
    SchedulerObject *self = (SchedulerObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    struct call call = {0};

    if (in_process(self)) {
        call_begin(&call);
        upg_scheduler_free(self->scheduler);
        call_end(&call);
    }
    Py_XDECREF(self->model);
    PyObject_Free(object);
    Py_DECREF(type);
}

static RequestObject *request_alloc(SchedulerObject *scheduler, int notify, int n_top)
{
    RequestObject *self = (RequestObject *)PyType_GenericAlloc(native_types.request, 0);

    if (!self)
        return NULL;
    Py_INCREF(scheduler);
    self->scheduler = scheduler;
    self->answer = answer_new(notify, n_top);
    if (!self->answer)
        Py_CLEAR(self);
    return self;
}

/* submit(kind, ids, choices, n_logprobs, notify, grammar) -> Request
 *   n_logprobs  -1: none; otherwise so many alternatives besides the token itself */
static PyObject *scheduler_submit(PyObject *object, PyObject *args)
{
    SchedulerObject *self = (SchedulerObject *)object;
    struct choices choices;
    upg_request request;
    RequestObject *made;
    const char *bytes;
    Py_ssize_t n_bytes;
    PyObject *tuple, *grammar;
    upg_constraint *constraint;
    int kind, n_logprobs, notify;
    upg_error err;
    upg_status status;

    upg_request_defaults(&request);
    if (!PyArg_ParseTuple(args, "iy#O!iiO:submit", &kind, &bytes, &n_bytes, &PyTuple_Type, &tuple,
                          &n_logprobs, &notify, &grammar) ||
        ids_of_bytes(bytes, n_bytes, &request.ids, &request.n_ids) < 0)
        return NULL;
    if (!in_process(self)) {
        PyErr_SetString(PyExc_RuntimeError, "this scheduler was made before fork()");
        return NULL;
    }
    if (choices_read(&choices, tuple) < 0)
        return NULL;
    made = request_alloc(self, notify, n_logprobs < 0 ? 0 : n_logprobs + 1);
    if (!made) {
        choices_clear(&choices);
        return NULL;
    }
    if (constraint_of(grammar, &constraint) < 0) {
        choices_clear(&choices);
        Py_DECREF(made);
        return NULL;
    }
    if (constraint)
        request.filter = upg_constraint_filter(constraint);
    request.kind = (upg_request_kind)kind;
    request.sampling = choices.sampling;
    request.max_tokens = choices.max_tokens;
    request.stop = choices.stop;
    request.n_stop = choices.n_stop;
    request.ignore_stop_ids = choices.ignore_stop_ids;
    request.logprobs = n_logprobs >= 0;
    request.n_top_logprobs = n_logprobs > 0 ? (size_t)n_logprobs : 0;
    request.on_event = answer_event;
    request.on_event_context = made->answer;
    status = upg_scheduler_submit(self->scheduler, &request, &made->number, &err);
    choices_clear(&choices);
    if (status != UPG_OK) {
        upg_constraint_free(constraint);
        answer_release(made->answer); /* the scheduler's part */
        Py_DECREF(made);
        return raise_status(status, &err);
    }
    return (PyObject *)made;
}

static PyObject *scheduler_tier(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyUnicode_FromString(upg_scheduler_tier(((SchedulerObject *)object)->scheduler));
}

static PyObject *scheduler_context(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(upg_scheduler_context(((SchedulerObject *)object)->scheduler));
}

static PyMethodDef scheduler_methods[] = {
    {"submit", scheduler_submit, METH_VARARGS,
     "submit(kind, ids, choices, n_logprobs, notify, grammar): a Request that runs."},
    {"tier", scheduler_tier, METH_NOARGS, "Kernel tier in use and why no higher one."},
    {"context", scheduler_context, METH_NOARGS, "Most tokens of prompt and answer."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot scheduler_slots[] = {
    {Py_tp_doc,
     (void *)"Scheduler(model, threads, context, cache_tokens, kv_type, compute, tier, device, "
             "gpu_layers)"},
    {Py_tp_new, (void *)scheduler_new},
    {Py_tp_dealloc, (void *)scheduler_dealloc},
    {Py_tp_methods, (void *)scheduler_methods},
    {0, NULL},
};

PyType_Spec scheduler_spec = {.name = "upg._native.Scheduler",
                              .basicsize = sizeof(SchedulerObject),
                              .flags = Py_TPFLAGS_DEFAULT,
                              .slots = scheduler_slots};

/* ---- Request ---- */

static PyObject *request_refuse(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    (void)type;
    (void)args;
    (void)keywords;
    PyErr_SetString(PyExc_TypeError, "only a scheduler makes requests");
    return NULL;
}

static void request_dealloc(PyObject *object)
{
    RequestObject *self = (RequestObject *)object;
    PyTypeObject *type = Py_TYPE(object);

    if (self->answer && in_process(self->scheduler)) {
        answer_silence(self->answer);
        upg_scheduler_cancel(self->scheduler->scheduler, self->number);
        answer_release(self->answer);
    }
    Py_XDECREF(self->scheduler);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyObject *request_cancel(PyObject *object, PyObject *unused)
{
    RequestObject *self = (RequestObject *)object;

    (void)unused;
    if (in_process(self->scheduler)) {
        answer_silence(self->answer);
        upg_scheduler_cancel(self->scheduler->scheduler, self->number);
    }
    return new_none();
}

/* read(wait) -> text that was not read yet, "" if there is none yet; None at the end */
static PyObject *request_read(PyObject *object, PyObject *args)
{
    struct answer *answer = ((RequestObject *)object)->answer;
    const unsigned patience = 100; /* milliseconds between looks at Ctrl-C */
    struct call call = {0};
    PyObject *text = NULL;
    int wait, found;
    size_t n;

    if (!PyArg_ParseTuple(args, "p:read", &wait))
        return NULL;
    if (!in_process(((RequestObject *)object)->scheduler)) {
        PyErr_SetString(PyExc_RuntimeError, "this request was made before fork()");
        return NULL;
    }
    do {
        call_begin(&call);
        found = answer_wait(answer, wait ? patience : 0);
        call_end(&call);
        if (PyErr_CheckSignals() < 0)
            return NULL;
    } while (wait && !found);
    pthread_mutex_lock(&answer->lock);
    answer->is_marked = 0;
    n = answer->text.n - answer->n_read;
    if (n > 0 || !answer->is_finished)
        text = PyUnicode_DecodeUTF8(n > 0 ? answer->text.bytes + answer->n_read : "", (Py_ssize_t)n,
                                    "replace");
    answer->n_read += n;
    pthread_mutex_unlock(&answer->lock);
    if (!text && !PyErr_Occurred())
        return new_none();
    return text;
}

static PyObject *bytes_of_pile(const struct pile *pile)
{
    return PyBytes_FromStringAndSize(pile->bytes, (Py_ssize_t)pile->n);
}

/* [(logprob, [(id, logprob), ...]), ...], one a token; None if not asked for */
static PyObject *logprob_list(const struct answer *answer)
{
    const upg_logprob *p = (const upg_logprob *)(const void *)answer->logprobs.bytes;
    const size_t n_top = (size_t)answer->n_top;
    const size_t n = n_top > 0 ? answer->logprobs.n / sizeof *p / n_top : 0;
    PyObject *list;

    if (n_top == 0)
        return new_none();
    list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list && i < n; i++, p += n_top) {
        PyObject *others = PyList_New((Py_ssize_t)n_top - 1);

        for (size_t j = 1; others && j < n_top; j++)
            PyList_SetItem(others, (Py_ssize_t)j - 1,
                           Py_BuildValue("id", (int)p[j].id, (double)p[j].logprob));
        if (!others || PyList_SetItem(list, (Py_ssize_t)i,
                                      Py_BuildValue("dN", (double)p[0].logprob, others)) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* result() -> (text, ids, finish, n_prompt, n_cached, prompt_seconds, generation_seconds, logprobs,
 * embedding) of a finished request; raises its failure */
static PyObject *request_result(PyObject *object, PyObject *unused)
{
    struct answer *a = ((RequestObject *)object)->answer;

    (void)unused;
    if (!answer_is_finished(a)) /* and if it is, nobody changes it any more */
        return PyErr_Format(PyExc_RuntimeError, "the request is still running");
    if (a->failure.status != UPG_OK)
        return raise_status(a->failure.status, &a->failure);
    return Py_BuildValue(
        "NNinnddNN",
        PyUnicode_DecodeUTF8(a->text.bytes ? a->text.bytes : "", (Py_ssize_t)a->text.n, "replace"),
        bytes_of_pile(&a->ids), (int)a->finish, (Py_ssize_t)a->usage.n_prompt_tokens,
        (Py_ssize_t)a->usage.n_cached_tokens, a->usage.prompt_seconds, a->usage.generation_seconds,
        logprob_list(a), bytes_of_pile(&a->embedding));
}

static PyMethodDef request_methods[] = {
    {"read", request_read, METH_VARARGS, "read(wait): new text, or '', or None at the end."},
    {"cancel", request_cancel, METH_NOARGS, "Stop it, and tell no more news of it."},
    {"result", request_result, METH_NOARGS, "All of a finished request."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot request_slots[] = {
    {Py_tp_doc, (void *)"A request of a Scheduler; cancelled when nobody refers to it."},
    {Py_tp_new, (void *)request_refuse},
    {Py_tp_dealloc, (void *)request_dealloc},
    {Py_tp_methods, (void *)request_methods},
    {0, NULL},
};

PyType_Spec request_spec = {.name = "upg._native.Request",
                            .basicsize = sizeof(RequestObject),
                            .flags = Py_TPFLAGS_DEFAULT,
                            .slots = request_slots};

/* model.c -- Model: what upg_model_open() gives. */
#include "native.h"

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"path", "progress", NULL};
    const char *path = NULL;
    PyObject *progress = NULL, *self;
    struct call call = {0};
    upg_model_options options;
    upg_model *model = NULL;
    upg_error err;
    upg_status status;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|yO:Model", names, &path, &progress) ||
        callback_or_null(&progress, "progress") < 0)
        return NULL;
    call.progress = progress;
    upg_model_options_defaults(&options);
    options.progress = call_progress;
    options.progress_context = &call;
    call_begin(&call);
    status = upg_model_open(&model, path && *path ? path : NULL, &options, &err);
    call_end(&call);
    if (status != UPG_OK)
        return raise_status(status, &err);
    self = PyType_GenericAlloc(type, 0);
    if (self)
        ((ModelObject *)self)->model = model;
    else
        upg_model_free(model);
    return self;
}

static void model_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    upg_model_free(((ModelObject *)self)->model);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *text_or_none(const char *text)
{
    if (!text)
        return new_none();
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
}

static PyObject *model_info(PyObject *self, PyObject *unused)
{
    upg_model_info i;
    PyObject *stop_ids;

    (void)unused;
    upg_model_get_info(((ModelObject *)self)->model, &i);
    stop_ids = PyTuple_New((Py_ssize_t)i.n_stop_ids);
    for (size_t n = 0; stop_ids && n < i.n_stop_ids; n++)
        PyTuple_SetItem(stop_ids, (Py_ssize_t)n, PyLong_FromLong(i.stop_ids[n]));
    if (!stop_ids)
        return NULL;
    return Py_BuildValue(
        "{s:N,s:N,s:N,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:d,s:d,s:O,s:N,s:N,s:N}",
        "architecture", text_or_none(i.architecture), "format", text_or_none(i.format), "path",
        text_or_none(i.path), "parameters", i.n_parameters, "file_bytes", i.n_file_bytes, "layers",
        (uint64_t)i.n_layers, "d_model", (uint64_t)i.d_model, "d_ff", (uint64_t)i.d_ff, "heads",
        (uint64_t)i.n_heads, "kv_heads", (uint64_t)i.n_kv_heads, "head_dim", (uint64_t)i.head_dim,
        "rotary_dim", (uint64_t)i.rotary_dim, "vocab", (uint64_t)i.n_vocab, "context",
        (uint64_t)i.context, "rope_theta", i.rope_theta, "norm_eps", i.norm_eps, "tied_embeddings",
        i.tied_embeddings ? Py_True : Py_False, "stop_ids", stop_ids, "chat_template",
        text_or_none(i.chat_template), "metadata", text_or_none(i.metadata_json));
}

static PyObject *tensor_tuple(const upg_tensor_info *t)
{
    PyObject *shape = t->n_dims == 1 ? Py_BuildValue("(K)", t->shape[0])
                                     : Py_BuildValue("(KK)", t->shape[0], t->shape[1]);

    if (!shape)
        return NULL;
    return Py_BuildValue("(NNNdK)", text_or_none(t->name), text_or_none(t->type), shape, t->bits,
                         t->n_bytes);
}

static PyObject *model_tensors(PyObject *self, PyObject *unused)
{
    const upg_model *model = ((ModelObject *)self)->model;
    const size_t n = upg_model_n_tensors(model);
    PyObject *list = PyList_New(0);

    (void)unused;
    for (size_t i = 0; list && i < n; i++) {
        upg_tensor_info info;
        upg_error err;
        const upg_status status = upg_model_get_tensor(model, i, &info, &err);
        PyObject *tuple = status == UPG_OK ? tensor_tuple(&info) : raise_status(status, &err);

        if (!tuple || PyList_Append(list, tuple) < 0)
            Py_CLEAR(list);
        Py_XDECREF(tuple);
    }
    return list;
}

static PyMethodDef model_methods[] = {
    {"info", model_info, METH_NOARGS, "What the model is, as a dict."},
    {"tensors", model_tensors, METH_NOARGS, "A (name, type, shape, bits, bytes) for each tensor."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot model_slots[] = {
    {Py_tp_doc, (void *)"Model(path=b'', progress=None): an open model; immutable."},
    {Py_tp_new, (void *)model_new},
    {Py_tp_dealloc, (void *)model_dealloc},
    {Py_tp_methods, (void *)model_methods},
    {0, NULL},
};

PyType_Spec model_spec = {.name = "upg._native.Model",
                          .basicsize = sizeof(ModelObject),
                          .flags = Py_TPFLAGS_DEFAULT,
                          .slots = model_slots};

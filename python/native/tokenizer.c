/* tokenizer.c -- Tokenizer: of a Model, or from a path. */
#include "native.h"

#include <string.h>

static PyObject *tokenizer_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"source", NULL};
    PyObject *source, *self;
    TokenizerObject made = {.owner = NULL};
    upg_error err;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:Tokenizer", names, &source))
        return NULL;
    if (PyObject_TypeCheck(source, native_types.model)) {
        made.owner = source;
        made.tokenizer = upg_model_tokenizer(((ModelObject *)source)->model);
        if (!made.tokenizer)
            return new_none();
    } else {
        const char *path = PyBytes_AsString(source);
        struct call call = {0};
        upg_status status;

        if (!path)
            return NULL;
        call_begin(&call);
        status = upg_tokenizer_open(&made.owned, *path ? path : NULL, &err);
        call_end(&call);
        if (status != UPG_OK)
            return raise_status(status, &err);
        made.tokenizer = made.owned;
    }
    self = PyType_GenericAlloc(type, 0);
    if (!self) {
        upg_tokenizer_free(made.owned);
        return NULL;
    }
    Py_XINCREF(made.owner);
    ((TokenizerObject *)self)->owner = made.owner;
    ((TokenizerObject *)self)->tokenizer = made.tokenizer;
    ((TokenizerObject *)self)->owned = made.owned;
    return self;
}

static void tokenizer_dealloc(PyObject *self)
{
    TokenizerObject *t = (TokenizerObject *)self;
    PyTypeObject *type = Py_TYPE(self);

    upg_tokenizer_free(t->owned);
    Py_XDECREF(t->owner);
    PyObject_Free(self);
    Py_DECREF(type);
}

PyObject *bytes_of_ids(const upg_tokens *tokens)
{
    return PyBytes_FromStringAndSize((const char *)tokens->ids,
                                     (Py_ssize_t)(tokens->n * sizeof(int32_t)));
}

int ids_of_bytes(const char *bytes, Py_ssize_t n_bytes, const int32_t **ids, size_t *n)
{
    if (n_bytes % (Py_ssize_t)sizeof(int32_t) != 0) {
        PyErr_SetString(PyExc_ValueError, "ids are bytes of 32-bit integers");
        return -1;
    }
    *ids = (const int32_t *)bytes; /* the contents of bytes objects are aligned to 8 or more */
    *n = (size_t)n_bytes / sizeof(int32_t);
    return 0;
}

static PyObject *tokenizer_encode(PyObject *self, PyObject *args)
{
    const char *text;
    Py_ssize_t n_bytes;
    int parse_special;
    struct call call = {0};
    upg_tokens tokens = {0};
    upg_error err;
    upg_status status;
    PyObject *ids;

    if (!PyArg_ParseTuple(args, "y#p:encode", &text, &n_bytes, &parse_special))
        return NULL;
    call_begin(&call);
    status = upg_tokenize(((TokenizerObject *)self)->tokenizer, text, (size_t)n_bytes,
                          parse_special ? UPG_TEXT_PARSE_SPECIAL : UPG_TEXT_PLAIN, &tokens, &err);
    call_end(&call);
    ids = status == UPG_OK ? bytes_of_ids(&tokens) : raise_status(status, &err);
    upg_tokens_clear(&tokens);
    return ids;
}

static PyObject *tokenizer_token(PyObject *self, PyObject *args)
{
    int id, skip_special;
    const char *bytes;
    size_t n_bytes;

    if (!PyArg_ParseTuple(args, "ip:token", &id, &skip_special))
        return NULL;
    upg_token_bytes(((TokenizerObject *)self)->tokenizer, id, skip_special, &bytes, &n_bytes);
    return PyBytes_FromStringAndSize(bytes, (Py_ssize_t)n_bytes);
}

static PyObject *tokenizer_n_ids(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(upg_tokenizer_n_ids(((TokenizerObject *)self)->tokenizer));
}

/* A C string of bytes that must not hold a zero byte; None gives NULL where it is allowed. */
static int c_string(PyObject *tuple, Py_ssize_t i, int or_none, const char **text)
{
    PyObject *item = PyTuple_GetItem(tuple, i);
    char *bytes;

    *text = NULL;
    if (!item)
        return -1;
    if (or_none && item == Py_None)
        return 0;
    if (PyBytes_AsStringAndSize(item, &bytes, NULL) < 0)
        return -1;
    *text = bytes;
    return 0;
}

static int read_message(PyObject *item, upg_message *message)
{
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a message is a tuple of role, content and tools");
        return -1;
    }
    return c_string(item, 0, 0, &message->role) < 0 ||
                   c_string(item, 1, 0, &message->content) < 0 ||
                   c_string(item, 2, 1, &message->tools) < 0
               ? -1
               : 0;
}

static PyObject *tokenizer_render(PyObject *self, PyObject *args)
{
    PyObject *list, *result = NULL;
    int add_generation_prompt;
    upg_message *messages;
    upg_tokens tokens = {0};
    char *prompt = NULL;
    upg_error err;
    upg_status status;
    Py_ssize_t n;

    if (!PyArg_ParseTuple(args, "O!p:render", &PyTuple_Type, &list, &add_generation_prompt))
        return NULL;
    n = PyTuple_Size(list);
    messages = PyMem_Calloc((size_t)n + 1, sizeof *messages);
    if (!messages)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n; i++)
        if (read_message(PyTuple_GetItem(list, i), &messages[i]) < 0)
            goto done;
    status = upg_chat_render(((TokenizerObject *)self)->tokenizer, messages, (size_t)n,
                             add_generation_prompt, &tokens, &prompt, &err);
    if (status == UPG_OK)
        result = Py_BuildValue("Ny", bytes_of_ids(&tokens), prompt);
    else
        raise_status(status, &err);
done:
    upg_free(prompt);
    upg_tokens_clear(&tokens);
    PyMem_Free(messages);
    return result;
}

static PyMethodDef tokenizer_methods[] = {
    {"encode", tokenizer_encode, METH_VARARGS, "encode(text, parse_special): ids of UTF-8 text."},
    {"token", tokenizer_token, METH_VARARGS, "token(id, skip_special): the bytes of one token."},
    {"n_ids", tokenizer_n_ids, METH_NOARGS, "1 + the greatest id."},
    {"render", tokenizer_render, METH_VARARGS,
     "render(messages, add_generation_prompt): ids and text of a conversation."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot tokenizer_slots[] = {
    {Py_tp_doc,
     (void *)"Tokenizer(source): of a Model (None if it has none) or of a path (bytes)."},
    {Py_tp_new, (void *)tokenizer_new},
    {Py_tp_dealloc, (void *)tokenizer_dealloc},
    {Py_tp_methods, (void *)tokenizer_methods},
    {0, NULL},
};

PyType_Spec tokenizer_spec = {.name = "upg._native.Tokenizer",
                              .basicsize = sizeof(TokenizerObject),
                              .flags = Py_TPFLAGS_DEFAULT,
                              .slots = tokenizer_slots};

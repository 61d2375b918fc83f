/* grammar.c -- Vocabulary and Grammar: the forms that an answer can be held to. */
#include "native.h"

typedef struct {
    PyObject_HEAD upg_vocabulary *vocabulary;
} VocabularyObject;

typedef struct {
    PyObject_HEAD upg_grammar *grammar; /* keeps the vocabulary alive */
} GrammarObject;

static PyObject *vocabulary_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"model", NULL};
    PyObject *model;
    VocabularyObject *self;
    struct call call = {0};
    upg_model_info info;
    const upg_tokenizer *tokenizer;
    upg_error err;
    upg_status status;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!:Vocabulary", names, native_types.model,
                                     &model))
        return NULL;
    tokenizer = upg_model_tokenizer(((ModelObject *)model)->model);
    if (!tokenizer) {
        PyErr_SetString(PyExc_ValueError, "the model has no tokenizer");
        return NULL;
    }
    self = (VocabularyObject *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    upg_model_get_info(((ModelObject *)model)->model, &info);
    call_begin(&call);
    status = upg_vocabulary_new(&self->vocabulary, tokenizer, info.stop_ids, info.n_stop_ids, &err);
    call_end(&call);
    if (status != UPG_OK) {
        Py_DECREF(self);
        return raise_status(status, &err);
    }
    return (PyObject *)self;
}

static void vocabulary_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    upg_vocabulary_free(((VocabularyObject *)self)->vocabulary);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot vocabulary_slots[] = {
    {Py_tp_doc, (void *)"Vocabulary(model): its tokens as grammars see them; immutable."},
    {Py_tp_new, (void *)vocabulary_new},
    {Py_tp_dealloc, (void *)vocabulary_dealloc},
    {0, NULL},
};

PyType_Spec vocabulary_spec = {.name = "upg._native.Vocabulary",
                               .basicsize = sizeof(VocabularyObject),
                               .flags = Py_TPFLAGS_DEFAULT,
                               .slots = vocabulary_slots};

static PyObject *grammar_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"vocabulary", "kind", "text", NULL};
    PyObject *vocabulary;
    GrammarObject *self;
    struct call call = {0};
    int kind;
    const char *text;
    Py_ssize_t n_bytes;
    upg_error err;
    upg_status status;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!iy#:Grammar", names,
                                     native_types.vocabulary, &vocabulary, &kind, &text, &n_bytes))
        return NULL;
    self = (GrammarObject *)PyType_GenericAlloc(type, 0);
    if (!self)
        return NULL;
    call_begin(&call);
    status = upg_grammar_new(&self->grammar, ((VocabularyObject *)vocabulary)->vocabulary,
                             (upg_grammar_kind)kind, text, (size_t)n_bytes, NULL, &err);
    call_end(&call);
    if (status != UPG_OK) {
        Py_DECREF(self);
        return raise_status(status, &err);
    }
    return (PyObject *)self;
}

static void grammar_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    upg_grammar_free(((GrammarObject *)self)->grammar);
    PyObject_Free(self);
    Py_DECREF(type);
}

int constraint_of(PyObject *grammar, upg_constraint **constraint)
{
    upg_error err;
    upg_status status;

    *constraint = NULL;
    if (grammar == Py_None)
        return 0;
    if (!PyObject_TypeCheck(grammar, native_types.grammar)) {
        PyErr_SetString(PyExc_TypeError, "a grammar is a Grammar or None");
        return -1;
    }
    status = upg_constraint_new(constraint, ((GrammarObject *)grammar)->grammar, &err);
    if (status == UPG_OK)
        return 0;
    raise_status(status, &err);
    return -1;
}

static PyType_Slot grammar_slots[] = {
    {Py_tp_doc, (void *)"Grammar(vocabulary, kind, text): a compiled form; immutable."},
    {Py_tp_new, (void *)grammar_new},
    {Py_tp_dealloc, (void *)grammar_dealloc},
    {0, NULL},
};

PyType_Spec grammar_spec = {.name = "upg._native.Grammar",
                            .basicsize = sizeof(GrammarObject),
                            .flags = Py_TPFLAGS_DEFAULT,
                            .slots = grammar_slots};

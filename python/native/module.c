/* module.c -- the module upg._native. */
#include "native.h"

#include <stdlib.h>

struct native_types native_types;

int upg_main(int argc, char **argv); /* src/cli/main.c */

static PyObject *native_version(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyUnicode_FromString(upg_version());
}

/* The command line, as the program has it: it writes to the real standard output and catches
 * signals itself, so it is for a process that does nothing else. */
static PyObject *native_main(PyObject *module, PyObject *args)
{
    PyObject *words;
    Py_ssize_t n;
    char **argv;
    int status;

    (void)module;
    if (!PyArg_ParseTuple(args, "O!:main", &PyTuple_Type, &words))
        return NULL;
    n = PyTuple_Size(words);
    argv = PyMem_Calloc((size_t)n + 1, sizeof *argv);
    if (!argv)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n; i++)
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(words, i), &argv[i], NULL) < 0) {
            PyMem_Free(argv);
            return NULL;
        }
    Py_BEGIN_ALLOW_THREADS status = upg_main((int)n, argv);
    Py_END_ALLOW_THREADS PyMem_Free(argv);
    return PyLong_FromLong(status);
}

#define WITH_KEYWORDS(function)                                                                    \
    (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS

static PyMethodDef functions[] = {
    {"version", native_version, METH_NOARGS, "The version of libupg."},
    {"main", native_main, METH_VARARGS, "main(argv): the command line; its exit status."},
    {"verify", native_verify, METH_VARARGS, "verify(path, progress)"},
    {"compress", WITH_KEYWORDS(native_compress), "The report as JSON."},
    {"export", WITH_KEYWORDS(native_export), NULL},
    {"synth", WITH_KEYWORDS(native_synth), NULL},
    {"evaluate", WITH_KEYWORDS(native_evaluate), "The evaluation as a dict."},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyType_Spec *spec, const char *name, PyTypeObject **type)
{
    PyObject *made = PyType_FromSpec(spec);

    if (!made)
        return -1;
    *type = (PyTypeObject *)made; /* the module is never unloaded: one reference stays here */
    Py_INCREF(made);
    if (PyModule_AddObject(module, name, made) < 0) {
        Py_DECREF(made);
        return -1;
    }
    return 0;
}

/* The exception classes are written in Python. */
static int load_errors(void)
{
    PyObject *module = PyImport_ImportModule("upg.errors");

    if (!module)
        return -1;
    native_types.errors = PyObject_GetAttrString(module, "BY_STATUS");
    Py_DECREF(module);
    return native_types.errors && PyTuple_Check(native_types.errors) ? 0 : -1;
}

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "upg._native",
    .m_doc = "libupg for the package upg; not an interface for others.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);

    if (!module)
        return NULL;
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    if (load_errors() < 0 || add_type(module, &model_spec, "Model", &native_types.model) < 0 ||
        add_type(module, &tokenizer_spec, "Tokenizer", &native_types.tokenizer) < 0 ||
        add_type(module, &engine_spec, "Engine", &native_types.engine) < 0 ||
        add_type(module, &sequence_spec, "Sequence", &native_types.sequence) < 0 ||
        add_type(module, &rows_spec, "Rows", &native_types.rows) < 0 ||
        add_type(module, &scheduler_spec, "Scheduler", &native_types.scheduler) < 0 ||
        add_type(module, &request_spec, "Request", &native_types.request) < 0 ||
        add_type(module, &vocabulary_spec, "Vocabulary", &native_types.vocabulary) < 0 ||
        add_type(module, &grammar_spec, "Grammar", &native_types.grammar) < 0)
        Py_CLEAR(module);
    return module;
}

/* choices.c -- how an answer is drawn and where it ends, as Python passes it. */
#include "native.h"

void choices_clear(struct choices *choices)
{
    PyMem_Free(choices->bias);
    PyMem_Free((void *)choices->stop);
    *choices = (struct choices){0};
}

static int read_bias(struct choices *choices, PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;

    choices->bias = PyMem_Calloc((size_t)PyDict_Size(dict) + 1, sizeof *choices->bias);
    if (!choices->bias) {
        PyErr_NoMemory();
        return -1;
    }
    while (PyDict_Next(dict, &position, &key, &value)) {
        const long id = PyLong_AsLong(key);
        const double bias = PyFloat_AsDouble(value);

        if (PyErr_Occurred())
            return -1;
        if (id < 0 || id > INT32_MAX) {
            PyErr_Format(PyExc_ValueError, "logit_bias: %ld is no token id", id);
            return -1;
        }
        choices->bias[choices->n_bias++] = (upg_logit_bias){.id = (int32_t)id, .bias = (float)bias};
    }
    return 0;
}

int choices_read(struct choices *c, PyObject *tuple)
{
    upg_sampling *s = &c->sampling;
    PyObject *bias, *stop;
    Py_ssize_t max_tokens;
    unsigned long long seed;

    *c = (struct choices){0};
    upg_sampling_defaults(s);
    if (!PyArg_ParseTuple(tuple, "nfifffffKO!O!p:choices", &max_tokens, &s->temperature, &s->top_k,
                          &s->top_p, &s->min_p, &s->repetition_penalty, &s->presence_penalty,
                          &s->frequency_penalty, &seed, &PyDict_Type, &bias, &PyTuple_Type, &stop,
                          &c->ignore_stop_ids))
        return -1;
    c->max_tokens = (size_t)max_tokens;
    c->n_stop = (size_t)PyTuple_Size(stop);
    s->seed = seed;
    if (read_bias(c, bias) < 0 || !(c->stop = c_strings(stop))) {
        choices_clear(c);
        return -1;
    }
    s->logit_bias = c->bias;
    s->n_logit_bias = c->n_bias;
    return 0;
}

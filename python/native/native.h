/* native.h -- the extension module upg._native: libupg's objects as Python objects, nothing more.
 *
 * Arguments are simple here (bytes, ints, keyword arguments of one type); what is convenient is
 * written in Python, in the package around it.  Rules of this folder:
 *
 *   (1) An object is complete when its constructor returns, and stays so until it is deallocated:
 *       there is no close().  Who uses one holds a reference, so no thread can free what another
 *       one uses.
 *   (2) Model and Tokenizer never change.  All work on an Engine and its Sequences happens between
 *       engine_enter() and engine_leave().
 *   (3) Long work runs without the interpreter's lock, between call_begin() and call_end().
 *   (4) Only the limited API is used, so that one binary serves Python 3.9 and all later ones.
 */
#ifndef UPG_NATIVE_H
#define UPG_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <upg/upg.h>

typedef struct {
    PyObject_HEAD upg_model *model;
} ModelObject;

typedef struct {
    PyObject_HEAD PyObject
        *owner; /* the Model whose tokenizer this is; NULL: the tokenizer is its own */
    const upg_tokenizer *tokenizer;
    upg_tokenizer *owned; /* NULL if there is an owner */
} TokenizerObject;

struct tomb;

typedef struct {
    PyObject_HEAD PyObject *model; /* a Model */
    upg_engine *engine;
    PyThread_type_lock lock;      /* held by the thread that uses the engine */
    _Atomic(unsigned long) owner; /* that thread; 0: none */
    _Atomic(struct tomb *)
        dead;    /* sequences that nobody refers to, to be freed by who has the lock */
    int process; /* threads do not survive fork(): an engine belongs to one process */
} EngineObject;

/* A list of float32 rows that exports its memory by the buffer protocol: NumPy's arrays are views of
 * it, not copies. */
typedef struct {
    PyObject_HEAD float *values; /* [shape[0], shape[1]], owned, aligned to 64 bytes */
    Py_ssize_t shape[2], strides[2];
} RowsObject;

/* How an answer is drawn and where it ends.  Clear after use; borrows from the tuple it was read from. */
struct choices {
    upg_sampling sampling; /* its logit_bias points to bias */
    upg_logit_bias *bias;
    size_t n_bias;
    const char **stop;
    size_t n_stop;
    size_t max_tokens;
    int ignore_stop_ids;
};

/* From a tuple (max_tokens, temperature, top_k, top_p, min_p, repetition_penalty, presence_penalty,
 * frequency_penalty, seed, {id: bias}, (stop, ...), ignore_stop_ids); -1 with an exception. */
int choices_read(struct choices *choices, PyObject *tuple);
void choices_clear(struct choices *choices);

/* Types, made when the module is imported. */
extern PyType_Spec model_spec, tokenizer_spec, engine_spec, sequence_spec, rows_spec;
extern PyType_Spec scheduler_spec, request_spec, vocabulary_spec, grammar_spec;

struct native_types {
    PyTypeObject *model, *tokenizer, *engine, *sequence, *rows, *scheduler, *request;
    PyTypeObject *vocabulary, *grammar;
    PyObject *errors; /* tuple of exception classes, index is the upg_status */
};
extern struct native_types native_types;

/* ---- Errors ---- */

/* Raise the exception of a failed call and return NULL.  An exception that is already there (from a
 * callback) stays. */
PyObject *raise_status(upg_status status, const upg_error *err);

/* None, as a new reference. */
PyObject *new_none(void);

/* ---- Calls without the interpreter's lock ---- */

struct call {
    PyThreadState *thread;
    PyObject *progress; /* callable(stage, done, total), or NULL; borrowed */
    PyObject *on_text;  /* callable(text) -> true to stop, or NULL; borrowed */
};

/* Check that a callback is callable or None (which becomes NULL); -1 with an exception otherwise. */
int callback_or_null(PyObject **callback, const char *name);

void call_begin(struct call *call);
void call_end(struct call *call);

/* Callbacks for libupg; the context is the call.  They take the interpreter's lock, look for
 * signals (Ctrl-C) and ask to stop when Python code has raised an exception. */
int call_progress(void *call, const char *stage, uint64_t done, uint64_t total);
int call_text(void *call, const char *text, size_t n_bytes);

/* ---- Engine ---- */

/* Read the arguments that engines and schedulers have in common: model, threads, context,
 * cache_tokens, kv_type, compute, tier, device; -1 with an exception. */
int engine_options_read(PyObject *args, PyObject *keywords, PyObject **model,
                        upg_engine_options *options);

/* Take the engine for this thread, waiting for others; Ctrl-C ends the wait.  -1 with an exception
 * if this thread has it already (a callback calls back) or if the process was forked since. */
int engine_enter(EngineObject *engine);
void engine_leave(EngineObject *engine);

/* A place in the list of the dead, made together with a sequence so that freeing cannot fail. */
struct tomb *tomb_new(void);
/* Free the sequence as soon as the engine is free; takes the tomb. */
void engine_bury(EngineObject *engine, upg_sequence *sequence, struct tomb *tomb);

/* ---- Conversions ---- */

/* Token ids as bytes of int32 in the machine's order. */
PyObject *bytes_of_ids(const upg_tokens *tokens);
/* *n of the ids in bytes; -1 with an exception if the length is no multiple of 4. */
int ids_of_bytes(const char *bytes, Py_ssize_t n_bytes, const int32_t **ids, size_t *n);

/* The C strings of a tuple of bytes; NULL with an exception if one holds a zero byte.  Free the list
 * with PyMem_Free(); the strings are the tuple's. */
const char **c_strings(PyObject *tuple);

/* New rows of uninitialized memory. */
RowsObject *rows_new(size_t n_rows, size_t n_cols);

/* A new constraint of a Grammar object; NULL for None; -1 with an exception. */
int constraint_of(PyObject *grammar, upg_constraint **constraint);

/* ---- Functions of the module ---- */

PyObject *native_verify(PyObject *module, PyObject *args);
PyObject *native_compress(PyObject *module, PyObject *args, PyObject *keywords);
PyObject *native_export(PyObject *module, PyObject *args, PyObject *keywords);
PyObject *native_synth(PyObject *module, PyObject *args, PyObject *keywords);
PyObject *native_evaluate(PyObject *module, PyObject *args, PyObject *keywords);

#endif

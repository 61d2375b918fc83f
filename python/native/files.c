/* files.c -- functions over files: verify, compress, export, synth; and evaluate. */
#include "native.h"

PyObject *native_verify(PyObject *module, PyObject *args)
{
    const char *path;
    PyObject *progress;
    struct call call = {0};
    upg_model_options options;
    upg_error err;
    upg_status status;

    (void)module;
    if (!PyArg_ParseTuple(args, "yO:verify", &path, &progress) ||
        callback_or_null(&progress, "progress") < 0)
        return NULL;
    call.progress = progress;
    upg_model_options_defaults(&options);
    options.progress = call_progress;
    options.progress_context = &call;
    call_begin(&call);
    status = upg_verify(*path ? path : NULL, &options, &err);
    call_end(&call);
    if (status != UPG_OK)
        return raise_status(status, &err);
    return new_none();
}

PyObject *native_compress(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"source",     "destination", "ratio",      "bpw",  "size",
                            "effort",     "calibration", "tune_steps", "seed", "threads",
                            "on_message", "progress",    NULL};
    const char *source, *destination;
    PyObject *calibration, *tune_steps, *on_message, *progress, *result;
    unsigned long long seed, max_bytes;
    Py_ssize_t threads;
    struct call call = {0};
    upg_compress_options o;
    const char **texts;
    char *report = NULL;
    upg_error err;
    upg_status status;

    (void)module;
    upg_compress_options_defaults(&o);
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "yyddKsO!OKnOO:compress", names, &source,
                                     &destination, &o.ratio, &o.bits_per_weight, &max_bytes,
                                     &o.effort, &PyTuple_Type, &calibration, &tune_steps, &seed,
                                     &threads, &on_message, &progress) ||
        callback_or_null(&on_message, "on_message") < 0 ||
        callback_or_null(&progress, "progress") < 0)
        return NULL;
    o.tune_steps = tune_steps == Py_None ? UPG_TUNE_AUTO : PyLong_AsSize_t(tune_steps);
    if (PyErr_Occurred() || !(texts = c_strings(calibration)))
        return NULL;
    call.on_text = on_message;
    call.progress = progress;
    o.max_bytes = max_bytes;
    o.calibration = texts;
    o.n_calibration = (size_t)PyTuple_Size(calibration);
    o.seed = seed;
    o.n_threads = (size_t)threads;
    o.on_message = call_text;
    o.message_context = &call;
    o.progress = call_progress;
    o.progress_context = &call;
    call_begin(&call);
    status = upg_compress(*source ? source : NULL, destination, &o, &report, &err);
    call_end(&call);
    PyMem_Free((void *)texts);
    if (status != UPG_OK)
        return raise_status(status, &err);
    result = PyErr_Occurred() ? NULL : PyBytes_FromString(report);
    upg_free(report);
    return result;
}

PyObject *native_export(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"source", "destination", "format", "threads", "progress", NULL};
    const char *source, *destination;
    int format;
    Py_ssize_t threads;
    PyObject *progress;
    struct call call = {0};
    upg_export_options o;
    upg_error err;
    upg_status status;

    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "yyinO:export", names, &source, &destination,
                                     &format, &threads, &progress) ||
        callback_or_null(&progress, "progress") < 0)
        return NULL;
    upg_export_options_defaults(&o);
    call.progress = progress;
    o.format = (upg_export_format)format;
    o.n_threads = (size_t)threads;
    o.progress = call_progress;
    o.progress_context = &call;
    call_begin(&call);
    status = upg_export(*source ? source : NULL, destination, &o, &err);
    call_end(&call);
    if (status != UPG_OK)
        return raise_status(status, &err);
    return new_none();
}

PyObject *native_synth(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"destination", "shape",   "format",   "layers", "bpw",
                            "seed",        "threads", "progress", NULL};
    const char *destination;
    int format;
    Py_ssize_t layers, threads;
    unsigned long long seed;
    PyObject *progress;
    struct call call = {0};
    upg_synth_options o;
    upg_error err;
    upg_status status;

    (void)module;
    upg_synth_options_defaults(&o);
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "ysindKnO:synth", names, &destination,
                                     &o.shape, &format, &layers, &o.bits_per_weight, &seed,
                                     &threads, &progress) ||
        callback_or_null(&progress, "progress") < 0)
        return NULL;
    call.progress = progress;
    o.format = (upg_synth_format)format;
    o.n_layers = (size_t)layers;
    o.seed = seed;
    o.n_threads = (size_t)threads;
    o.progress = call_progress;
    o.progress_context = &call;
    call_begin(&call);
    status = upg_synth(destination, &o, &err);
    call_end(&call);
    if (status != UPG_OK)
        return raise_status(status, &err);
    return new_none();
}

/* Both engines of an evaluation, always the one at the lower address first: two threads that
 * compare the same two models cannot wait for each other. */
static int enter_both(EngineObject *a, EngineObject *b)
{
    EngineObject *first = a < b ? a : b, *second = a < b ? b : a;

    if (first && engine_enter(first) < 0)
        return -1;
    if (engine_enter(second) < 0) {
        if (first)
            engine_leave(first);
        return -1;
    }
    return 0;
}

static PyObject *evaluation_dict(const upg_evaluation *e, int with_reference)
{
    if (!with_reference)
        return Py_BuildValue("{s:K,s:K,s:K,s:d,s:d,s:d}", "tokens", (uint64_t)e->n_tokens,
                             "context", (uint64_t)e->context, "stride", (uint64_t)e->stride, "nll",
                             e->nll, "ppl", e->ppl, "ppl_stderr", e->ppl_stderr);
    return Py_BuildValue("{s:K,s:K,s:K,s:d,s:d,s:d,s:d,s:d,s:d,s:d,s:d,s:d,s:d}", "tokens",
                         (uint64_t)e->n_tokens, "context", (uint64_t)e->context, "stride",
                         (uint64_t)e->stride, "nll", e->nll, "ppl", e->ppl, "ppl_stderr",
                         e->ppl_stderr, "ref_nll", e->ref_nll, "ref_ppl", e->ref_ppl, "kld_mean",
                         e->kld_mean, "kld_median", e->kld_median, "kld_p99", e->kld_p99,
                         "top1_agreement", e->top1_agreement, "retention", e->retention);
}

PyObject *native_evaluate(PyObject *module, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"engine",     "reference",     "text",     "context", "stride",
                            "max_tokens", "parse_special", "progress", NULL};
    PyObject *engine_object, *reference_object, *progress;
    EngineObject *engine, *reference = NULL;
    const char *text;
    Py_ssize_t n_bytes, context, stride, max_tokens;
    struct call call = {0};
    upg_evaluate_options o;
    upg_evaluation evaluation = {0};
    upg_error err;
    upg_status status;

    (void)module;
    upg_evaluate_options_defaults(&o);
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!Oy#nnnpO:evaluate", names,
                                     native_types.engine, &engine_object, &reference_object, &text,
                                     &n_bytes, &context, &stride, &max_tokens, &o.parse_special,
                                     &progress) ||
        callback_or_null(&progress, "progress") < 0)
        return NULL;
    engine = (EngineObject *)engine_object;
    if (PyObject_TypeCheck(reference_object, native_types.engine))
        reference = (EngineObject *)reference_object;
    call.progress = progress;
    o.context = (size_t)context;
    o.stride = (size_t)stride;
    o.max_tokens = (size_t)max_tokens;
    o.progress = call_progress;
    o.progress_context = &call;
    if (enter_both(engine, reference) < 0)
        return NULL;
    call_begin(&call);
    status = upg_evaluate(engine->engine, reference ? reference->engine : NULL, text,
                          (size_t)n_bytes, &o, &evaluation, &err);
    call_end(&call);
    engine_leave(engine);
    if (reference)
        engine_leave(reference);
    if (status != UPG_OK)
        return raise_status(status, &err);
    return evaluation_dict(&evaluation, reference != NULL);
}

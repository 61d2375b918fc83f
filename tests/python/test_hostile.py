"""Wrong types, huge sizes, closed objects, threads, fork, Ctrl-C: an exception, never a crash."""
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from setting import PATIENCE

import upg
from upg import _native

HUGE = 10**30
CHOICES = (0, 0.0, 0, 1.0, 0.0, 1.0, 0.0, 0.0, 1, {}, (), False)


def run_python(package_path, code, **keywords):
    """Run a script in a Python of its own."""
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=PATIENCE,
                          env={**os.environ, "PYTHONPATH": str(package_path)}, **keywords)


@pytest.mark.parametrize("prompt", [None, 5, 1.5, {"a": 1}, [1.5], ["a"], [[1]], [None], object(), np.ones((2, 2)),
                                    np.array([1.0])])
def test_a_prompt_of_a_wrong_type(model, prompt):
    for use in (model.generate, model.logits, model.session().append):
        with pytest.raises(TypeError):
            use(prompt)


@pytest.mark.parametrize("ids", [[-1], [8192], [2**31 - 1], [HUGE], [-HUGE], []])
def test_ids_outside_of_the_vocabulary(model, ids):
    for use in (model.generate, model.logits, model.hidden, model.session().append):
        with pytest.raises(upg.ArgumentError):
            use(ids)


@pytest.mark.parametrize("option, value", [
    ("max_tokens", HUGE), ("max_tokens", -1), ("top_k", HUGE), ("top_k", -1), ("seed", HUGE), ("seed", -1),
    ("temperature", float("nan")), ("temperature", float("inf")), ("top_p", 0), ("top_p", 2), ("min_p", -1),
    ("repetition_penalty", 0), ("presence_penalty", 3), ("frequency_penalty", -3), ("logit_bias", {-1: 1}),
    ("logprobs", 21), ("logprobs", -1),
    ("logit_bias", {HUGE: 1}), ("logit_bias", {9999: 1}), ("logit_bias", {1: float("nan")})])
def test_options_out_of_range(model, option, value):
    with pytest.raises(upg.ArgumentError, match=option.split("_")[0]):
        model.generate("a", **{option: value})


@pytest.mark.parametrize("option, value", [
    ("max_tokens", "3"), ("max_tokens", 1.5), ("temperature", "hot"), ("top_k", int), ("logprobs", 1.5), ("seed", 1.5),
    ("logit_bias", [1]), ("logit_bias", {"a": 1}), ("stop", 5), ("stop", [5]), ("temprature", 1)])
def test_options_of_a_wrong_type(model, option, value):
    with pytest.raises(TypeError):
        model.generate("a", **{option: value})


def test_a_zero_byte_in_a_c_string(model):
    with pytest.raises(ValueError):
        model.generate("a", stop="\0")
    with pytest.raises(ValueError):
        model.chat("a\0b")
    with pytest.raises(ValueError):
        upg.Model.open("a\0b")
    assert model.tokenizer.decode(model.tokenizer.encode("a\0b")) == "a\0b"


@pytest.mark.parametrize("messages", [5, {"role": "user", "content": "a"}, [5], [{"role": "user"}], [None],
                                      [{"role": "user", "content": 5}], [{"role": 1, "content": "a"}],
                                      [{"role": "user", "content": "a", "name": "b"}]])
def test_messages_of_a_wrong_type(model, messages):
    with pytest.raises(TypeError):
        model.chat(messages)


def test_surrogates_are_refused(model):
    with pytest.raises(UnicodeEncodeError):
        model.generate("\ud800")


@pytest.mark.parametrize("keywords, error", [
    ({"threads": HUGE}, ValueError), ({"ctx": HUGE}, ValueError), ({"ctx": 10**6}, upg.ArgumentError),
    ({"kv": "f8"}, upg.ArgumentError), ({"kv": []}, TypeError), ({"compute": 1}, upg.ArgumentError),
    ({"device": "tpu"}, upg.ArgumentError), ({"device": 5}, TypeError), ({"progress": 5}, TypeError),
    ({"path": 5}, TypeError), ({"path": ""}, upg.ArgumentError), ({"path": "/missing"}, upg.FileError),
    ({"path": __file__}, upg.FormatError)])
def test_a_model_that_cannot_be_opened(keywords, error):
    with pytest.raises(error):
        upg.Model.open(**keywords).session()


def test_closed_objects():
    model = upg.Model.open(threads=1)
    session = model.session()
    session.close()
    session.close()
    for use in (lambda: session.append("a"), lambda: session.generate("a"), session.fork, lambda: len(session),
                lambda: session.truncate(0), lambda: session.ids, lambda: session.save("a")):
        with pytest.raises(upg.ClosedError):
            use()
    other = model.session()
    model.close()
    model.close()
    for use in (lambda: model.generate("a"), lambda: model.chat("a"), lambda: model.logits("a"), model.session,
                lambda: model.info, lambda: model.tokenizer, lambda: model.tensors, lambda: model.tier):
        with pytest.raises(upg.ClosedError):
            use()
    assert "closed" in repr(model)
    assert other.generate("Once", max_tokens=3).completion_tokens == 3  # holds what it needs


def test_native_objects_cannot_be_made_wrongly():
    scheduler = _native.Scheduler(_native.Model(), 1, 0, 0, 0, 0, None, None, -1)
    for make in (_native.Rows, _native.Sequence, _native.Engine, lambda: _native.Sequence(5),
                 lambda: _native.Engine(_native.Model(), -1, -1, -1, 77, 77, "no", None, -1), lambda: _native.Model(5),
                 lambda: _native.Tokenizer(5), _native.Request, lambda: _native.Scheduler(5),
                 lambda: scheduler.submit(0, b"abcd", (), 0, -1, None),
                 lambda: scheduler.submit(0, b"a", CHOICES, 0, -1, None),
                 lambda: scheduler.submit(0, b"abcd", CHOICES, 0, -1, 5),
                 lambda: scheduler.submit(77, b"abcd", CHOICES, 0, -1, None),
                 lambda: scheduler.submit(0, b"", CHOICES, 99, -1, None),
                 lambda: scheduler.submit(0, b"\0" * 4, CHOICES, 0, -1, None).result(),
                 lambda: _native.main(5), lambda: _native.main((5,))):
        with pytest.raises((TypeError, ValueError, RuntimeError, MemoryError, upg.Error)):
            make()


def test_a_callback_cannot_use_its_engine(model):
    session = model.session()
    with pytest.raises(RuntimeError, match="callback"):
        session.append([1] * 10, progress=lambda *event: model.logits("a"))
    with pytest.raises(ZeroDivisionError):
        session.generate([1] * 10, progress=lambda *event: 1 / 0)
    assert session.generate("a", max_tokens=1).completion_tokens == 1


def test_threads_share_a_model(model):
    expected = model.generate("Once upon", greedy=True, max_tokens=10).ids
    answers = []

    def work():
        for _ in range(5):
            answers.append(model.generate("Once upon", greedy=True, max_tokens=10).ids)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 40


def test_other_threads_run_meanwhile(model):
    """The interpreter's lock is free while the model computes: nobody else takes it from a thread by force."""
    turns, running = [], [True]

    def count():
        while running:
            turns.append(time.sleep(0.001))

    interval = sys.getswitchinterval()
    counter = threading.Thread(target=count)
    counter.start()
    sys.setswitchinterval(1000)
    try:
        for compute in (lambda: model.logits([1] * 500, last=1), lambda: model.generate([1] * 500, max_tokens=1)):
            seen = []
            while max(seen, default=0) <= 5:  # on a busy machine the other thread may not come to its turn at once
                before = len(turns)
                compute()
                seen.append(len(turns) - before)
                assert len(seen) < 100, seen
    finally:
        sys.setswitchinterval(interval)
        running.clear()
        counter.join()


def test_a_model_closed_by_another_thread_finishes_its_call():
    model = upg.Model.open(threads=1)
    streams = [source.generate("Once upon", max_tokens=100, stream=True, ignore_stop_ids=True)
               for source in (model, model.session())]
    for stream in streams:
        next(stream)
    model.close()
    assert [stream.result().completion_tokens for stream in streams] == [100, 100]


def test_after_fork_the_child_has_its_own_engine(package_path):
    done = run_python(package_path, """
        import os, upg
        model = upg.Model.open(threads=2)
        session = model.session()
        text = model.generate("Once upon", greedy=True, max_tokens=5).text
        stream = model.generate("Once upon", stream=True)
        child = os.fork()
        if child == 0:
            assert model.generate("Once upon", greedy=True, max_tokens=5).text == text
            for use in (lambda: session.append("a"), lambda: next(stream)):
                try:
                    use()
                    os._exit(1)
                except RuntimeError as error:
                    assert "fork" in str(error)
            del session, stream
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        session.append("a")
        print(text)
        """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("call", ["model.generate('Once', ignore_stop_ids=True)",
                                  "model.session().generate('Once', ignore_stop_ids=True)",
                                  "model.session().generate('Once', ignore_stop_ids=True, stream=True).result()",
                                  "model.batch(['Once'] * 300, ignore_stop_ids=True)",
                                  "asyncio.run(model.agenerate('Once', ignore_stop_ids=True))",
                                  "upg.evaluate(model, 'word ' * 100000)",
                                  "upg.compress(source, out, seed=3)"])
def test_ctrl_c_ends_a_long_call(package_path, folder_model, tmp_path, call):
    code = f"""
        import asyncio, signal, sys, upg
        model, source, out = upg.Model.open(), {str(folder_model)!r}, {str(tmp_path / "out.upg")!r}
        print("go", flush=True)
        try:
            for _ in range(1000):
                {call}
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            model.generate("a", max_tokens=1)
            sys.exit(55)
        """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE,
                             env={**os.environ, "PYTHONPATH": str(package_path)})
    with child:
        assert child.stdout.readline() == b"go\n"
        time.sleep(0.3)  # anywhere within the calls
        for _ in range(PATIENCE // 10):  # Python drops the exception where it comes while an object dies
            child.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=10)
                break
        child.kill()
    assert child.returncode == 55

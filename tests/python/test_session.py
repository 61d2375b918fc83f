"""Sessions: what was computed is kept, shared and forgotten."""
import gc
import threading

import numpy as np
import pytest

import upg


def test_a_text_in_parts_is_the_text(model):
    ids = model.tokenizer.encode("Once upon a time there was a turtle")
    with model.session() as session:
        assert session.append(ids[:3]) is None
        rows = session.append(ids[3:], logits=2)
        assert len(session) == len(ids)
    assert np.array_equal(rows, model.logits(ids, last=2))


def test_a_fork_goes_its_own_way(model):
    session = model.session()
    session.append("Once upon a time")
    fork = session.fork()
    first = session.generate(" there", greedy=True, max_tokens=10)
    second = fork.generate(" Lily", greedy=True, max_tokens=10)
    assert first.text != second.text
    assert first.ids == model.generate("Once upon a time there", greedy=True, max_tokens=10).ids


def test_a_truncated_session_is_as_before(model):
    session = model.session()
    first = session.generate("Once upon", greedy=True, max_tokens=10)
    session.truncate(first.prompt_tokens)
    assert session.generate(greedy=True, max_tokens=10).ids == first.ids
    with pytest.raises(upg.ArgumentError, match="truncate"):
        session.truncate(1000)


def test_a_session_streams(model):
    session = model.session()
    stream = session.generate("Once upon", greedy=True, max_tokens=8, stream=True)
    text = "".join(stream)
    assert text == stream.result().text and len(session) == stream.result().prompt_tokens + 8


def test_a_saved_session_goes_on(model, tmp_path):
    session = model.session()
    session.append("Once upon a time")
    session.save(tmp_path / "session")
    expected = session.generate(greedy=True, max_tokens=10).ids
    again = model.session(tmp_path / "session")
    assert again.ids == model.tokenizer.encode("Once upon a time")
    assert again.generate(greedy=True, max_tokens=10).ids == expected and again.ids[-10:] == expected
    with pytest.raises(upg.FileError):
        model.session(tmp_path / "missing")
    (tmp_path / "session").write_bytes(b"something else")
    with pytest.raises(upg.FormatError):
        model.session(tmp_path / "session")


def test_progress_of_a_prompt(model):
    seen = []
    session = model.session()
    session.append([5] * 300, progress=lambda *event: seen.append(event))
    session.generate([6] * 300, max_tokens=1, progress=lambda *event: seen.append(event))
    assert seen[-1] == ("prefill", 300, 300) and len(seen) > 2


def test_a_session_has_no_logprobs(model):
    with pytest.raises(upg.UnsupportedError, match="logprobs"):
        model.session().generate("a", logprobs=1)


def test_the_context_is_a_limit():
    with upg.Model.open(threads=1, ctx=32) as model:
        session = model.session()
        with pytest.raises(upg.ContextError, match="32"):
            session.append([1] * 33)
        assert len(session) == 0
        answer = session.generate([1] * 30, ignore_stop_ids=True)
        assert answer.finish_reason == "length" and answer.completion_tokens == 2


def test_sessions_give_their_memory_back():
    """The cache holds 256 tokens: sessions that nobody holds must not keep theirs."""
    with upg.Model.open(threads=1, ctx=256) as model:
        for _ in range(5):
            model.session().append([1] * 100)
        sessions = [model.session() for _ in range(2)]
        for session in sessions:
            session.append([1] * 100)
        with pytest.raises(upg.Error, match="cache"):
            model.session().append([1] * 250)
        del sessions, session
        gc.collect()
        model.session().append([1] * 250)


def test_sessions_die_in_other_threads(model):
    """One thread computes while another one drops sessions, which only the engine's user may free."""
    sessions = [model.session() for _ in range(20)]
    for session in sessions:
        session.append([1, 2, 3])
    stream = model.session().generate([1] * 10, max_tokens=50, stream=True, ignore_stop_ids=True)
    dropper = threading.Thread(target=sessions.clear)
    dropper.start()
    dropper.join()
    assert stream.result().completion_tokens == 50

"""Models, text and numbers: the package gives what the command line gives."""
import json

import numpy as np
import pytest

import upg
from upg import reference

PROMPT = "Once upon a time"


def test_generate_gives_the_tokens_of_the_command_line(model, program):
    done = json.loads(program("run", "-p", PROMPT, "--greedy", "-n", "40", "--json").stdout)
    answer = model.generate(PROMPT, greedy=True, max_tokens=40)
    assert (answer.text, answer.ids) == (done["text"], done["ids"])
    assert (answer.finish_reason, answer.prompt_tokens) == ("length", done["prompt_tokens"])
    assert answer.completion_tokens == 40 and answer.tokens_per_second > 0 and str(answer) == answer.text


def test_sampling_options_are_those_of_the_command_line(model, program):
    done = json.loads(program("run", "-p", PROMPT, "-n", "30", "--temperature", "1.1", "--top-k", "40",
                          "--top-p", "0.95", "--min-p", "0.01", "--repetition-penalty", "1.1", "--presence-penalty", "0.5",
                          "--frequency-penalty", "0.25", "--logit-bias", "260=-inf", "--stop", "mom", "--seed", "7",
                          "--json").stdout)
    answer = model.generate(PROMPT, max_tokens=30, temperature=1.1, top_k=40, top_p=0.95, min_p=0.01,
                            repetition_penalty=1.1, presence_penalty=0.5, frequency_penalty=0.25,
                            logit_bias={260: float("-inf")}, stop="mom", seed=7)
    assert (answer.text, answer.ids, answer.finish_reason) == (done["text"], done["ids"], done["finish_reason"])


def test_chat_gives_the_tokens_of_the_command_line(model, program):
    done = json.loads(program("run", "--system", "You tell stories.", "-p", "A story, please.", "--greedy", "-n", "20",
                          "--json").stdout)
    answer = model.chat("A story, please.", system="You tell stories.", greedy=True, max_tokens=20)
    assert answer.ids == done["ids"]
    messages = [{"role": "system", "content": "You tell stories."}, {"role": "user", "content": "A story, please."}]
    assert model.chat(messages, greedy=True, max_tokens=20).ids == done["ids"]


def test_the_seed_that_was_used_gives_the_text_again(model):
    first = model.generate(PROMPT, max_tokens=20)
    assert model.generate(PROMPT, max_tokens=20, seed=first.seed).text == first.text


def test_a_stream_is_the_text_in_pieces(model):
    whole = model.generate(PROMPT, greedy=True, max_tokens=20)
    stream = model.generate(PROMPT, greedy=True, max_tokens=20, stream=True)
    pieces = list(stream)
    assert len(pieces) > 10 and "".join(pieces) == whole.text
    assert stream.result().ids == whole.ids
    assert list(stream) == []


def test_a_stream_that_is_left_frees_the_model(model):
    with model.chat("Tell me a long story.", stream=True, ignore_stop_ids=True) as stream:
        next(stream)
    with pytest.raises(RuntimeError, match="closed"):
        stream.result()
    assert model.generate(PROMPT, max_tokens=1).completion_tokens == 1


def test_an_error_of_a_stream_comes_to_its_reader(model):
    stream = model.session().generate(PROMPT, stream=True, progress=lambda *event: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(stream)


def test_logits_are_those_of_the_command_line_and_nothing_is_copied(program, tmp_path):
    program("logits", tmp_path / "logits.npy", "-p", PROMPT, "--threads", "1")
    with upg.Model.open(threads=1, kv="f32") as model:
        logits = model.logits(PROMPT)
    assert logits.dtype == np.float32 and logits.shape == (4, model_vocab(tmp_path))
    assert np.array_equal(logits, np.load(tmp_path / "logits.npy"))
    assert not logits.flags.owndata and logits.flags.aligned and logits.flags.writeable


def model_vocab(tmp_path):
    return np.load(tmp_path / "logits.npy").shape[1]


def test_the_last_rows_of_logits(model):
    ids = model.tokenizer.encode(PROMPT)
    whole = model.logits(ids)
    assert np.array_equal(model.logits(np.array(ids), last=2), whole[2:])
    assert model.logits(ids, last=0).shape == (0, whole.shape[1])


def test_hidden_states_are_what_the_head_makes_logits_of(root):
    with upg.Model.open(compute="reference") as exact:
        hidden, logits = exact.hidden(PROMPT), exact.logits(PROMPT)
    other = reference.Model(root / "models" / "default.upg")
    assert hidden.shape == (4, other.d_model) and hidden.dtype == np.float32
    assert np.abs(hidden @ other.matrix("model.embed_tokens", other.d_model).T - logits).max() < 1e-3
    assert np.abs(hidden - other.hidden(other.tokenizer.encode(PROMPT))).max() < 1e-4


def test_the_mean_of_hidden_states_is_the_embedding(model):
    mean = model.hidden([7] * 300).mean(axis=0)
    assert np.abs(mean / np.linalg.norm(mean) - model.embed([[7] * 300])[0]).max() < 1e-3


def test_what_a_model_is(model, program):
    done = json.loads(program("inspect", "--json").stdout)
    info = model.info
    assert (info.parameters, info.file_bytes) == (done["parameters"], done["file_bytes"])
    assert info.architecture == done["architecture"] and info.metadata["provenance"] == done["provenance"]
    assert [t.name for t in model.tensors] == [t["name"] for t in done["tensors"]]
    assert model.tensors[0].shape == (info.vocab, info.d_model)
    assert "embedded" in repr(model)


def test_a_reference_model_computes_the_same(model):
    with upg.Model.open(compute="reference") as reference:
        assert reference.tier.startswith("reference")
        difference = np.abs(reference.logits("Once upon") - model.logits("Once upon")).max()
    assert 0 < difference < 0.5  # activations are rounded to 8 bits


def test_logprobs_are_those_of_the_logits(model):
    answer = model.generate(PROMPT, greedy=True, max_tokens=5, logprobs=3)
    ids = model.tokenizer.encode(PROMPT)
    rows = model.logits(ids + answer.ids[:-1], last=5).astype(float)
    expected = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    assert len(answer.logprobs) == 5
    for id, row, told in zip(answer.ids, expected, answer.logprobs):
        assert told.logprob == pytest.approx(row[id], abs=0.02) and told.logprob == told.top[0][1]
        assert [each for each, _ in told.top] == list(np.argsort(-row)[:3])
    assert model.generate(PROMPT, max_tokens=1).logprobs is None
    assert model.generate(PROMPT, max_tokens=1, logprobs=0).logprobs[0].top == ()


def test_embeddings(model):
    rows = model.embed(["The cat sleeps.", "A cat is sleeping.", [1, 2, 3]])
    assert rows.shape == (3, model.info.d_model) and rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    last = model.embed("The cat sleeps.", pooling="last")
    assert last.shape == (model.info.d_model,) and not np.allclose(last, rows[0])
    assert model.embed([]).shape == (0, model.info.d_model)
    with pytest.raises(upg.ArgumentError, match="pooling"):
        model.embed("a", pooling="first")

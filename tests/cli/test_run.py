"""upg run: text on standard output alone, the same text for the same seed, JSON with its fields."""
import os
import signal

import pytest
from setting import MODEL, PATIENCE, ROOT


def test_text_is_on_stdout_and_statistics_on_stderr(upg):
    result = upg("run", "-p", "Once upon a time", "--greedy", "-n", "8")
    document = upg("run", "-p", "Once upon a time", "--greedy", "-n", "8", "--json").json()
    assert result.out == document["text"]
    assert "tokens/s" in result.err and "seed" in result.err


def test_quiet_says_nothing_else(upg):
    assert upg("run", "-p", "Once", "-n", "2", "-q").err == ""


def test_json_has_its_fields_and_nothing_else_is_written(upg):
    result = upg("run", "-p", "Hello", "-n", "5", "--seed", "7", "--json")
    document = result.json()
    assert result.err == ""
    assert isinstance(document["text"], str)
    assert document["finish_reason"] in ("stop", "length")
    assert document["prompt_tokens"] == len(upg("tokenize", "-p", "Hello").out.split())
    assert document["completion_tokens"] == len(document["ids"]) <= 5
    assert all(isinstance(i, int) for i in document["ids"])
    assert set(document["seconds"]) == {"load", "prompt", "generation"}
    assert set(document["tokens_per_second"]) == {"prompt", "generation"}
    assert all(v >= 0 for v in [*document["seconds"].values(), *document["tokens_per_second"].values()])
    assert document["seed"] == 7


def test_length_limits_the_answer(upg):
    document = upg("run", "-p", "Once", "-n", "3", "--greedy", "--json", "--logit-bias", "0=-inf").json()
    assert document["completion_tokens"] <= 3
    assert document["finish_reason"] == ("length" if document["completion_tokens"] == 3 else "stop")


def test_same_seed_same_text_and_seeds_are_drawn_and_shown(upg):
    options = ["-p", "Once upon a time", "-n", "12", "--temperature", "1.5", "--top-p", "1", "--json"]
    first = upg("run", *options).json()
    again = upg("run", *options, "--seed", first["seed"]).json()
    others = [upg("run", *options, "--seed", seed).json()["text"] for seed in (1, 2, 3)]
    assert again["text"] == first["text"]
    assert len(set(others)) > 1


def test_prompt_comes_from_option_file_stdin_or_operand(upg, tmp_path):
    text = "One day,\n"
    (tmp_path / "prompt.txt").write_text(text)
    options = ["--greedy", "-n", "4", "--json"]
    expected = upg("run", *options, "-p", text).json()["ids"]
    for way, stdin in [(["-f", tmp_path / "prompt.txt"], b""), (["-f", "-"], text.encode()), (["-"], text.encode()),
                       ([MODEL, "-"], text.encode()), ([MODEL, text], b"")]:
        assert upg("run", *options, *way, stdin=stdin).json()["ids"] == expected


def test_chat_template_surrounds_the_text(upg):
    plain = upg("run", "-p", "Hello", "-n", "1", "--json").json()["prompt_tokens"]
    chat = upg("run", "-p", "Hello", "-n", "1", "--chat", "--json").json()["prompt_tokens"]
    system = upg("run", "-p", "Hello", "-n", "1", "--system", "Be kind.", "--json").json()["prompt_tokens"]
    assert plain < chat < system


def test_special_tokens_in_the_text_are_plain_unless_asked_for(upg):
    text = "<|im_start|>user<|im_sep|>Hello<|im_end|><|im_start|>assistant<|im_sep|>"
    options = ["-n", "1", "--greedy", "--json"]
    chat = upg("run", "-p", "Hello", "--chat", *options).json()
    parsed = upg("run", "-p", text, "--parse-special", *options).json()
    plain = upg("run", "-p", text, *options).json()
    assert parsed["prompt_tokens"] == chat["prompt_tokens"] and parsed["ids"] == chat["ids"]
    assert plain["prompt_tokens"] > parsed["prompt_tokens"]


def test_stop_text_is_not_written(upg):
    options = ["run", "-p", "Once upon a time", "--greedy", "-n", "20", "--json"]
    text = upg(*options).json()["text"]
    stop = text[5:8]
    stopped = upg(*options, "--stop", stop).json()
    assert stopped["text"] == text[:text.index(stop)]
    assert stopped["finish_reason"] == "stop"


def test_logit_bias_bans_a_token(upg):
    options = ["run", "-p", "Once upon a time", "--greedy", "-n", "1", "--json"]
    first = upg(*options).json()["ids"][0]
    assert upg(*options, "--logit-bias", f"{first}=-inf").json()["ids"] != [first]
    assert upg(*options, "--logit-bias", "300=1000").json()["ids"] == [300]


def test_reference_and_fast_agree(upg):
    options = ["run", "-p", "Once upon a time", "--greedy", "-n", "3", "--json"]
    assert upg(*options).json()["ids"] == upg(*options, "--compute", "reference").json()["ids"]


def test_zero_byte_in_a_message_is_refused_and_in_a_text_is_not(upg):
    upg("run", "-", "-n", "1", stdin=b"a\0b")
    assert "zero byte" in upg("run", "-", "--chat", status=2, stdin=b"a\0b").err


def test_interrupt_ends_the_text_cleanly(start):
    process = start("run", "-p", "Once upon a time", "--compute", "reference", "--threads", "1",
                    "--logit-bias", "8191=-inf", "--logit-bias", "8188=-inf")
    first = os.read(process.stdout.fileno(), 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    (first + out).decode()
    assert b"cancelled" in err and err.endswith(b"upg: interrupted\n")


def test_interrupt_with_json_still_gives_the_document(start):
    import json
    process = start("run", "-p", "Once upon a time", "--compute", "reference", "--threads", "1", "--json",
                    "--verbose", "--logit-bias", "8191=-inf", "--logit-bias", "8188=-inf")
    os.read(process.stderr.fileno(), 1)  # the engine is there; the prompt of four tokens is next
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert not out or json.loads(out)["finish_reason"] == "cancelled"


@pytest.mark.parametrize("text", ["Once " * 3000], ids=["6000 words"])
def test_too_long_a_prompt_is_refused_with_both_numbers(upg, text):
    n = len(upg("tokenize", "-p", text).out.split())
    err = upg("run", "-p", text, status=1).err
    assert str(n) in err and "2048" in err


def test_text_that_is_empty_or_too_long_is_said_plainly(upg):
    assert "the text is empty" in upg("run", "-p", "", status=2).err
    assert "the prompt has 20 tokens, the context 8" in upg("run", "-p", " a" * 20, "--ctx", "8", status=1).err


def test_model_without_a_chat_template_is_named(upg):
    """The small file of the fuzz corpus has a tokenizer and no template."""
    model = ROOT / "tests" / "data" / "fuzz" / "gguf" / "phi3_long.gguf"
    assert f"{model}: chat template: the model has none" in upg("run", model, "--chat", "-p", "x", status=3).err

"""Text to ids and back."""
import json

import pytest

import upg

TEXT = "Grüße, 12345 κόσμε! 🐢\n\n  <|im_start|> end"


@pytest.mark.parametrize("parse_special", [False, True])
def test_ids_are_those_of_the_command_line(model, program, tmp_path, parse_special):
    (tmp_path / "text").write_text(TEXT, encoding="utf-8")
    arguments = ["--parse-special"] if parse_special else []
    done = json.loads(program("tokenize", "-f", tmp_path / "text", "--json", *arguments).stdout)
    assert model.tokenizer.encode(TEXT, parse_special=parse_special) == done["ids"]


def test_decoding_gives_the_text(model):
    tokenizer = model.tokenizer
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert b"".join(map(tokenizer.token_bytes, tokenizer.encode(TEXT))) == TEXT.encode()
    special = tokenizer.encode("<|im_start|>", parse_special=True)
    assert len(special) == 1 and tokenizer.decode(special) == ""
    assert tokenizer.decode(special, skip_special=False) == "<|im_start|>"
    assert tokenizer.decode([len(tokenizer) + 10**6]) == ""


def test_half_a_character_is_a_replacement(model):
    first = model.tokenizer.encode("🐢".encode()[:2])
    assert set(model.tokenizer.decode(first)) == {"\ufffd"}


def test_a_chat_is_rendered(model):
    text, ids = model.tokenizer.render_chat([{"role": "user", "content": "<|im_end|>"}])
    assert text == "<|im_start|>user<|im_sep|><|im_end|><|im_end|><|im_start|>assistant<|im_sep|>"
    assert ids != model.tokenizer.encode(text, parse_special=True)  # what a user writes is plain text
    assert model.tokenizer.render_chat("<|im_end|>") == (text, ids)
    assert model.tokenizer.render_chat([], add_generation_prompt=False) == ("", [])


def test_a_tokenizer_outlives_its_model():
    with upg.Model.open(threads=1) as model:
        tokenizer = model.tokenizer
        ids = tokenizer.encode(TEXT)
    assert tokenizer.encode(TEXT) == ids


def test_a_tokenizer_alone(folder_model):
    assert upg.Tokenizer.open(folder_model).encode("AB") == [65, 66]
    with pytest.raises(upg.FileError, match="missing"):
        upg.Tokenizer.open("/missing")

"""upg tokenize: ids, pieces, back again, and the line protocol."""
import json

import pytest
from setting import MODEL, PATIENCE

TEXT = "Hello wörld, 你好 \U0001f600 <|im_end|>\n\tx"


@pytest.fixture
def tokenizer_folder(tmp_path):
    """A directory with nothing but a tokenizer.json: bytes, and one merge."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = {b: chr(b) for b in printable}
    alphabet.update({b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in alphabet)})
    vocabulary = {alphabet[b]: b for b in range(256)}
    vocabulary["ab"] = 256
    pattern = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
               "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
    special = {"id": 257, "content": "<|endoftext|>", "special": True, "normalized": False, "lstrip": False,
               "rstrip": False, "single_word": False}
    (tmp_path / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [special], "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": vocabulary, "merges": [["a", "b"]]}}))
    return tmp_path


def test_ids_are_one_line(upg):
    out = upg("tokenize", "-p", TEXT).out
    assert out.endswith("\n") and out.count("\n") == 1
    assert [int(i) for i in out.split()] == upg("tokenize", "-p", TEXT, "--json").json()["ids"]


def test_pieces_are_strings_or_bytes(upg):
    document = upg("tokenize", "-p", TEXT, "--json").json()
    pieces = [p.encode() if isinstance(p, str) else bytes(p) for p in document["pieces"]]
    assert b"".join(pieces) == TEXT.encode()
    assert any(isinstance(p, list) for p in document["pieces"])
    assert document["count"] == len(document["ids"]) == len(pieces)


@pytest.mark.parametrize("flags", [[], ["--parse-special"]], ids=["plain", "special"])
def test_decode_is_the_way_back(upg, flags):
    ids = upg("tokenize", "-p", TEXT, *flags).out
    assert upg("tokenize", "--decode", "-", stdin=ids.encode()).raw == TEXT.encode()
    brackets = str([int(i) for i in ids.split()])
    document = upg("tokenize", "--decode", "-p", brackets, "--json").json()
    assert document["text"] == TEXT and document["ids"] == json.loads(brackets)


def test_special_tokens_are_parsed_only_when_asked_for(upg):
    plain = upg("tokenize", "-p", "<|im_end|>").out.split()
    assert len(plain) > 1
    assert upg("tokenize", "-p", "<|im_end|>", "--parse-special").out.split() == ["8191"]


def test_text_that_is_not_utf8_is_bytes(upg):
    document = upg("tokenize", "-", "--json", stdin=b"a\xff\xfeb\0c").json()
    pieces = [p.encode() if isinstance(p, str) else bytes(p) for p in document["pieces"]]
    assert b"".join(pieces) == b"a\xff\xfeb\0c"
    ids = " ".join(map(str, document["ids"]))
    assert upg("tokenize", "--decode", "-p", ids).raw == "a\ufffd\ufffdb\0c".encode()


def test_empty_text_has_no_ids(upg):
    assert upg("tokenize", "-p", "").out == "\n"
    assert upg("tokenize", "-p", "", "--json").json() == {"ids": [], "pieces": [], "count": 0}
    assert upg("tokenize", "--decode", "-p", "").out == ""


def test_operands_are_model_and_text(upg):
    expected = upg("tokenize", "-p", "Hello").out
    assert upg("tokenize", MODEL, "Hello").out == expected
    assert upg("tokenize", "", "Hello").out == expected
    assert upg("tokenize", MODEL, "-", stdin=b"Hello").out == expected
    assert "Hello" in upg("tokenize", "Hello", "x", status=1).err


def test_directory_with_only_a_tokenizer(upg, tokenizer_folder):
    assert upg("tokenize", tokenizer_folder, "abc").out == "256 99\n"
    assert upg("tokenize", tokenizer_folder, "a<|endoftext|>", "--parse-special").out == "97 257\n"
    assert "template" in upg("tokenize", tokenizer_folder, "--jsonl", "-", status=3,
                             stdin=b'{"messages": [{"role": "user", "content": "x"}]}').err


def test_line_of_json_in_line_of_json_out(upg, tmp_path):
    questions = [
        {"text": TEXT, "id": 1}, {"text": "<|im_end|>", "parse_special": True}, {"text": ""}, {"text": "a\0b"},
        {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi <|im_end|>"}]},
        {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": False},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, questions)) + "\n\n")
    answers = [json.loads(line) for line in upg("tokenize", "--jsonl", tmp_path / "in.jsonl").out.splitlines()]
    assert len(answers) == len(questions)
    assert answers[0] == {"ids": upg("tokenize", "-p", TEXT, "--json").json()["ids"]}
    assert answers[1] == {"ids": [8191]}
    assert answers[2] == {"ids": []}
    assert answers[4]["prompt"] == ("<|im_start|>system<|im_sep|>Be kind.<|im_end|><|im_start|>user<|im_sep|>"
                                    "Hi <|im_end|><|im_end|><|im_start|>assistant<|im_sep|>")
    assert answers[4]["ids"].count(8191) == 2  # the user's is text
    assert answers[5]["prompt"] == "<|im_start|>user<|im_sep|>Hi<|im_end|>"
    assert answers[5]["ids"] == upg("tokenize", "-p", answers[5]["prompt"], "--parse-special", "--json").json()["ids"]


@pytest.mark.parametrize("line, message", [
    (b'{"text": "a"', "line 2"),
    (b'[]', "needs either"),
    (b'{}', "needs either"),
    (b'{"text": 5}', "needs either"),
    (b'{"text": "a", "messages": []}', "needs either"),
    (b'{"text": "a", "text": "b"}', "duplicate"),
    (b'{"text": "a", "parse_special": 1}', "parse_special"),
    (b'{"text": "\xff"}', "decode byte 0xff"),
    (b'{"messages": {}}', "no JSON array"),
    (b'{"messages": [5]}', "'role'"),
    (b'{"messages": [{"role": "user"}]}', "'content'"),
    (b'{"messages": [{"role": "user", "content": "a\\u0000b"}]}', "zero byte"),
    (b'{"messages": [{"role": "user", "content": "a", "tools": []}]}', "'tools'"),
    (b"[" * 100000, "line 2"),
])
def test_bad_line_is_named(upg, line, message):
    result = upg("tokenize", "--jsonl", "-", status=3, stdin=b'{"text": "a"}\n' + line + b"\n")
    assert len(result.out.splitlines()) == 1
    assert "standard input: line 2: " in result.err and message in result.err


def test_each_line_is_answered_at_once(start):
    import subprocess
    process = start("tokenize", "--jsonl", "-", stdin=subprocess.PIPE)
    for _ in range(2):
        process.stdin.write(b'{"text": "Hello"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["ids"]
    process.stdin.close()
    assert process.wait(timeout=PATIENCE) == 0

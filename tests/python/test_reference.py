"""The second implementation, in NumPy from the documents alone, and the library agree."""
import json
import re
import shutil

import numpy as np
import pytest

import upg
from upg import reference

TEXT = "Once upon a time, there was a little turtle named Shelly who lived by the sea. She couldn't swim fast."
TEXTS = [TEXT, "", "  \n\n\tA\u3000b\u2028c  \r\n", "Grüße, κόσμε! 🐢🐢 12345 ½ ②", "I'M don'T we'Ll ſ'ſ K",
         "a\x1cb\x85c\u200bd", "<|im_start|>user<|im_sep|> Hi  <|im_end|>\n<|im_start|>",
         "हिन्दी ไทย 中文 日本語\u0301 é", "\U0001F3FD\u200d\ufe0f", "x" * 100]


@pytest.fixture(scope="module")
def embedded_file(root):
    return root / "models" / "default.upg"


@pytest.fixture(scope="module")
def compressed_model(folder_model, tmp_path_factory):
    """A file as `upg compress` makes them, of a model with the rotary positions of Phi-4-mini."""
    folder = tmp_path_factory.mktemp("compressed")
    shutil.copytree(folder_model, folder / "source")
    config = json.loads((folder / "source" / "config.json").read_text())
    n_pairs = 24  # three quarters of a head of 64
    config.update(partial_rotary_factor=0.75, original_max_position_embeddings=16, rope_scaling={
        "type": "longrope", "short_factor": [1 + i / 50 for i in range(n_pairs)],
        "long_factor": [2 + i / 3 for i in range(n_pairs)]})
    (folder / "source" / "config.json").write_text(json.dumps(config))
    upg.compress(folder / "source", folder / "tiny.upg", bpw=5, effort="fast", tune_steps=0)
    return folder / "tiny.upg"


def greatest_difference(path, ids):
    with upg.Model.open(path, compute="reference", kv="f32") as model:
        ours = model.logits(ids)
    theirs = reference.Model(path).logits(ids)
    assert theirs.std() > 0.01
    return np.abs(ours - theirs).max()


def test_logits_of_the_embedded_model(embedded_file, model):
    assert greatest_difference(embedded_file, model.tokenizer.encode(TEXT)) < 1e-4


def test_logits_of_random_codes(packed_model):
    matrices = reference.Container(packed_model).matrices
    kinds = {part["type"] for parts in matrices.values() for part in parts}
    assert "upg3" in kinds and len(kinds & {"upg2", "upg4"}) > 0
    assert greatest_difference(packed_model, range(40, 60)) < 1e-4


def test_logits_of_a_compressed_model(compressed_model):
    matrices = reference.Container(compressed_model).matrices
    parts = [part for parts in matrices.values() for part in parts]
    assert any("seed_out" in part for part in parts)
    assert greatest_difference(compressed_model, range(40, 56)) < 1e-4


def test_logits_beyond_the_original_context(compressed_model):
    assert greatest_difference(compressed_model, range(40, 57)) < 1e-4
    model = reference.Model(compressed_model)
    assert np.abs(model.logits(range(40, 57))[:16] - model.logits(range(40, 56))).max() > 1e-3  # other factors


def test_matrices_are_decoded_again_where_they_are_not_kept(packed_model):
    ids = [1, 2]
    kept = reference.Model(packed_model).logits(ids)
    assert np.array_equal(kept, reference.Model(packed_model, keep=False).logits(ids))


def test_generation(embedded_file, model):
    ours = reference.Model(embedded_file).generate("Once upon a time", 8)
    with upg.Model.open(compute="reference") as exact:
        assert ours == exact.generate("Once upon a time", greedy=True, max_tokens=8).text


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("parse_special", [False, True])
def test_ids_of_the_embedded_model(embedded_file, model, text, parse_special):
    tokenizer = reference.Model(embedded_file).tokenizer
    ids = tokenizer.encode(text, parse_special)
    assert ids == model.tokenizer.encode(text, parse_special=parse_special)
    assert tokenizer.decode(ids) == model.tokenizer.decode(ids)


def test_tables_and_patterns_are_those_of_the_documents(root):
    document = (root / "docs" / "codec.md").read_text()
    for k, planes in reference.codec.PLANES.items():
        for plane, (rate, xor_map, table) in zip("ab", planes):
            row = re.search(rf"^\| {k} \| {plane} \| (\d) \| ([^|]*) \| ([^|]*) \|", document, re.M)
            assert int(row[1]) == rate
            assert tuple(map(int, row[2].split())) == xor_map and tuple(map(int, row[3].split())) == table
    document = (root / "docs" / "format-tokenizer.md").read_text()
    for name, pattern in reference.tokenizer.PATTERNS.items():
        row = re.search(rf"^\| `{name}` \|.*\| `(.*)` \|$", document, re.M)
        assert row[1].replace("\\|", "|") == pattern


@pytest.mark.parametrize("change", [lambda data: data[:4], lambda data: b"\xff" * 8 + data[8:],
                                    lambda data: data.replace(b'"upg":"1"', b'"upg":"2"')])
def test_other_files_are_refused(packed_model, tmp_path, change):
    (tmp_path / "bad.upg").write_bytes(change(packed_model.read_bytes()))
    with pytest.raises(Exception, match="upg|header|unpack|empty"):
        reference.Model(tmp_path / "bad.upg")

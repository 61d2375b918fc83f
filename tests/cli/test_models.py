"""logits, inspect, verify, eval: what the commands say about models, and exit statuses for bad ones."""
import io
import math
import resource

import checkpoint
import numpy
import pytest
from setting import MODEL

STORY = ("Once upon a time, there was a little girl named Lily. She loved to play with her toys. One day, she went to "
         "the park with her mom and saw a big red ball. ") * 3


@pytest.fixture
def damaged(tmp_path):
    """A copy of the model in which one bit of a weight is another one."""
    data = bytearray(MODEL.read_bytes())
    data[len(data) // 2] ^= 4
    path = tmp_path / "damaged.upg"
    path.write_bytes(data)
    return path


def test_logits_are_a_numpy_file(upg, tmp_path):
    path = tmp_path / "out.npy"
    upg("logits", path, "-p", "Once upon a time")
    array = numpy.load(path)
    ids = [int(i) for i in upg("tokenize", "-p", "Once upon a time").out.split()]
    assert array.dtype == numpy.float32 and array.shape == (len(ids), 8192) and numpy.isfinite(array).all()
    greedy = upg("run", "-p", "Once upon a time", "--greedy", "-n", "1", "--json").json()["ids"]
    assert [int(array[-1].argmax())] == greedy
    assert [p.name for p in tmp_path.iterdir()] == ["out.npy"]


def test_logits_of_ids_a_text_and_stdout_are_the_same(upg, tmp_path):
    ids = upg("tokenize", "-p", "One day").out.split()
    upg("logits", MODEL, tmp_path / "a.npy", "-p", "One day")
    document = upg("logits", tmp_path / "b.npy", "--ids", ",".join(ids), "--json").json()
    stream = upg("logits", "-", "--ids", ",".join(ids)).raw
    assert document["shape"] == [len(ids), 8192] and document["ids"] == [int(i) for i in ids]
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes() == stream
    assert numpy.load(io.BytesIO(stream)).shape == (len(ids), 8192)


def test_smaller_caches_come_near(upg, tmp_path):
    logits = {}
    for kv in ("f32", "f16", "q8", "q4"):
        upg("logits", tmp_path / kv, "-p", STORY, "--kv", kv)
        logits[kv] = numpy.load(tmp_path / kv)
    errors = [numpy.abs(logits[kv] - logits["f32"]).mean() for kv in ("f16", "q8", "q4")]
    assert 0 < errors[0] < errors[1] < errors[2] < 0.5 * logits["f32"].std()


def test_failed_logits_leave_the_old_file(upg, tmp_path):
    path = tmp_path / "out.npy"
    path.write_bytes(b"old")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))

    err = upg("logits", path, "-p", "Once upon", status=4, preexec_fn=limit).err
    assert "out.npy.part: cannot write" in err
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
    assert "cannot create" in upg("logits", tmp_path / "none" / "out.npy", "-p", "x", status=1).err


@pytest.mark.plain_build
def test_too_little_memory_is_status_4(upg, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (110 << 20, 110 << 20))

    ids = ",".join(["5"] * 2000)  # their logits alone are 62 MiB
    assert "memory" in upg("logits", tmp_path / "o.npy", "--ids", ids, "-t", "1", status=4, preexec_fn=limit,
                           env={"OPENBLAS_NUM_THREADS": "1"}).err


def test_inspect_has_its_fields(upg):
    document = upg("inspect", "--json").json()
    assert document["architecture"] == "Phi3ForCausalLM"
    assert document["file_bytes"] == MODEL.stat().st_size
    assert math.isclose(document["bits_per_weight"], 8 * document["file_bytes"] / document["parameters"])
    assert math.isclose(document["ratio_to_float32"], 4 * document["parameters"] / document["file_bytes"])
    assert document["config"]["n_layers"] == 6 and document["config"]["n_vocab"] == 8192
    assert {t["text"] for t in document["tokenizer"]["stop_tokens"]} == {"<|im_end|>", "<|endoftext|>"}
    assert document["tokenizer"]["chat_template"] == "phi-4"
    for tensor in document["tensors"]:
        assert set(tensor) >= {"name", "shape", "type", "bits", "bytes"}
    assert "provenance" in document and "quality" in document


def test_inspect_table_says_the_same(upg):
    document, text = upg("inspect", MODEL, "--json").json(), upg("inspect", MODEL).out
    assert f"{document['parameters']}\n" in text and "8191 <|im_end|>" in text
    for tensor in document["tensors"]:
        assert tensor["name"] in text


def test_verify_says_what_is_intact(upg):
    assert upg("verify").out == "(embedded): intact\n"
    assert upg("verify", MODEL).out == f"{MODEL}: intact\n"
    assert upg("verify", MODEL, "--json").json() == {"file": str(MODEL), "ok": True, "error": None}


def test_verify_names_the_damaged_tensor(upg, damaged):
    result = upg("verify", damaged, status=3)
    assert result.out == "" and "damaged.upg" in result.err and "layers." in result.err
    document = upg("verify", damaged, "--json", status=3).json()
    assert document["ok"] is False and document["error"] in result.err


@pytest.mark.parametrize("content", [b"", b"{}", b"GGUF", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0{\"a\": {}}       "],
                         ids=["empty", "text", "gguf", "ff", "safetensors"])
@pytest.mark.parametrize("command", [["run", "-n", "1", "-p", "x"], ["chat"], ["inspect"], ["verify"], ["tokenize", "x"],
                                     ["logits", "--ids", "1"], ["eval"]], ids=lambda c: c[0])
def test_bad_model_is_status_3_and_named(upg, tmp_path, command, content):
    path = tmp_path / "bad.upg"
    path.write_bytes(content)
    (tmp_path / "text").write_text("text")
    name, *rest = command
    more = {"logits": [tmp_path / "o.npy"], "eval": [tmp_path / "text"]}.get(name, [])
    result = upg(name, path, *rest, *more, status=3)
    assert result.out == "" and result.err.startswith("upg: error: ") and "bad.upg" in result.err


@pytest.mark.parametrize("command", [["run", "-p", "x"], ["chat"], ["inspect"], ["verify"], ["tokenize", "x"]],
                         ids=lambda c: c[0])
def test_missing_model_is_status_1_and_named(upg, tmp_path, command):
    name, *rest = command
    assert "none.upg" in upg(name, tmp_path / "none.upg", *rest, status=1).err


def test_eval_predicts_every_token_but_the_first(upg, tmp_path):
    path = tmp_path / "story.txt"
    path.write_text(STORY)
    n = len(upg("tokenize", "-f", path).out.split())
    (result,) = upg("eval", path, "--json", "--ctx", "32").json()
    assert result["file"] == str(path)
    assert (result["tokens"], result["context"], result["stride"]) == (n - 1, 32, 16)
    assert math.isclose(result["ppl"], math.exp(result["nll"]), rel_tol=1e-6)
    assert result["ppl_stderr"] > 0 and "ref_nll" not in result


def test_eval_against_itself_finds_no_distance(upg, tmp_path):
    path = tmp_path / "story.txt"
    path.write_text(STORY)
    (result,) = upg("eval", path, "--json", "--ref", MODEL, "--max-tokens", "20").json()
    assert result["tokens"] == 20
    assert result["nll"] == result["ref_nll"] and result["ppl"] == result["ref_ppl"]
    assert result["retention"] == 1 and result["top1_agreement"] == 1
    assert abs(result["kld_mean"]) < 1e-6 and {"kld_median", "kld_p99"} <= set(result)


def test_eval_prints_a_row_a_file(upg, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(STORY[:200])
    lines = upg("eval", "", tmp_path / "a.txt", tmp_path / "b.txt", "--ref", MODEL).out.splitlines()
    assert len(lines) == 3 and "ppl" in lines[0] and "retention" in lines[0]
    assert lines[1].split()[1:] == lines[2].split()[1:]


def test_eval_windows_fit_a_model_with_a_short_context(upg, tmp_path):
    checkpoint.write(tmp_path / "model", max_position_embeddings=64)
    (tmp_path / "text").write_text("A small cat sat in the sun. " * 20)
    (result,) = upg("eval", tmp_path / "model", tmp_path / "text", "--json").json()
    assert result["context"] == 64 and result["stride"] == 32 and result["tokens"] > 64


def test_eval_that_fails_prints_no_heading(upg, tmp_path):
    assert upg("eval", tmp_path / "none.txt", status=1).out == ""


def test_eval_names_a_file_that_it_cannot_measure(upg, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    assert "none.txt" in upg("eval", tmp_path / "none.txt", status=1).err
    assert "empty.txt" in upg("eval", tmp_path / "empty.txt", status=2).err

"""upg synth: models of random weights that everything else accepts."""
import json
import resource

import numpy as np
import pytest
from safetensors import safe_open


def synth(upg, *args):
    done = upg("synth", *args)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shape, layers", [("tiny", 6), ("small", 2), ("phi-4", 1), ("phi-4-mini", 1)])
def test_a_upg_file_runs_and_is_intact(upg, tmp_path, shape, layers):
    file = tmp_path / "a.upg"
    synth(upg, file, "--shape", shape, "--layers", layers, "--threads", "1")
    info = json.loads(upg("inspect", file, "--json").stdout)
    assert info["config"]["n_layers"] == layers
    assert info["bits_per_weight"] <= 3.2 and info["file_bytes"] == file.stat().st_size
    assert upg("verify", file).returncode == 0
    with safe_open(file, "numpy") as opened:  # the official package finds every tensor
        assert len(opened.keys()) > 10 * layers and all(opened.get_slice(name).get_shape() for name in opened.keys())
    done = upg("run", file, "-p", "Hello", "-n", "3", "--json", "--greedy")
    assert json.loads(done.stdout)["completion_tokens"] > 0


def test_logits_are_finite_and_differ(upg, tmp_path):
    synth(upg, tmp_path / "a.upg", "--shape", "small")
    upg("logits", tmp_path / "a.upg", tmp_path / "a.npy", "-p", "Once upon")
    logits = np.load(tmp_path / "a.npy")
    assert np.isfinite(logits).all() and 0.1 < logits.std() < 10
    assert np.abs(logits[0] - logits[5]).max() > 0.1


def test_the_seed_makes_the_model_and_threads_do_not(upg, tmp_path):
    for name, args in {"a": ["--threads", "1"], "b": ["--threads", "2"], "c": ["--seed", "2"]}.items():
        synth(upg, tmp_path / (name + ".upg"), "--shape", "tiny", *args)
        synth(upg, tmp_path / name, "--shape", "tiny", "--format", "hf", *args)
    for file in ("{}.upg", "{}/model.safetensors"):
        a, b, c = ((tmp_path / file.format(name)).read_bytes() for name in "abc")
        assert a == b and a != c


def test_weights_are_gaussian_with_outliers(upg, tmp_path):
    synth(upg, tmp_path / "a", "--shape", "small", "--layers", "1", "--format", "hf")
    upg("export", tmp_path / "a", tmp_path / "a.gguf", "--format", "gguf")
    data = (tmp_path / "a" / "model.safetensors").read_bytes()
    n = int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8:8 + n])["model.layers.0.mlp.down_proj.weight"]["data_offsets"]
    w = (np.frombuffer(data[8 + n + begin:8 + n + end], np.uint16).astype(np.uint32) << 16).view(np.float32)
    w = w.reshape(768, 2688) * np.sqrt(2688)
    columns, rows = w.std(0), w.std(1)
    assert sorted(columns)[-5] == pytest.approx(8, rel=0.1) and sorted(columns)[-7] < 1.2
    normal = w[np.argsort(rows)[:700]][:, np.argsort(columns)[:2600]]
    assert abs(normal.mean()) < 0.01 and normal.std() == pytest.approx(1, abs=0.01)
    assert (normal ** 4).mean() == pytest.approx(3, abs=0.05)  # of a Gaussian
    with safe_open(tmp_path / "a" / "model.safetensors", "numpy") as file:
        assert "model.layers.0.self_attn.qkv_proj.weight" in file.keys()


def test_what_cannot_be_is_refused(upg, tmp_path):
    done = upg("synth", tmp_path / "a.upg", "--shape", "tiny", "--bpw", "1.5")
    assert done.returncode == 2 and "2 bits everywhere" in done.stderr
    done = upg("synth", tmp_path / "a.upg", "--shape", "tiny",
               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (99999, 99999)))
    assert done.returncode == 4
    assert not list(tmp_path.iterdir())

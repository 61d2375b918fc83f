"""Functions over files: compress, evaluate, verify, export, synth."""
import json

import pytest
import safetensors

import upg

STORY = "Once upon a time there was a little turtle named Shelly. She was brave. " * 30


def test_evaluate_gives_the_numbers_of_the_command_line(model, program, tmp_path):
    (tmp_path / "text").write_text(STORY)
    done = json.loads(program("eval", tmp_path / "text", "--ctx", "128", "--threads", "1", "--json").stdout)[0]
    ours = upg.evaluate(model, STORY, ctx=128)
    assert ours["tokens"] == done["tokens"] and ours["stride"] == 64
    assert ours["nll"] == pytest.approx(done["nll"], rel=1e-9)


def test_the_distance_of_a_model_to_itself_is_zero(model):
    ours = upg.evaluate(model, STORY, ref=model, max_tokens=50)
    assert ours["kld_mean"] == 0 and ours["top1_agreement"] == 1 and ours["retention"] == 1


def test_evaluate_takes_models(model):
    for bad in (None, "model", 5):
        with pytest.raises(TypeError, match="models"):
            upg.evaluate(bad, STORY)
    with pytest.raises(TypeError):
        upg.evaluate(model, STORY, ref="model")


def test_compress_reports_and_can_be_opened(folder_model, tmp_path):
    stages, lines = set(), []
    report = upg.compress(folder_model, tmp_path / "out.upg", bpw=6, effort="fast", tune_steps=0, threads=2,
                          progress=lambda stage, done, total: stages.add(stage), on_message=lines.append)
    assert report["file_bytes"] == (tmp_path / "out.upg").stat().st_size
    assert stages and lines
    upg.verify(tmp_path / "out.upg")
    with safetensors.safe_open(tmp_path / "out.upg", "np") as file:
        assert "model.norm.weight" in file.keys()
    with upg.Model.open(tmp_path / "out.upg") as model:
        assert model.generate([1], max_tokens=2, ignore_stop_ids=True).completion_tokens == 2


def test_an_exception_in_a_callback_ends_compress(folder_model, tmp_path):
    with pytest.raises(ZeroDivisionError):
        upg.compress(folder_model, tmp_path / "out.upg", progress=lambda *event: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        upg.compress(folder_model, tmp_path / "out.upg", on_message=lambda text: 1 / 0)
    assert not (tmp_path / "out.upg").exists()


@pytest.mark.parametrize("options, error", [
    ({"ratio": -1}, upg.Error), ({"ratio": "10"}, TypeError), ({"size": 10**30}, upg.ArgumentError),
    ({"effort": "huge"}, upg.ArgumentError), ({"calibration": 5}, TypeError), ({"calibration": "/missing"}, upg.Error),
    ({"seed": -1}, upg.ArgumentError), ({"progress": 5}, TypeError)])
def test_compress_refuses(folder_model, tmp_path, options, error):
    with pytest.raises(error):
        upg.compress(folder_model, tmp_path / "out.upg", **options)


def test_verify_names_the_damaged_tensor(packed_model, tmp_path):
    data = bytearray(packed_model.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.upg").write_bytes(data)
    with pytest.raises(upg.FormatError, match="model.layers"):
        upg.verify(tmp_path / "bad.upg")


@pytest.mark.parametrize("format", ["hf", "gguf"])
def test_export_can_be_opened(folder_model, tmp_path, format):
    upg.export(folder_model, tmp_path / "out", format=format)
    with upg.Model.open(tmp_path / "out") as model:
        assert model.info.format == format
    with pytest.raises(upg.ArgumentError, match="format"):
        upg.export(folder_model, tmp_path / "other", format="onnx")

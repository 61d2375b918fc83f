"""upg plan: the memory that a model will take, and that it keeps to it."""
import re

import pytest
from setting import MODEL

FIELDS = ["weight_bytes", "cache_bytes", "scratch_bytes"]


def test_the_parts_add_up(upg):
    document = upg("plan", "--json").json()
    assert document["total_bytes"] == sum(document[field] for field in FIELDS)
    assert document["weight_bytes"] == MODEL.stat().st_size > document["weight_bytes_per_token"]
    assert document["context"] == 2048


def test_an_engine_takes_what_was_planned(upg):
    for options in (["--kv", "f32", "--ctx", "100"], ["--kv", "q4", "--ctx", "2000", "-t", "3"]):
        document = upg("plan", *options, "--json").json()
        said = upg("run", "-p", "Hi", "-n", "1", "--verbose", *options).err
        megabytes = float(re.search(r"([\d.]+) MB of memory", said)[1])
        assert megabytes == round(1e-6 * (document["cache_bytes"] + document["scratch_bytes"]), 1)


def test_a_shape_is_planned_as_the_file_that_synth_writes(upg, tmp_path):
    shape = ["--shape", "small", "--layers", "3", "--bpw", "3"]
    upg("synth", tmp_path / "a.upg", *shape, "-q")
    of_shape, of_file = upg("plan", *shape, "--json").json(), upg("plan", tmp_path / "a.upg", "--json").json()
    assert of_shape.pop("model") == "small" and of_file.pop("model") == str(tmp_path / "a.upg")
    assert of_shape == of_file and of_file["weight_bytes"] == (tmp_path / "a.upg").stat().st_size


@pytest.mark.parametrize("kv, most", [("f16", 3.2), ("q8", 1.7), ("q4", 0.9)])
def test_the_largest_member_fits(upg, kv, most):
    document = upg("plan", "--shape", "phi-4", "--ctx", "16384", "--kv", kv, "--json").json()
    assert document["cache_bytes"] < most * 2**30
    assert document["weight_bytes"] < 5.47 * 2**30 and document["scratch_bytes"] < 0.5 * 2**30


def test_the_table_has_the_same_numbers(upg):
    document, table = upg("plan", "--json").json(), upg("plan").out
    for field in [*FIELDS, "total_bytes"]:
        assert re.search(rf"^{field[:-6].replace('weight', 'weights')} +{document[field]} ", table, re.M)


def test_what_cannot_be_is_wrong_usage(upg):
    assert "is not one of phi-4" in upg("plan", "--shape", "huge", status=2).err
    assert "give one of them" in upg("plan", MODEL, "--shape", "tiny", status=2).err
    assert "2048" in upg("plan", "--ctx", "4096", status=2).err

"""upg bench: every figure with its limit, in three forms; what it measures is for people to judge."""
import csv
import io

import checkpoint
import pytest
from setting import MODEL

QUICK = ["--pp", "16", "--tg", "4", "--depth", "0,64", "--reps", "2"]
SHAPE = ["--shape", "tiny", "--layers", "2"]


def test_json_has_its_fields(upg, tmp_path):
    document = upg("bench", *QUICK, *SHAPE, "--json", "--kv", "q8", "-t", "2", env={"TMPDIR": str(tmp_path)}).json()
    machine = document["machine"]
    assert machine["cores_used"] == 2 and machine["cpu"] and machine["tier"]
    assert machine["read_gb_s"] > 0 and machine["int8_tops"] > 0 and machine["gpu"] is None
    assert document["model"] == "tiny" and document["weight_bytes"] > document["weight_bytes_per_token"] > 0
    assert 0 < document["load_seconds"] < document["first_token_seconds"]
    assert 0 < document["rss_bytes"] <= document["peak_rss_bytes"] < 2**28
    assert [result["test"] for result in document["results"]] == ["pp16", "tg4@d0", "pp16@d64", "tg4@d64"]
    for result in document["results"]:
        assert result["limit"] == ("int8" if result["test"].startswith("pp") else "bandwidth")
        assert result["fraction_of_limit"] > 0 and result["stddev"] >= 0  # above 1 where all fits into a cache
        assert result["tokens_per_second"] * result["ms_per_token"] == pytest.approx(1000)
        assert result["ms_per_layer"] > 0
    assert list(tmp_path.iterdir()) == []  # the file of random weights is gone


def test_table_and_csv_have_the_same_rows(upg):
    table = upg("bench", MODEL, *QUICK).out.split("\n\n")[1].splitlines()
    rows = list(csv.DictReader(io.StringIO(upg("bench", MODEL, *QUICK, "--csv").out)))
    assert [line.split()[0] for line in table[1:]] == [row["test"] for row in rows] == [
        "pp16", "tg4@d0", "pp16@d64", "tg4@d64"]
    assert {row["model"] for row in rows} == {str(MODEL)}
    assert [row["limit"] for row in rows[:2]] == ["int8", "bandwidth"]
    assert all(float(row["fraction_of_limit"]) > 0 for row in rows)


def test_plain_weights_have_no_limit_for_prompts(upg, tmp_path):
    checkpoint.write(tmp_path / "model", num_hidden_layers=1, hidden_size=64, intermediate_size=64, vocab_size=264,
                     num_attention_heads=2, num_key_value_heads=1)
    done = upg("bench", tmp_path / "model", "--pp", "16", "--tg", "0", "--reps", "1", "--csv")
    row, = csv.DictReader(io.StringIO(done.out))
    assert row["limit"] == "none" and row["fraction_of_limit"] == ""  # computed in float32


def test_tests_that_do_not_fit_are_left_out(upg):
    done = upg("bench", "--pp", "0", "--tg", "2", "--depth", "0,2047", "--reps", "1", "--json")
    assert [result["test"] for result in done.json()["results"]] == ["tg2@d0"]
    assert "depth 2047 is left out" in done.err


def test_wrong_lists_are_wrong_usage(upg):
    for text in ("1,", "", "a", "1,-2", "1;2", "9999999999"):
        assert "--pp" in upg("bench", "--pp", text, status=2).err
    assert "give one of them" in upg("bench", MODEL, "--shape", "tiny", status=2).err
    assert "is not one of" in upg("bench", "--shape", "huge", status=2).err


def test_a_full_disk_is_said_so(upg, tmp_path):
    assert "cannot create a folder" in upg("bench", *SHAPE, status=1, env={"TMPDIR": str(tmp_path / "none")}).err


def test_kernels_are_as_scalar_and_timed(upg):
    findings = upg("bench", "--kernels", "--reps", "1", "-t", "1", "--json", env={"UPG_CPU": "scalar"}).json()
    compared = {f["kernel"]: f["ok"] for f in findings if "ok" in f}
    timed = {f["kernel"] for f in findings if "rate" in f}
    assert all(compared.values()) and timed == set(compared) and len(timed) == 13
    assert {f["tier"] for f in findings} == {"scalar"}
    for finding in findings:
        assert "ok" in finding or (finding["rate"] > 0 and finding["limit"] in ("bandwidth", "int8", "none"))


def test_every_tier_up_to_the_one_that_is_allowed(upg):
    allowed = {"UPG_CPU": "avx2" if "avx" in upg("--version").out else "scalar"}
    rows = list(csv.DictReader(io.StringIO(upg("bench", "--kernels", "--reps", "1", "--csv", env=allowed).out)))
    tiers = list(dict.fromkeys(row["tier"] for row in rows))
    assert tiers[0] == "scalar" and tiers[-1] == upg("--version", env=allowed).out.split("instructions: ")[1].split()[0]
    assert {row["ok"] for row in rows} == {"true", ""}

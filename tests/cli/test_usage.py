"""Help, version, and wrong usage: exit status 2 and a hint."""
import re

import pytest
from setting import PATIENCE, ROOT

# What the interface fixes, as far as it is there: an option that disappears is a broken script somewhere.
OPTIONS = {
    "run": "prompt file threads device kv ctx seed json quiet verbose max-tokens temperature top-k top-p min-p "
           "repetition-penalty presence-penalty frequency-penalty logit-bias stop greedy chat no-chat system",
    "chat": "threads device kv ctx seed json quiet verbose max-tokens temperature greedy system stop",
    "tokenize": "file decode parse-special jsonl json",
    "logits": "prompt file ids threads json",
    "inspect": "json",
    "verify": "json",
    "eval": "ref ctx stride parse-special max-tokens json threads",
    "compress": "ratio bpw size calibration effort tune-steps seed threads json quiet",
    "export": "format threads json quiet",
    "bench": "pp tg depth reps csv kernels kv shape layers bpw threads device json quiet",
    "plan": "shape layers bpw threads device kv ctx json quiet",
    "pull": "revision json quiet",
    "serve": "host port tls-cert tls-key api-key cors parallel threads device kv ctx json quiet",
    "synth": "shape format layers bpw seed threads json quiet",
    "help": "man",
    "completion": "help",
}


def test_version_is_that_of_the_tree(upg):
    first, second = upg("--version").out.splitlines()
    assert first == f"upg {(ROOT / 'VERSION').read_text().strip()}"
    assert re.fullmatch(r"instructions: [a-z0-9-]+ \(.+\)", second)
    assert "instructions: scalar (limited to 'scalar')" in upg("--version", env={"UPG_CPU": "scalar"}).out
    assert upg("-V").out == upg("--version").out


def test_overview_lists_exactly_the_commands(upg):
    text = upg("--help").out
    listed = re.findall(r"^  (\w+) {2,}", text.split("Commands:")[1].split("\n\n")[0], re.M)
    assert listed == upg("help", "--list").out.split()
    assert sorted(listed) == sorted(OPTIONS)


@pytest.mark.parametrize("command", OPTIONS)
def test_help_explains_every_option(upg, command):
    text = upg(command, "--help").out
    assert text.startswith(f"upg {command} - ")
    assert "Usage: upg " + command in text and "Examples:" in text
    for option in OPTIONS[command].split():
        assert f"--{option}" in text
    assert max(map(len, text.splitlines())) <= 80
    assert upg("help", command).out == text


@pytest.mark.parametrize("args, hint", [
    ([], "upg chat"),
    (["rnu"], "did you mean 'run'"),
    (["frobnicate"], "lists them"),
    (["--frobnicate"], "where a command is expected"),
    (["run", "--temprature", "1"], "did you mean '--temperature'"),
    (["run", "--temprature=1"], "did you mean '--temperature'"),
    (["run", "--xyzzy"], "unknown option '--xyzzy'"),
    (["run", "-Z"], "unknown option '-Z'"),
    (["run", "--t", "1"], "unknown option '--t'"),
    (["run", "--max-tokens"], "needs a value"),
    (["run", "-n"], "needs a value"),
    (["run", "--json=1"], "takes no value"),
    (["run", "-n", "many", "-p", "x"], "'many' is not a whole number"),
    (["run", "-n", "-1", "-p", "x"], "not a whole number"),
    (["run", "-n", "99999999999999999999999", "-p", "x"], "out of range"),
    (["run", "--top-p", "1.5", "-p", "x"], "out of range"),
    (["run", "--temperature", "nan", "-p", "x"], "not a number"),
    (["run", "--temperature", "1x", "-p", "x"], "not a number"),
    (["run", "--kv", "f15", "-p", "x"], "none of: f16"),
    (["run", "--logit-bias", "5", "-p", "x"], "a bias like"),
    (["run", "--logit-bias", "5=x", "-p", "x"], "a bias like"),
    (["run", "--logit-bias", "99999999=1", "-p", "x"], ""),
    (["run", "--seed", "-3", "-p", "x"], "not a whole number"),
    (["run"], "no text is given"),
    (["run", "-p", "a", "-f", "b"], "more than one text"),
    (["run", "-p", "a", "-"], "more than one text"),
    (["run", "-p", "a", "--system", "b", "--no-chat"], "--no-chat"),
    (["run", "-p", "a", "--chat", "--parse-special"], "exclude each other"),
    (["run", "m", "a", "b"], "too much"),
    (["run", "-p", ""], ""),
    (["run", "-p", "x", "--ctx", "1000000"], "1000000"),
    (["logits"], "something is missing"),
    (["logits", "o.npy"], "no text is given"),
    (["logits", "o.npy", "--ids", "1,x"], "list of token ids"),
    (["logits", "o.npy", "--ids", "1", "-p", "x"], "in place of"),
    (["logits", "-", "--ids", "1", "--json"], "standard output"),
    (["logits", "o.npy", "-p", ""], "no tokens"),
    (["logits", "o.npy", "--ids", "99999999"], "vocabulary"),
    (["tokenize"], "no text is given"),
    (["tokenize", "--jsonl", "-", "-p", "x"], "alone"),
    (["tokenize", "--decode", "-p", "1 two"], "'two' is no token id"),
    (["tokenize", "--decode", "-p", "99999999"], "not in the vocabulary"),
    (["eval"], "something is missing"),
    (["eval", "x", "--ctx", "99999999999"], "out of range"),
    (["compress", "x"], "something is missing"),
    (["compress", "x", "y", "--ratio", "8", "--size", "1MB"], "several"),
    (["compress", "x", "y", "--size", "5.4GiBi"], "a size like"),
    (["compress", "x", "y", "--size", "GiB"], "a size like"),
    (["compress", "x", "y", "--size", "0"], "out of range"),
    (["compress", "x", "y", "--size", "nan"], "out of range"),
    (["compress", "x", "y", "--tune-steps", "few"], "not a whole number"),
    (["compress", "x", "y", "--effort", "none"], "none of: fast, normal, best"),
    (["export"], "something is missing"),
    (["export", "x", "--format", "zip"], "none of: hf, gguf"),
    (["synth", "x", "--shape", "phi-5"], "phi-4-mini"),
    (["completion", "tcsh"], "bash, zsh, fish"),
    (["completion"], "something is missing"),
    (["help", "chta"], "did you mean 'chat'"),
], ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else None)
def test_wrong_usage_is_status_2_with_a_hint(upg, tmp_path, args, hint):
    result = upg(*args, status=2, cwd=tmp_path)
    assert result.out == ""
    assert result.err.startswith("upg: error: ") and hint in result.err
    assert re.search(r"^Try 'upg ([a-z]+ )?--help'\.$", result.err, re.M)


def test_a_device_that_does_not_exist_is_named(start):
    process = start("run", "--device", "tpu", "-p", "x")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in (2, 3)  # 3: built without GPUs
    assert re.search(rb"device: ('tpu' is neither cpu, auto, gpu nor gpu:N|tpu was asked for)", err)


def test_options_stand_anywhere_in_every_form(upg):
    forms = [["-p", "Hi", "--json"], ["--prompt=Hi", "--json"], ["--json", "--prompt", "Hi"], ["--json", "--pro=Hi"], ["-pHi", "--json"]]
    assert len({upg("tokenize", *form).out for form in forms}) == 1


def test_two_dashes_end_the_options(upg):
    ids = upg("tokenize", "--", "", "--json").out
    assert ids == upg("tokenize", "-p", "--json").out


def test_environment_gives_defaults_and_options_win(upg):
    assert "UPG_THREADS" in upg("run", "-p", "x", status=2, env={"UPG_THREADS": "all"}).err
    quiet = upg("run", "-p", "x", "-n", "1", env={"UPG_LOG": "quiet", "UPG_THREADS": "1"})
    assert quiet.err == ""
    assert "instructions" in upg("run", "-p", "x", "-n", "1", "--verbose", env={"UPG_LOG": "quiet"}).err


def test_upg_cpu_limits_the_instructions(upg):
    assert "instructions: scalar" in upg("run", "-p", "x", "-n", "1", "-v", env={"UPG_CPU": "scalar"}).err
    upg("run", "-p", "x", "-n", "1", status=2, env={"UPG_CPU": "abacus"})

"""Every allocation, read and write of the program fails in turn: it says so, leaves nothing behind, and never crashes.

Beyond the first calls of a command the numbers are sampled, with strides that grow, the same in each run.
UPG_FAULTS=SEED takes another sample, UPG_FAULTS=all tries every number.
"""
import os
import random
import shutil
import struct
import subprocess

import checkpoint
import pytest
from setting import PATIENCE

EVERY = 60  # the first calls are all tried
PER_OCTAVE = 25  # then so many between n and 2 n
# What a fault may end with: success if it did not matter, otherwise failure, damaged input, out of memory or disk.
EXIT_CODES = {"memory": {0, 4}, "input": {0, 1, 3}, "output": {0, 1, 4}}

COMMANDS = {
    "tokenize": ["tokenize", "-p", "Hello, world"],
    "inspect": ["inspect", "--json"],
    "run": ["run", "-p", "Once upon a time", "-n", "3", "--greedy", "--threads", "1"],
    "chat-run": ["run", "--chat", "-f", "{text}", "-n", "2", "--greedy", "--threads", "1", "--json", "--seed",
                 "1"],
    "logits": ["logits", "{out}", "-p", "Hi", "--threads", "1"],
    "hf": ["run", "{model}", "-p", "the tin hat", "-n", "2", "--greedy", "--threads", "1"],
    "gguf": ["logits", "{root}/tests/data/fuzz/gguf/phi3_long.gguf", "{out}", "--ids", "0,1,2", "--threads", "1"],
    "verify": ["verify", "{root}/models/default.upg"],
    "export": ["export", "{root}/tests/data/fuzz/gguf/phi3_long.gguf", "{out}", "--format", "gguf", "--threads", "1"],
    "plan": ["plan", "--shape", "tiny", "--json", "--threads", "1"],
    "synth": ["synth", "{out}", "--shape", "tiny", "--layers", "1", "--threads", "1"],
    "compress": ["compress", "{model}", "{out}", "--calibration", "{calibration}", "--bpw", "8", "--effort", "fast",
                 "--tune-steps", "0", "--threads", "1"],
    "eval": ["eval", "{root}/models/default.upg", "{text}", "--ctx", "16", "--threads", "1", "--json"],
    "many": ["{model}"],  # a program of its own: the scheduler through the public interface
}


@pytest.fixture(scope="module")
def library(upg_binary):
    path = upg_binary.parent / "tests" / "faults" / "libfaults.so"
    if not path.exists():
        pytest.exit(f"{path} does not exist; it is built with the program on Linux, without sanitizers", returncode=2)
    return path


@pytest.fixture
def rng():
    seed = os.environ.get("UPG_FAULTS", "")
    return random.Random(int(seed) if seed.isdigit() else 1)


class Runner:
    """Runs one command with a fault and collects what happened."""

    def __init__(self, binary, library, root, folder, arguments):
        self.folder, self.library = folder, library
        self.report = folder / "report"
        self.files = folder / "files"
        self.files.mkdir()
        text = folder / "text.txt"
        text.write_text("The cat sat on the mat, and the dog looked at the moon. " * 3)
        calibration = folder / "calibration.txt"
        calibration.write_text(checkpoint.TEXT)
        checkpoint.write(folder / "model", num_hidden_layers=1, hidden_size=64, intermediate_size=64, vocab_size=264,
                         num_attention_heads=2, num_key_value_heads=1)
        names = {"text": text, "calibration": calibration, "out": self.files / "out.npy", "root": root,
                 "model": folder / "model"}
        self.command = [str(binary)] + [argument.format(**names) for argument in arguments]

    def run(self, fault, goes_on=False):
        self.report.unlink(missing_ok=True)
        if not goes_on:
            shutil.rmtree(self.files)
            self.files.mkdir()
        # OpenBLAS starts threads when it is loaded, which come and go with memory of their own: not ours to count.
        env = dict(os.environ, LD_PRELOAD=str(self.library), UPG_FAULT=fault, UPG_FAULT_REPORT=str(self.report),
                   OPENBLAS_NUM_THREADS="1")
        done = subprocess.run(self.command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        n_calls, n_failed, n_live = struct.unpack("3q", self.report.read_bytes())
        # A folder of work is there for the next try.
        files = {path.name: path.read_bytes() for path in self.files.iterdir() if path.is_file()}
        return done, n_calls, n_failed, n_live, files


def sample(n_calls, rng):
    """Numbers of calls to fail, 1 .. n_calls."""
    if os.environ.get("UPG_FAULTS") == "all":
        return range(1, n_calls + 1)
    numbers, n = list(range(1, min(n_calls, EVERY) + 1)), EVERY + 1
    while n <= n_calls:
        numbers.append(n)
        n += rng.randint(1, max(1, 2 * n // PER_OCTAVE))
    return numbers


def check(fault, kind, clean, faulty, is_exact):
    """The faulty run ended as the clean one (is_exact: with the same files), or with a message and without traces."""
    done, _, n_failed, n_live, files = faulty
    message = done.stderr.decode("utf-8", "replace")
    assert done.returncode in EXIT_CODES[kind], f"{fault}: exit code {done.returncode}: {message}"
    assert not [name for name in files if name.endswith(".part")], f"{fault}: left {list(files)}"
    if done.returncode == 0:
        # Where a fault does not matter, it does not change the answer either.
        assert files == clean[4] or (not is_exact and sizes(files) == sizes(clean[4])), f"{fault}: other files"
        assert stable(done.stdout) == stable(clean[0].stdout), f"{fault}: another answer: {done.stdout!r}"
    else:
        assert n_failed > 0, f"{fault}: failed without a fault: {message}"
        assert message.startswith("upg: ") or "\nupg: " in message, f"{fault}: no message: {message!r}"
        # Whole and checked is a file too whose report could not be printed any more.
        assert not files or (kind == "memory" and files == clean[4]), f"{fault}: left {list(files)}"
    assert n_live <= clean[3], f"{fault}: {n_live - clean[3]} blocks of memory were not freed"


def sizes(files):
    return {name: len(data) for name, data in files.items()}


def stable(text):
    """An answer without its timings."""
    return b"\n".join(line for line in text.split(b"\n") if b"second" not in line and b'"load"' not in line
                      and b'"prompt":' not in line and b'"generation":' not in line)


@pytest.mark.parametrize("persists", ["", "+"], ids=["once", "from-then-on"])
@pytest.mark.parametrize("kind", EXIT_CODES)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_failure_is_a_message(upg_binary, library, rng, root, tmp_path, name, kind, persists):
    binary = library.parent / "many" if name == "many" else upg_binary
    runner = Runner(binary, library, root, tmp_path, COMMANDS[name])
    clean = runner.run(f"{kind}:0")
    assert clean[0].returncode == 0, clean[0].stderr.decode()
    # Without memory to pack bfloat16 tiles the compressor multiplies in float32: codes differ a little.
    is_exact = name != "compress" or kind != "memory"
    for number in sample(clean[1], rng):
        fault = f"{kind}:{number}{persists}"
        check(fault, kind, clean, runner.run(fault), is_exact)


@pytest.mark.parametrize("kind", EXIT_CODES)
def test_compression_goes_on_after_a_failure(upg_binary, library, rng, root, tmp_path, kind):
    """The same command again makes the same file, wherever the first one failed, and leaves no work behind."""
    runner = Runner(upg_binary, library, root, tmp_path, COMMANDS["compress"])
    _, n_calls, _, _, expected = runner.run(f"{kind}:0")
    for number in rng.sample(range(1, n_calls + 1), min(n_calls, 8)):
        failed, _, _, _, files = runner.run(f"{kind}:{number}+")
        assert failed.returncode == 0 or not files or kind == "memory", f"{kind}:{number}+: left {list(files)}"
        again, _, _, _, files = runner.run(f"{kind}:0", goes_on=True)
        assert again.returncode == 0, again.stderr.decode()
        assert files == expected, f"{kind}:{number}+: another file"
        assert [path.name for path in runner.files.iterdir()] == list(expected)


@pytest.mark.parametrize("arguments", [["tokenize", "-p", "Hello"], ["inspect"], ["inspect", "--json"], ["--help"],
                                       ["run", "-p", "Once", "-n", "3", "--greedy"]], ids=lambda a: a[0])
def test_a_full_disk_under_standard_output_is_reported(upg, arguments):
    with open("/dev/full", "w") as full:
        done = upg(*arguments, stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert done.returncode in (1, 4)
    assert "No space left" in done.stderr


def test_a_closed_pipe_ends_the_program_quietly(upg_binary):
    """As in 'upg run ... | head -1': no message, no core."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([str(upg_binary), "inspect"], stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE)
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == b""

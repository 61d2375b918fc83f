"""Writing that fails is noticed, whatever is written."""
import os
import subprocess

import pytest
from setting import MODEL, PATIENCE, UPG

COMMANDS = [["--help"], ["--version"], ["help", "--man", "run"], ["completion", "bash"], ["tokenize", "-p", "x"],
            ["tokenize", "-p", "x", "--json"], ["inspect"], ["inspect", "--json"], ["verify"],
            ["run", "-p", "x", "-n", "2"], ["run", "-p", "x", "-n", "2", "--json"], ["logits", "-", "--ids", "1"],
            ["eval", __file__, "-n", "4"], ["chat"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_full_disk_is_noticed(start, command):
    with open("/dev/full", "wb") as full:
        process = start(*command, stdout=full, stdin=subprocess.PIPE)
        _, err = process.communicate(b"Hello\n" if command == ["chat"] else b"", timeout=PATIENCE)
    assert process.returncode == 4
    assert err.decode().splitlines()[-1].startswith("upg: error: standard output: cannot write: No space")


def test_what_is_no_regular_file_is_written_to_and_not_replaced(start, upg, tmp_path):
    """Root would otherwise lose /dev/null to a file of logits."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start("logits", pipe, "--ids", "1")
    with open(pipe, "rb") as reader:
        assert reader.read(6) == b"\x93NUMPY"
        reader.read()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0 and pipe.is_fifo()
    assert f"{tmp_path}: cannot write: Is a directory" in upg("logits", tmp_path, "--ids", "1", status=1).err
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_left_ends_the_program_without_a_word(start, command):
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*command, stdout=writer, stdin=subprocess.PIPE)
    os.close(writer)
    _, err = process.communicate(b"Hello\n" if command == ["chat"] else b"", timeout=PATIENCE)
    assert process.returncode == 1
    assert b"error" not in err and b"pipe" not in err


def test_reader_that_leaves_ends_the_generation(start):
    process = start("run", "-p", "Once upon a time", "--compute", "reference", "-t", "1",
                    "--logit-bias", "8191=-inf", "--logit-bias", "8188=-inf")
    assert os.read(process.stdout.fileno(), 1)
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and b"pipe" not in err


def test_control_bytes_in_names_do_not_reach_the_terminal(upg, tmp_path):
    err = upg("inspect", tmp_path / "a\x1b[31mb", status=1).err
    assert "\x1b" not in err


def test_bad_utf8_in_a_name_is_no_bad_json(upg, tmp_path):
    path = os.fsencode(tmp_path) + b"/model\xff.upg"
    os.symlink(MODEL, path)
    document = subprocess.run([UPG, b"verify", path, b"--json"], capture_output=True, check=True).stdout
    assert "model\ufffd.upg" in document.decode()

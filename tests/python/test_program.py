"""`python -m upg` is the program."""
import os
import subprocess
import sys

import pytest
from setting import PATIENCE


@pytest.mark.parametrize("arguments", [["--version"], ["run", "-p", "Once", "--greedy", "-n", "5"],
                                       ["tokenize", "Grüße"], ["evaluat"], ["run", "/missing", "-p", "a"], []])
def test_it_does_what_the_program_does(program, package_path, arguments):
    ours = subprocess.run([sys.executable, "-m", "upg", *arguments], capture_output=True, text=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(package_path)})
    theirs = program(*arguments)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    assert ours.stderr.split(";")[-1].startswith(" seed") or ours.stderr == theirs.stderr

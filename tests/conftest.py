"""What the tests from outside share: the program, and how it is run.

UPG_BIN names the program to test (default: build/upg of this checkout).
"""
import os
import pathlib
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# A shell starts background jobs with SIGINT ignored, and children inherit that: tests of Ctrl-C need the default.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def upg_binary():
    """Path of the program."""
    path = pathlib.Path(os.environ.get("UPG_BIN", ROOT / "build" / "upg")).resolve()
    if not path.exists():
        pytest.exit(f"{path} does not exist; run 'make', or say UPG_BIN=...", returncode=2)
    return path


@pytest.fixture(scope="session")
def upg(upg_binary):
    """Call the program: upg("tokenize", "Hello") gives a finished process with text in stdout and stderr.

    Keywords go to subprocess.run(); `env` adds to the environment.  Standard input is empty.
    """

    def call(*arguments, env=None, **keywords):
        options = {"capture_output": True, "text": True, "timeout": 120, "errors": "replace"}
        if "input" not in keywords:
            options["stdin"] = subprocess.DEVNULL
        options.update(keywords)
        command = [str(upg_binary), *map(str, arguments)]
        return subprocess.run(command, env={**os.environ, **(env or {})}, **options)

    return call

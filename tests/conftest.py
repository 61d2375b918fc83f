"""What the tests from outside share: the program, and how it is run.  setting.py says which one."""
import os
import signal
import subprocess

import pytest

import setting

# A shell starts background jobs with SIGINT ignored, and children inherit that: tests of Ctrl-C need the default.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Sanitizers and the interposer of these tests wrap the same functions of the C library.
collect_ignore = ["faults"] if setting.SANITIZED else []


def pytest_configure(config):
    config.addinivalue_line("markers", "plain_build: of memory as it is without sanitizers, which take more")


def pytest_collection_modifyitems(config, items):
    if setting.SANITIZED:
        plain = [item for item in items if item.get_closest_marker("plain_build")]
        items[:] = [item for item in items if item not in plain]
        config.hook.pytest_deselected(items=plain)


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return setting.ROOT


@pytest.fixture(scope="session")
def upg_binary():
    """Path of the program."""
    if not setting.UPG.exists():
        pytest.exit(f"{setting.UPG} does not exist; run 'make', or say UPG_BIN=...", returncode=2)
    return setting.UPG


@pytest.fixture(scope="session")
def upg(upg_binary):
    """Call the program: upg("tokenize", "Hello") gives a finished process with text in stdout and stderr.

    Keywords go to subprocess.run(); `env` adds to the environment.  Standard input is empty.
    """

    def call(*arguments, env=None, **keywords):
        options = {"capture_output": True, "text": True, "timeout": setting.PATIENCE, "errors": "replace"}
        if "input" not in keywords:
            options["stdin"] = subprocess.DEVNULL
        options.update(keywords)
        command = [str(upg_binary), *map(str, arguments)]
        return subprocess.run(command, env={**os.environ, **(env or {})}, **options)

    return call

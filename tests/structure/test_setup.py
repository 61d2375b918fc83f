"""scripts/setup, with an apt of the test's own."""
import os
import shutil
import subprocess

import pytest
from setting import ROOT

SETUP = ROOT / "scripts" / "setup"
PROGRAMS = {
    "dpkg-query": 'grep -qx "$3" installed && echo "ii "',
    "apt-get": '[ "$1" = update ] || printf "%s\\n" "$@" >>installed',
    "sudo": 'exec "$@"',
}


@pytest.fixture
def setup(tmp_path):
    """A checkout with two configured builds; setup() runs the script in it and gives what it prints."""
    for name, script in PROGRAMS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    shutil.copy(SETUP, tmp_path / "scripts")
    (tmp_path / "installed").touch()
    for name in ("build", "build-clang"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "build.ninja").touch()

    def call(*options):
        done = subprocess.run([tmp_path / "scripts" / "setup", *options], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_builds_configured_without_a_package_are_configured_again(setup, tmp_path):
    assert "to install: gcc" in setup()
    assert "libcmocka-dev" in (tmp_path / "installed").read_text().split()
    assert not list(tmp_path.glob("build*/build.ninja"))


def test_nothing_happens_when_nothing_is_missing(setup, tmp_path):
    setup()
    for name in ("build", "build-clang"):
        (tmp_path / name / "build.ninja").touch()
    assert setup() == ""
    assert len(list(tmp_path.glob("build*/build.ninja"))) == 2
    assert "clang\n" not in (tmp_path / "installed").read_text()
    assert setup("--clang") == "setup: to install: clang\n"

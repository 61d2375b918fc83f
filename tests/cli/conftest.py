"""What the tests of the program share: the program itself, run as a user would.

UPG_BIN names it; by default it is build/upg.  Nothing here knows what the embedded model says, so that another one may
take its place.
"""
import json
import os
import pathlib
import subprocess
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UPG = os.environ.get("UPG_BIN", str(ROOT / "build" / "upg"))
MODEL = ROOT / "models" / "default.upg"


def environment(**more):
    """The environment of the tests, without what changes the program's behaviour."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("UPG_") and k not in ("NO_COLOR", "POSIXLY_CORRECT")}
    env.update(LC_ALL="C.UTF-8", **more)
    return env


def run(*args, stdin=b"", status=0, env=None, **more):
    """Run upg and check the exit status.  out and err are text, raw is stdout as bytes, json() its document."""
    done = subprocess.run([UPG, *map(str, args)], input=stdin, capture_output=True, timeout=50,
                          env=environment(**(env or {})), check=False, **more)
    err = done.stderr.decode()
    assert done.returncode == status, f"exit status {done.returncode}, not {status}: {err}"
    out = done.stdout.decode("utf-8", "replace")
    return types.SimpleNamespace(raw=done.stdout, out=out, err=err, json=lambda: json.loads(out))


@pytest.fixture
def upg():
    return run


@pytest.fixture
def start():
    """Start upg in the background; what is left at the end is killed."""
    started = []

    def _start(*args, env=None, **more):
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        started.append(subprocess.Popen([UPG, *map(str, args)], env=environment(**(env or {})), **more))
        return started[-1]

    yield _start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()

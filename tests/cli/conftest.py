"""The program in the foreground (upg) and in the background (start)."""
import subprocess

import pytest

from program import UPG, environment, run


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

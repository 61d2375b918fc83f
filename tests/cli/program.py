"""The program, run as a user would.  Nothing here knows what the embedded model says: another one may take its place."""
import json
import os
import subprocess
import types

from setting import PATIENCE, UPG


def environment(**more):
    """The environment of the tests, without what changes the program's behaviour."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("UPG_") and k not in ("NO_COLOR", "POSIXLY_CORRECT")}
    env.update(LC_ALL="C.UTF-8", **more)
    return env


def run(*args, stdin=b"", status=0, env=None, **more):
    """Run upg and check the exit status.  out and err are text, raw is stdout as bytes, json() its document."""
    done = subprocess.run([UPG, *map(str, args)], input=stdin, capture_output=True, timeout=PATIENCE,
                          env=environment(**(env or {})), check=False, **more)
    err = done.stderr.decode()
    assert done.returncode == status, f"exit status {done.returncode}, not {status}: {err}"
    out = done.stdout.decode("utf-8", "replace")
    return types.SimpleNamespace(raw=done.stdout, out=out, err=err, json=lambda: json.loads(out))

"""Many generations take no more memory than some.  bench/python_memory.py does the same over 10,000."""
import json
import os
import subprocess
import sys

from setting import PATIENCE


def test_memory_stays_where_it_is(root, package_path):
    """Bytes that malloc() gave and did not get back, whatever the allocator keeps for later.  About 400 a round come
    from tables that still fill; the smallest thing that a generation could lose 20 times a round is larger."""
    done = subprocess.run([sys.executable, root / "bench" / "python_memory.py", "--rounds", "40", "--json"], timeout=PATIENCE,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(package_path)})
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["bytes_per_round"] < 2000, figures

"""The soak, short; soak.py by hand is the long one."""
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))
import soak  # noqa: E402


def test_many_clients_of_all_kinds_leave_the_server_as_it_was(start_server):
    with start_server("--json") as server:
        report = soak.run(server.url, seconds=15, n_clients=16, seed=int(os.environ.get("UPG_SEED", "1")),
                          pid=server.process.pid)
        assert report["failures"] == [], report
        assert report["tokens"] > 100
        assert server.stop() == 0
        assert not any("panic" in line or "ERROR" in line for line in server.log)

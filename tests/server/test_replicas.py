"""Three servers behind HAProxy with the configuration in deploy/: one of them is killed under load."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import setting

BODY = {"messages": [{"role": "user", "content": "Tell me a story."}], "temperature": 0, "max_tokens": 60, "stream": True,
        "ignore_eos": True}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stream(url):
    """The text of a streamed answer; None if it broke off."""
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(BODY).encode(),
                                     {"Content-Type": "application/json"})
    text = ""
    try:
        with urllib.request.urlopen(request, timeout=setting.PATIENCE) as reply:
            for line in reply:
                if line.strip() == b"data: [DONE]":
                    return text
                if line.startswith(b"data: "):
                    text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
    except (OSError, ValueError):
        pass
    return None


def test_a_replica_that_dies_breaks_its_own_streams_only(start_server, root):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with start_server("--threads", 1) as one, start_server("--threads", 1) as two, start_server("--threads", 1) as three:
        servers = [one, two, three]
        proxy = subprocess.Popen(
            [shutil.which("haproxy") or "/usr/sbin/haproxy", "-f", root / "deploy" / "haproxy.cfg"],
            env={**os.environ, "UPG_BIND": f"127.0.0.1:{port}", **{
                name: f"127.0.0.1:{server.port}" for name, server in zip(("UPG_ONE", "UPG_TWO", "UPG_THREE"), servers)}},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + setting.PATIENCE
            while (expected := stream(url)) is None:
                assert time.monotonic() < until
                time.sleep(0.1)
            results, stop = [[] for _ in range(9)], threading.Event()

            def client(i):
                while not stop.is_set():
                    results[i].append(stream(url))

            clients = [threading.Thread(target=client, args=(i,)) for i in range(len(results))]
            for thread in clients:
                thread.start()
            one.wait_for(lambda m: m["upg_requests_running"] >= 2)
            one.stop(signal.SIGKILL)
            done = [len(texts) for texts in results]
            while any(len(texts) < n + 4 for texts, n in zip(results, done)):
                time.sleep(0.05)
            stop.set()
            for thread in clients:
                thread.join()
            for texts in results:
                assert set(texts) <= {expected, None}
                assert texts.count(None) <= 1  # its own stream, if the dead one was answering it
                assert None not in texts[-2:]
            assert any(None in texts for texts in results)
        finally:
            proxy.terminate()
            proxy.wait()

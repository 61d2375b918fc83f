"""A real server on loopback with the embedded model, and what talks to it."""
import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import threading
import time

import openai
import pytest

import setting


class Server:
    """A running 'upg serve'."""

    def __init__(self, process, url, log):
        self.process, self.url, self.log = process, url, log
        self.host, port = re.match(r"https?://(.*):(\d+)$", url).groups()
        self.port = int(port)

    def client(self, **options):
        """The official client."""
        return openai.OpenAI(**{"base_url": self.url + "/v1", "api_key": "none", "max_retries": 0,
                                "timeout": setting.PATIENCE, **options})

    def request(self, method, path, body=None, headers=None):
        """One request: (status, headers, text).  A body that is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=setting.PATIENCE)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        try:
            connection.request(method, path, body,
                               {**({"Content-Type": "application/json"} if body is not None else {}), **(headers or {})})
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read().decode()
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def post(self, path, body):
        """A POST whose answer is JSON: (status, document)."""
        status, _, text = self.request("POST", path, body)
        return status, json.loads(text)

    def refusal(self, path, body):
        """The error of a request that is refused with a 400."""
        status, document = self.post(path, body)
        assert status == 400, document
        assert set(document["error"]) == {"message", "type", "param", "code"}
        assert document["error"]["type"] == "invalid_request_error"
        return document["error"]

    def metrics(self):
        """{name or name{labels}: value}"""
        _, _, text = self.get("/metrics")
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def socket(self):
        return socket.create_connection((self.host, self.port), timeout=setting.PATIENCE)

    def wait_for(self, condition):
        """Wait until condition(metrics) holds."""
        until = time.monotonic() + setting.PATIENCE
        while not condition(metrics := self.metrics()):
            assert time.monotonic() < until, metrics
            time.sleep(0.02)
        return metrics

    def wait_idle(self):
        return self.wait_for(lambda m: m["upg_requests_running"] == 0 and m["upg_requests_waiting"] == 0)

    def wait_log(self, condition):
        """Wait until condition(line) holds for a line of the log, which a thread of its own reads."""
        until = time.monotonic() + setting.PATIENCE
        while not any(map(condition, list(self.log))):
            assert time.monotonic() < until, self.log
            time.sleep(0.02)

    def stop(self, how=signal.SIGTERM):
        """Ask for an end, wait for it; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(setting.PATIENCE)


@contextlib.contextmanager
def running_server(binary, *arguments, env=None):
    process = subprocess.Popen([str(binary), "serve", "--port", "0", *map(str, arguments)], text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    log, url = [], None
    for line in process.stderr:
        log.append(line)
        if match := re.search(r"event=listening.* url=(\S+)|\"event\":\"listening\".*\"url\":\"([^\"]+)\"", line):
            url = match.group(1) or match.group(2)
            break
    assert url, log
    reader = threading.Thread(target=lambda: log.extend(process.stderr), daemon=True)
    reader.start()
    server = Server(process, url, log)
    try:
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(setting.PATIENCE)


@pytest.fixture(scope="session")
def start_server(upg_binary):
    """with start_server("--api-key", "k") as server: ..."""
    return lambda *arguments, **options: running_server(upg_binary, *arguments, **options)


@pytest.fixture(scope="session")
def shared_server(start_server):
    with start_server() as server:
        yield server
        assert server.stop() == 0


@pytest.fixture
def server(shared_server):
    """The server that most tests share; each of them leaves it idle and alive."""
    assert shared_server.process.poll() is None
    yield shared_server
    metrics = shared_server.wait_idle()
    assert metrics["upg_kv_blocks_used"] == 0


@pytest.fixture
def client(server):
    return server.client()


@pytest.fixture(scope="session")
def upg_text(upg):
    """What the command line generates greedily: the same model, without a server."""

    def generate(prompt, max_tokens, *options):
        process = upg("run", "--json", "--greedy", "-n", max_tokens, *options, "-p", prompt)
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    return generate

"""Many clients of all kinds against one server: what may go wrong does, all the time.

usage: soak.py URL [--seconds N] [--clients N] [--seed N] [--pid PID]

Clients stream, wait, leave in the middle, send what is malformed, too large, no UTF-8, or has a schema that cannot be
kept; some call functions, some read slowly.  At the end: no server error, nothing left in the scheduler, memory as it
was, with --pid also no more open files.  Prints times to the first token and between tokens (median, 99th percentile),
the slope of private memory over the second half, and a summary as JSON.  A part of the tests with
small numbers; by hand with large ones.
"""
import argparse
import collections
import http.client
import json
import os
import random
import re
import socket
import sys
import threading
import time
import urllib.parse

WORDS = "the a dog cat ship tree star king queen sea runs sleeps looks finds tells loves red blue old small".split()
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "n": {"enum": [1, 2, 3]}},
          "required": ["name", "n"], "additionalProperties": False}


TOOL = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}


class Client(threading.Thread):
    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.random = soak, random.Random(soak.seed * 1000003 + number)

    def run(self):
        kinds = [self.stream] * 6 + [self.whole] * 3 + [self.leave] * 4 + [self.schema, self.tool, self.bad_body, self.bad_field,
                                                                             self.bad_schema, self.too_large, self.slow]
        while time.monotonic() < self.soak.until:
            kind = self.random.choice(kinds)
            try:
                kind()
                self.soak.count(kind.__name__)
            except OSError as failure:
                self.soak.count(f"{kind.__name__}: {type(failure).__name__}")
            except Exception as failure:  # whatever it is, it is reported at the end
                self.soak.failures.append(f"{kind.__name__}: {failure!r}")

    def body(self, **options):
        story = " ".join(self.random.choices(WORDS, k=self.random.choice([5, 20, 80, 200, 800])))
        return {"messages": [{"role": "user", "content": story}], "max_tokens": self.random.randint(1, 60),
                "temperature": self.random.choice([0, 1]), "seed": self.random.randint(0, 9), **options}

    def send(self, body):
        connection = http.client.HTTPConnection(self.soak.host, self.soak.port, timeout=300)
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        return connection, connection.getresponse()

    def expect(self, reply, *statuses):
        text = reply.read()
        if reply.status not in statuses + (503,):
            raise AssertionError(f"{reply.status}: {text[:300]}")
        return json.loads(text) if reply.status == 200 else None

    def stream(self, pause=0):
        begun = last = time.monotonic()
        connection, reply = self.send(self.body(stream=True, ignore_eos=True))
        if reply.status != 200:
            self.expect(reply, 200)
            return
        n, is_done = 0, False
        for line in reply:
            if b'"content":' in line and b'"content":""' not in line:
                now = time.monotonic()
                (self.soak.first if n == 0 else self.soak.between).append(now - (begun if n == 0 else last))
                last, n = now, n + 1
                time.sleep(pause)
            if b'"error"' in line:
                raise AssertionError(line)
            is_done |= line.startswith(b"data: [DONE]")
        if not is_done:
            raise AssertionError("the stream broke off")
        connection.close()

    def slow(self):
        self.stream(pause=0.05)

    def whole(self):
        connection, reply = self.send(self.body(n=self.random.choice([1, 1, 3]), logprobs=True, top_logprobs=2))
        self.expect(reply, 200)
        connection.close()

    def leave(self):
        body = json.dumps(self.body(stream=self.random.random() < 0.7, max_tokens=300, ignore_eos=True)).encode()
        with socket.create_connection((self.soak.host, self.soak.port), timeout=300) as s:
            head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n").encode()
            data = head + body
            s.sendall(data[:self.random.choice([10, len(head) + 5, len(data), len(data), len(data)])])
            time.sleep(self.random.random() * 0.5)

    def schema(self):
        connection, reply = self.send(self.body(max_tokens=100, response_format={
            "type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}))
        document = self.expect(reply, 200)
        if document and document["choices"][0]["finish_reason"] == "stop":
            if json.loads(document["choices"][0]["message"]["content"])["n"] not in (1, 2, 3):
                raise AssertionError(document)
        connection.close()

    def tool(self):
        connection, reply = self.send(self.body(max_tokens=100, tools=[TOOL], tool_choice="required"))
        document = self.expect(reply, 200)
        if document and document["choices"][0]["finish_reason"] == "tool_calls":
            for call in document["choices"][0]["message"]["tool_calls"]:
                if json.loads(call["function"]["arguments"])["n"] not in (1, 2, 3):
                    raise AssertionError(document)
        connection.close()

    def bad_body(self):
        good = json.dumps(self.body()).encode()
        at = self.random.randrange(len(good))
        bad = self.random.choice([good[:at], good[:at] + b"\xff\xfe" + good[at:], b"[" * 5000, b"", good + b"}",
                                  bytes(self.random.randrange(256) for _ in range(200))])
        self.expect(self.send(bad)[1], 400)

    def bad_field(self):
        name, value = self.random.choice([("temperature", -1), ("n", 10**9), ("stop", [""]), ("logit_bias", {"a": 1}),
                                          ("messages", []), ("max_tokens", 10**7), ("nonsense", 1)])
        self.expect(self.send(self.body(**{name: value}))[1], 400)

    def bad_schema(self):
        schema = self.random.choice([{"type": "x"}, {"$ref": "#/a"}, {"pattern": "("}, {"minimum": "a"}])
        self.expect(self.send(self.body(response_format={
            "type": "json_schema", "json_schema": {"name": "s", "schema": schema}}))[1], 400)

    def too_large(self):
        self.expect(self.send(b" " * (5 << 20))[1], 413)


class Soak:
    def __init__(self, url, seed, seconds):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.seed = parts.hostname, parts.port, seed
        self.until = time.monotonic() + seconds
        self.first, self.between, self.failures = [], [], []
        self.counts, self.lock = collections.Counter(), threading.Lock()

    def count(self, name):
        with self.lock:
            self.counts[name] += 1

    def metrics(self):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=300)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.M)}

    def wait_idle(self, seconds=300):
        until = time.monotonic() + seconds
        while True:
            metrics = self.metrics()
            left = [metrics[f"upg_{name}"] for name in ("requests_running", "requests_waiting", "kv_blocks_used")]
            if left == [0, 0, 0]:
                return metrics
            if time.monotonic() > until:
                raise AssertionError(f"stuck: {left}")
            time.sleep(0.1)


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else 0


def n_open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd")) if pid else 0


def slope(samples):
    """Bytes a second of [(seconds, bytes)], by least squares."""
    mean_x, mean_y = (sum(column) / len(samples) for column in zip(*samples))
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0


def wait_closed(pid, n_before, seconds=300):
    """Open files of the server when its connections are gone, or after a while."""
    until = time.monotonic() + seconds
    while (n := n_open_files(pid)) > n_before and time.monotonic() < until:
        time.sleep(0.2)
    return n


def run(url, seconds, n_clients, seed, pid=None):
    """The report; 'failures' must be empty."""
    soak = Soak(url, seed, seconds)
    clients = [Client(soak, number) for number in range(n_clients)]
    before, n_files = soak.metrics(), n_open_files(pid)
    for client in clients:
        client.start()
    samples = []
    while time.monotonic() < soak.until:
        time.sleep(min(5, seconds / 10))
        samples.append((time.monotonic(), soak.metrics()["upg_private_memory_bytes"]))
    for client in clients:
        client.join(300)
        if client.is_alive():
            soak.failures.append("a client still waits for its answer")
    after = soak.wait_idle()
    n_files_after = wait_closed(pid, n_files)
    if n_files_after > n_files:
        soak.failures.append(f"{n_files_after} open files, {n_files} before")
    errors = {name: value for name, value in after.items() if 'status="500"' in name and value > before.get(name, 0)}
    if errors:
        soak.failures.append(f"server errors: {errors}")
    return {"seconds": seconds, "clients": n_clients, "seed": seed, "requests": dict(soak.counts),
            "first_token_s": {"p50": quantile(soak.first, .5), "p99": quantile(soak.first, .99)},
            "between_tokens_s": {"p50": quantile(soak.between, .5), "p99": quantile(soak.between, .99)},
            "tokens": after["upg_generated_tokens_total"] - before["upg_generated_tokens_total"],
            "private_memory_bytes": {"first": samples[0][1], "middle": samples[len(samples) // 2][1],
                                     "last": samples[-1][1],
                                     "slope_per_s": slope(samples[len(samples) // 2:])},
            "open_files": {"before": n_files, "after": n_files_after},
            "failures": soak.failures[:20]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pid", type=int, help="of the server, on this machine")
    options = parser.parse_args()
    report = run(options.url, options.seconds, options.clients, options.seed, options.pid)
    print(json.dumps(report, indent=2))
    sys.exit(1 if report["failures"] else 0)


if __name__ == "__main__":
    main()

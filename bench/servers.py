#!/usr/bin/env python3
"""Tokens a second and times to the first token of 'upg serve' and of llama.cpp's server, with the same model.

    build/upg export --format gguf model.gguf && llama-quantize model.gguf model-q8.gguf Q8_0
    bench/servers.py --upg build/upg --llama llama-server --gguf model-q8.gguf [--clients 1,4,16,64] [--seconds 10]
                     [--rounds 2] [--json FILE] [--plot FILE]

Each client streams one completion after the other (greedy, prompts that nothing has seen, answers of a fixed length).
The servers take turns within each round, each started for its turn and warmed by one request; a number is the median of
the rounds.  Both get two threads.  The client runs on the same cores, and reads no more of a stream than it must.
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import socket
import statistics
import subprocess
import threading
import time

WORDS = "the a dog cat ship tree star king queen sea runs sleeps looks finds tells loves red blue old small".split()


class Load:
    """Clients of one server for a while."""

    def __init__(self, port, n_tokens, n_words):
        self.port, self.n_tokens, self.n_words = port, n_tokens, n_words
        self.first, self.tokens, self.lock = [], 0, threading.Lock()

    def ask(self, source):
        """One answer: seconds to the first token, tokens."""
        body = {"prompt": " ".join(source.choices(WORDS, k=self.n_words)), "max_tokens": self.n_tokens,
                "temperature": 0, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        begin = time.perf_counter()
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        line = reply.readline()
        while b'"text":""' in line or not line.startswith(b"data:"):
            line = reply.readline()
        first = time.perf_counter() - begin
        rest = line + reply.read()
        connection.close()
        chunks = [json.loads(event[6:]) for event in rest.split(b"\n\n") if event.startswith(b"data: {")]
        return first, next(chunk["usage"]["completion_tokens"] for chunk in reversed(chunks) if chunk.get("usage"))

    def client(self, number, until):
        source = random.Random(number)
        while time.perf_counter() < until:
            first, n = self.ask(source)
            with self.lock:
                self.first.append(first)
                self.tokens += n

    def run(self, n_clients, seconds):
        begin = time.perf_counter()
        clients = [threading.Thread(target=self.client, args=(i, begin + seconds)) for i in range(n_clients)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        first = sorted(self.first)
        return {"tokens_per_s": self.tokens / (time.perf_counter() - begin),
                "first_token_p50_ms": 1e3 * statistics.median(first),
                "first_token_p99_ms": 1e3 * first[min(len(first) - 1, int(0.99 * len(first)))], "answers": len(first)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(command, port, n_clients, arguments):
    """Start a server, load it, end it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:  # until it is there and has its model
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                assert process.poll() is None, command
            time.sleep(0.05)
        load = Load(port, arguments.tokens, arguments.words)
        load.ask(random.Random(-1))
        return load.run(n_clients, arguments.seconds)
    finally:
        process.terminate()
        process.wait()


def commands(arguments, n_clients, port):
    context = 4 * (arguments.words + arguments.tokens)
    upg = [arguments.upg, "serve", *([arguments.model] if arguments.model else []), "--quiet", "--port", str(port),
           "--threads", "2"]
    llama = [arguments.llama, "-m", arguments.gguf, "--port", str(port), "-t", "2", "-tb", "2", "-np", str(n_clients),
             "-c", str(context * n_clients), "--no-warmup", "--log-disable", *arguments.llama_options.split()]
    return {"upg": upg, "llama.cpp": llama}


def plot(results, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2))
    for name, marker in (("upg", "o"), ("llama.cpp", "s")):
        rows = [row for row in results if row["server"] == name]
        clients = [str(row["clients"]) for row in rows]
        axes[0].plot(clients, [row["tokens_per_s"] for row in rows], marker=marker, label=name)
        axes[1].plot(clients, [row["first_token_p99_ms"] for row in rows], marker=marker, label=name)
    for axis, title in zip(axes, ("tokens a second, all clients", "time to the first token, p99, ms")):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("clients")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upg", default="build/upg")
    parser.add_argument("--model", help="a .upg file; without it, the model inside upg")
    parser.add_argument("--llama", required=True)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--llama-options", default="", help="more options of its server")
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64, help="of an answer")
    parser.add_argument("--words", type=int, default=100, help="of a prompt")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--plot", type=pathlib.Path)
    arguments = parser.parse_args()
    results = []
    for n_clients in map(int, arguments.clients.split(",")):
        rounds = {}
        for _ in range(arguments.rounds):
            for name in commands(arguments, n_clients, 0):
                port = free_port()
                command = commands(arguments, n_clients, port)[name]
                rounds.setdefault(name, []).append(measure(command, port, n_clients, arguments))
        for name, values in rounds.items():
            row = {"server": name, "clients": n_clients,
                   **{key: statistics.median(value[key] for value in values) for key in values[0]}}
            results.append(row)
            print(f"{name:10} {n_clients:3} clients {row['tokens_per_s']:8.0f} tokens/s   first token "
                  f"{row['first_token_p50_ms']:7.0f} ms, p99 {row['first_token_p99_ms']:7.0f} ms", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "results": results}, indent=1) + "\n")
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()

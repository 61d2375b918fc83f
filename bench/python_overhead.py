#!/usr/bin/env python3
"""What Python costs on top of C, for each token.

    python_overhead.py UPG [--pairs N] [--tokens N]

UPG is the program; the package `upg` must be importable (PYTHONPATH=build/python).  The embedded model, greedy, one thread.

Two figures, since machines are shared.  `by clock`: `upg run` and a Python stream of the same tokens in turn, the time of
a generated token, medians of all pairs.  `by processor`: time that Python's own thread was on a core, for each token, as
a part of the time of a token in C; what the engine's thread does is C in both.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

import upg

PROMPT = "Once upon a time"


def of_c(program, n_tokens):
    """Seconds of a token by the program's own clock."""
    done = subprocess.run([program, "run", "-p", PROMPT, "-n", str(n_tokens), "--greedy", "-t", "1", "--json"], check=True,
                          capture_output=True)
    answer = json.loads(done.stdout)
    return answer["seconds"]["generation"] / answer["completion_tokens"]


def of_python(model, n_tokens):
    """Seconds of a token by the clock, and on a core by the thread that reads the stream."""
    stream = model.generate(PROMPT, max_tokens=n_tokens, greedy=True, stream=True)
    next(stream)
    begin, begin_thread = time.perf_counter(), time.thread_time()
    for _ in stream:
        pass
    clock, thread = time.perf_counter() - begin, time.thread_time() - begin_thread
    n_behind_first = stream.result().completion_tokens - 1
    return clock / n_behind_first, thread / n_behind_first


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("upg")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=200)
    arguments = parser.parse_args()
    with upg.Model.open(threads=1) as model:
        print(f"upg {upg.__version__}, {model.tier}, load {os.getloadavg()[0]:.1f}")
        of_python(model, arguments.tokens)
        pairs = [(of_c(arguments.upg, arguments.tokens), *of_python(model, arguments.tokens))
                 for _ in range(arguments.pairs)]
        c, python, thread = (statistics.median(column) for column in zip(*pairs))
        ratios = sorted(p / c for c, p, _ in pairs)
        print(f"a token in C          {1e6 * c:8.1f} us")
        print(f"in Python, by clock   {1e6 * python:8.1f} us   {100 * (statistics.median(ratios) - 1):+.1f} % "
              f"(quartiles {100 * (ratios[len(ratios) // 4] - 1):+.1f}, {100 * (ratios[-len(ratios) // 4] - 1):+.1f})")
        print(f"Python's own thread   {1e6 * thread:8.1f} us   {100 * thread / c:.1f} % by processor")


if __name__ == "__main__":
    main()

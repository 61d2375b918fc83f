#!/usr/bin/env python3
"""Memory over many generations from Python, of all kinds: is there a byte that is not given back?

    python_memory.py [--rounds N] [--json]

The package `upg` must be importable (PYTHONPATH=build/python).  A round is 20 generations with the embedded model: texts,
chats, streams that are left in the middle, tasks, forms, sessions, embeddings, errors.

Two figures for each tenth of the rounds.  `live`: bytes that malloc() has given and not got back (glibc's mallinfo2();
Python's own objects are among them, since this program runs itself with PYTHONMALLOC=malloc).  `resident`: anonymous
memory in kB.  `bytes_per_round` is the median of the growth of `live` from tenth to tenth, so that a table that grows
once does not count, and what is lost each time does.
"""
import argparse
import asyncio
import contextlib
import ctypes
import gc
import itertools
import json
import os
import statistics
import sys

import upg

SCHEMA = {"type": "object", "properties": {"legs": {"type": "integer", "minimum": 0, "maximum": 8}}, "required": ["legs"],
          "additionalProperties": False}
TENTHS = 10


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
                                                     "uordblks", "fordblks", "keepcost")]


def live_bytes():
    gc.collect()
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo
    info = mallinfo()
    return info.uordblks + info.hblkhd


def resident_kb():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))


async def tasks(model, prompt):
    left = asyncio.ensure_future(model.agenerate(prompt, ignore_stop_ids=True))
    await model.agenerate(prompt, max_tokens=2)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    async for _ in await model.achat(prompt, max_tokens=3, stream=True):
        break


def play_round(model, loop, i):
    """20 generations."""
    prompt = f"{i}: Once"
    for seed in range(7):
        model.generate(prompt, max_tokens=2, seed=seed, stop="x", logit_bias={5: 1}, logprobs=3 if seed == 0 else None)
    with model.chat(prompt, stream=True, ignore_stop_ids=True) as stream:
        next(stream)
    model.chat(prompt, max_tokens=3, stream=True)  # dropped before its first token
    model.batch([prompt, "a", [1, 2]], max_tokens=2)
    model.generate(prompt, json_schema=SCHEMA, max_tokens=30)
    model.generate(prompt, regex="[ab]{3}")
    loop.run_until_complete(tasks(model, prompt))
    with model.session() as session:
        session.append(prompt)
        session.fork().generate("a", max_tokens=2)
    model.logits(prompt, last=1)
    model.embed(prompt)
    for options in ({"temperature": -1}, {"regex": "("}):
        try:
            model.generate(prompt, **options)
        except upg.Error:
            pass


def measure(n_rounds):
    """Figures of each tenth, behind a first tenth in which caches fill."""
    rows = []
    loop = asyncio.new_event_loop()  # one, since Python itself keeps some bytes of each
    with contextlib.closing(loop), upg.Model.open(threads=1, ctx=256, cache_tokens=512) as model:
        rounds = itertools.count()
        for _ in range(TENTHS + 1):
            for _ in range(max(1, n_rounds // TENTHS)):
                play_round(model, loop, next(rounds))
            rows.append({"live": live_bytes(), "resident": resident_kb()})
    growth = [b["live"] - a["live"] for a, b in zip(rows, rows[1:])]
    return {"rounds": n_rounds, "generations": 20 * n_rounds, "tenths": rows,
            "bytes_per_round": statistics.median(growth) / max(1, n_rounds // TENTHS)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONMALLOC") != "malloc":
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONMALLOC": "malloc"})
    figures = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"upg {upg.__version__}: {figures['generations']} generations behind {figures['generations'] // TENTHS}")
    for row in figures["tenths"]:
        print(f"live {row['live']:12d} bytes   resident {row['resident']:8d} kB")
    print(f"growth {figures['bytes_per_round']:.1f} bytes a round of 20")


if __name__ == "__main__":
    main()

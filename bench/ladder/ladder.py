#!/usr/bin/env python3
"""The ladder: milliseconds of a Phi-4 layer's matrix products for one token, from NumPy to fused kernels.

    bench/ladder/ladder.py [--build build] [--threads N] [--json FILE] [--plot FILE]

Every rung computes the same: y = W x for the four linear maps of a layer, from weights of 3 bits, but for the rung with
BLAS, whose weights are float32 already.  NumPy decodes the packed weights with the package's own reference
(python/upg/reference), vectorised; it does so for a part of the rows, and the time is that of all.  The other rungs are
measured by build/tests/kernels/bench_ladder_layer.  Tokens per second are those of 40 layers, without head and
attention.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPES = [(7680, 5120), (5120, 5120), (35840, 5120), (5120, 17920)]  # qkv, o, gate and up, down
N_LAYERS, BITS, ROW_BLOCK = 40, 3, 128
SAMPLE = 2  # row blocks that NumPy decodes of each map


def median_ms(function, n_reps):
    times = []
    for _ in range(n_reps):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def numpy_decoding(np, codec, n_reps):
    """Decode and multiply row blocks; scaled to all rows."""
    rng = np.random.default_rng(1)
    total = 0
    for n_rows, n_columns in SHAPES:
        codes = rng.integers(0, 256, (SAMPLE, n_columns // 4 * 64 * BITS), np.uint8)
        x = rng.standard_normal(n_columns).astype(np.float32)
        gain = np.full(n_columns, 1e-3, np.float32)

        def multiply(codes=codes, x=x, gain=gain):
            rotated = codec.hadamard(codec.signs(1, len(x)) * x) * gain
            for block in codes:
                codec.decode_row_block(BITS, block).astype(np.float32) @ rotated

        total += median_ms(multiply, n_reps) * (n_rows // ROW_BLOCK) / SAMPLE
    return total


def numpy_blas(np, n_reps):
    """float32 weights that were decoded before; as much memory as a layer takes then."""
    rng = np.random.default_rng(1)
    maps = [rng.standard_normal(shape, np.float32) for shape in SHAPES]
    inputs = [rng.standard_normal(n_columns).astype(np.float32) for _, n_columns in SHAPES]
    return median_ms(lambda: [w @ x for w, x in zip(maps, inputs)], n_reps)


def measure(arguments):
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # read when NumPy is loaded
        os.environ[variable] = str(arguments.threads)
    sys.path.insert(0, str(ROOT / "python" / "upg"))
    import numpy as np
    from reference import codec

    rungs = {"NumPy, decoding": numpy_decoding(np, codec, 3), "NumPy, BLAS on float32": numpy_blas(np, 5)}
    program = arguments.build / "tests" / "kernels" / "bench_ladder_layer"
    done = subprocess.run([program, "--threads", str(arguments.threads)], capture_output=True, check=True, text=True)
    rungs.update(json.loads(done.stdout)["milliseconds"])
    first = rungs["NumPy, decoding"]
    return [{"rung": name, "ms_per_layer": ms, "tokens_per_second": 1e3 / (N_LAYERS * ms), "speed_up": first / ms}
            for name, ms in rungs.items()]


def plot(rungs, path):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.45 * len(rungs) + 1))
    names = [rung["rung"] for rung in rungs]
    bars = axes.barh(names, [rung["ms_per_layer"] for rung in rungs], color="#4477aa")
    axes.bar_label(bars, [f" {rung['speed_up']:.0f}x" for rung in rungs])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_xlabel("milliseconds of a Phi-4 layer's products, one token")
    figure.tight_layout()
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--plot", type=pathlib.Path)
    arguments = parser.parse_args()
    rungs = measure(arguments)
    print(f"{'rung':30} {'ms/layer':>10} {'tokens/s':>9} {'speed-up':>9}")
    for rung in rungs:
        print(f"{rung['rung']:30} {rung['ms_per_layer']:10.2f} {rung['tokens_per_second']:9.4f} "
              f"{rung['speed_up']:8.1f}x")
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": arguments.threads, "rungs": rungs}, indent=2) + "\n")
    if arguments.plot:
        plot(rungs, arguments.plot)


if __name__ == "__main__":
    main()

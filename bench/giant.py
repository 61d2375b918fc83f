"""A model of full size through 'upg compress': time, memory, and the same file after kill -9 at random moments.

    bench/giant.py --upg build/upg --work DIR [--shape phi-4] [--layers N] [--kills 5] [--effort normal]
                   [--calibration FILE] [--seed 1] [--json FILE]

'upg synth' writes random bfloat16 weights of the shape to DIR (Phi-4: 29 GB).  They are compressed to a tenth of their
size in float32 once without and once with interruptions; each of these comes after a part of the first run's time that
is drawn from the seed.  Of the first file only the hash is kept, so DIR needs the checkpoint and twice the compressed
size: 41 GB for Phi-4.  A run that was broken off goes on: what is in DIR already is not made again.
"""
import argparse
import hashlib
import json
import pathlib
import random
import subprocess
import time


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    return digest.hexdigest()


class Bench:
    def __init__(self, options):
        self.options, self.work = options, pathlib.Path(options.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.model = self.work / "model"

    def synth(self):
        if not self.model.exists():
            subprocess.run([self.options.upg, "synth", self.model, "--shape", self.options.shape, "--layers",
                            str(self.options.layers), "--format", "hf", "--seed", str(self.options.seed)], check=True)

    def compress(self, out):
        """The command as a running process."""
        command = [self.options.upg, "compress", self.model, out, "--effort", self.options.effort, "--tune-steps", "0",
                   "--json", "-q"]
        if self.options.calibration:
            command += ["--calibration", self.options.calibration]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def report(self, process):
        text, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"upg compress ended with exit code {process.returncode}")
        return json.loads(text)

    def straight(self):
        """Numbers and hash of an uninterrupted run, kept in a file."""
        kept = self.work / "straight.json"
        if not kept.exists():
            out = self.work / "straight.upg"
            report = self.report(self.compress(out))
            numbers = {"bytes": report["file_bytes"], "bits_per_weight": report["bits_per_weight"],
                       "seconds": report["seconds"], "peak_rss_bytes": report["peak_rss_bytes"], "sha256": sha256(out)}
            kept.write_text(json.dumps(numbers) + "\n")
            out.unlink()
        return json.loads(kept.read_text())

    def interrupted(self, seconds):
        """The same with kills; each run begins where the last was broken off."""
        out, choose = self.work / "interrupted.upg", random.Random(self.options.seed)
        begin, killed_after = time.monotonic(), []
        for _ in range(self.options.kills):
            process = self.compress(out)
            try:
                process.wait(choose.uniform(0, seconds / self.options.kills))
                break  # it was quicker
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed_after.append(time.monotonic() - begin)
        report = self.report(self.compress(out)) if not out.exists() else None
        return {"killed_after": killed_after, "seconds": time.monotonic() - begin, "sha256": sha256(out),
                "peak_rss_bytes": report and report["peak_rss_bytes"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upg", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--shape", default="phi-4")
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--effort", default="normal")
    parser.add_argument("--calibration")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path)
    bench = Bench(parser.parse_args())
    bench.synth()
    straight = bench.straight()
    interrupted = bench.interrupted(straight["seconds"])
    same = straight["sha256"] == interrupted["sha256"]
    print("| | bytes | bits a weight | minutes | peak memory |\n|---|---|---|---|---|")
    print(f"| straight | {straight['bytes']} | {straight['bits_per_weight']:.3f} | {straight['seconds'] / 60:.1f} | "
          f"{straight['peak_rss_bytes'] / 2**30:.2f} GiB |")
    print(f"| killed after {', '.join(f'{s:.0f}' for s in interrupted['killed_after'])} s | "
          f"{'the same file' if same else 'ANOTHER FILE'} | | {interrupted['seconds'] / 60:.1f} | |")
    if bench.options.json:
        bench.options.json.write_text(json.dumps({"straight": straight, "interrupted": interrupted}, indent=1) + "\n")
    if not same:
        raise SystemExit("the interrupted run made another file")


if __name__ == "__main__":
    main()

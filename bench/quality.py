"""Distance to the original at every size: 'upg compress' beside llama.cpp's quantizers, on the same model and texts.

    bench/quality.py MODEL --upg build/upg --text TEXT --calibration FILE --work DIR [--bpw 2.5,3.2,4.1]
                     [--effort normal] [--files A.upg,B.upg] [--llama DIR --types Q3_K_M,Q4_K_M] [--json FILE]
                     [--plot FILE]

MODEL is a Hugging Face directory or a GGUF file.  Its bfloat16 export is the original for both engines.  DIR of --llama
has llama-quantize, llama-imatrix and llama-perplexity; its importance matrix is made of the same calibration text.
Distances are those of llama-perplexity, windows of 512 tokens, second halves, for its own files and for the bfloat16
exports of ours; what 'upg eval' says stands beside it in the JSON.  Bits are those of the whole file over all weights
of the model, tokenizer and header included.  What is in --work already is not made again.
"""
import argparse
import json
import pathlib
import re
import subprocess

NUMBERS = {"kld_mean": r"Mean +KLD: +([-\d.]+)", "kld_median": r"Median +KLD: +([-\d.]+)",
           "kld_p99": r"99\.0% +KLD: +([-\d.]+)", "same_top": r"Same top p: +([\d.]+)",
           "ppl_ratio": r"Mean PPL\(Q\)/PPL\(base\) +: +([\d.]+)", "ppl": r"Mean PPL\(Q\) +: +([\d.]+)"}


def run(*command):
    """What a program prints to both of its outputs."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")
    if done.returncode:
        raise SystemExit(f"{command[0]}: exit code {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout


class Bench:
    def __init__(self, options):
        self.options, self.work = options, pathlib.Path(options.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.original = self.made("original.gguf", lambda to: self.export(options.model, to))
        self.weights = json.loads(self.upg("inspect", options.model, "--json"))["parameters"]

    def made(self, name, make):
        """A file of the working folder, which `make` writes when it is not there."""
        path = self.work / name
        if not path.exists():
            part = path.with_name("part-" + name)
            make(part)
            part.rename(path)
        return path

    def upg(self, *arguments):
        command = [str(part) for part in (self.options.upg, *arguments)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    def export(self, model, to):
        self.upg("export", model, to, "--format", "gguf", "-q")

    def llama(self, program, *arguments):
        return run(pathlib.Path(self.options.llama) / program, *arguments, "-t", self.options.threads)

    def distance(self, gguf):
        """Numbers of llama-perplexity for a GGUF file."""
        text = ("-f", self.options.text, "-c", 512)
        base = self.made("original.logits", lambda to: self.llama("llama-perplexity", "-m", self.original, *text,
                                                                  "--kl-divergence-base", to))
        said = self.llama("llama-perplexity", "-m", gguf, *text, "--kl-divergence", "--kl-divergence-base", base)
        found = {name: re.search(pattern, said) for name, pattern in NUMBERS.items()}
        if None in found.values():
            raise SystemExit(f"llama-perplexity {gguf}: no result\n{said[-2000:]}")
        return {name: float(match.group(1)) for name, match in found.items()}

    def point(self, engine, path, numbers):
        n_bytes = path.stat().st_size
        return {"engine": engine, "name": path.stem, "bits": 8 * n_bytes / self.weights, "bytes": n_bytes, **numbers}

    def ours(self, path):
        """A point of a .upg file; without llama.cpp only what 'upg eval' says."""
        said = json.loads(self.upg("eval", path, self.options.text, "--ref", self.options.model, "--json", "-q"))[0]
        own = {key: said[key] for key in ("kld_mean", "kld_median", "kld_p99", "ppl")}
        own |= {"same_top": 100 * said["top1_agreement"], "ppl_ratio": said["ppl"] / said["ref_ppl"]}
        if not self.options.llama:
            return self.point("upg", path, own)
        gguf = self.made(path.stem + ".upg.gguf", lambda to: self.export(path, to))
        numbers = self.distance(gguf)
        gguf.unlink()
        return self.point("upg", path, {**numbers, "upg_eval": own})

    def compressed(self, bpw):
        return self.made(f"{bpw}.upg", lambda to: self.upg(
            "compress", self.options.model, to, "--bpw", bpw, "--calibration", self.options.calibration, "--effort",
            self.options.effort, "-t", self.options.threads, "-q"))

    def theirs(self, kind):
        matrix = self.made("imatrix.gguf", lambda to: self.llama(
            "llama-imatrix", "-m", self.original, "-f", self.options.calibration, "-o", to, "--chunks", 200, "-c", 512))
        path = self.made(f"{kind}.gguf", lambda to: run(
            pathlib.Path(self.options.llama) / "llama-quantize", "--imatrix", matrix, self.original, to, kind))
        return self.point("llama.cpp", path, self.distance(path))


def show(point):
    print(f"{point['engine']:10} {point['name']:12} {point['bits']:6.3f} bits  KLD {point['kld_mean']:.4f} "
          f"{point['kld_median']:.4f} {point['kld_p99']:.3f}  same top {point['same_top']:.2f} %  "
          f"PPL ratio {point['ppl_ratio']:.4f}", flush=True)


def plot(points, title, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for engine, mark in (("upg", "o-"), ("llama.cpp", "s--")):
        mine = sorted((p["bits"], p["kld_mean"], p["name"]) for p in points if p["engine"] == engine)
        if not mine:
            continue
        axes.plot([p[0] for p in mine], [p[1] for p in mine], mark, label=engine)
        for bits, kld, name in mine:
            axes.annotate(name, (bits, kld), textcoords="offset points", xytext=(5, 4), fontsize=7)
    axes.set_yscale("log")
    axes.set_xlabel("bits a weight, whole file")
    axes.set_ylabel("mean KL divergence to the original, nats")
    axes.set_title(title)
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def names(text):
    return [name for name in text.split(",") if name]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    for name in ("upg", "text", "calibration", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--bpw", type=names, default=[])
    parser.add_argument("--files", type=names, default=[])
    parser.add_argument("--effort", default="normal")
    parser.add_argument("--llama")
    parser.add_argument("--types", type=names, default=[])
    parser.add_argument("--threads", default="2")
    parser.add_argument("--title", default="Distance to the original")
    parser.add_argument("--json")
    parser.add_argument("--plot")
    options = parser.parse_args()
    bench, points = Bench(options), []

    for measure, things in ((bench.theirs, options.types),
                            (bench.ours, map(pathlib.Path, options.files)),
                            (lambda bpw: bench.ours(bench.compressed(bpw)), options.bpw)):
        for thing in things:
            points.append(measure(thing))
            show(points[-1])
            if options.json:
                pathlib.Path(options.json).write_text(json.dumps(points, indent=1))
    if options.plot:
        plot(points, options.title, options.plot)


if __name__ == "__main__":
    main()

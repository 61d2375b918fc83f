"""Many generations take no more memory than some."""
import gc

import upg


def anonymous_kb():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))


def generate(model, begin, end):
    for i in range(begin, end):
        model.generate(f"{i}: Once", max_tokens=2, seed=i, logprobs=2 if i % 5 == 0 else None)
        if i % 10 == 0:
            stream = model.generate(f"{i}: Once", max_tokens=8, stream=True)
            next(stream)
            stream.close()
    gc.collect()


def test_memory_stays_where_it_is(root):
    with upg.Model.open(root / "models" / "default.upg", threads=1, ctx=64, cache_tokens=256) as model:
        generate(model, 0, 200)
        before = anonymous_kb()
        generate(model, 200, 600)
        assert anonymous_kb() - before < 512

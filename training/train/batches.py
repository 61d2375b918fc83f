"""Token files, and rows of tokens drawn from them in given shares."""

import numpy as np
import torch

from .shapes import CONTEXT


class Source:
    """One token file, dealt in rows of CONTEXT + 1 tokens; each epoch in another order."""

    def __init__(self, tokens, end, base, rng):
        self.base, self.n, self.rng = base, len(tokens), rng
        starts = np.concatenate([[0], np.flatnonzero(tokens == end) + 1])
        self.documents = starts[starts < self.n - 1]
        self.epoch, self.rows, self.next = -1, np.zeros(0, np.int64), 0

    def deal(self):
        """A row begins at a document's start where it can; epochs after the first begin at another document."""
        self.epoch += 1
        n_first = max(1, min(len(self.documents), 50))
        begin = int(self.documents[self.rng.integers(0, n_first)]) if self.epoch else 0
        rows = []
        while begin + CONTEXT + 1 <= self.n:
            rows.append(begin)
            end = begin + CONTEXT
            document = int(self.documents[np.searchsorted(self.documents, end, side="right") - 1])
            begin = document if document > begin + CONTEXT // 2 else end
        self.rows = self.rng.permutation(np.array(rows, np.int64)) + self.base
        self.next = 0

    def take(self, n):
        taken = [np.zeros(0, np.int64)]
        while n > 0:
            if self.next >= len(self.rows):
                self.deal()
            rows = self.rows[self.next : self.next + n]
            self.next += len(rows)
            n -= len(rows)
            taken.append(rows)
        return np.concatenate(taken)

    def epochs_seen(self):
        return self.epoch + self.next / max(1, len(self.rows))


class Batches:
    """All token files of a folder that the mix names, on the device."""

    def __init__(self, folder, names, end, device, rng):
        self.rng, self.device, self.sources = rng, device, {}
        arrays, base = [], 0
        for name in names:
            path = folder / f"{name}.bin"
            tokens = np.fromfile(path, dtype=np.uint16) if path.exists() else np.zeros(0, np.uint16)
            if len(tokens) < CONTEXT * 4:
                print(f"{path}: missing or too short, left out", flush=True)
                continue
            self.sources[name] = Source(tokens, end, base, rng)
            arrays.append(tokens.astype(np.int16))
            base += len(tokens)
        if not arrays:
            raise SystemExit(f"{folder}: no token files")
        self.data = torch.from_numpy(np.concatenate(arrays)).to(device)
        self.columns = torch.arange(CONTEXT + 1, device=device)

    def draw(self, n_rows, mix):
        """(inputs, targets), [n_rows, CONTEXT] each; the number of rows of a source is drawn from the mix."""
        names = list(self.sources)
        shares = np.array([mix[name] for name in names])
        counts = self.rng.multinomial(n_rows, shares / shares.sum())
        starts = np.concatenate([self.sources[name].take(int(n)) for name, n in zip(names, counts)])
        self.rng.shuffle(starts)
        x = self.data[torch.from_numpy(starts).to(self.device)[:, None] + self.columns].long()
        return x[:, :-1].contiguous(), x[:, 1:].contiguous()


def held_out(folder):
    """{name: ids} of the files eval_NAME.bin."""
    return {
        path.stem[len("eval_") :]: torch.from_numpy(np.fromfile(path, dtype=np.uint16).astype(np.int64))
        for path in sorted(folder.glob("eval_*.bin"))
    }

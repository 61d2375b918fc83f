"""The file: docs/format.md, sections 1 to 4.  A header of JSON, tensors without holes, and what they mean."""
import json
import mmap
import struct

import numpy as np

from .codec import decode_matrix

DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I8": "i1", "U8": "u1"}


def bf16_to_f32(bits):
    """The upper halves of float32 numbers."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def round_to_bf16(x):
    """float32 to the nearest bfloat16, ties to even, as float32."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).view(np.float32)


class Container:
    """An open .upg file.  `config` and `matrices` are the objects of its metadata; tensors are views of the file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        length, = struct.unpack_from("<Q", self._bytes)
        if length > min(len(self._bytes) - 8, 100_000_000):
            raise ValueError(f"{path}: a header of {length} bytes is longer than the file")
        self._directory = json.loads(self._bytes[8:8 + length])
        self._data = 8 + length
        metadata = self._directory.pop("__metadata__", {})
        if metadata.get("upg") != "1":
            raise ValueError(f"{path}: metadata: upg: {metadata.get('upg')!r} is no version that this program reads")
        self.config = json.loads(metadata["config"])
        self.matrices = json.loads(metadata["matrices"])

    def __contains__(self, name):
        return name in self._directory

    def tensor(self, name):
        """An array of the file's own dtype; BF16 as uint16."""
        entry = self._directory[name]
        begin, end = entry["data_offsets"]
        array = np.frombuffer(self._bytes, DTYPES[entry["dtype"]], (end - begin) // np.dtype(DTYPES[entry["dtype"]])
                              .itemsize, self._data + begin)
        return array.reshape(entry["shape"])

    def vector(self, name):
        """A norm as float32 [d]."""
        values = self.tensor(name)
        return bf16_to_f32(values) if values.dtype == np.uint16 else values.astype(np.float32)

    def matrix(self, slot, n_columns):
        """A slot's weights, float32 [rows, n_columns]: its parts, one below the other."""
        return np.concatenate([self._part(slot, part, n_columns) for part in self.matrices[slot]])

    def _part(self, slot, part, n_columns):
        prefix = f"{slot}.{part['part']}" if "part" in part else slot
        kind, n_rows = part["type"], part["rows"]
        if kind in ("f32", "f16"):
            return self.tensor(f"{prefix}.weight").astype(np.float32)
        if kind == "bf16":
            return bf16_to_f32(self.tensor(f"{prefix}.weight"))
        if kind == "i8":
            scale = self.tensor(f"{prefix}.row_scale")
            return round_to_bf16(self.tensor(f"{prefix}.weight").astype(np.float32) * scale[:, None])
        if kind in ("upg2", "upg3", "upg4"):
            seeds = [int(part[name], 16) if name in part else None for name in ("seed_in", "seed_out")]
            return decode_matrix(int(kind[3]), n_rows, n_columns, self.tensor(f"{prefix}.codes"),
                                 self.tensor(f"{prefix}.row_scale"), self.tensor(f"{prefix}.gain"), *seeds)
        raise ValueError(f"{prefix}: type {kind!r} is none that this program knows")

"""formats_oracle.py — writes tests/data/formats.bin: blocks of every format and what they stand for.

Run with the interpreter that setup.sh names. Block formats come from the `gguf` package (dequantize,
and quantize where it has one), E4M3 from PyTorch, halves from NumPy. The file is a list of records:
name (24 bytes, zero-padded), u32 number of bytes, u32 number of floats, the bytes, the floats (little
endian). "Q4_K": the bytes unpack to the floats. "quantize/Q4_0": the floats quantize to the bytes.
"""

import pathlib
import struct

import gguf
import numpy as np
import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "formats.bin"

# Format: offsets of its half floats in a block.
HALVES = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0],
}
QUANTIZERS = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]


def record(name, data, floats):
    data = np.ascontiguousarray(data).view(np.uint8).reshape(-1)
    floats = np.ascontiguousarray(floats, dtype="<f4").reshape(-1)
    head = struct.pack("<24sII", name.encode(), data.size, floats.size)
    return head + data.tobytes() + floats.tobytes()


def half_scales(rng, count):
    """Usual scales, any finite half, subnormals, zeros; a third of them negative."""
    scales = (rng.uniform(0.5, 2.0, count) * 1e-2).astype(np.float16)
    bits = scales.view(np.uint16)
    bits[1::4] = rng.integers(0, 0x7C00, bits[1::4].size)
    bits[2::4] = rng.integers(0, 0x0400, bits[2::4].size)
    bits[-1] = 0
    bits[::3] |= 0x8000
    return scales


def unpack_record(rng, name):
    kind = gguf.GGMLQuantizationType[name]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    count = 48 if block == 32 else 12
    data = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in HALVES[name]:
        data[:, offset : offset + 2] = half_scales(rng, count).view(np.uint8).reshape(count, 2)
    return record(name, data, gguf.quants.dequantize(data.reshape(1, -1), kind))


def quantize_record(rng, name):
    x = (rng.standard_normal(512) * 0.05).astype(np.float32)
    x[32:64] = 0
    x[64:96] *= 1e-5  # scales that are subnormal halves
    x[96:128] = np.abs(x[96:128])
    x[128:160] = np.round(x[128:160] * 100) / 100  # ties
    return record("quantize/" + name, gguf.quants.quantize(x, gguf.GGMLQuantizationType[name]), x)


def f8_records(rng):
    codes = torch.arange(256, dtype=torch.int32).to(torch.uint8)
    values = codes.view(torch.float8_e4m3fn).to(torch.float32)
    x = (rng.standard_normal(1024) * np.exp2(rng.integers(-12, 7, 1024))).astype(np.float32)
    x = np.clip(x, -448, 448)
    q = torch.from_numpy(x).to(torch.float8_e4m3fn).view(torch.uint8)
    return record("F8_E4M3", codes.numpy(), values.numpy()) + record("quantize/F8_E4M3", q.numpy(), x)


def half_records(rng):
    bits = rng.integers(0, 0x10000, 1024).astype(np.uint16)
    bits[bits & 0x7C00 == 0x7C00] = 0x7C00  # infinities, no NaN: its payload is not ours to keep
    bits[:64] = np.arange(64)
    x = (rng.standard_normal(512) * np.exp2(rng.integers(-26, 17, 512))).astype(np.float32)
    with np.errstate(over="ignore"):
        halves = x.astype(np.float16)
    brain = torch.from_numpy(x).to(torch.bfloat16)
    return (
        record("F16", bits, bits.view(np.float16).astype(np.float32))
        + record("quantize/F16", halves, x)
        + record("BF16", brain.view(torch.int16).numpy(), brain.to(torch.float32).numpy())
        + record("quantize/BF16", brain.view(torch.int16).numpy(), x)
    )


def main():
    rng = np.random.default_rng(20260101)
    parts = [unpack_record(rng, name) for name in HALVES]
    parts += [quantize_record(rng, name) for name in QUANTIZERS]
    parts += [f8_records(rng), half_records(rng)]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_bytes(b"".join(parts))
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

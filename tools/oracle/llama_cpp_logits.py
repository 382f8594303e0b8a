"""llama_cpp_logits.py — logits of every row of given texts by llama.cpp, for comparison with ours.

    PYTHON tools/oracle/llama_cpp_logits.py MODEL.gguf [--threads 2] [--window 512]

PYTHON can import llama_cpp (PyPI: llama-cpp-python). The same protocol as tests/row_logits_main.cpp: a text per line of
stdin, as token ids separated by blanks, each from an empty cache in one batch; its logits [tokens, W] F32 on stdout.
llama.cpp's defaults otherwise: cache in F16, flash attention where it sees fit.
"""

import argparse
import ctypes
import sys

import llama_cpp
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description="logits of token lists by llama.cpp")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--window", type=int, default=512, help="longest text, in tokens")
    arguments = parser.parse_args()
    quiet = llama_cpp.llama_log_callback(lambda *_: None)  # kept: the library calls it to the end
    llama_cpp.llama_log_set(quiet, None)
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(arguments.model.encode(), llama_cpp.llama_model_default_params())
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = arguments.window
    params.n_threads = params.n_threads_batch = arguments.threads
    context = llama_cpp.llama_init_from_model(model, params)
    width = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    features = llama_cpp.llama_print_system_info().decode()
    print(f"llama-cpp-python {llama_cpp.__version__}; {features}", file=sys.stderr, flush=True)

    for line in sys.stdin:
        tokens = [int(word) for word in line.split()]
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.logits[i] = token, i, 1
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        if llama_cpp.llama_decode(context, batch):
            sys.exit("llama_decode failed")
        llama_cpp.llama_batch_free(batch)
        logits = ctypes.cast(llama_cpp.llama_get_logits(context), ctypes.POINTER(ctypes.c_float))
        rows = np.ctypeslib.as_array(logits, (len(tokens), width))
        sys.stdout.buffer.write(rows.tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

"""smollm2_oracle.py — what SmolLM2-135M-Instruct computes on real text, by transformers in float32.

    tools/oracle/.venv/bin/python tools/oracle/smollm2_oracle.py MODEL.gguf TEXT... --out BIG.safetensors [--small FILE]

Dequantizes every tensor of the GGUF file, undoes the rotary permutation of q and k, and feeds a LlamaForCausalLM with
windows of 512 real tokens (teacher-forced; each window starts afresh at position 0, no BOS). The texts share the
windows evenly, from the start of each. BIG (outside git; 20,480 tokens, about 185 MB) holds

  tokens [T] I32, starts [S+1] I32   as in make_oracle.py
  top_ids [T, 512] I32, top_logprobs [T, 512] F32   by falling probability; natural logarithms
  rest_logprob [T] F32               of all other tokens together; KL over these 513 events is at most the whole
  nll [T] F32                        -ln p(next token of the window); NaN in a window's last row
  full_rows [R] I32, full_logits [R, W] F32         every 40th row in full, for the whole KL
metadata: mean_nll (nats per predicted token), perplexity, predicted, model_sha256, transformers, torch, texts

SMALL (tests/data/smollm2_top32.safetensors, committed) holds
  tokens [2048] I32, starts [5], nll [2048] F32   the first four windows
  text [n] U8                        the UTF-8 text these tokens are (its tokenization gives exactly them)
  top_ids [256, 32] I32, top_logprobs [256, 32] F32   for the first 256 rows
and in its metadata mean_nll over those four windows, and long.mean_nll and long.predicted over all of BIG.
"""

import argparse
import hashlib
import pathlib

import gguf
import numpy as np
import tokenizers
import torch
import transformers
from checkpoint import save_tensors

WINDOW = 512
TOP = 512
SMALL_WINDOWS, SMALL_ROWS, SMALL_TOP = 4, 256, 32
FULL_EVERY = 40


def unpermute(w: torch.Tensor, heads: int) -> torch.Tensor:
    """GGUF's interleaved rows of q or k back to the half-split order: [H, d/2, 2, in] -> [H, 2, d/2, in]."""
    return w.view(heads, -1, 2, w.shape[1]).transpose(1, 2).reshape(w.shape)


def load_model(reader: gguf.GGUFReader) -> transformers.LlamaForCausalLM:
    def value(key):
        return reader.fields["llama." + key].contents()

    heads, kv_heads = value("attention.head_count"), value("attention.head_count_kv")
    config = transformers.LlamaConfig(
        hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"),
        num_hidden_layers=value("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=value("context_length"),
        rms_norm_eps=value("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": value("rope.freq_base")},
        vocab_size=value("vocab_size"),
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    names = {
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    }  # fmt: skip
    state = {}
    for tensor in reader.tensors:
        w = torch.from_numpy(np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32))
        if tensor.name == "token_embd.weight":
            name = "model.embed_tokens.weight"
        elif tensor.name == "output_norm.weight":
            name = "model.norm.weight"
        else:
            _, layer, kind, _ = tensor.name.split(".")
            name = f"model.layers.{layer}.{names[kind]}.weight"
            if kind in ("attn_q", "attn_k"):
                w = unpermute(w, heads if kind == "attn_q" else kv_heads)
        state[name] = w
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    model = model.to_empty(device="cpu")
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing in ([], ["lm_head.weight"]) and not unexpected, (missing, unexpected)
    model.tie_weights()
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    return model.eval()


def load_tokenizer(reader: gguf.GGUFReader) -> tokenizers.Tokenizer:
    """Byte-level BPE out of the file's vocabulary; pre-tokenizer `smollm`: digits alone, then the GPT-2 pattern."""
    assert reader.fields["tokenizer.ggml.pre"].contents() == "smollm"
    vocab = {token: i for i, token in enumerate(reader.fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(m.split(" ")) for m in reader.fields["tokenizer.ggml.merges"].contents()]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, merges))
    pre = tokenizers.pre_tokenizers
    tokenizer.pre_tokenizer = pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer


def windows_of(tokenizer, path: pathlib.Path, count: int) -> list[torch.Tensor]:
    text = path.read_text(encoding="utf-8")[: count * WINDOW * 8]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert len(ids) >= count * WINDOW, f"{path} is too short"
    return list(torch.tensor(ids[: count * WINDOW], dtype=torch.int32).view(count, WINDOW))


def main() -> None:
    parser = argparse.ArgumentParser(description="reference log-probabilities of SmolLM2 on real text")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("texts", type=pathlib.Path, nargs="+")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--small", type=pathlib.Path)
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    assert arguments.windows % len(arguments.texts) == 0, "the texts share the windows evenly"

    reader = gguf.GGUFReader(arguments.model)
    model, tokenizer = load_model(reader), load_tokenizer(reader)
    windows = []
    for path in arguments.texts:
        windows += windows_of(tokenizer, path, arguments.windows // len(arguments.texts))
    parts: dict = {}
    for index, window in enumerate(windows):
        logits = model(window[None].long(), use_cache=False).logits[0]
        logprobs = logits.double().log_softmax(-1)
        top = logprobs.topk(TOP)
        nll = torch.full((WINDOW,), float("nan"))
        nll[:-1] = -logprobs[:-1].gather(1, window[1:, None].long())[:, 0].float()
        rest = logprobs.scatter(1, top.indices, float("-inf")).logsumexp(-1)
        rows = torch.arange(index * WINDOW, (index + 1) * WINDOW)
        full = rows % FULL_EVERY == 0
        for name, value in (
            ("tokens", window), ("nll", nll), ("top_ids", top.indices.int()), ("top_logprobs", top.values.float()),
            ("rest_logprob", rest.float()), ("full_rows", rows[full].int()), ("full_logits", logits[full]),
        ):  # fmt: skip
            parts.setdefault(name, []).append(value)
        print(f"window {index + 1}/{len(windows)}: {nll[:-1].mean():.4f} nats per token", flush=True)

    big = {name: torch.cat(values).contiguous() for name, values in parts.items()}
    big["starts"] = torch.arange(0, len(windows) + 1, dtype=torch.int32) * WINDOW
    mean_nll, predicted = big["nll"].nanmean(dtype=torch.float64).item(), len(windows) * (WINDOW - 1)
    meta = {
        "model_sha256": hashlib.sha256(arguments.model.read_bytes()).hexdigest(),
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "texts": " ".join(path.name for path in arguments.texts),
        "window": str(WINDOW),
    }
    long = {"mean_nll": f"{mean_nll:.9f}", "perplexity": f"{np.exp(mean_nll):.6f}", "predicted": str(predicted)}
    save_tensors(big, arguments.out, meta | long)
    print(f"{predicted} predictions, {mean_nll:.9f} nats per token, perplexity {np.exp(mean_nll):.4f}")
    if arguments.small:
        rows = SMALL_WINDOWS * WINDOW
        tokens = big["tokens"][:rows]
        text = tokenizer.decode(tokens.tolist(), skip_special_tokens=False)
        assert tokenizer.encode(text, add_special_tokens=False).ids == tokens.tolist()
        small = {
            "tokens": tokens.clone(),
            "starts": big["starts"][: SMALL_WINDOWS + 1].clone(),
            "nll": big["nll"][:rows].clone(),
            "text": torch.tensor(list(text.encode()), dtype=torch.uint8),
            "top_ids": big["top_ids"][:SMALL_ROWS, :SMALL_TOP].contiguous(),
            "top_logprobs": big["top_logprobs"][:SMALL_ROWS, :SMALL_TOP].contiguous(),
        }
        small_nll = small["nll"].nanmean(dtype=torch.float64).item()
        meta |= {f"long.{key}": value for key, value in long.items()} | {"mean_nll": f"{small_nll:.9f}"}
        save_tensors(small, arguments.small, meta)
        print(f"{arguments.small}: {arguments.small.stat().st_size} bytes, {small_nll:.9f} nats per token")


if __name__ == "__main__":
    with torch.no_grad():
        main()

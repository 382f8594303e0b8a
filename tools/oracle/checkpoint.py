"""checkpoint.py — random weights and tokens of a case, and the folder they are stored in."""

import json
import pathlib
import zlib

import safetensors.torch
import torch
from configs import Case
from twin import Fp8Weight, quantize_weight, to_bf16


def attention_shapes(c: dict, p: str) -> dict:
    d, heads = c["hidden_size"], c["num_attention_heads"]
    if "kv_lora_rank" in c:
        dqk, dv = c["qk_nope_head_dim"] + c["qk_rope_head_dim"], c["v_head_dim"]
        rk, rq = c["kv_lora_rank"], c["q_lora_rank"]
        if rq:
            query = {"q_a_proj": (rq, d), "q_a_layernorm": (rq,), "q_b_proj": (heads * dqk, rq)}
        else:
            query = {"q_proj": (heads * dqk, d)}
        rest = {
            "kv_a_proj_with_mqa": (rk + c["qk_rope_head_dim"], d),
            "kv_a_layernorm": (rk,),
            "kv_b_proj": (heads * (c["qk_nope_head_dim"] + dv), rk),
            "o_proj": (d, heads * dv),
        }
        return {f"{p}{k}.weight": v for k, v in (query | rest).items()}
    hd, kv = c.get("head_dim") or d // heads, c["num_key_value_heads"]
    shapes = {"q_proj": (heads * hd, d), "k_proj": (kv * hd, d), "v_proj": (kv * hd, d), "o_proj": (d, heads * hd)}
    if c["model_type"].startswith("qwen3"):
        shapes |= {"q_norm": (hd,), "k_norm": (hd,)}
    shapes = {f"{p}{k}.weight": v for k, v in shapes.items()}
    if c["model_type"] == "qwen2":
        shapes |= {f"{p}{k}_proj.bias": (shapes[f"{p}{k}_proj.weight"][0],) for k in "qkv"}
    return shapes


def ffn_shapes(d: int, f: int, p: str) -> dict:
    return {p + "gate_proj.weight": (f, d), p + "up_proj.weight": (f, d), p + "down_proj.weight": (d, f)}


def expert_count(case: Case) -> int:
    return case.config.get("n_routed_experts") or case.config.get("num_experts") or 0


def is_moe(c: dict, layer: int) -> bool:
    if "n_routed_experts" in c:
        return layer >= c["first_k_dense_replace"]
    if c["model_type"] != "qwen3_moe" or layer in c["mlp_only_layers"]:
        return False
    return (layer + 1) % c["decoder_sparse_step"] == 0


def layer_shapes(c: dict, layer: int) -> dict:
    d, p = c["hidden_size"], f"model.layers.{layer}."
    shapes = {p + "input_layernorm.weight": (d,), p + "post_attention_layernorm.weight": (d,)}
    shapes |= attention_shapes(c, p + "self_attn.")
    if not is_moe(c, layer):
        return shapes | ffn_shapes(d, c["intermediate_size"], p + "mlp.")
    experts = c.get("n_routed_experts") or c["num_experts"]
    shapes[p + "mlp.gate.weight"] = (experts, d)
    if c.get("topk_method") == "noaux_tc":
        shapes[p + "mlp.gate.e_score_correction_bias"] = (experts,)
    for e in range(experts):
        shapes |= ffn_shapes(d, c["moe_intermediate_size"], f"{p}mlp.experts.{e}.")
    if c.get("n_shared_experts"):
        shapes |= ffn_shapes(d, c["moe_intermediate_size"] * c["n_shared_experts"], p + "mlp.shared_experts.")
    return shapes


def all_shapes(c: dict) -> dict:
    d, w, last = c["hidden_size"], c["vocab_size"], c["num_hidden_layers"]
    shapes = {"model.embed_tokens.weight": (w, d), "model.norm.weight": (d,)}
    if not c["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (w, d)
    for layer in range(last):
        shapes |= layer_shapes(c, layer)
    for layer in range(last, last + c.get("num_nextn_predict_layers", 0)):
        p = f"model.layers.{layer}."
        shapes |= layer_shapes(c, layer) | {p + "enorm.weight": (d,), p + "hnorm.weight": (d,)}
        shapes |= {p + "eh_proj.weight": (d, 2 * d), p + "shared_head.norm.weight": (d,)}
    return shapes


def default_gain(name: str) -> float:
    """Peaked attention, decided routing, logits of a few nats: far from the degenerate 0.02."""
    for part, gain in (("q_proj", 1.5), ("q_b_proj", 1.5), ("k_proj", 1.5), ("mlp.gate.", 1.5), ("lm_head", 1.0)):
        if part in name:
            return gain
    return 1.0


def random_tensor(case: Case, seed: int, name: str, shape: tuple) -> torch.Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(f"{case.name}/{seed}/{name}".encode()))
    x = torch.randn(shape, generator=generator)
    gain = next((g for part, g in case.gains.items() if part in name), default_gain(name))
    if name.endswith("e_score_correction_bias"):
        x = case.bias[0] + case.bias[1] * x
        return to_bf16(x) if case.bias_dtype == "BF16" else x
    if name.endswith(".bias"):
        return to_bf16(0.5 * x)
    if name.endswith("norm.weight"):
        return to_bf16(1 + 0.25 * x)
    if "embed_tokens" in name:
        return to_bf16(gain * x * (0.35 if case.config["tie_word_embeddings"] else 1.0))
    x = x * gain * shape[1] ** -0.5
    if "kv_a_proj" in name and gain != 1.0:  # a gain for the latent rows; the shared rope key keeps its size
        rope = case.config["qk_rope_head_dim"]
        x[-rope:] *= 1.0 / gain
    return to_bf16(x)


def is_fp8(case: Case, name: str) -> bool:
    inside = ".self_attn." in name or ".mlp." in name
    return "quantization_config" in case.config and inside and "norm" not in name and "mlp.gate." not in name


def vary_blocks(x: torch.Tensor) -> torch.Tensor:
    """Give the 128x128 blocks different sizes, so that a scale taken from the wrong block shows."""
    rows, cols = torch.arange(x.shape[0]) // 128, torch.arange(x.shape[1]) // 128
    return x * torch.tensor([1.0, 0.3, 2.0, 0.6, 1.4])[(rows[:, None] * 2 + cols[None, :]) % 5]


def random_weights(case: Case, seed: int) -> dict:
    """name -> f32 tensor of bf16 values, or Fp8Weight."""
    weights = {}
    for name, shape in all_shapes(case.config).items():
        x = random_tensor(case, seed, name, shape)
        if is_fp8(case, name):
            x = quantize_weight(vary_blocks(x), case.config["quantization_config"].get("scale_fmt") == "ue8m0")
        weights[name] = x
    for layer in range(case.config["num_hidden_layers"], case.config["num_hidden_layers"] + mtp_layers(case)):
        weights[f"model.layers.{layer}.embed_tokens.weight"] = weights["model.embed_tokens.weight"]
        weights[f"model.layers.{layer}.shared_head.head.weight"] = weights["lm_head.weight"]
    return weights


def mtp_layers(case: Case) -> int:
    return case.config.get("num_nextn_predict_layers", 0)


def stored(case: Case, weights: dict) -> dict:
    tensors = {}
    for name, w in weights.items():
        if isinstance(w, Fp8Weight):
            tensors[name], tensors[name + "_scale_inv"] = w.q, w.scale
        elif name.endswith("e_score_correction_bias") and case.bias_dtype == "F32":
            tensors[name] = w
        else:
            assert torch.equal(w, to_bf16(w)), name
            tensors[name] = w.to(torch.bfloat16).clone()
    return tensors


def random_tokens(case: Case, seed: int) -> tuple[torch.Tensor, list[int], torch.Generator]:
    starts = [0]
    for length in case.lengths:
        starts.append(starts[-1] + length)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{case.name}/{seed}/tokens".encode()))
    return torch.randint(0, case.config["vocab_size"], (starts[-1],), generator=generator), starts, generator


def save_tensors(tensors: dict, path: pathlib.Path, metadata: dict) -> None:
    """As safetensors saves them, but with the metadata in order: the library's own order changes from run to run."""
    raw = safetensors.torch.save(tensors, metadata)
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps({"__metadata__": header.pop("__metadata__")} | header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[end:])


def write_checkpoint(folder: pathlib.Path, config: dict, tensors: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_tensors(tensors, folder / "model.safetensors", {"format": "pt"})

"""reference.py — a checkpoint folder run by transformers, and what transformers itself must get right."""

import json
import pathlib
import tempfile

import torch
import transformers
from checkpoint import write_checkpoint
from configs import Case
from transformers.modeling_layers import MtpModel
from transformers.models.deepseek_v2 import modeling_deepseek_v2 as v2
from transformers.models.deepseek_v3 import modeling_deepseek_v3 as v3
from twin import Fp8Weight, to_bf16


def load_transformers(folder: pathlib.Path):
    """The checkpoint in float32 by transformers; no tensor may be missing or unknown but the MTP layer's."""
    config_dict = json.loads((folder / "config.json").read_text())
    arguments = dict(dtype=torch.float32, output_loading_info=True)
    arguments |= dict(attn_implementation="eager", experts_implementation="eager")
    if config_dict["model_type"] == "kimi_k2":  # DeepSeek-V3 by another name
        config_dict["model_type"] = "deepseek_v3"
        arguments["config"] = transformers.DeepseekV3Config(**config_dict)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, **arguments)
    mtp = f"model.layers.{config_dict['num_hidden_layers']}."
    unexpected = [name for name in info["unexpected_keys"] if not name.startswith(mtp)]
    assert not info["missing_keys"] and not unexpected and not info["mismatched_keys"], info
    return model.eval()


def run_transformers(model, tokens, starts) -> dict:
    """logits, hidden.L, attention.0, router.L.{experts,weights} (in transformers' order), last_normed."""
    record: dict = {}

    def keep(name, pick):
        return lambda module, args, output: record.setdefault(name, []).append(pick(output))

    hooks = []
    for index, layer in enumerate(model.model.layers):
        hooks.append(layer.register_forward_hook(keep(f"hidden.{index}", lambda out: out[0])))
        if index == 0:
            hooks.append(layer.self_attn.register_forward_hook(keep("attention.0", lambda out: out[0][0])))
        if hasattr(layer.mlp, "gate"):
            hooks.append(layer.mlp.gate.register_forward_hook(keep(f"router.{index}.weights", lambda out: out[1])))
            hooks.append(layer.mlp.gate.register_forward_hook(keep(f"router.{index}.experts", lambda out: out[2])))
    hooks.append(model.model.norm.register_forward_hook(keep("last_normed", lambda out: out[0])))
    for begin, end in zip(starts, starts[1:]):
        record.setdefault("logits", []).append(model(tokens[None, begin:end], use_cache=False).logits[0])
    for hook in hooks:
        hook.remove()
    run = {name: torch.cat(parts) for name, parts in record.items()}
    assert all(value.dtype in (torch.float32, torch.int64) for value in run.values())
    return run


def run_transformers_mtp(model, tokens, starts, last_normed) -> torch.Tensor:
    """transformers' own MTP module (generate(use_mtp=True)) on the whole sequences."""
    model._keys_to_ignore_on_load_unexpected = [rf"model\.layers\.{model.config.num_hidden_layers}\..*"]
    mtp = MtpModel.from_pretrained(model).eval()
    rows = []
    for begin, end in zip(starts, starts[1:]):
        positions = torch.arange(1, end - begin)[None]
        hidden, following = last_normed[None, begin : end - 1], tokens[None, begin + 1 : end]
        hidden = mtp.forward_layer(0, hidden, positions, None, input_ids=following)
        rows.append(mtp._project_to_logits(hidden)[0])
    return torch.cat(rows)


def dequantized_reference(case: Case, weights: dict, tokens, starts, rounded: bool) -> dict:
    """transformers on FP8 weights dequantized beforehand, in float32 or rounded to bf16. Its own loader will not do: it
    cuts a matrix into equal blocks (160 channels with two scales into 80 + 80), where the checkpoints mean 128 + 32. On
    whole blocks it agrees."""
    config = {k: v for k, v in case.config.items() if k != "quantization_config"}
    plain = {name: w.dequantized() if isinstance(w, Fp8Weight) else w for name, w in weights.items()}
    if rounded:
        plain = {name: w if name.endswith("correction_bias") else to_bf16(w) for name, w in plain.items()}
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(pathlib.Path(folder), config, plain)
        return run_transformers(load_transformers(pathlib.Path(folder)), tokens, starts)




def check_transformers() -> None:
    """The softmax scales of the released models, and the traps of older transformers releases."""
    def rope(factor, mscale, theta=10000):
        return {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": 4096, "beta_fast": 32,
                "beta_slow": 1, "mscale": mscale, "mscale_all_dim": mscale, "rope_theta": theta}  # fmt: skip

    wanted = [
        ("V2-Lite", v2.DeepseekV2Attention, transformers.DeepseekV2Config(
            hidden_size=2048, num_attention_heads=16, q_lora_rank=None, max_position_embeddings=163840,
            rope_parameters=rope(40, 0.707)), 0.1147213868),
        ("V3", v3.DeepseekV3Attention, transformers.DeepseekV3Config(
            max_position_embeddings=163840, rope_parameters=rope(40, 1.0)), 0.1352337789),
        ("Kimi-K2", v3.DeepseekV3Attention, transformers.DeepseekV3Config(
            num_attention_heads=64, num_key_value_heads=64, max_position_embeddings=131072,
            rope_parameters=rope(32, 1.0, 50000)), 0.1308608),
    ]  # fmt: skip
    for name, attention, config, scale in wanted:
        with torch.device("meta"):
            found = attention(config, layer_idx=0)
        tolerance = 1e-9 if name != "Kimi-K2" else 1e-7  # the specification gives seven digits
        assert abs(found.scaling - scale) <= tolerance, f"{name}: softmax scale {found.scaling}, expected {scale}"
        assert found.kv_a_layernorm.variance_epsilon == 1e-6
        print(f"{name}: self_attn.scaling = {found.scaling:.10f}")

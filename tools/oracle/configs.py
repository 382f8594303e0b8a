"""configs.py — the tiny random configurations of the oracle, each written as its family's config.json is released.

A Case is a config.json plus what config.json does not say: how strong the random weights are (gain / sqrt(inputs)),
where the routing bias lies, and which MTP or FP8 extras the checkpoint has.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    why: str
    config: dict
    lengths: tuple = (40, 5, 19)
    bias: tuple = (0.0, 0.3)  # mean and deviation of e_score_correction_bias
    bias_dtype: str = "F32"
    gains: dict = dataclasses.field(default_factory=dict)  # substring of a tensor name -> gain


def yarn(factor, orig, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0):
    return {
        "beta_fast": beta_fast,
        "beta_slow": beta_slow,
        "factor": factor,
        "mscale": mscale,
        "mscale_all_dim": mscale_all_dim,
        "original_max_position_embeddings": orig,
        "type": "yarn",
    }


def deepseek(version, rope_scaling, **changes):
    config = {
        "architectures": [f"DeepseekV{version}ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "aux_loss_alpha": 0.001,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "ep_size": 1,
        "first_k_dense_replace": 1,
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 112,
        "kv_lora_rank": 48,
        "max_position_embeddings": 4096,
        "model_type": f"deepseek_v{version}",
        "moe_intermediate_size": 24,
        "moe_layer_freq": 1,
        "n_group": 4,
        "n_routed_experts": 16,
        "n_shared_experts": 1,
        "norm_topk_prob": version == 3,
        "num_attention_heads": 4,
        "num_experts_per_tok": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 4,
        "num_nextn_predict_layers": 0,
        "pretraining_tp": 1,
        "q_lora_rank": 40,
        "qk_nope_head_dim": 24,
        "qk_rope_head_dim": 16,
        "rms_norm_eps": 1e-06,
        "rope_scaling": rope_scaling,
        "rope_theta": 10000,
        "routed_scaling_factor": 2.5,
        "scoring_func": "sigmoid" if version == 3 else "softmax",
        "seq_aux": True,
        "tie_word_embeddings": False,
        "topk_group": 2,
        "topk_method": "noaux_tc",
        "torch_dtype": "bfloat16",
        "transformers_version": "4.33.1",
        "use_cache": True,
        "v_head_dim": 32,
        "vocab_size": 160,
    }
    if version == 2:
        del config["num_nextn_predict_layers"]
    if rope_scaling:
        orig = rope_scaling["original_max_position_embeddings"]
        config["max_position_embeddings"] = int(rope_scaling["factor"] * orig)
    return config | changes


def fp8(scale_fmt=None):
    quantization = {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
    }
    return quantization | ({"scale_fmt": scale_fmt} if scale_fmt else {})


# One layer of attention more than 128 wide in every product, edge blocks partial; few experts, to stay under 1 MB.
FP8_DIMS = dict(
    hidden_size=160,
    intermediate_size=144,
    kv_lora_rank=136,
    max_position_embeddings=4096,
    moe_intermediate_size=136,
    n_group=1,
    n_routed_experts=4,
    num_attention_heads=3,
    num_experts_per_tok=2,
    num_hidden_layers=2,
    num_key_value_heads=3,
    q_lora_rank=136,
    qk_nope_head_dim=32,
    topk_group=1,
    v_head_dim=48,
    vocab_size=80,
)

# The YaRN variants differ from each other only in rope, so they are small.
SMALL = dict(num_hidden_layers=2, n_routed_experts=8, num_experts_per_tok=2, n_group=2, topk_group=1)


def dense(kind, **changes):
    architecture = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "qwen3_moe": "Qwen3Moe"}[kind]
    config = {
        "architectures": [architecture + "ForCausalLM"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 112,
        "max_position_embeddings": 256,
        "model_type": kind,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05 if kind == "llama" else 1e-06,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.43.0",
        "use_cache": True,
        "vocab_size": 160,
    }
    if kind == "llama":
        config |= {"attention_bias": False, "mlp_bias": False, "pretraining_tp": 1}
    else:
        config |= {"sliding_window": 32, "use_sliding_window": False, "max_window_layers": 3}
    if kind.startswith("qwen3"):
        config |= {"attention_bias": False, "head_dim": 32}
    if kind == "qwen3_moe":
        config |= {
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
            "moe_intermediate_size": 32,
            "norm_topk_prob": True,
            "num_experts": 8,
            "num_experts_per_tok": 3,
            "output_router_logits": False,
            "router_aux_loss_coef": 0.001,
        }
    return config | changes


LLAMA3 = {
    "factor": 8.0,
    "high_freq_factor": 4.0,
    "low_freq_factor": 1.0,
    "original_max_position_embeddings": 32,
    "rope_type": "llama3",
}

# As transformers 5 writes it: theta inside rope_parameters, dtype, no rope_scaling, no torch_dtype.
V5_STYLE = {"rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}, "dtype": "bfloat16"}


def in_v5_style(config):
    return {k: v for k, v in config.items() if k not in ("rope_scaling", "rope_theta", "torch_dtype")} | V5_STYLE


CASES = [
    Case(
        "deepseek_v2_greedy",
        "V2-Lite: no q_lora, softmax, greedy, YaRN with mscale 0.707, two shared experts",
        deepseek(
            2,
            yarn(40, 32, mscale=0.707, mscale_all_dim=0.707),
            q_lora_rank=None,
            n_group=1,
            topk_group=1,
            n_shared_experts=2,
            routed_scaling_factor=1.0,
            topk_method="greedy",
        ),
        gains={"mlp.gate.": 2.0},
    ),
    Case(
        "deepseek_v2_grouped",
        "V2: q_lora, group_limited_greedy, routed_scaling_factor 16",
        deepseek(
            2,
            yarn(40, 16, mscale=0.707, mscale_all_dim=0.707),
            routed_scaling_factor=16.0,
            topk_method="group_limited_greedy",
            v_head_dim=16,
        ),
        gains={"mlp.gate.": 2.0, "mlp.experts.": 0.55},
    ),
    Case(
        "deepseek_v3",
        "V3: q_lora, groups, sigmoid, mostly negative biased scores (masking with 0 would choose dropped experts)",
        deepseek(3, yarn(40, 32)),
        bias=(-0.6, 0.25),
    ),
    Case(
        "deepseek_v3_moonlight",
        "Moonlight: no q_lora, one group, eps 1e-5 (the latent norms keep 1e-6), theta 50000, no rope scaling",
        deepseek(
            3,
            None,
            q_lora_rank=None,
            n_group=1,
            topk_group=1,
            n_shared_experts=2,
            rms_norm_eps=1e-05,
            rope_theta=50000.0,
            routed_scaling_factor=2.446,
            num_experts_per_tok=3,
        ),
        bias=(0.1, 0.2),
        gains={"kv_a_proj": 0.02, "embed_tokens": 0.3},
    ),
    Case(
        "deepseek_v3_yarn_blend",
        "YaRN whose ramp crosses most frequencies; original length beyond every sequence (YaRN is on all the same)",
        deepseek(3, yarn(8, 512), **SMALL),
    ),
    Case(
        "deepseek_v3_yarn_mscales",
        "mscale 1.0, mscale_all_dim 0.5: cos and sin carry an amplitude",
        deepseek(3, yarn(16, 64, mscale=1.0, mscale_all_dim=0.5), **SMALL),
    ),
    Case(
        "deepseek_v3_yarn_zero",
        "mscale_all_dim 0: amplitude from mscale alone, no mscale in the softmax scale; ramp with low == high",
        deepseek(3, yarn(16, 6, mscale=1.0, mscale_all_dim=0.0), **SMALL),
    ),
    Case(
        "kimi_k2",
        "Kimi-K2: beta_fast = beta_slow = 1, theta 50000, one group, bias stored as BF16",
        deepseek(
            3,
            yarn(32, 32, beta_fast=1, beta_slow=1),
            **(SMALL | dict(n_group=1, topk_group=1)),
            model_type="kimi_k2",
            rope_theta=50000.0,
            routed_scaling_factor=2.827,
        ),
        bias_dtype="BF16",
    ),
    Case(
        "deepseek_v3_mtp",
        "V3 with its MTP module as layer num_hidden_layers",
        deepseek(3, yarn(40, 32), **(SMALL | dict(num_nextn_predict_layers=1))),
    ),
    Case(
        "deepseek_v3_fp8",
        "F8_E4M3 with 128x128 F32 scales, edge blocks partial",
        deepseek(3, None, **FP8_DIMS, quantization_config=fp8()),
        lengths=(20, 3, 9),
        gains={"lm_head": 0.8},
    ),
    Case(
        "deepseek_v3_fp8_ue8m0",
        "V3.1: the same with power-of-two scales",
        deepseek(3, None, **FP8_DIMS, quantization_config=fp8("ue8m0")),
        lengths=(20, 3, 9),
        gains={"lm_head": 0.8},
    ),
    Case("llama3", "llama3 rope scaling, untied", dense("llama", rope_scaling=LLAMA3, head_dim=32)),
    Case(
        "llama_tied",
        "no rope scaling, tied embeddings, one key head",
        dense("llama", tie_word_embeddings=True, num_key_value_heads=1),
        # At full gain the logits of tied embeddings are so sharp that summation order alone moves them by 1e-5 nats.
        gains={"embed_tokens": 0.4},
    ),
    Case("qwen2", "bias on q, k and v", dense("qwen2", rope_theta=1000000.0)),
    Case("qwen3", "q_norm and k_norm, head_dim != D/H; config in transformers 5 style", in_v5_style(dense("qwen3"))),
    Case(
        "qwen3_moe",
        "norm_topk_prob true, every layer sparse",
        dense("qwen3_moe", num_hidden_layers=2, rope_theta=1000000.0),
    ),
    Case(
        "qwen3_moe_mixed",
        "norm_topk_prob false, decoder_sparse_step 2, mlp_only_layers: layers 0, 2 and 3 dense, 1 sparse",
        dense(
            "qwen3_moe",
            num_hidden_layers=4,
            decoder_sparse_step=2,
            mlp_only_layers=[3],
            norm_topk_prob=False,
            rope_theta=1000000.0,
        ),
    ),
]

"""twin.py — the models once more in plain PyTorch, with a choice of where numbers are rounded.

transformers is the oracle for the mathematics. It cannot say what a program should print that rounds the inputs of
its matrix products, so this twin exists: with rounding off it must agree with transformers (make_oracle.py checks
that), and with rounding on it is the reference of the compute classes `bf16` and `fp8dyn`.

Where a Numerics rounds:
  linear layers   the activation entering the product (act); weights as `weights` says; sums in the carrier type
  KV cache        what is stored per token (kv): MLA the normalised latent c and the rotated k_pe, GQA rotated k and v
  never           embeddings, norms, softmax, scores, P·V, SiLU·up, the residual stream, and the router's logits,
                  which are computed from unrounded activations
All shapes below are for one sequence of n tokens at positions 0 .. n-1.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F

E4M3_MAX = 448.0
BLOCK = 128


@dataclasses.dataclass(frozen=True)
class Numerics:
    """act: exact | bf16 | fp8dyn (fp8dyn only where the weight is FP8, bf16 elsewhere); kv: exact | bf16;
    weights: exact | bf16 (FP8 weights dequantized and rounded to bf16).
    absorbed: MLA in latent form, where q_nope entering W_UK and the latent output entering W_UV are activations entering
    a linear layer.
    kv_b_fp8: fp8dyn also for kv_b_proj (the official code's prefill) instead of its bf16 dequantization (its decode).
    shuffle: a seed, if not 0, for another order of summation in linear layers, to see what order alone does.
    carrier: the type of everything that is not rounded."""

    act: str = "exact"
    kv: str = "exact"
    weights: str = "exact"
    absorbed: bool = False
    kv_b_fp8: bool = False
    shuffle: int = 0
    carrier: torch.dtype = torch.float32


@dataclasses.dataclass
class Fp8Weight:
    q: torch.Tensor  # [out, in] F8_E4M3
    scale: torch.Tensor  # [ceil(out/128), ceil(in/128)] f32, multiplies

    def dequantized(self) -> torch.Tensor:
        """[out, in] f32; the product of an e4m3 and an f32 number, rounded once."""
        s = self.scale.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
        return self.q.to(torch.float32) * s[: self.q.shape[0], : self.q.shape[1]]


def to_bf16(x: torch.Tensor) -> torch.Tensor:
    """Round to nearest even bf16, kept in x's type. (A float64 goes through float32 first.)"""
    return x.to(torch.float32).to(torch.bfloat16).to(x.dtype)


def power_of_two_above(scale: torch.Tensor) -> torch.Tensor:
    """2^ceil(log2(scale)), exact: log2 in float32 would lose a scale just above a power of two."""
    mantissa, exponent = torch.frexp(scale)
    return torch.ldexp(torch.ones_like(scale), torch.where(mantissa == 0.5, exponent - 1, exponent))


def quantize_weight(w: torch.Tensor, ue8m0: bool) -> Fp8Weight:
    """[out, in] -> 128x128 blocks, scale amax/448, a power of two if ue8m0."""
    rows, cols = math.ceil(w.shape[0] / BLOCK), math.ceil(w.shape[1] / BLOCK)
    padded = F.pad(w, (0, cols * BLOCK - w.shape[1], 0, rows * BLOCK - w.shape[0]))
    amax = padded.view(rows, BLOCK, cols, BLOCK).abs().amax(dim=(1, 3))
    scale = amax.clamp_min(1e-12) / E4M3_MAX
    if ue8m0:
        scale = power_of_two_above(scale)
    spread = scale.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)[: w.shape[0], : w.shape[1]]
    return Fp8Weight((w / spread).clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn), scale)


def quantize_activation(x: torch.Tensor, ue8m0: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """[n, in] -> e4m3 values [n, in] (in x's type) and scales [n, ceil(in/128)]: per token and 128 channels,
    amax = max(|x|, 1e-4), scale = amax/448, rounded up to a power of two if ue8m0."""
    n, width = x.shape
    slabs = math.ceil(width / BLOCK)
    padded = F.pad(x.to(torch.float32), (0, slabs * BLOCK - width)).view(n, slabs, BLOCK)
    scale = padded.abs().amax(dim=2).clamp_min(1e-4) / E4M3_MAX
    if ue8m0:
        scale = power_of_two_above(scale)
    q = (padded / scale[..., None]).clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn)
    return q.to(x.dtype).view(n, -1)[:, :width], scale.to(x.dtype)


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return weight.to(x.dtype) * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def yarn_mscale(factor: float, m: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * m * math.log(factor) + 1.0


def rope_table(config: dict, dim: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """cos, sin [n, dim/2] in float32, YaRN's amplitude included. Angles in float32, as transformers has them."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    base = rope.get("rope_theta", config.get("rope_theta"))
    kind = rope.get("rope_type", rope.get("type", "default"))
    inv = 1.0 / (base ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    amplitude = 1.0
    if kind == "yarn":
        factor, orig = rope["factor"], rope["original_max_position_embeddings"]

        def correction(rotations):
            return dim * math.log(orig / (rotations * 2 * math.pi)) / (2 * math.log(base))

        low = max(math.floor(correction(rope["beta_fast"])), 0)
        high = min(math.ceil(correction(rope["beta_slow"])), dim - 1)
        width = high - low if high != low else 0.001
        ramp = ((torch.arange(dim // 2, dtype=torch.float32) - low) / width).clamp(0, 1)
        inv = inv / factor * ramp + inv * (1 - ramp)
        amplitude = yarn_mscale(factor, rope.get("mscale", 1.0)) / yarn_mscale(factor, rope.get("mscale_all_dim", 0.0))
    elif kind == "llama3":
        factor, orig = rope["factor"], rope["original_max_position_embeddings"]
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        wavelength = 2 * math.pi / inv
        smooth = (orig / wavelength - low) / (high - low)
        blended = (1 - smooth) * inv / factor + smooth * inv
        inv = torch.where(wavelength > orig / low, inv / factor, torch.where(wavelength < orig / high, inv, blended))
    elif kind != "default":
        raise ValueError(f"rope type {kind}")
    angles = torch.arange(n, dtype=torch.float32)[:, None] * inv
    return angles.cos() * amplitude, angles.sin() * amplitude


def rotate_pairs(x, cos, sin):
    """Interleaved layout: channels 2i, 2i+1 are one pair. x [n, heads, dim]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = cos[:, None].to(x.dtype), sin[:, None].to(x.dtype)
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)


def rotate_halves(x, cos, sin):
    """Half-split layout: channels i, i + dim/2 are one pair. x [n, heads, dim]."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = cos[:, None].to(x.dtype), sin[:, None].to(x.dtype)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def attend(scores: torch.Tensor) -> torch.Tensor:
    """[H, n, n] scaled scores -> causal probabilities."""
    n = scores.shape[-1]
    future = torch.ones(n, n, dtype=torch.bool).triu(1)
    return scores.masked_fill(future, float("-inf")).softmax(dim=-1)


class Twin:
    """weights: name -> f32 tensor or Fp8Weight, by the official names; config: the dict of config.json."""

    dropped_score = float("-inf")  # of experts outside the kept groups

    def __init__(self, config: dict, weights: dict, numerics: Numerics):
        self.config, self.weights, self.numerics = config, weights, numerics
        kind = config["model_type"]
        self.is_mla = kind in ("deepseek_v2", "deepseek_v3", "kimi_k2")
        self.is_v2 = kind == "deepseek_v2"
        quantization = config.get("quantization_config") or {}
        self.ue8m0 = quantization.get("scale_fmt") == "ue8m0"
        self.eps = config["rms_norm_eps"]
        self.routes = {}

    # -- matrix products ------------------------------------------------------------------------------------------

    def dense_weight(self, name: str) -> torch.Tensor:
        w = self.weights[name]
        if isinstance(w, Fp8Weight):
            w = w.dequantized()
            fp8dyn_kv_b = self.numerics.act == "fp8dyn" and name.endswith("kv_b_proj.weight")
            if self.numerics.weights == "bf16" or fp8dyn_kv_b:
                w = to_bf16(w)
        return w.to(self.numerics.carrier)

    def enter(self, x: torch.Tensor) -> torch.Tensor:
        """An activation about to enter a product with a weight that is not FP8."""
        return x if self.numerics.act == "exact" else to_bf16(x)

    def linear(self, x: torch.Tensor, prefix: str) -> torch.Tensor:
        """x [n, in] -> [n, out]; `prefix`.weight and, if there is one, `prefix`.bias."""
        name = prefix + ".weight"
        w = self.weights[name]
        dynamic = self.numerics.act == "fp8dyn" and isinstance(w, Fp8Weight)
        if dynamic and (self.numerics.kv_b_fp8 or not prefix.endswith("kv_b_proj")):
            y = self.linear_fp8(x, w)
        else:
            order = self.summation_order(x.shape[1])
            y = self.enter(x)[:, order] @ self.dense_weight(name).T[order]
        bias = self.weights.get(prefix + ".bias")
        return y if bias is None else y + bias.to(y.dtype)

    def summation_order(self, width: int):
        if not self.numerics.shuffle:
            return slice(None)
        return torch.randperm(width, generator=torch.Generator().manual_seed(self.numerics.shuffle))

    def linear_fp8(self, x: torch.Tensor, w: Fp8Weight) -> torch.Tensor:
        """Each K slab of 128 summed alone, times s_a[row, slab] * s_w[out block, slab], slabs added in ascending K."""
        q, s_a = quantize_activation(x, self.ue8m0)
        values, s_w = w.q.to(torch.float32).to(x.dtype), w.scale.to(x.dtype)
        s_w = s_w.repeat_interleave(BLOCK, 0)[: values.shape[0]]  # [out, slabs]
        y = torch.zeros(x.shape[0], values.shape[0], dtype=x.dtype)
        for k in range(s_a.shape[1]):
            a, b = q[:, k * BLOCK : (k + 1) * BLOCK], values[:, k * BLOCK : (k + 1) * BLOCK]
            order = self.summation_order(a.shape[1])
            y = y + (a[:, order] @ b[:, order].T) * (s_a[:, k, None] * s_w[None, :, k])
        return y

    def cached(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.numerics.kv == "exact" else to_bf16(x)

    # -- attention ------------------------------------------------------------------------------------------------

    def softmax_scale(self) -> float:
        c = self.config
        if not self.is_mla:
            return self.head_dim() ** -0.5
        rope = c.get("rope_parameters") or c.get("rope_scaling") or {}
        scale = (c["qk_nope_head_dim"] + c["qk_rope_head_dim"]) ** -0.5
        if rope.get("mscale_all_dim"):
            scale *= yarn_mscale(rope["factor"], rope["mscale_all_dim"]) ** 2
        return scale

    def head_dim(self) -> int:
        return self.config.get("head_dim") or self.config["hidden_size"] // self.config["num_attention_heads"]

    def mla(self, x: torch.Tensor, p: str) -> torch.Tensor:
        c = self.config
        n, heads = x.shape[0], c["num_attention_heads"]
        dn, dr, dv, rk = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["v_head_dim"], c["kv_lora_rank"]
        cos, sin = rope_table(c, dr, n)
        if c.get("q_lora_rank"):
            latent_q = rms_norm(self.linear(x, p + "q_a_proj"), self.weights[p + "q_a_layernorm.weight"], 1e-6)
            q = self.linear(latent_q, p + "q_b_proj")
        else:
            q = self.linear(x, p + "q_proj")
        q_nope, q_pe = q.view(n, heads, dn + dr).split([dn, dr], dim=-1)
        q_pe = rotate_pairs(q_pe, cos, sin)
        latent, k_pe = self.linear(x, p + "kv_a_proj_with_mqa").split([rk, dr], dim=-1)
        latent = self.cached(rms_norm(latent, self.weights[p + "kv_a_layernorm.weight"], 1e-6))
        k_pe = self.cached(rotate_pairs(k_pe[:, None], cos, sin)[:, 0])
        rope_scores = torch.einsum("nhr,mr->hnm", q_pe, k_pe)
        if self.numerics.absorbed:
            w = self.dense_weight(p + "kv_b_proj.weight").view(heads, dn + dv, rk)
            q_latent = torch.einsum("nhd,hdc->nhc", self.enter(q_nope), w[:, :dn])
            scores = torch.einsum("nhc,mc->hnm", q_latent, latent) + rope_scores
            out_latent = torch.einsum("hnm,mc->nhc", attend(scores * self.softmax_scale()), latent)
            out = torch.einsum("nhc,hdc->nhd", self.enter(out_latent), w[:, dn:])
        else:
            kv = self.linear(latent, p + "kv_b_proj").view(n, heads, dn + dv)
            k_nope, v = kv.split([dn, dv], dim=-1)
            scores = torch.einsum("nhd,mhd->hnm", q_nope, k_nope) + rope_scores
            out = torch.einsum("hnm,mhd->nhd", attend(scores * self.softmax_scale()), v)
        return self.linear(out.reshape(n, heads * dv), p + "o_proj")

    def gqa(self, x: torch.Tensor, p: str) -> torch.Tensor:
        c = self.config
        n, heads, kv_heads, d = x.shape[0], c["num_attention_heads"], c["num_key_value_heads"], self.head_dim()
        cos, sin = rope_table(c, d, n)
        q = self.linear(x, p + "q_proj").view(n, heads, d)
        k = self.linear(x, p + "k_proj").view(n, kv_heads, d)
        v = self.linear(x, p + "v_proj").view(n, kv_heads, d)
        if p + "q_norm.weight" in self.weights:
            q = rms_norm(q, self.weights[p + "q_norm.weight"], self.eps)
            k = rms_norm(k, self.weights[p + "k_norm.weight"], self.eps)
        q, k = rotate_halves(q, cos, sin), self.cached(rotate_halves(k, cos, sin))
        k = k.repeat_interleave(heads // kv_heads, dim=1)
        v = self.cached(v).repeat_interleave(heads // kv_heads, dim=1)
        p_ = attend(torch.einsum("nhd,mhd->hnm", q, k) * self.softmax_scale())
        return self.linear(torch.einsum("hnm,mhd->nhd", p_, v).reshape(n, heads * d), p + "o_proj")

    # -- feed-forward ---------------------------------------------------------------------------------------------

    def dense_ffn(self, x: torch.Tensor, p: str) -> torch.Tensor:
        gated = F.silu(self.linear(x, p + "gate_proj")) * self.linear(x, p + "up_proj")
        return self.linear(gated, p + "down_proj")

    def route(self, x: torch.Tensor, p: str) -> dict:
        """experts [n, K] by falling selection score, weights [n, K], margin [n]: see make_oracle.py."""
        c = self.config
        logits = x @ self.weights[p + "gate.weight"].to(x.dtype).T
        k, count = c["num_experts_per_tok"], logits.shape[1]
        sigmoid = self.is_mla and not self.is_v2
        scores = logits.sigmoid() if sigmoid else logits.softmax(dim=-1)
        choice = scores
        if sigmoid:
            choice = scores + self.weights[p + "gate.e_score_correction_bias"].to(x.dtype)
        margin = torch.full((x.shape[0],), float("inf"), dtype=x.dtype)
        groups, kept_groups = c.get("n_group") or 1, c.get("topk_group") or 1
        grouped = sigmoid or (self.is_v2 and c.get("topk_method") == "group_limited_greedy")
        if grouped and kept_groups < groups:
            split = choice.view(-1, groups, count // groups)
            group_scores = split.topk(2, dim=-1).values.sum(-1) if sigmoid else split.amax(-1)
            order = group_scores.sort(dim=-1, descending=True)
            margin = order.values[:, kept_groups - 1] - order.values[:, kept_groups]
            kept = torch.zeros_like(group_scores, dtype=torch.bool).scatter(1, order.indices[:, :kept_groups], True)
            kept = kept.repeat_interleave(count // groups, dim=1)
            choice = choice.masked_fill(~kept, self.dropped_score)
        order = choice.sort(dim=-1, descending=True)
        experts = order.indices[:, :k]
        margin = torch.minimum(margin, order.values[:, k - 1] - order.values[:, k])
        weights = scores.gather(1, experts)
        if c.get("norm_topk_prob") and not self.is_v2:
            weights = weights / (weights.sum(-1, keepdim=True) + (1e-20 if sigmoid else 0))
        if self.is_mla:
            weights = weights * c["routed_scaling_factor"]
        return {"experts": experts, "weights": weights, "margin": margin}

    def moe(self, x: torch.Tensor, p: str, layer: int) -> torch.Tensor:
        route = self.route(x, p)
        self.routes.setdefault(layer, []).append(route)
        y = torch.zeros_like(x)
        for e in route["experts"].unique().tolist():
            rows, slot = torch.where(route["experts"] == e)
            out = self.dense_ffn(x[rows], f"{p}experts.{e}.")
            y.index_add_(0, rows, out * route["weights"][rows, slot, None])
        if p + "shared_experts.gate_proj.weight" in self.weights:
            y = y + self.dense_ffn(x, p + "shared_experts.")
        return y

    # -- the model ------------------------------------------------------------------------------------------------

    def block(self, x: torch.Tensor, layer: int, record: dict | None) -> torch.Tensor:
        p = f"model.layers.{layer}."
        normed = rms_norm(x, self.weights[p + "input_layernorm.weight"], self.eps)
        attention = (self.mla if self.is_mla else self.gqa)(normed, p + "self_attn.")
        if record is not None:
            record.setdefault(f"attention.{layer}", []).append(attention)
        x = x + attention
        normed = rms_norm(x, self.weights[p + "post_attention_layernorm.weight"], self.eps)
        if p + "mlp.gate.weight" in self.weights:
            x = x + self.moe(normed, p + "mlp.", layer)
        else:
            x = x + self.dense_ffn(normed, p + "mlp.")
        if record is not None:
            record.setdefault(f"hidden.{layer}", []).append(x)
        return x

    def head(self, x: torch.Tensor, norm: str, head: str) -> torch.Tensor:
        return self.linear(rms_norm(x, self.weights[norm], self.eps), head)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.weights["model.embed_tokens.weight"][tokens].to(self.numerics.carrier)

    def one_sequence(self, tokens: torch.Tensor, record: dict) -> torch.Tensor:
        x = self.embed(tokens)
        for layer in range(self.config["num_hidden_layers"]):
            x = self.block(x, layer, record)
        record.setdefault("last", []).append(x)
        tied = self.config.get("tie_word_embeddings")
        return self.head(x, "model.norm.weight", "model.embed_tokens" if tied else "lm_head")

    def run(self, tokens: torch.Tensor, starts: list[int]) -> dict:
        """tokens [T], starts [S+1] -> logits [T, W]; hidden.l, attention.l [T, D], router.l.*."""
        self.routes, record, logits = {}, {}, []
        for begin, end in zip(starts, starts[1:]):
            logits.append(self.one_sequence(tokens[begin:end], record))
        result = {name: torch.cat(parts) for name, parts in record.items()}
        result["logits"] = torch.cat(logits)
        for layer, parts in self.routes.items():
            for field in ("experts", "weights", "margin"):
                result[f"router.{layer}.{field}"] = torch.cat([part[field] for part in parts])
        return result

    def run_mtp(self, tokens: torch.Tensor, starts: list[int], last: torch.Tensor, normed_hidden: bool) -> torch.Tensor:
        """Logits [T - S, W] of the MTP layer: row i of a sequence joins h_i and Emb(t_{i+1}) and predicts t_{i+2}.
        last [T, D] is the main model's last hidden state, here before the final norm. Rotary positions are those of
        t_{i+1}, but only differences of positions count."""
        layer = self.config["num_hidden_layers"]
        p = f"model.layers.{layer}."
        rows = []
        for begin, end in zip(starts, starts[1:]):
            h = last[begin : end - 1]
            if normed_hidden:
                h = rms_norm(h, self.weights["model.norm.weight"], self.eps)
            e = self.weights[p + "embed_tokens.weight"][tokens[begin + 1 : end]].to(h.dtype)
            e = rms_norm(e, self.weights[p + "enorm.weight"], self.eps)
            h = rms_norm(h, self.weights[p + "hnorm.weight"], self.eps)
            x = self.block(self.linear(torch.cat((e, h), dim=-1), p + "eh_proj"), layer, None)
            rows.append(self.head(x, p + "shared_head.norm.weight", p + "shared_head.head"))
        return torch.cat(rows)

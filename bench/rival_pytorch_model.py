"""rival_pytorch_model.py — a training step of DeepSeek-V3's architecture in PyTorch, written to be fast on CPUs: the
worker of rival_pytorch.py.

Latent attention by scaled_dot_product_attention (values padded to the keys' width, without which the fused kernel does not
apply), tokens sorted by expert and one product per expert, gate and up projections joined, fused AdamW. `compiled` adds
torch.compile around all but the experts' loop, whose sizes change from step to step. What is computed is what
tools/oracle/train_twin.py computes: MTP, balance loss, router bias.
"""

import contextlib
import json
import pathlib
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

ALPHA, LAMBDA, GAMMA = 1e-4, 0.3, 1e-3


def matrix(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * 0.02)


class Norm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rotate(x, cos, sin):
    """x [B, n, heads, R], channels 2i and 2i+1 a pair."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.heads, self.plain, self.rope = c["num_attention_heads"], c["qk_nope_head_dim"], c["qk_rope_head_dim"]
        self.value, self.rank = c["v_head_dim"], c["kv_lora_rank"]
        d, keys = c["hidden_size"], self.plain + self.rope
        self.q_a, self.q_norm = matrix(c["q_lora_rank"], d), Norm(c["q_lora_rank"], 1e-6)
        self.q_b = matrix(self.heads * keys, c["q_lora_rank"])
        self.kv_a, self.kv_norm = matrix(self.rank + self.rope, d), Norm(self.rank, 1e-6)
        self.kv_b = matrix(self.heads * (self.plain + self.value), self.rank)
        self.o = matrix(d, self.heads * self.value)
        inverse = c["rope_theta"] ** -(torch.arange(0, self.rope, 2) / self.rope)
        angles = torch.arange(c["max_position_embeddings"])[:, None] * inverse
        self.register_buffer("cos", angles.cos()[:, None])
        self.register_buffer("sin", angles.sin()[:, None])

    def forward(self, x):
        rows, n, _ = x.shape
        cos, sin = self.cos[:n], self.sin[:n]
        q = F.linear(self.q_norm(F.linear(x, self.q_a)), self.q_b).view(rows, n, self.heads, -1)
        q_plain, q_rope = q.split([self.plain, self.rope], dim=-1)
        latent, k_rope = F.linear(x, self.kv_a).split([self.rank, self.rope], dim=-1)
        kv = F.linear(self.kv_norm(latent), self.kv_b).view(rows, n, self.heads, -1)
        k_plain, v = kv.split([self.plain, self.value], dim=-1)
        k_rope = rotate(k_rope[:, :, None], cos, sin).to(kv.dtype).expand(-1, -1, self.heads, -1)
        q = torch.cat((q_plain, rotate(q_rope, cos, sin).to(q.dtype)), dim=-1)
        k = torch.cat((k_plain, k_rope), dim=-1)
        v = F.pad(v, (0, k.shape[-1] - self.value))
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        return F.linear(y[..., : self.value].transpose(1, 2).reshape(rows, n, -1), self.o)


class Ffn(nn.Module):
    def __init__(self, d: int, f: int):
        super().__init__()
        self.gate_up, self.down = matrix(2 * f, d), matrix(d, f)

    def forward(self, x):
        gate, up = F.linear(x, self.gate_up).chunk(2, dim=-1)
        return F.linear(F.silu(gate) * up, self.down)


@torch.compiler.disable
def run_experts(x, chosen, weights, gate_up, down):
    """x [T, D], chosen and weights [T, K] -> [T, D]; tokens sorted by expert."""
    k = chosen.shape[1]
    order = chosen.flatten().argsort()
    counts = chosen.flatten().bincount(minlength=len(down)).tolist()
    token = order // k
    if torch.is_autocast_enabled("cpu"):
        x, gate_up, down = x.bfloat16(), gate_up.bfloat16(), down.bfloat16()
    parts = []
    for part, w1, w2 in zip(x[token].split(counts), gate_up.unbind(), down.unbind()):
        gate, up = (part @ w1.T).chunk(2, dim=-1)
        parts.append((F.silu(gate) * up) @ w2.T)
    y = torch.cat(parts) * weights.flatten()[order, None]
    return torch.zeros(x.shape, dtype=y.dtype).index_add(0, token, y)


class Moe(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        d, f, self.count, self.k = c["hidden_size"], c["moe_intermediate_size"], c["n_routed_experts"], c["num_experts_per_tok"]
        self.scale = c["routed_scaling_factor"]
        self.gate = matrix(self.count, d)
        self.register_buffer("bias", torch.zeros(self.count))
        self.gate_up, self.down = matrix(self.count, 2 * f, d), matrix(self.count, d, f)
        self.shared = Ffn(d, f * c["n_shared_experts"])
        self.load, self.balance = None, None

    def forward(self, x):
        rows, n, d = x.shape
        with torch.autocast("cpu", enabled=False):
            scores = F.linear(x.float(), self.gate).sigmoid()
        chosen = (scores + self.bias).topk(self.k, dim=-1).indices
        weights = scores.gather(-1, chosen)
        weights = weights / weights.sum(-1, keepdim=True) * self.scale
        plain = scores.detach().topk(self.k, dim=-1).indices.flatten(1)
        f = torch.zeros(rows, self.count).scatter_add(1, plain, torch.ones(plain.shape)) * (self.count / (self.k * n))
        self.balance = ALPHA * (f * (scores / scores.sum(-1, keepdim=True)).mean(1)).sum(1).mean()
        load = torch.zeros(self.count).scatter_add(0, chosen.flatten(), torch.ones(chosen.numel()))
        self.load = load if self.load is None else self.load + load
        y = run_experts(x.view(-1, d), chosen.view(-1, self.k), weights.view(-1, self.k), self.gate_up, self.down)
        return y.view(x.shape) + self.shared(x)

    def update_bias(self):
        self.bias += GAMMA * torch.sign(self.load.mean() - self.load)
        self.load = None


class Block(nn.Module):
    def __init__(self, c: dict, moe: bool):
        super().__init__()
        d, eps = c["hidden_size"], c["rms_norm_eps"]
        self.attention_norm, self.attention = Norm(d, eps), Attention(c)
        self.ffn_norm, self.ffn = Norm(d, eps), Moe(c) if moe else Ffn(d, c["intermediate_size"])

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.ffn(self.ffn_norm(x))


class Model(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        d, eps, experts = c["hidden_size"], c["rms_norm_eps"], c.get("n_routed_experts") or 0
        self.embedding, self.head, self.norm = matrix(c["vocab_size"], d), matrix(c["vocab_size"], d), Norm(d, eps)
        layers = range(c["num_hidden_layers"])
        self.blocks = nn.ModuleList(Block(c, experts > 0 and i >= c["first_k_dense_replace"]) for i in layers)
        self.has_mtp = bool(c["num_nextn_predict_layers"])
        if self.has_mtp:
            self.e_norm, self.h_norm, self.last_norm = Norm(d, eps), Norm(d, eps), Norm(d, eps)
            self.join, self.mtp_block = matrix(d, 2 * d), Block(c, experts > 0)

    def moes(self) -> list[Moe]:
        return [m for m in self.modules() if isinstance(m, Moe)]

    def loss(self, hidden, targets, weight: float):
        logits = F.linear(hidden, self.head).float()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum") / weight

    def forward(self, tokens):
        """tokens [B, n] -> main + λ·mtp + balance, main, mtp; means over the B·(n-1) targets."""
        weight = tokens.shape[0] * (tokens.shape[1] - 1)
        x = F.embedding(tokens, self.embedding)
        for block in self.blocks:
            x = block(x)
        hidden = self.norm(x)
        main = self.loss(hidden[:, :-1], tokens[:, 1:], weight)
        total, mtp = main, main.new_zeros(())
        if self.has_mtp:
            joined = torch.cat((self.e_norm(F.embedding(tokens[:, 1:], self.embedding)), self.h_norm(hidden[:, :-1])), dim=-1)
            later = self.last_norm(self.mtp_block(F.linear(joined, self.join).float()))
            mtp = self.loss(later[:, :-1], tokens[:, 2:], weight)
            total = total + LAMBDA * mtp
        for moe in self.moes():
            total = total + moe.balance
        return total, main, mtp


def train(spec: dict) -> dict:
    torch.manual_seed(1)
    model = Model(spec["model"])
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    groups = [{"params": matrices, "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, 1e-3, (0.9, 0.95), 1e-8, fused=True)
    run = torch.compile(model) if "compiled" in spec["variant"] else model
    bf16 = "bf16" in spec["variant"]
    seconds = []
    for _ in range(spec["steps"]):
        batches = torch.randint(0, spec["model"]["vocab_size"], (spec["slots"], spec["rows"], spec["length"]))
        start = time.perf_counter()
        for tokens in batches:
            with torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext():
                total = run(tokens)[0]
            (total / spec["slots"]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        for moe in model.moes():
            moe.update_bias()
        seconds.append(time.perf_counter() - start)
    parameters = [*model.parameters(), *(moe.bias for moe in model.moes())]  # as nautile counts: router biases too
    return {"seconds": seconds, "tokens": batches.numel(), "parameters": sum(p.numel() for p in parameters)}


def load(model: Model, weights: dict, layers: int) -> dict:
    """Copies a checkpoint's tensors in; returns {our parameter: [official names, joined along rows]}."""
    names = {"embedding": ["model.embed_tokens"], "head": ["lm_head"], "norm.weight": ["model.norm"]}
    places = [(f"blocks.{i}.", f"model.layers.{i}.") for i in range(layers)]
    if model.has_mtp:
        p = f"model.layers.{layers}."
        places.append(("mtp_block.", p))
        names |= {"e_norm.weight": [p + "enorm"], "h_norm.weight": [p + "hnorm"], "join": [p + "eh_proj"]}
        names["last_norm.weight"] = [p + "shared_head.norm"]
    for ours, p in places:
        a = p + "self_attn."
        names |= {ours + "attention_norm.weight": [p + "input_layernorm"], ours + "ffn_norm.weight": [p + "post_attention_layernorm"]}
        names |= {f"{ours}attention.{k}": [a + v] for k, v in {
            "q_a": "q_a_proj", "q_norm.weight": "q_a_layernorm", "q_b": "q_b_proj", "kv_a": "kv_a_proj_with_mqa",
            "kv_norm.weight": "kv_a_layernorm", "kv_b": "kv_b_proj", "o": "o_proj"}.items()}
        shared = p + ("mlp.shared_experts." if p + "mlp.gate.weight" in weights else "mlp.")
        inner = ours + ("ffn.shared." if p + "mlp.gate.weight" in weights else "ffn.")
        names |= {inner + "gate_up": [shared + "gate_proj", shared + "up_proj"], inner + "down": [shared + "down_proj"]}
        if p + "mlp.gate.weight" in weights:
            experts = [f"{p}mlp.experts.{e}." for e in range(len(weights[p + "mlp.gate.weight"]))]
            names[ours + "ffn.gate"] = [p + "mlp.gate"]
            names[ours + "ffn.gate_up"] = [e + k for e in experts for k in ("gate_proj", "up_proj")]
            names[ours + "ffn.down"] = [e + "down_proj" for e in experts]
    own = dict(model.named_parameters())
    assert own.keys() == names.keys(), own.keys() ^ names.keys()
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(torch.cat([weights[n + ".weight"] for n in names[name]]).view(parameter.shape))
        for ours, p in places:
            if p + "mlp.gate.e_score_correction_bias" in weights:
                model.get_submodule(ours + "ffn").bias.copy_(weights[p + "mlp.gate.e_score_correction_bias"])
    return names


def check(spec: dict) -> dict:
    """Loss and gradients of the twin's checkpoint, in float32."""
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "tools" / "oracle"))
    from checkpoint import random_weights
    from configs import Case
    from train_cases import Batch, Recipe, TrainCase
    from train_twin import Trained

    config = spec["model"]
    alpha = ALPHA if config.get("n_routed_experts") else 0
    recipe = Recipe("rows", LAMBDA * config["num_nextn_predict_layers"], alpha)
    case = TrainCase("rival", "", Case("rival", "", config), recipe)
    weights = random_weights(case.model, 0)
    model = Model(config)
    names = load(model, weights, config["num_hidden_layers"])
    tokens = torch.randint(0, config["vocab_size"], (3, 40), generator=torch.Generator().manual_seed(1))
    bounds = [0, 40, 80, 120]
    twin = Trained(case, weights, torch.float32)
    expected = twin.forward(Batch(tokens.flatten(), bounds, bounds, bounds, torch.ones(120)))
    twin.gradients(expected["total"])
    total, main, mtp = model(tokens)
    total.backward()
    worst = 0.0
    for name, p in model.named_parameters():
        theirs = torch.cat([twin.parameters[n + ".weight"].grad for n in names[name]]).view(p.shape)
        worst = max(worst, ((p.grad - theirs).norm() / theirs.norm()).item())
    answer = {"loss": main.item(), "twin": expected["main"].item(), "mtp": mtp.item(), "twin mtp": expected["mtp"].item(),
              "worst gradient, relative": worst}
    far = abs(total.item() / expected["total"].item() - 1)
    if far > 1e-5 or worst > 1e-3:
        sys.exit(f"the rival is another model than the twin: loss off by {far:.1e}, {answer}")
    return answer


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    print(json.dumps(check(task) if task["check"] else train(task)))

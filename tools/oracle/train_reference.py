"""train_reference.py — the same training steps by transformers' own modules, in float32.

A packed batch is one sequence with a 4D mask, where the twin runs span by span; experts are fused tensors; the balance
loss is counted from the router's logits with loops. What transformers has no word for (weighted loss, balance, bias
update) is written here once more, in another way than in train_twin.py.
"""

import pathlib

import torch
import torch.nn.functional as F
from checkpoint import mtp_layers
from reference import load_transformers
from train_cases import Batch, TrainCase
from train_twin import optimizer
from transformers.modeling_layers import MtpModel


def span_mask(starts: list[int]) -> torch.Tensor:
    """[1, 1, n, n] to be added to the scores: 0 inside a span and not in the future, else the least number."""
    span = torch.cat([torch.full((e - b,), s) for s, (b, e) in enumerate(zip(starts, starts[1:]))])
    allowed = (span[:, None] == span[None, :]).tril()
    return torch.where(allowed, 0.0, torch.finfo(torch.float32).min)[None, None]


def unfused(name: str, x: torch.Tensor) -> dict:
    """transformers' fused experts as the checkpoint has them."""
    if name.endswith("mlp.experts.gate_up_proj"):
        prefix = name.removesuffix("gate_up_proj")
        halves = {"gate": x.chunk(2, dim=1)[0], "up": x.chunk(2, dim=1)[1]}
        return {f"{prefix}{e}.{k}_proj.weight": y[e] for k, y in halves.items() for e in range(len(y))}
    if name.endswith("mlp.experts.down_proj"):
        return {f"{name.removesuffix('down_proj')}{e}.down_proj.weight": y for e, y in enumerate(x)}
    return {name: x}


class TransformersTrained:
    def __init__(self, case: TrainCase, folder: pathlib.Path):
        self.case, self.recipe = case, case.recipe
        self.model = load_transformers(folder)
        self.last = case.model.config["num_hidden_layers"]
        self.parameters = dict(self.model.named_parameters())  # a tied head is listed once
        self.mtp = None
        if mtp_layers(case.model):
            self.model._keys_to_ignore_on_load_unexpected = [rf"model\.layers\.{self.last}\..*"]
            self.mtp = MtpModel.from_pretrained(self.model).eval()
            for name, p in self.mtp.layers[0].named_parameters():
                name = name.removeprefix("mtp_block.").replace("post_norm", "shared_head.norm")
                self.parameters[f"model.layers.{self.last}.{name}"] = p
        self.gates, self.seen = self.watch_gates(), {}
        self.adam = optimizer(self.parameters, self.recipe)

    def watch_gates(self) -> dict:
        """layer -> its router, whose outputs land in self.seen."""
        blocks = list(self.model.model.layers) + ([self.mtp.layers[0].mtp_block] if self.mtp else [])
        gates = {layer: block.mlp.gate for layer, block in enumerate(blocks) if hasattr(block.mlp, "gate")}

        def keep(layer):
            return lambda module, inputs, output: self.seen.__setitem__(layer, output)

        for layer, gate in gates.items():
            gate.register_forward_hook(keep(layer))
        return gates

    def cross_entropy(self, logits: torch.Tensor, targets, weights, total) -> torch.Tensor:
        """transformers' own loss where weights are 0 and 1, else a weighted mean."""
        if set(weights.tolist()) <= {0.0, 1.0}:
            labels = torch.where((targets >= 0) & (weights > 0), targets, -100)
            return self.model.loss_function(
                logits, None, logits.shape[-1], shift_labels=labels[None], num_items_in_batch=total
            )
        rows = torch.nonzero(weights)[:, 0]
        log_probability = logits[0].log_softmax(-1)[rows, targets[rows]]
        return -(log_probability * weights[rows]).sum() / total

    def forward(self, batch: Batch) -> dict:
        out = self.model(
            batch.tokens[None],
            position_ids=batch.positions()[None],
            attention_mask=span_mask(batch.starts),
            use_cache=False,
            output_hidden_states=True,
        )
        total_weight = batch.weights().sum()
        result = {"main": self.cross_entropy(out.logits, batch.targets(), batch.weights(), total_weight)}
        result["mtp"] = torch.zeros(())
        if self.mtp is not None:
            rows = batch.mtp_rows()
            hidden = self.mtp.layers[0](
                self.model.model.embed_tokens(batch.tokens[rows + 1][None]),
                out.hidden_states[-1][:, rows],  # after the final norm
                position_embeddings=self.model.model.rotary_emb(out.logits, batch.positions()[rows][None]),
                attention_mask=span_mask(batch.mtp_bounds(batch.starts)),
                position_ids=batch.positions()[rows][None],
                past_key_values=None,
            )
            logits = self.mtp._project_to_logits(hidden)
            result["mtp"] = self.cross_entropy(logits, batch.mtp_targets(), batch.mtp_weights(), total_weight)
        result["balance"] = self.balance(batch)
        result["total"] = result["main"] + self.recipe.mtp_lambda * result["mtp"] + result["balance"]
        return result

    def balance(self, batch: Batch) -> torch.Tensor:
        loss = torch.zeros(())
        if not self.recipe.balance_alpha:
            return loss
        k = self.case.model.config["num_experts_per_tok"]
        for layer, (logits, _, _) in self.seen.items():
            bounds = batch.rows if layer < self.last else batch.mtp_bounds(batch.rows)
            scores, experts = logits.sigmoid(), logits.shape[1]
            share = scores / scores.sum(1, keepdim=True)
            for begin, end in zip(bounds, bounds[1:]):
                count = [0] * experts
                for token in scores[begin:end].tolist():
                    for expert in sorted(range(experts), key=lambda e: -token[e])[:k]:
                        count[expert] += 1
                for expert in range(experts):
                    f = experts * count[expert] / (k * (end - begin))
                    p = share[begin:end, expert].sum() / (end - begin)
                    loss = loss + self.recipe.balance_alpha * f * p / (len(bounds) - 1)
        return loss

    def step(self, batch: Batch) -> tuple[dict, dict, float]:
        """Losses, gradients by the checkpoint's names before the clip, their norm; the weights have moved on."""
        self.adam.zero_grad()
        result = self.forward(batch)
        result["total"].backward()
        gradients = {}
        for name, p in self.parameters.items():
            gradients |= unfused(name, torch.zeros_like(p) if p.grad is None else p.grad.clone())
        norm = torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self.recipe.clip).item()
        self.adam.step()
        if self.recipe.bias_gamma:
            for layer, gate in self.gates.items():
                self.update_bias(gate, self.seen[layer][2])
        return {k: v.item() for k, v in result.items()}, gradients, norm

    def update_bias(self, gate, chosen: torch.Tensor) -> None:
        load = F.one_hot(chosen, gate.num_experts).sum((0, 1))
        for expert in range(gate.num_experts):
            if load[expert] * gate.num_experts > chosen.numel():
                gate.e_score_correction_bias[expert] -= self.recipe.bias_gamma
            elif load[expert] * gate.num_experts < chosen.numel():
                gate.e_score_correction_bias[expert] += self.recipe.bias_gamma

    def weights(self) -> dict:
        weights = {}
        for name, p in self.parameters.items():
            weights |= unfused(name, p.detach())
        return weights

    def biases(self) -> dict:
        kind = "e_score_correction_bias"
        gates = {layer: gate for layer, gate in self.gates.items() if hasattr(gate, kind)}
        return {f"model.layers.{layer}.mlp.gate.{kind}": getattr(gate, kind) for layer, gate in gates.items()}

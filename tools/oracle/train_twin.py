"""train_twin.py — the twin with losses, gradients and AdamW: what a trainer must compute, in plain PyTorch.

loss      = main + λ·mtp + balance
main      = Σ_t w_t·CE_t / Σ_t w_t over the tokens t whose next token lies in the same span of `starts`
mtp       = Σ_i w_{i+1}·CE_i / Σ_t w_t, the same denominator. Row i is a token whose next token lies in the same span;
            it joins the main model's hidden state after the final norm at i with the embedding of token i+1 and
            predicts token i+2, if that lies in the span too: that target weighs what it weighs in the main loss.
            Attention stays inside the spans, each one row shorter. Gradients reach the main model through the hidden
            state, and its embedding and head.
balance   = Σ_layers mean_r α Σ_i f_i P_i over the packed rows r of the batch; f_i = E/(K·T_r)·#{t: i among the K
            largest scores s_t}, P_i = mean_t s_{i,t}/Σ_j s_{j,t}; scores without bias and groups; f is a constant. The
            MTP block is a layer like the others, on its own rows.
clip      every gradient times min(1, clip/(norm + 1e-6)), norm over all of them, as torch.nn.utils.clip_grad_norm_
AdamW     torch.optim.AdamW on clipped gradients; decay on tensors of rank 2 and more. A tensor without a gradient (an
          expert that no token chose) has gradient 0: its moments and its decay go on.
bias      after the step b_i += γ·sign(mean load - load_i), load counted over the whole batch, in float32
(DeepSeek-V3 report, eq. 17-20 and 21-25, and section 4.2.)
"""

import torch
import torch.nn.functional as F
from checkpoint import expert_count, mtp_layers
from train_cases import Batch, Recipe, TrainCase, trainable
from twin import Numerics, Twin


class ScoringTwin(Twin):
    """Also keeps each route's raw scores [n, E]."""

    def route(self, x: torch.Tensor, p: str) -> dict:
        route = super().route(x, p)
        logits = x @ self.weights[p + "gate.weight"].to(x.dtype).T
        route["scores"] = logits.sigmoid() if self.is_mla and not self.is_v2 else logits.softmax(dim=-1)
        return route


def balance_loss(scores: torch.Tensor, bounds: list[int], k: int) -> torch.Tensor:
    """Σ_i f_i P_i, mean over the packed rows; scores [n, E], bounds of the rows in n."""
    terms = []
    for begin, end in zip(bounds, bounds[1:]):
        s = scores[begin:end]
        chosen = s.detach().topk(k, dim=-1).indices.flatten()
        f = torch.bincount(chosen, minlength=s.shape[1]).to(s.dtype) * s.shape[1] / (k * len(s))
        terms.append((f * (s / s.sum(-1, keepdim=True)).mean(0)).sum())
    return torch.stack(terms).mean()


def update_bias(bias: torch.Tensor, load: torch.Tensor, gamma: float) -> torch.Tensor:
    """[E] f32, exact: γ rounded to f32 once, one addition."""
    return bias + torch.tensor(gamma, dtype=torch.float32) * torch.sign(load.double().mean() - load).to(torch.float32)


def optimizer(parameters: dict, recipe: Recipe) -> torch.optim.AdamW:
    groups = [
        {"params": [p for p in parameters.values() if p.dim() >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters.values() if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, recipe.lr, (recipe.beta1, recipe.beta2), recipe.eps, foreach=False)


class Trained:
    """A checkpoint being trained. carrier: the type of every number but the routing bias, which is float32."""

    def __init__(self, case: TrainCase, weights: dict, carrier: torch.dtype):
        self.case, self.recipe, self.config = case, case.recipe, case.model.config
        self.last = self.config["num_hidden_layers"]
        self.parameters = {
            name: w.to(carrier).clone().requires_grad_() for name, w in weights.items() if trainable(case, name)
        }
        self.biases = {name: w.clone() for name, w in weights.items() if name.endswith("e_score_correction_bias")}
        aliases = {}
        if mtp_layers(case.model):
            p = f"model.layers.{self.last}."
            aliases[p + "embed_tokens.weight"] = self.parameters["model.embed_tokens.weight"]
            aliases[p + "shared_head.head.weight"] = self.parameters["lm_head.weight"]
        self.twin = ScoringTwin(self.config, self.parameters | self.biases | aliases, Numerics(carrier=carrier))
        self.adam = optimizer(self.parameters, self.recipe)

    def forward(self, batch: Batch) -> dict:
        """total, main, mtp, balance: scalars; ce [T], mtp_ce [T-S]: 0 without a target; routes by layer."""
        run = self.twin.run(batch.tokens, batch.starts)
        zero = run["logits"].new_zeros(())
        weights = batch.weights().to(zero.dtype)
        result = {"ce": F.cross_entropy(run["logits"], batch.targets(), ignore_index=-1, reduction="none")}
        result["main"] = (weights * result["ce"]).sum() / weights.sum()
        result["mtp"] = zero
        if mtp_layers(self.case.model):
            logits = self.twin.run_mtp(batch.tokens, batch.starts, run["last"], True)
            ce = F.cross_entropy(logits, batch.mtp_targets(), ignore_index=-1, reduction="none")
            result["mtp_ce"] = ce
            result["mtp"] = (batch.mtp_weights().to(zero.dtype) * ce).sum() / weights.sum()
        routes = {
            layer: {field: torch.cat([part[field] for part in parts]) for field in parts[0]}
            for layer, parts in self.twin.routes.items()
        }
        result["routes"], result["balance_layers"] = routes, {}
        if self.recipe.balance_alpha:
            k = self.config["num_experts_per_tok"]
            for layer, route in routes.items():
                bounds = batch.rows if layer < self.last else batch.mtp_bounds(batch.rows)
                loss = self.recipe.balance_alpha * balance_loss(route["scores"], bounds, k)
                result["balance_layers"][layer] = loss
        result["balance"] = sum(result["balance_layers"].values(), zero)
        result["total"] = result["main"] + self.recipe.mtp_lambda * result["mtp"] + result["balance"]
        return result

    def gradients(self, loss: torch.Tensor) -> None:
        """Of the loss, into the parameters' grad; 0 for what the batch does not touch."""
        for p in self.parameters.values():
            p.grad = torch.zeros_like(p)
        loss.backward()

    def loads(self, forward: dict) -> dict:
        """layer -> [E] tokens of the batch that chose the expert."""
        experts = expert_count(self.case.model)
        return {
            layer: torch.bincount(route["experts"].flatten(), minlength=experts)
            for layer, route in forward["routes"].items()
        }

    def update(self, loads: dict) -> float:
        """Clip, AdamW, bias; returns the norm before the clip."""
        norm = torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self.recipe.clip).item()
        self.adam.step()
        if self.recipe.bias_gamma:
            for layer, load in loads.items():
                name = f"model.layers.{layer}.mlp.gate.e_score_correction_bias"
                self.biases[name] = update_bias(self.biases[name], load, self.recipe.bias_gamma)
                self.twin.weights[name] = self.biases[name]
        return norm

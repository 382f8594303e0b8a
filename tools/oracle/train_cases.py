"""train_cases.py — the tiny configurations that the training oracle trains, and their packed batches."""

import dataclasses
import zlib

import torch
from checkpoint import mtp_layers
from configs import LLAMA3, Case, deepseek, dense, yarn


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a trainer is told. A weight of 0 turns the term off."""

    starts: str = "documents"  # attention stays inside: documents | rows
    mtp_lambda: float = 0.0
    balance_alpha: float = 0.0
    bias_gamma: float = 0.0
    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1  # of tensors of rank 2 and more
    clip: float = 1.0


@dataclasses.dataclass(frozen=True)
class TrainCase:
    """home: the case whose checkpoint this one starts from. keep: what is written besides the losses of each step."""

    name: str
    why: str
    model: Case
    recipe: Recipe = Recipe()
    home: str = ""
    weights: str = "ones"  # loss weights of tokens: ones | mixed
    keep: tuple = ("gradients", "final")


V3_DIMS = dict(
    hidden_size=32,
    intermediate_size=48,
    kv_lora_rank=16,
    moe_intermediate_size=12,
    n_group=3,
    n_routed_experts=12,
    num_attention_heads=2,
    num_experts_per_tok=3,
    num_key_value_heads=2,
    q_lora_rank=24,
    qk_nope_head_dim=8,
    qk_rope_head_dim=8,
    topk_group=2,
    v_head_dim=12,
    vocab_size=96,
)
LLAMA_DIMS = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=96)
FEW = dict(n_routed_experts=8, n_group=1, topk_group=1)

LLAMA = Case("train_llama", "", dense("llama", rope_scaling=LLAMA3, **LLAMA_DIMS))
LLAMA_TIED = Case(
    "train_llama_tied",
    "",
    dense("llama", tie_word_embeddings=True, num_key_value_heads=1, **LLAMA_DIMS),
    gains={"embed_tokens": 0.4},
)
# One name, so one set of weights: the second only adds the MTP module.
V3 = Case("train_v3", "", deepseek(3, None, **V3_DIMS), bias=(-0.1, 0.25))
V3_MTP = Case("train_v3", "", deepseek(3, None, **V3_DIMS, num_nextn_predict_layers=1), bias=(-0.1, 0.25))
V3_YARN = Case(
    "train_v3_yarn",
    "",
    deepseek(3, yarn(8, 16), **(V3_DIMS | FEW), num_nextn_predict_layers=1) | {"q_lora_rank": None},
    bias=(0.1, 0.2),
)
V2 = Case(
    "train_v2",
    "",
    deepseek(2, None, **(V3_DIMS | dict(n_group=4, n_routed_experts=8, num_hidden_layers=2, routed_scaling_factor=4.0)))
    | {"topk_method": "group_limited_greedy"},
    gains={"mlp.gate.": 2.0},
)

QWEN2 = Case("train_qwen2", "", dense("qwen2", **LLAMA_DIMS))
QWEN3 = Case("train_qwen3_moe", "", dense("qwen3_moe", **LLAMA_DIMS, head_dim=12) | {"moe_intermediate_size": 12})

CASES = [
    TrainCase(
        "llama",
        "dense, grouped heads, llama3 rope scaling, mixed loss weights; the clip acts in some steps and not in others",
        LLAMA,
        Recipe(clip=2.5),
        weights="mixed",
    ),
    TrainCase(
        "llama_tied",
        "tied embeddings, one key head; documents attend across",
        LLAMA_TIED,
        Recipe(starts="rows"),
        keep=("gradients",),
    ),
    TrainCase("v3", "MLA, dense and MoE layers, groups, shared expert; no MTP, no balance loss, bias frozen", V3),
    TrainCase(
        "v3_all",
        "v3 with an MTP module, balance loss and bias update",
        V3_MTP,
        Recipe(mtp_lambda=0.3, balance_alpha=0.01, bias_gamma=0.001),
    ),
    TrainCase(
        "v3_yarn",
        "no query latent, YaRN, one group, MTP; documents attend across, mixed loss weights",
        V3_YARN,
        Recipe(starts="rows", mtp_lambda=0.3),
        weights="mixed",
    ),
    TrainCase("v3_mtp", "MTP alone", V3_MTP, Recipe(mtp_lambda=0.3), home="v3_all", keep=("gradients",)),
    TrainCase("v3_balance", "balance loss alone", V3, Recipe(balance_alpha=0.01), home="v3", keep=("gradients",)),
    TrainCase("v3_bias", "bias update alone", V3, Recipe(bias_gamma=0.001), home="v3", keep=()),
    TrainCase("v2", "softmax routing, groups by their best expert, weights not normalised", V2, keep=("gradients",)),
    TrainCase("qwen2", "bias on q, k and v", QWEN2, keep=("gradients",)),
    TrainCase("qwen3_moe", "q_norm and k_norm; softmax routing, weights normalised", QWEN3, keep=("gradients",)),
]

STEPS = 10


@dataclasses.dataclass
class Batch:
    """tokens [T]; documents [D+1], rows [B+1], starts [S+1]: bounds from 0 to T; loss weights [T] as drawn."""

    tokens: torch.Tensor
    documents: list[int]
    rows: list[int]
    starts: list[int]
    drawn_weights: torch.Tensor

    def positions(self) -> torch.Tensor:
        return torch.cat([torch.arange(e - b) for b, e in zip(self.starts, self.starts[1:])])

    def has_target(self) -> torch.Tensor:
        """[T] bool: the next token lies in the same span."""
        inside = torch.ones(len(self.tokens), dtype=torch.bool)
        inside[torch.tensor(self.starts[1:]) - 1] = False
        return inside

    def targets(self) -> torch.Tensor:
        """[T], -1 where there is none."""
        return torch.where(self.has_target(), self.tokens.roll(-1), -1)

    def weights(self) -> torch.Tensor:
        """[T] f32, 0 without a target."""
        return torch.where(self.has_target(), self.drawn_weights, 0.0)

    def mtp_rows(self) -> torch.Tensor:
        """[T-S] the tokens that the MTP module runs on."""
        return torch.nonzero(self.has_target())[:, 0]

    def mtp_bounds(self, bounds: list[int]) -> list[int]:
        """Bounds of tokens as bounds of MTP rows; two may be equal."""
        before = torch.cat([torch.zeros(1, dtype=torch.long), self.has_target().long().cumsum(0)])
        return before[torch.tensor(bounds)].tolist()

    def mtp_targets(self) -> torch.Tensor:
        """[T-S] token i+2 of row i, -1 where it lies in another span: the main target of token i+1."""
        return self.targets()[self.mtp_rows() + 1]

    def mtp_weights(self) -> torch.Tensor:
        """[T-S] a target weighs what it weighs in the main loss."""
        return self.weights()[self.mtp_rows() + 1]


# Lengths of the documents of each packed row. A document that a row's end cuts is two documents to the model.
LAYOUTS = [
    ((9, 15), (6, 2, 12)),
    ((24,), (5, 19), (7, 4, 6)),
    ((1, 14, 9), (22, 1)),
    ((3, 3, 3, 15), (30,)),
    ((12, 12), (12, 12)),
    ((17, 8), (2, 2, 20), (10,)),
    ((40,),),
    ((8, 8, 8), (4, 20)),
    ((1, 1, 22), (23, 1)),
    ((5, 6, 7), (8, 9, 3)),
]


def bounds_of(lengths) -> list[int]:
    bounds = [0]
    for length in lengths:
        bounds.append(bounds[-1] + length)
    return bounds


def token_frequencies(words: int) -> torch.Tensor:
    """Skewed, as text is: some tokens come often, some never."""
    return 1.0 / (torch.arange(words, dtype=torch.float32) + 4.0)


def random_batch(case: TrainCase, step: int) -> tuple[Batch, torch.Generator]:
    """Cases of one model draw the same batches."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{case.model.name}/batch/{step}".encode()))
    layout = LAYOUTS[step % len(LAYOUTS)]
    documents = bounds_of(length for row in layout for length in row)
    rows = bounds_of(sum(row) for row in layout)
    frequencies = token_frequencies(case.model.config["vocab_size"])
    tokens = torch.multinomial(frequencies, documents[-1], replacement=True, generator=generator)
    weights = torch.ones(len(tokens))
    if case.weights == "mixed":
        choices = torch.tensor([0.0, 0.5, 1.0, 1.0, 2.0])
        weights = choices[torch.randint(0, len(choices), (len(tokens),), generator=generator)]
    starts = documents if case.recipe.starts == "documents" else rows
    return Batch(tokens, documents, rows, starts, weights), generator


def trainable(case: TrainCase, name: str) -> bool:
    """Every tensor but the routing bias and the MTP module's copies of the embedding and the head."""
    copies = (".embed_tokens.weight", ".shared_head.head.weight")
    return not name.endswith("e_score_correction_bias") and not (
        mtp_layers(case.model) and name.startswith("model.layers.") and name.endswith(copies)
    )

"""lm-eval: `local-completions` on MMLU (multiple choice by logprobs) and GSM8K (generated answers), and what it
measures against the same sums asked for by hand.

The model is the small one that comes with nautile, since its tokenizer is a file that lm-eval can load. The questions
are the test data's (NAUTILE_TEST_DATA, else ../shared), for nothing is fetched.
"""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from features import REAL, feature, run
from raw_http import Api

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("NAUTILE_TEST_DATA", ROOT.parent / "shared")) / "data"
MODEL = ROOT / "models/think-small"
QUESTIONS = 12

MMLU = """
task: nautile_mmlu
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/mmlu.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: acc}}]
"""
GSM8K = """
task: nautile_gsm8k
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/gsm8k.jsonl}}}}
test_split: test
output_type: generate_until
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["Question:"], max_gen_toks: 24, temperature: 0}}
metric_list: [{{metric: exact_match}}]
"""


def write_tasks(folder):
    questions = []
    for path in sorted((DATA / "mmlu/test").glob("*.csv"))[:4]:
        with open(path, encoding="utf-8", newline="") as file:
            for row in list(csv.DictReader(file))[:QUESTIONS // 4]:
                questions.append({"question": row["question"], "choices": [row[f"choice{i}"] for i in range(4)],
                                  "answer": int(row["answer"])})
    with open(folder / "mmlu.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(question) + "\n" for question in questions)
    with open(DATA / "gsm8k/test.jsonl", encoding="utf-8") as file:
        lines = [next(file) for _ in range(3)]
    (folder / "gsm8k.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "mmlu.yaml").write_text(MMLU.format(folder=folder), encoding="utf-8")
    (folder / "gsm8k.yaml").write_text(GSM8K.format(folder=folder), encoding="utf-8")


def evaluate(server, folder, task):
    arguments = ",".join([f"model=think,base_url={server.v1}/completions,tokenizer={MODEL}",
                          "num_concurrent=4,max_retries=3,max_length=1024,tokenizer_backend=huggingface"])
    environment = {**os.environ, "OPENAI_API_KEY": server.key, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
                   "HF_HOME": str(folder / "hf")}
    done = subprocess.run(
        [sys.executable, "-m", "lm_eval", "--model", "local-completions", "--model_args", arguments, "--tasks", task,
         "--include_path", str(folder), "--output_path", str(folder / "out"), "--log_samples", "--batch_size", "1"],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise AssertionError(f"exit status {done.returncode}: {done.stderr[-600:]}")
    (samples,) = (folder / "out").rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]


def by_hand(api, prompt, answer):
    """The sum of the answer's logprobs, from the echo of both as tokens: with text the server would add BOS."""

    def ids_of(text):
        return api.post("/tokenize", {"model": "think", "prompt": text}).json()["tokens"]

    whole = api.post("/v1/completions", {"model": "think", "prompt": ids_of(prompt + answer), "max_tokens": 0,
                                         "echo": True, "logprobs": 1}).json()["choices"][0]["logprobs"]
    return sum(whole["token_logprobs"][len(ids_of(prompt)):])


@feature("logprobs: mmlu", on=[REAL])
def mmlu(server):
    with tempfile.TemporaryDirectory(prefix="nautile-lmeval-") as name:
        folder = pathlib.Path(name)
        write_tasks(folder)
        samples = evaluate(server, folder, "nautile_mmlu")
    api, compared = Api(server.url, server.key), 0
    assert len(samples) == QUESTIONS
    for sample in samples[:4]:
        prompt = sample["doc"]["question"] + "\nAnswer:"
        for choice, told in zip(sample["doc"]["choices"], sample["filtered_resps"]):
            mine = by_hand(api, prompt, " " + choice)
            # The same floats, added in the same order, printed and read once more.
            assert abs(float(told[0]) - mine) <= 1e-9 * max(1, abs(mine)), (told, mine)
            compared += 1
    assert compared == 16, compared


@feature("generation: gsm8k", on=[REAL])
def gsm8k(server):
    with tempfile.TemporaryDirectory(prefix="nautile-lmeval-") as name:
        folder = pathlib.Path(name)
        write_tasks(folder)
        samples = evaluate(server, folder, "nautile_gsm8k")
    assert len(samples) == 3 and all(isinstance(sample["filtered_resps"][0], str) for sample in samples)


run("lm-eval")

"""Cached = cold, batched = alone, stream = non-stream: `equality_check.py URL KEY MODEL TEXT --prompts N --save FILE`.

Each prompt is a piece of TEXT, with a seed and settings of its own. Its answer (text, finish, every logprob's bits as
JSON writes them) is asked for
  alone    nothing else runs, and its user has no cached prefix
  cached   again, for the same user; a part of the prompt must then come from the cache
  batched  as a user of its own, among 16 threads of random company, whole or streamed by chance
and must be the same each time. With --load FILE what a former server answered is compared instead: the same again,
with a part of each prompt from the cache on disk.
"""
import argparse
import json
import random
import sys
import threading

from raw_http import Api, events_of


def prompts_of(text, count, seed):
    draw = random.Random(seed)
    prompts = []
    for i in range(count):
        begin = draw.randrange(len(text) - 2000)
        body = {"prompt": text[begin:begin + draw.randrange(40, 900)], "max_tokens": draw.randrange(4, 20), "seed": i,
                "temperature": draw.choice([0, 0.7, 1, 1.5]), "top_p": draw.choice([1, 0.9]), "logprobs": 3}
        if draw.random() < 0.2:
            body["guided_regex"] = "[a-z ,.]{1,60}"
            body["max_tokens"] = 20
        if draw.random() < 0.2:
            body["stop"] = ["e", "the"]
        prompts.append(body)
    return prompts


def ask(api, model, body, user, stream=False):
    """(what must be equal, tokens from the cache)."""
    body = {**body, "model": model, "user": user}
    if not stream:
        reply = api.post("/v1/completions", body)
        if reply.status != 200:
            raise AssertionError(f"{reply.status} {reply.body[:300]!r}")
        answer = reply.json()
        choice, usage = answer["choices"][0], answer["usage"]
    else:
        reply = api.post("/v1/completions", {**body, "stream": True, "stream_options": {"include_usage": True}})
        if reply.status != 200:
            raise AssertionError(f"{reply.status} {reply.body[:300]!r}")
        chunks = [json.loads(data) for _, data in events_of(reply.body) if data != "[DONE]"]
        usage, choice = chunks.pop()["usage"], {"text": "", "finish_reason": None, "logprobs": {}}
        for chunk in chunks:
            part = chunk["choices"][0]
            choice["text"] += part["text"]
            choice["finish_reason"] = part["finish_reason"]
            for name, values in (part["logprobs"] or {}).items():
                choice["logprobs"].setdefault(name, []).extend(values)
    equal = [choice["text"], choice["finish_reason"], choice["logprobs"], usage["prompt_tokens"],
             usage["completion_tokens"]]
    if not equal[2]:
        equal[2] = None if stream else equal[2]
    return json.dumps(equal, sort_keys=True), usage["prompt_tokens_details"]["cached_tokens"]


def normal(text):
    """Streams without a token have no logprobs, whole answers empty lists: the same."""
    equal = json.loads(text)
    if equal[2] is None or not any(equal[2].values()):
        equal[2] = None
    return json.dumps(equal, sort_keys=True)


class Checks:
    def __init__(self, options, prompts):
        self.options, self.prompts = options, prompts
        self.wrong, self.lock = [], threading.Lock()
        self.compared = self.reused = 0

    def hold(self, what, index, found, wanted):
        with self.lock:
            self.compared += 1
            if normal(found) != normal(wanted):
                self.wrong.append(f"{what}, prompt {index}: {found[:240]} is not {wanted[:240]}")

    def alone(self):
        api = Api(self.options.url, self.options.key)
        answers = []
        for index, body in enumerate(self.prompts):
            answer, reused = ask(api, self.options.model, body, f"alone-{index}")
            if reused:
                self.wrong.append(f"alone, prompt {index}: {reused} tokens from a cache that is not this user's")
            answers.append(answer)
        return answers

    def again(self, what, answers):
        api = Api(self.options.url, self.options.key)
        for index, body in enumerate(self.prompts):
            answer, reused = ask(api, self.options.model, body, f"alone-{index}", stream=index % 2 == 0)
            self.reused += reused > 0
            self.hold(what, index, answer, answers[index])

    def batched(self, answers):
        order = list(range(len(self.prompts)))
        random.Random(2).shuffle(order)
        work = iter(order)

        def run():
            api = Api(self.options.url, self.options.key)
            while True:
                with self.lock:
                    index = next(work, None)
                if index is None:
                    return
                try:
                    answer, _ = ask(api, self.options.model, self.prompts[index], f"batched-{index % 7}", index % 3 == 0)
                    self.hold("batched", index, answer, answers[index])
                except (AssertionError, OSError, ValueError) as error:
                    with self.lock:
                        self.wrong.append(f"batched, prompt {index}: {error}")
                    api = Api(self.options.url, self.options.key)

        threads = [threading.Thread(target=run) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main():
    parser = argparse.ArgumentParser()
    for name in ("url", "key", "model", "text"):
        parser.add_argument(name)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save")
    parser.add_argument("--load")
    options = parser.parse_args()
    with open(options.text, encoding="utf-8", errors="replace") as file:
        checks = Checks(options, prompts_of(file.read(4_000_000), options.prompts, options.seed))
    if options.load:
        with open(options.load, encoding="utf-8") as file:
            checks.again("restarted", json.load(file))
    else:
        answers = checks.alone()
        checks.again("cached", answers)
        checks.batched(answers)
        with open(options.save, "w", encoding="utf-8") as file:
            json.dump(answers, file)
    for line in checks.wrong[:20]:
        print("  WRONG " + line)
    # Prompts shorter than a page have nothing to reuse.
    few = checks.reused < options.prompts // 2
    print(f"equality: {checks.compared} answers compared, {checks.reused} of {options.prompts} prompts reused a prefix, "
          f"{len(checks.wrong)} wrong")
    sys.exit(1 if checks.wrong or few else 0)


if __name__ == "__main__":
    main()

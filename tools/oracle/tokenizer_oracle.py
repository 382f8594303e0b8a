"""Compares nautile's tokenizers with the `tokenizers` library; any difference is an error.

    python3.11 -m venv V && V/bin/pip install tokenizers==0.23.3 gguf
    V/bin/python tools/oracle/tokenizer_oracle.py --program build/release/tokenizer_cases [--count 100000]
        [--gguf SmolLM2.gguf] [--cases tests/data/tokenizer_cases.jsonl]
Tokenizers: every folder of ../shared/tokenizers, variants of them (flags, normalizers, splits), a GGUF
vocabulary, a tiktoken file made from a vocabulary, and every pre-tokenizer that GGUF names.
"""
import argparse
import base64
import copy
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

import tokenizers
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizer_texts import Texts

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def pack(strings):
    raw = [s.encode() for s in strings]
    return b"".join(struct.pack("<I", len(b)) + b for b in raw)


class Answers:
    def __init__(self, data):
        self.data, self.at = data, 0

    def count(self):
        (n,) = struct.unpack_from("<I", self.data, self.at)
        self.at += 4
        return n

    def ints(self):
        n = self.count()
        values = struct.unpack_from(f"<{n}i", self.data, self.at)
        self.at += 4 * n
        return list(values)

    def text(self):
        n = self.count()
        self.at += n
        return self.data[self.at - n:self.at].decode()


def run(program, arguments, data):
    result = subprocess.run([program, *arguments], input=data, capture_output=True)
    if result.returncode:
        sys.exit(f"{arguments}: {result.stderr.decode()}")
    return Answers(result.stdout)


class Report:
    def __init__(self):
        self.bad = 0

    def check(self, name, what, text, expected, found):
        if expected == found:
            return
        self.bad += 1
        if self.bad <= 20:
            print(f"DIFFERENT {name} {what}: {text!r}\n  library {expected!r}\n  nautile {found!r}")


def compare(program, arguments, name, library, plain, strings, report):
    """`plain`: the library without added tokens, or None where that cannot be had."""
    got = run(program, arguments, pack(strings))
    size = 2000
    before = report.bad
    for i in range(0, len(strings), size):
        part = strings[i:i + size]
        added = library.encode_batch(part, add_special_tokens=False)
        special = library.encode_batch(part, add_special_tokens=True)
        bare = plain.encode_batch(part, add_special_tokens=False) if plain else [None] * len(part)
        ids = [e.ids for e in added]
        kept = library.decode_batch(ids, skip_special_tokens=False)
        skipped = library.decode_batch(ids, skip_special_tokens=True)
        for row in zip(part, ids, special, bare, kept, skipped):
            text = row[0]
            report.check(name, "parse_added", text, row[1], got.ints())
            report.check(name, "with special", text, row[2].ids, got.ints())
            mine = got.ints()
            if row[3] is not None:
                report.check(name, "plain", text, row[3].ids, mine)
            report.check(name, "decode", text, row[4], got.text())
            report.check(name, "decode, skipping", text, row[5], got.text())
    print(f"{name}: {len(strings)} strings, {report.bad - before} differences", flush=True)


def compare_ids(program, arguments, name, library, count, report):
    """Random lists of ids: halves of characters, special tokens, ids that name nothing."""
    rng = random.Random(7)
    size = library.get_vocab_size() + 5
    special = list(library.get_added_tokens_decoder())
    lists = [[rng.choice(special) if special and rng.random() < 0.1 else rng.randrange(size)
              for _ in range(rng.randint(0, 12))] for _ in range(count)]
    data = b"".join(struct.pack(f"<I{len(x)}i", len(x), *x) for x in lists)
    got = run(program, ["ids", *arguments], data)
    before = report.bad
    for ids in lists:
        for skip in (False, True):
            report.check(name, f"decode ids, skip {skip}", ids, library.decode(ids, skip_special_tokens=skip), got.text())
    print(f"{name}: {count} random id lists, {report.bad - before} differences", flush=True)


def compare_json(program, name, root, texts, count, report, folder):
    path = os.path.join(folder, "tokenizer.json")
    root = dict(root)
    comparable = root.pop("comparable", True)
    with open(path, "w") as out:
        json.dump(root, out)
    bare = dict(root)
    bare["added_tokens"] = []
    bare["post_processor"] = None
    plain = Tokenizer.from_str(json.dumps(bare)) if comparable else None
    library = Tokenizer.from_str(json.dumps(root))
    compare(program, ["json", path], name, library, plain, [texts.next() for _ in range(count)], report)
    compare_ids(program, ["json", path], name, library, max(200, count // 10), report)


def split(regex, behavior, invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: regex}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def variants(root):
    """(name, tokenizer) with what the three files do not have."""
    def make(name, **changes):
        new = dict(root)
        if changes.get("normalizer", {}).get("type") in ("Lowercase", "Sequence"):
            # Where normalizing changes a special token's text, the library's decode does not skip it; ours does.
            new["added_tokens"] = [dict(t, normalized=False) if t["special"] else t for t in root["added_tokens"]]
        new.update(changes)
        return name, new

    yield make("digits", pre_tokenizer=sequence({"type": "Digits", "individual_digits": True}, byte_level(regex=True)))
    yield make("digit runs, prefix", pre_tokenizer=sequence({"type": "Digits", "individual_digits": False}, byte_level(prefix=True)))
    yield make("prefix, gpt-2", pre_tokenizer=byte_level(prefix=True, regex=True))
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield make(f"split {behavior} {invert}", pre_tokenizer=sequence(split(r"[aeiou]+\s*|\d", behavior, invert), byte_level()))
        yield make(f"string {behavior}", pre_tokenizer=sequence(split(" t", behavior, False, "String"), byte_level()))
    yield make("onig classes", pre_tokenizer=sequence(split(r"\w+|\S(?<=[.!])|\h{2,}|(?i:straSSe)|\p{Han}+|^\s+$|[^\w\s]{,2}x", "Isolated"), byte_level()))
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
        yield make(form, normalizer={"type": form})
    yield make("replace", normalizer={"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": " "}, "content": "_"}, {"type": "Prepend", "prepend": ">"},
        {"type": "Replace", "pattern": {"Regex": "[0-9]+"}, "content": "#"}, {"type": "Strip", "strip_left": False, "strip_right": True}]})
    for flag in ("lstrip", "rstrip", "single_word", "normalized"):
        added = copy.deepcopy(root["added_tokens"])
        for i, token in enumerate(added):
            token[flag] = i % 3 != 0
        yield make(f"added {flag}", added_tokens=added, normalizer={"type": "NFC"})
    added = copy.deepcopy(root["added_tokens"])
    rng = random.Random(3)
    for token in added:
        for flag in ("lstrip", "rstrip", "single_word", "normalized", "special"):
            token[flag] = rng.random() < 0.5
    vocab = root["model"]["vocab"]
    for i, content in enumerate(["the", " and", "e\u0301", "Å", "\n", "def ", "<think>x", "</", "é"]):
        added.append({"content": content, "single_word": i % 2 == 0, "lstrip": i % 3 == 0, "rstrip": i % 4 == 0,
                      "normalized": i % 2 == 1, "special": i % 5 == 0})
    # As the library numbers them: a token of the vocabulary keeps its id, others follow in order.
    fresh = len(vocab)
    for token in added:
        token["id"] = vocab.get(token["content"], fresh)
        fresh += token["content"] not in vocab
    yield make("added mixed", added_tokens=added, comparable=False, normalizer={"type": "NFC"})
    merged = dict(root["model"], ignore_merges=not root["model"].get("ignore_merges", False))
    yield make("ignore_merges flipped", model=merged)


def think_variant(root):
    """R1's and V3.1's file: two placeholders of V3 are the think tags."""
    root = copy.deepcopy(root)
    for token in root["added_tokens"]:
        if token["id"] in (128798, 128799):
            token.update(content="<think>" if token["id"] == 128798 else "</think>", special=False, normalized=True)
    return root


def smollm_json(path):
    """The library's tokenizer of a GGUF file with the pre-tokenizer `smollm`, and our VOCAB_JSON."""
    import gguf
    fields = gguf.GGUFReader(path).fields
    get = lambda key: fields[key].contents() if key in fields else None
    ours = {"model": get("tokenizer.ggml.model"), "pre": get("tokenizer.ggml.pre"), "tokens": get("tokenizer.ggml.tokens"),
            "token_types": get("tokenizer.ggml.token_type"), "merges": get("tokenizer.ggml.merges"),
            "bos_id": get("tokenizer.ggml.bos_token_id"), "eos_id": get("tokenizer.ggml.eos_token_id"),
            "add_bos": get("tokenizer.ggml.add_bos_token")}
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": k == 3}
             for i, (t, k) in enumerate(zip(ours["tokens"], ours["token_types"])) if k in (3, 4)]
    theirs = {"version": "1.0", "normalizer": None, "added_tokens": added, "post_processor": None, "decoder": byte_level(),
              "pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, byte_level(regex=True)),
              "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(ours["tokens"])}, "merges": ours["merges"]}}
    return ours, theirs


def byte_alphabet():
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, fresh = {}, 256
    for b in range(256):
        table[chr(b if b in keep else fresh)] = b
        fresh += b not in keep
    return table


def compare_tiktoken(program, root, texts, count, report, folder, patterns):
    """A tiktoken file from a vocabulary; the library's BPE over all its merges is the reference."""
    table = byte_alphabet()
    vocab = [t for t, i in sorted(root["model"]["vocab"].items(), key=lambda x: x[1]) if all(c in table for c in t)]
    ids = {t: i for i, t in enumerate(vocab)}
    path, config = os.path.join(folder, "tiktoken.model"), os.path.join(folder, "tokenizer_config.json")
    with open(path, "w") as out:
        for t in vocab:
            out.write(base64.b64encode(bytes(table[c] for c in t)).decode() + f" {ids[t]}\n")
    special = ["[BOS]", "[EOS]", "<|im_end|>", "<|im_user|>", "<|im_assistant|>"]
    decoder = {str(len(vocab) + i): {"content": s, "special": i != 2, "normalized": False} for i, s in enumerate(special)}
    json.dump({"added_tokens_decoder": decoder, "bos_token": "[BOS]", "eos_token": "[EOS]"}, open(config, "w"))
    # Cutting by rank: the library needs one merge per rank, so pairs are listed by (rank, position of the cut).
    merges = [[t[:i], t[i:]] for t in vocab for i in range(1, len(t)) if t[:i] in ids and t[i:] in ids]
    theirs = {"version": "1.0", "normalizer": None, "post_processor": None, "decoder": byte_level(),
              "added_tokens": [dict(id=int(k), content=v["content"], special=v["special"], normalized=False, single_word=False, lstrip=False, rstrip=False) for k, v in decoder.items()],
              "pre_tokenizer": sequence(split(patterns["kimi-k2"][0], "Isolated"), byte_level()),
              "model": {"type": "BPE", "vocab": ids, "merges": merges, "ignore_merges": True}}
    library = Tokenizer.from_str(json.dumps(theirs))
    plain = Tokenizer.from_str(json.dumps(dict(theirs, added_tokens=[])))
    compare(program, ["tiktoken", path, config], "tiktoken", library, plain, [texts.next() for _ in range(count)], report)


def named_patterns():
    letters = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "deepseek_llm_letters.txt"), encoding="ascii").read().strip()
    cjk = "[一-龥ࠀ-一가-\ud7ff]+"
    llama = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    v3 = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
    a, b = r"[[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]&&[^\p{Han}]]", r"[[\p{Ll}\p{Lm}\p{Lo}\p{M}]&&[^\p{Han}]]"
    end = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    kimi = rf"[\p{{Han}}]+|[^\r\n\p{{L}}\p{{N}}]?{a}*{b}+{end}|[^\r\n\p{{L}}\p{{N}}]?{a}+{b}*{end}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    return {
        "deepseek-v3": [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+", v3],
        "deepseek-llm": ["[\r\n]", letters, "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", cjk, r"\p{N}+"],
        "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", cjk, r"\p{N}"],
        "llama-bpe": [llama],
        "qwen2": [llama.replace("{1,3}", "")],
        "gpt-2": [GPT2],
        "smollm": [r"\p{N}", GPT2],
        "kimi-k2": [kimi],
    }


def compare_pieces(program, name, patterns, strings, report):
    library = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns])
    got = run(program, ["pre", name], pack(strings))
    before = report.bad
    for text in strings:
        expected = [len(piece.encode()) for piece, _ in library.pre_tokenize_str(text)] if text else []
        report.check(name, "pieces", text, expected, got.ints())
    print(f"pre-tokenizer {name}: {len(strings)} strings, {report.bad - before} differences", flush=True)


def compare_forms(program, codes, count, report):
    """Every code point alone and after others, and random runs of marks and of what decomposes."""
    rng = random.Random(11)
    marks = [c for c in codes if unicodedata.combining(chr(c)) or unicodedata.decomposition(chr(c))] + [0x61, 0x1161, 0x11A8]
    strings = [p + chr(c) for c in codes for p in ("", "e\u0345")]
    for _ in range(count):
        at = rng.randrange(len(marks))
        near = marks[max(0, at - 30):at + 30] if rng.random() < 0.5 else marks
        strings.append("".join(chr(rng.choice(near)) for _ in range(rng.randint(2, 7))))
    data = pack(strings)
    for i, form in enumerate((normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD())):
        got = run(program, ["form", str(i)], data)
        before = report.bad
        for text in strings:
            report.check("normal form", str(i), text, form.normalize_str(text), got.text())
        print(f"normal form {i}: {len(strings)} strings, {report.bad - before} differences", flush=True)


def write_cases(path, roots, texts, per_tokenizer=150):
    with open(path, "w", encoding="utf-8") as out:
        for name, root in roots.items():
            library = Tokenizer.from_str(json.dumps(root))
            for _ in range(per_tokenizer):
                text = texts.next()[:100]
                added, special = library.encode(text, add_special_tokens=False), library.encode(text)
                case = {"tokenizer": name, "text": text, "ids": added.ids, "prefix": len(special.ids) - len(added.ids),
                        "decoded": library.decode(added.ids, skip_special_tokens=False), "skipped": library.decode(added.ids)}
                out.write(json.dumps(case, separators=(",", ":")) + "\n")
    print(f"{path}: {os.path.getsize(path)} bytes")


def compare_all(o, roots, texts, report):
    few = max(100, o.count // 20)
    compare_forms(o.program, texts.codes, o.count, report)
    with tempfile.TemporaryDirectory() as folder:
        for name, root in roots.items():
            compare_json(o.program, name, root, texts, o.count, report, folder)
        compare_json(o.program, "deepseek with think", think_variant(roots["deepseek_v3"]), texts, few, report, folder)
        for name, root in variants(roots["qwen3"]):
            compare_json(o.program, f"qwen3, {name}", root, texts, few // 4, report, folder)
        for name, root in variants(roots["deepseek_v3"]):
            compare_json(o.program, f"deepseek_v3, {name}", root, texts, few // 4, report, folder)
        if o.gguf:
            ours, theirs = smollm_json(o.gguf)
            path = os.path.join(folder, "vocab.json")
            json.dump(ours, open(path, "w"))
            library, plain = Tokenizer.from_str(json.dumps(theirs)), Tokenizer.from_str(json.dumps(dict(theirs, added_tokens=[])))
            strings = [texts.next() for _ in range(o.count)]
            if ours["add_bos"]:
                sys.exit("this file adds BOS: extend the oracle")
            compare(o.program, ["gguf", path], "gguf smollm", library, plain, strings, report)
        patterns = named_patterns()
        compare_tiktoken(o.program, roots["qwen3"], texts, few, report, folder, patterns)
        for name, list_ in patterns.items():
            compare_pieces(o.program, name, list_, [texts.next() for _ in range(few * 2)], report)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    shared = os.environ.get("NAUTILE_TEST_DATA", os.path.join(here, "../../../shared"))
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--count", type=int, default=100000, help="strings for each tokenizer as it is; 0: only the case file")
    parser.add_argument("--gguf", help="a GGUF file whose pre-tokenizer is smollm")
    parser.add_argument("--cases", help="also write a small case file for the tests here")
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    print("tokenizers", tokenizers.__version__)
    roots = {d: json.load(open(os.path.join(shared, "tokenizers", d, "tokenizer.json"))) for d in sorted(os.listdir(os.path.join(shared, "tokenizers")))}
    specials = [t["content"] for r in roots.values() for t in r["added_tokens"] if "place▁holder" not in t["content"] and "reserved" not in t["content"]] + ["<｜place▁holder▁no▁1｜>", "<|reserved_special_token_7|>", "<think>", "</think>"]
    texts = Texts(os.path.join(shared, "data"), specials, o.seed)
    report = Report()
    if o.count:
        compare_all(o, roots, texts, report)
    if o.cases:
        write_cases(o.cases, roots, Texts(os.path.join(shared, "data"), specials, 99))
    sys.exit(f"{report.bad} differences" if report.bad else 0)


main()

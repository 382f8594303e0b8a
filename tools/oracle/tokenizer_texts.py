"""Strings that tokenizers find hard, from real text and from random Unicode; the same for every run of one seed."""
import gzip
import glob
import json
import os
import random
import unicodedata

# The acceptance compares on code points assigned by Unicode 14; Python 3.11 knows exactly those.
CONTRACTIONS = "'s 't 're 've 'm 'll 'd 'S 'T 'RE 'Ve 'M 'lL 'D '\u017f ' '' ''s \u2019s 'r 'v 'l 're've 'ſs".split(" ")
SPACES = [" ", "  ", "\n", "\r\n", "\r", "\t", "\n\n", " \n", "\u3000", "\xa0", "\x85", "\u2028", "\u200b", "\u1680", "\v", "\f", "\u180e", "    ", "\n\t\t", "\x1c"]
NUMBERS = ["1", "12", "123", "1234", "3.14", "1,000,000", "½", "²", "Ⅷ", "٣٤٥", "१२३४", "0x1F", "1e-9", "〇", "①②③④"]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇫🇷", "1️⃣", "❤️", "☺", "🤷🏻‍♂️", "✈️", "🀄", "🫠"]
MARKS = ["e\u0301", "a\u0308\u0323", "\u0301", "n\u0303o", "क्षि", "ผู้", "가", "각", "ㄱㅏ", "\u1112\u1161\u11ab", "Å", "Ω", "ﬁ", "ß", "İ", "ı", "ǅ", "\u0344", "\u2126", "שָׁ", "ᾳ", "ά", "ﷺ"]
CJK = ["你好世界", "こんにちは", "カタカナ", "漢字かな交じり文", "，。！？", "「」", "ー", "龥龦", "㐀", "𠀀𠀁", "々", "한국어 텍스트", "全角ＡＢＣ１２３"]
CODE = ["def f(x):\n    return x**2\n", "for (int i = 0; i < n; ++i) {\n\ta[i] += b[i];\n}", "std::vector<std::string>", "if __name__ == \"__main__\":", "https://example.org/a?b=c&d=%20", "SELECT * FROM t WHERE a!=b;", "#!/bin/sh\nset -eu\n", "camelCaseName snake_case_name SCREAMING", "\\frac{1}{2}\\boxed{x}", "<div class=\"a\">&nbsp;</div>", "/* ... */ // ---- ====", "a->b.c[d]", "$(x)`y`~z^|{}"]


def real_texts(data):
    texts = []
    for pattern in ("text_pd/*.txt", "stories_pd/*.txt", "tinyshakespeare/*.txt", "*/README.md"):
        for path in sorted(glob.glob(os.path.join(data, pattern))):
            texts.append(open(path, encoding="utf-8", errors="replace").read())
    for pattern in ("gsm8k/*.jsonl", "mbpp/*.jsonl", "math/*.jsonl", "wordproblems/*.jsonl"):
        for path in sorted(glob.glob(os.path.join(data, pattern))):
            for line in open(path, encoding="utf-8"):
                texts.append("\n".join(str(v) for v in json.loads(line).values()))
    for path in sorted(glob.glob(os.path.join(data, "humaneval/*.gz"))):
        for line in gzip.open(path, "rt", encoding="utf-8"):
            task = json.loads(line)
            texts.append(task["prompt"] + task["canonical_solution"] + task["test"])
    here = os.path.dirname(os.path.abspath(__file__))
    for path in sorted(glob.glob(os.path.join(here, "*.py"))):
        texts.append(open(path, encoding="utf-8").read())
    return texts


def assigned():
    """Code points of Unicode 14 that can stand in a Python string's UTF-8."""
    return [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


class Texts:
    def __init__(self, data, specials, seed=1):
        assert unicodedata.unidata_version == "14.0.0", "run with Python 3.11: its Unicode is 14"
        self.random = random.Random(seed)
        self.real = real_texts(data)
        self.codes = assigned()
        self.small = [c for c in self.codes if c < 0x3400 or 0xA000 <= c < 0xAC00 or c > 0xF900 and c < 0xF0000]
        self.specials = specials or ["<|none|>"]

    def slice(self, longest):
        text = self.random.choice(self.real)
        size = self.random.randint(1, longest)
        at = self.random.randrange(max(1, len(text) - size))
        return text[at:at + size]

    def unicode(self, longest):
        codes = self.small if self.random.random() < 0.7 else self.codes
        if self.random.random() < 0.5:  # neighbours share a script
            at = self.random.randrange(len(codes))
            codes = codes[at:at + 200]
        return "".join(chr(self.random.choice(codes)) for _ in range(self.random.randint(1, longest)))

    def look_alike(self):
        token = self.random.choice(self.specials)
        kind = self.random.randrange(7)
        if kind == 0 and len(token) > 1:
            cut = self.random.randrange(1, len(token))
            return token[:cut]
        if kind == 1:
            return token[self.random.randrange(len(token)):]
        if kind == 2:
            return token.replace("｜", "|").replace("▁", "_")
        if kind == 3:
            return token + token
        if kind == 4:
            return token.upper()
        return token

    def atom(self):
        r = self.random
        kind = r.randrange(12)
        if kind < 8:
            return r.choice([CONTRACTIONS, SPACES, NUMBERS, EMOJI, MARKS, CJK, CODE, SPACES][kind])
        if kind == 8:
            return self.slice(12)
        if kind == 9:
            return self.look_alike()
        if kind == 10:
            return self.unicode(4)
        return r.choice("abcXYZ.,;:!?-_()[]{}<>|/\\\"'`~@#$%^&*+= ") * r.choice([1, 1, 2, 3, 9])

    def next(self):
        kind = self.random.randrange(10)
        if kind < 4:
            return self.slice(300)
        if kind < 8:
            return "".join(self.atom() for _ in range(self.random.randint(1, 14)))
        if kind == 8:
            return self.unicode(40)
        return self.look_alike() + self.slice(40) + self.look_alike()

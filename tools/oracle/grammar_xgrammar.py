"""grammar_xgrammar.py — xgrammar's masks without PyTorch: it is imported by xgrammar and not needed for masks."""

import json
import sys
import types

import numpy
import tvm_ffi  # noqa: F401  before the stand-ins below: it looks for PyTorch


class Nothing:
    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return self


class StandIn(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Nothing,), {})


for module in ("torch", "transformers", "triton"):
    sys.modules.setdefault(module, StandIn(module))
import xgrammar  # noqa: E402


class Rival:
    def __init__(self, tokens, end_ids):
        self.tokens = tokens
        info = xgrammar.TokenizerInfo(
            tokens, vocab_type=xgrammar.VocabType.RAW, vocab_size=len(tokens), stop_token_ids=end_ids
        )
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self.ends = numpy.isin(numpy.arange(len(tokens)), end_ids)
        self.known = numpy.array([bool(token) for token in tokens]) | self.ends
        self.closes = numpy.array([any(c in token for c in b'"]}') for token in tokens])

    def compiled(self, schema):
        return self.compiler.compile_json_schema(json.dumps(schema), any_whitespace=False, separators=(",", ":"), strict_mode=True)

    def matcher(self, compiled):
        return xgrammar.GrammarMatcher(compiled)

    def bits_of(self, words):
        """A mask as booleans by token; tokens without a text are none's."""
        bits = numpy.unpackbits(numpy.frombuffer(words, dtype=numpy.uint8), bitorder="little")
        return bits[: len(self.tokens)].astype(bool) & self.known

    def ids(self, bits):
        return numpy.nonzero(bits)[0].tolist()

    def allowed(self, matcher):
        bitmask = numpy.full((1, (len(self.tokens) + 31) // 32), -1, dtype=numpy.int32)
        matcher.fill_next_token_bitmask(bitmask)
        return self.bits_of(bitmask.tobytes())

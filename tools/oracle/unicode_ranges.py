"""Writes src/text/unicode_ranges.inc: general category, NFC care and Han script of Unicode 16.

Needs the PyPI packages unicodedata2==16.0.0 and fonttools:
    python3 -m venv /tmp/ucd && /tmp/ucd/bin/pip install unicodedata2==16.0.0 fonttools
    /tmp/ucd/bin/python tools/oracle/unicode_ranges.py > src/text/unicode_ranges.inc
"""
import sys

import fontTools.unicodedata
import unicodedata2 as ucd

assert ucd.unidata_version == "16.0.0", ucd.unidata_version

CATEGORIES = "Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
NFC_CARE, HAN = 32, 64


def composing_seconds():
    """Code points that may combine with the character before them."""
    seconds = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
    for cp in range(0x110000):
        parts = ucd.decomposition(chr(cp)).split()
        if len(parts) == 2 and not parts[0].startswith("<") and ucd.normalize("NFC", chr(cp)) == chr(cp):
            seconds.add(int(parts[1], 16))
    return seconds


def main():
    seconds = composing_seconds()
    entries, last = [], None
    for cp in range(0x110000):
        c = chr(cp)
        flags = CATEGORIES.index(ucd.category(c))
        surrogate = 0xD800 <= cp < 0xE000
        if not surrogate and (ucd.combining(c) or cp in seconds or ucd.normalize("NFC", c) != c):
            flags |= NFC_CARE
        if flags & 31 and not surrogate and fontTools.unicodedata.script(c) == "Hani":
            flags |= HAN
        if flags != last:
            entries.append(cp << 8 | flags)
            last = flags
    print("// Made by tools/oracle/unicode_ranges.py from the Unicode 16.0 character database; do not edit.")
    print("// Each entry: first code point << 8 | flags; it holds up to the next entry's code point.")
    for i in range(0, len(entries), 10):
        print(",".join(f"0x{e:x}" for e in entries[i:i + 10]) + ",")
    print(f"{len(entries)} ranges", file=sys.stderr)


main()

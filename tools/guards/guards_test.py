#!/usr/bin/env python3
"""guards_test.py — each guard finds a violation planted in a small tree, and accepts the tree without it."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest

import check_format
import check_layers
import check_scripts
import check_sizes
import check_symbols
import check_tidy
import check_words
import guard

LAYERS = "base :\nkernels : base # pure\ntext : base\nmodel : base kernels\napp : *\n"


def function(lines, head="int f(int x)"):
    return head + " {\n" + "  g();\n" * (lines - 2) + "}\n"


class GuardTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        self.write("src/LAYERS", LAYERS)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def failures(self, check):
        return check(self.root)[0]

    def assert_finds(self, check, *parts):
        found = self.failures(check)
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])


class Layers(GuardTest):
    def test_accepts_what_the_list_allows(self):
        self.write("src/model/a.cpp", '#include "base/x.h"\n#include "kernels/k.h"\n#include "model/a.h"\n#include <vector>\n')
        self.write("src/app/main.cpp", '#include "model/a.h"\nint main() { return getenv("X") != nullptr; }\n')
        self.write("src/text/a.cpp", '// "model/a.h" may call getenv\nconst char* kText = "getenv(std::thread)";\n')
        self.write("src/text/a_test.cpp", 'auto x = getenv("NAUTILE_TEST_DATA");\n')
        self.write("src/kernels/isa_avx2.cpp", '#include <immintrin.h>\n#include <cstdint>\n#include "base/f8.h"\n#include "kernels/rows.inl"\n')
        self.assertEqual(self.failures(check_layers.check), [])

    def test_finds_an_include_of_a_forbidden_folder(self):
        self.write("src/text/a.cpp", '// one\n#include "model/a.h"\n')
        self.assert_finds(check_layers.check, "src/text/a.cpp:2:", "text may include only base")

    def test_finds_an_include_beside_the_folders(self):
        self.write("src/text/a.cpp", '#include "a.h"\n')
        self.assert_finds(check_layers.check, "begins with a folder")

    def test_finds_a_folder_outside_the_list(self):
        self.write("src/cellar/a.h", "")
        self.assert_finds(check_layers.check, "src/cellar/a.h")

    def test_finds_a_layer_that_is_none(self):
        self.write("src/LAYERS", LAYERS + "plan : cellar\n")
        self.assert_finds(check_layers.check, "cellar")

    def test_finds_a_library_in_isa_code(self):
        self.write("src/kernels/rows.inl", "#include <algorithm>\n")
        self.assert_finds(check_layers.check, "<algorithm>")

    def test_finds_containers_in_kernels(self):
        self.write("src/kernels/pack.cpp", "#include <vector>\n")
        self.assert_finds(check_layers.check, "<vector>")

    def test_finds_environment_reads_and_threads(self):
        self.write("src/text/a.cpp", 'auto x = std::getenv("X");\n')
        self.assert_finds(check_layers.check, "src/text/a.cpp:1:", "environment")
        self.write("src/text/a.cpp", "\nstd::jthread t;\n")
        self.assert_finds(check_layers.check, "src/text/a.cpp:2:", "threads")


class Sizes(GuardTest):
    def test_accepts_and_warns(self):
        self.write("src/base/a.cpp", function(120) + "\n" * 400)
        failures, warnings, _ = check_sizes.check(self.root)
        self.assertEqual(failures, [])
        self.assertEqual(len(warnings), 2)

    def test_finds_a_long_file(self):
        self.write("src/base/a.h", "\n" * 801)
        self.assert_finds(check_sizes.check, "src/base/a.h:1:", "801 lines")

    def test_finds_long_functions_in_every_shape(self):
        heads = [
            "int f(int x)",
            "template <class T>\nauto Deep<T>::f(std::vector<T> x) const noexcept -> int",
            "A::A(int x) : B(x), c_{1, 2}, d_(std::move(x))",
            "TEST(Suite, Case)",
            'extern "C" void f(const char* text = "{")',
            "struct S f(struct T t)",
        ]
        for head in heads:
            self.write("src/base/a.cpp", "namespace n {\nclass K { int x = f({1}); };\n" + function(122, head) + "}\n")
            with self.subTest(head):
                self.assert_finds(check_sizes.check, "function", "lines (120 at most")
        self.write("src/base/a.cpp", "class K {\n void g() { x(); }\n" + function(121, "void f() override") + "};\n")
        self.assert_finds(check_sizes.check, "src/base/a.cpp:3: function f has 121 lines")

    def test_takes_no_table_or_class_for_a_function(self):
        rows = "  {1, f(2)},\n" * 200
        self.write("src/base/a.cpp", "const Row kTable[] = {\n" + rows + "};\n")
        self.write("src/base/b.cpp", "class A final : public B<int (*)(int)> {\n" + "  int x();\n" * 200 + "};\n")
        self.write("src/base/c.cpp", "#define X(a) { \\\n  {\n" + function(10) * 30)
        self.assertEqual(self.failures(check_sizes.check), [])

    def test_finds_a_long_python_function(self):
        self.write("tools/a.py", "def f():\n" + "    g()\n" * 121)
        self.assert_finds(check_sizes.check, "tools/a.py:1: function f")


class Words(GuardTest):
    def test_finds_each_word(self):
        for text in ("// TO" + "DO: later", "https://pypi." + "org/simple", "deb http://deb.debian." + "org/debian", "cd /wo" + "rk/main"):
            self.write("src/base/a.cpp", "\n" + text + "\n")
            with self.subTest(text):
                self.assert_finds(check_words.check, "src/base/a.cpp:2:")

    def test_accepts_plain_text(self):
        self.write("src/base/a.cpp", "// a mastodon, debian/changelog, ./work/shared, ToDos\n")
        self.write("src/app/a.cpp", "https://pypi." + "org/simple\n")
        self.assertEqual(self.failures(check_words.check), [])


class Format(GuardTest):
    def test_finds_one_space_too_many(self):
        if check_format.clang_format() is None:
            self.skipTest("no clang-format")
        self.write(".clang-format", "BasedOnStyle: Google\n")
        self.write("src/base/a.cpp", "int x = 1;\n")
        self.assertEqual(self.failures(check_format.check), [])
        self.write("src/base/a.cpp", "int x =  1;\n")
        self.assert_finds(check_format.check, "src/base/a.cpp:1:")


class Scripts(GuardTest):
    def test_finds_a_shell_mistake(self):
        if shutil.which("shellcheck") is None:
            self.skipTest("no shellcheck")
        self.write("run", '#!/bin/sh\necho "$1"\n')
        self.assertEqual(self.failures(check_scripts.check), [])
        self.write("run", "#!/bin/sh\nrm $1\n")
        self.assert_finds(check_scripts.check, "run:2:")


class Symbols(GuardTest):
    def compile(self, text, *flags):
        self.write("src/kernels/isa_avx2.cpp", text)
        target = os.path.join(self.root, "build/release/isa_avx2.cpp.o")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        source = os.path.join(self.root, "src/kernels/isa_avx2.cpp")
        subprocess.run(["g++", "-c", "-O0", *flags, source, "-o", target], check=True)

    def test_wants_an_object(self):
        self.write("src/kernels/isa_avx2.cpp", "")
        self.assert_finds(check_symbols.check, "build the release first")

    def test_finds_weak_sanitized_and_allocating_objects(self):
        self.compile("static inline int g() { return 1; }\nint f() { return g(); }\n")
        self.assertEqual(self.failures(check_symbols.check), [])
        self.compile("inline int g() { return 1; }\nint f() { return g(); }\n")
        self.assert_finds(check_symbols.check, "weak symbol g()")
        self.compile("int* f() { return new int; }\n")
        self.assert_finds(check_symbols.check, "operator new")
        self.compile("int f(int* x) { return *x; }\n", "-fsanitize=undefined")
        self.assertTrue(any("sanitized" in failure for failure in self.failures(check_symbols.check)))

    def test_finds_flags_of_newer_cpus(self):
        commands = [
            {"file": "/s/isa_avx2.cpp", "command": "g++ -mavx2 -c isa_avx2.cpp"},
            {"file": "/s/gemm.cpp", "command": "g++ -O3 -mavx2 -c gemm.cpp"},
        ]
        self.write("build/release/compile_commands.json", json.dumps(commands))
        self.assert_finds(check_symbols.check, "gemm.cpp", "-mavx2")


class Tidy(GuardTest):
    def test_finds_what_must_not_be(self):
        if not (shutil.which("clang-tidy-16") or shutil.which("clang-tidy")):
            self.skipTest("no clang-tidy")
        shutil.copy(os.path.join(guard.repository_root(), ".clang-tidy"), self.root)
        self.write("src/base/a.cpp", "struct S { S(S&&) noexcept; };\nvoid take(S);\nvoid f(S s) {\n  take(static_cast<S&&>(s));\n  take(static_cast<S&&>(s));\n}\nint Bad_Name() { return 1; }\n")
        commands = [{"directory": self.root, "file": "src/base/a.cpp", "command": "g++ -std=c++20 -c src/base/a.cpp"}]
        commands[0]["file"] = os.path.join(self.root, "src/base/a.cpp")
        self.write("build/release/compile_commands.json", json.dumps(commands))
        subprocess.run(["git", "init", "-q", self.root], check=True)
        identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", self.root, "add", "src"], check=True)
        subprocess.run(["git", "-C", self.root, *identity, "commit", "-q", "-m", "t"], check=True)
        failures = self.failures(check_tidy.check)
        self.assertTrue(any("a.cpp:7" in failure and "Bad_Name" in failure for failure in failures), failures)


if __name__ == "__main__":
    unittest.main()

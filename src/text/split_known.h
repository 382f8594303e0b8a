// split_known.h — hand-written, linear-time splitters for the published patterns.
#pragma once

#include <memory>
#include <string_view>

#include "text/pre_tokenizer.h"

namespace nautile {

// The patterns as tokenizer.json files and GGUF's pre-tokenizer names spell them.
namespace patterns {
extern const std::string_view kGpt2;        // also ByteLevel's own (`use_regex`)
extern const std::string_view kLlamaBpe;    // GGUF's spelling, contractions as [sS]
extern const std::string_view kLlamaBpeHf;  // tokenizer.json's, contractions as (?i:...)
extern const std::string_view kQwen2;
extern const std::string_view kQwen2Hf;
extern const std::string_view kDeepseekNumbers;
extern const std::string_view kDeepseekCjk;
extern const std::string_view kDeepseekWords;
extern const std::string_view kSingleNumber;   // \p{N}
extern const std::string_view kNumberRuns;     // \p{N}+
extern const std::string_view kTrailingSpace;  // \s+$
extern const std::string_view kKimiK2;
}  // namespace patterns

// The splitter of a listed pattern with isolated matches, or null if the pattern is not listed.
std::unique_ptr<const SplitStep> make_known_step(std::string_view pattern);

}  // namespace nautile

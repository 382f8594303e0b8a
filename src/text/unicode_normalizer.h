// unicode_normalizer.h — what a tokenizer does to text before it cuts it: NFC and the like.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nautile {

// One rewriting of valid UTF-8. Immutable, thread-safe.
class NormalStep {
 public:
  virtual ~NormalStep() = default;
  // Returns false and leaves `out` alone if the text stays as it is.
  virtual bool apply(std::string_view text, std::string& out) const = 0;
};

// Steps in order.
class Normalizer {
 public:
  void add(std::unique_ptr<const NormalStep> step) { steps_.push_back(std::move(step)); }
  std::size_t size() const { return steps_.size(); }
  // The normalized text: `text` itself where nothing changes, else a view of `storage`.
  std::string_view normalize(std::string_view text, std::string& storage) const;

 private:
  std::vector<std::unique_ptr<const NormalStep>> steps_;
};

enum class UnicodeForm { nfc, nfd, nfkc, nfkd };
enum class StripSides { left, right, both };

// O(n log n), whatever the marks. Equal to the `tokenizers` library's, which knows Unicode 9: newer
// characters neither move nor change.
std::unique_ptr<const NormalStep> make_form_step(UnicodeForm form);
std::unique_ptr<const NormalStep> make_lowercase_step();
std::unique_ptr<const NormalStep> make_prepend_step(std::string prefix);
std::unique_ptr<const NormalStep> make_strip_step(StripSides sides);
// Every occurrence of a literal, or every match of a pattern (see split_regex.h), becomes
// `content`.
std::unique_ptr<const NormalStep> make_replace_string_step(std::string literal,
                                                           std::string content);
std::unique_ptr<const NormalStep> make_replace_regex_step(const std::string& pattern,
                                                          std::string content);

}  // namespace nautile

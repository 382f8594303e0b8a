// documents.h — Documents: the documents of one source in order, whatever they come from.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "train/data_spec.h"

namespace nautile::train {

struct RawDocument {
  std::string where;  // "FILE, line N": for errors
  std::string text;   // of a chat: the texts of its messages, for finding duplicates
  nlohmann::ordered_json conversation;  // null for text; of kind objects the whole line
};

class Documents {
 public:
  virtual ~Documents() = default;
  // The next document; false at the end. Throws Error(bad_input) naming file and line for a
  // malformed one; the next call goes on after it, but for damage of a whole file.
  virtual bool next(RawDocument& document) = 0;
  // How much of the input is read, and how much there is (bytes, or problems).
  virtual std::int64_t done() const = 0;
  virtual std::int64_t all() const = 0;
};

// Throws Error(failure) for a pattern that matches no file.
std::unique_ptr<Documents> open_documents(const SourceSpec& source);

// The files that a pattern of the shell means, sorted. Throws Error(failure) if there are none.
std::vector<std::string> matching_files(const std::string& pattern);

}  // namespace nautile::train

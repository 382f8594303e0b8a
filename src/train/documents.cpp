#include "train/documents.h"

#include <glob.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "tasks/task.h"
#include "text/unicode.h"
#include "train/text_input.h"

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // of one document
constexpr std::size_t kMostLine = std::size_t{256} << 20;

// Files one after another, each cut at a separator.
class FileParts {
 public:
  FileParts(std::vector<std::string> files, std::string separator, std::size_t max_bytes)
      : files_(std::move(files)), separator_(std::move(separator)), max_bytes_(max_bytes) {
    for (const std::string& file : files_) {
      std::error_code none;
      all_ += static_cast<std::int64_t>(std::filesystem::file_size(file, none));
    }
  }

  bool next(std::string& part) {
    for (;;) {
      if (!input_) {
        if (index_ == files_.size()) return false;
        input_.emplace(files_[index_++], separator_, max_bytes_);
      }
      if (input_->next(part)) return true;
      done_ += static_cast<std::int64_t>(input_->bytes().consumed());
      input_.reset();
    }
  }
  std::string where() const {
    return fmt::format("{}, line {}", files_[index_ - 1], input_ ? input_->line() : 1);
  }
  std::int64_t done() const {
    return done_ + (input_ ? static_cast<std::int64_t>(input_->bytes().consumed()) : 0);
  }
  std::int64_t all() const { return all_; }

 private:
  std::vector<std::string> files_;
  std::string separator_;
  std::size_t max_bytes_, index_ = 0;
  std::optional<TextInput> input_;
  std::int64_t done_ = 0, all_ = 0;
};

class FileDocuments : public Documents {
 public:
  FileDocuments(std::vector<std::string> files, std::string separator, std::size_t max_bytes)
      : parts_(std::move(files), std::move(separator), max_bytes) {}
  std::int64_t done() const override { return parts_.done(); }
  std::int64_t all() const override { return parts_.all(); }

 protected:
  FileParts parts_;
};

class TextDocuments : public FileDocuments {
 public:
  TextDocuments(std::vector<std::string> files, const SourceSpec& source)
      : FileDocuments(std::move(files), source.separator, kMostBytes),
        chunk_bytes_(static_cast<std::size_t>(source.chunk_bytes)) {}

  bool next(RawDocument& document) override {
    if (chunks_.empty()) {
      std::string part;
      if (!parts_.next(part)) return false;
      where_ = parts_.where();
      const std::size_t good = valid_utf8_prefix(part);
      NAUTILE_CHECK(good == part.size(),
                    "{}: the text is not UTF-8: at byte {} of the document stands 0x{:02x}", where_,
                    good, static_cast<unsigned char>(part[good]));
      cut(std::move(part));
    }
    document = {where_, std::move(chunks_.front()), nullptr};
    chunks_.pop_front();
    return true;
  }

 private:
  // At the last empty line before the size is reached, else at the last line end, else where it is.
  void cut(std::string text) {
    if (chunk_bytes_ == 0 || text.size() <= chunk_bytes_) {
      chunks_.push_back(std::move(text));
      return;
    }
    std::size_t begin = 0;
    while (text.size() - begin > chunk_bytes_) {
      const std::string_view window(text.data() + begin, chunk_bytes_);
      std::size_t length = window.rfind("\n\n");
      if (length == window.npos || length < chunk_bytes_ / 2) length = window.rfind('\n');
      length = length == window.npos || length == 0 ? valid_utf8_prefix(window) : length;
      chunks_.push_back(text.substr(begin, length));
      begin += length;
      while (begin < text.size() && text[begin] == '\n') ++begin;
    }
    if (begin < text.size()) chunks_.push_back(text.substr(begin));
  }

  std::size_t chunk_bytes_;
  std::string where_;
  std::deque<std::string> chunks_;
};

// Texts of the messages, for duplicates and contamination.
std::string text_of(const Json& messages) {
  std::string text;
  if (!messages.is_array()) return text;
  for (const Json& message : messages) {
    if (!message.is_object()) continue;
    for (const char* key : {"reasoning_content", "content"}) {
      const auto found = message.find(key);
      if (found != message.end() && found->is_string()) text += found->get<std::string>() + "\n";
    }
  }
  return text;
}

class JsonDocuments : public FileDocuments {
 public:
  JsonDocuments(std::vector<std::string> files, const SourceSpec& source)
      : FileDocuments(std::move(files), "\n", kMostLine),
        kind_(source.kind),
        field_(source.field) {}

  bool next(RawDocument& document) override {
    std::string line;
    do {
      if (!parts_.next(line)) return false;
    } while (line.find_first_not_of(" \t\r") == line.npos);
    const std::string where = parts_.where();
    Json object = parse_ordered_json(line, where);
    NAUTILE_CHECK(object.is_object(), "{}: expected an object, found {}", where,
                  object.type_name());
    document = {where, "", nullptr};
    if (kind_ == SourceKind::objects) {
      document.conversation = std::move(object);
      return true;
    }
    const auto found = object.find(field_);
    NAUTILE_CHECK(found != object.end(), "{}: there is no field \"{}\"", where, field_);
    if (kind_ == SourceKind::jsonl) {
      NAUTILE_CHECK(found->is_string(), "{}: expected the field \"{}\" to be text, found {}", where,
                    field_, found->type_name());
      document.text = found->get<std::string>();
      return true;
    }
    document.text = text_of(*found);
    document.conversation = {{"messages", *found}};
    if (object.contains("tools")) document.conversation["tools"] = object["tools"];
    return true;
  }

 private:
  SourceKind kind_;
  std::string field_;
};

class TaskDocuments : public Documents {
 public:
  explicit TaskDocuments(const SourceSpec& source) : source_(source) {
    for (const std::string& name : source.tasks) tasks_.push_back(&tasks::find_task(name));
    NAUTILE_CHECK(!tasks_.empty(), "source '{}' names no tasks", source.name);
  }

  bool next(RawDocument& document) override {
    if (next_ == source_.count) return false;
    const auto index = static_cast<std::size_t>(next_);
    const tasks::Problem problem = tasks::make_problem(*tasks_[index % tasks_.size()], source_.seed,
                                                       tasks::Split::train, index / tasks_.size());
    document = {fmt::format("problem {} of {}", next_, source_.name),
                problem.prompt + "\n" + problem.response(), nullptr};
    if (source_.form == TaskForm::chat) {
      document.conversation = {
          {"messages", Json::array({{{"role", "user"}, {"content", problem.prompt}},
                                    {{"role", "assistant"}, {"content", problem.response()}}})}};
    }
    ++next_;
    return true;
  }
  std::int64_t done() const override { return next_; }
  std::int64_t all() const override { return source_.count; }

 private:
  SourceSpec source_;
  std::vector<const tasks::Task*> tasks_;
  std::int64_t next_ = 0;
};

}  // namespace

std::vector<std::string> matching_files(const std::string& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<std::string> files;
  for (std::size_t i = 0; status == 0 && i < found.gl_pathc; ++i)
    files.emplace_back(found.gl_pathv[i]);
  ::globfree(&found);
  if (files.empty()) fail(ErrorKind::failure, "no file matches {}", pattern);
  return files;
}

std::unique_ptr<Documents> open_documents(const SourceSpec& source) {
  if (source.kind == SourceKind::tasks) return std::make_unique<TaskDocuments>(source);
  std::vector<std::string> files;
  for (const std::string& pattern : source.files) {
    for (std::string& file : matching_files(pattern)) files.push_back(std::move(file));
  }
  if (source.kind == SourceKind::text)
    return std::make_unique<TextDocuments>(std::move(files), source);
  return std::make_unique<JsonDocuments>(std::move(files), source);
}

}  // namespace nautile::train

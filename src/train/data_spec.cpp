#include "train/data_spec.h"

#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"

namespace nautile::train {
namespace {

// Reads members of one table; what is left over at the end is an unknown key.
class Reader {
 public:
  Reader(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  [[noreturn]] void fail_at(const toml::node& node, const std::string& what) const {
    fail(ErrorKind::bad_input, "{}, line {}: {}", where_, node.source().begin.line, what);
  }

  template <class T>
  void read(const char* key, T& out) {
    const toml::node* node = take(key);
    if (!node) return;
    if constexpr (std::is_same_v<T, double>) {  // a whole number is one too
      if (!node->is_number()) fail_at(*node, fmt::format("'{}' is not a number", key));
      out = *node->value<double>();
    } else {
      const auto value = node->value_exact<T>();
      if (!value) fail_at(*node, fmt::format("'{}' is not {}", key, type_name<T>()));
      out = *value;
    }
  }
  template <class T>
  void number(const char* key, T& out, T least, T most) {
    const toml::node* node = table_.get(key);
    read(key, out);
    if (node && !(out >= least && out <= most)) {
      fail_at(*node, fmt::format("'{}' is {} (expected {} to {})", key, out, least, most));
    }
  }
  void texts(const char* key, std::vector<std::string>& out) {
    const toml::node* node = take(key);
    if (!node) return;
    const toml::array* list = node->as_array();
    if (!list) fail_at(*node, fmt::format("'{}' is not a list of texts", key));
    for (const toml::node& item : *list) {
      const auto value = item.value_exact<std::string>();
      if (!value) fail_at(item, fmt::format("'{}' holds something that is not text", key));
      out.push_back(*value);
    }
  }
  template <class T>
  void choice(const char* key, T& out, const std::vector<std::pair<const char*, T>>& choices) {
    const toml::node* node = table_.get(key);
    if (!node) return;
    std::string text, names;
    read(key, text);
    for (const auto& [name, value] : choices) {
      if (text == name) {
        out = value;
        return;
      }
      names += names.empty() ? name : std::string(", ") + name;
    }
    fail_at(*node, fmt::format("'{}' is '{}' (expected one of {})", key, text, names));
  }
  const toml::node* take(const char* key) {
    seen_.insert(key);
    return table_.get(key);
  }
  bool has(const char* key) const { return table_.contains(key); }
  void require(const char* key) const {
    if (!has(key)) fail_at(table_, fmt::format("there is no '{}'", key));
  }
  void finish() const {
    for (const auto& [key, node] : table_) {
      if (!seen_.contains(std::string(key.str()))) {
        fail_at(node, fmt::format("'{}' is not known here", key.str()));
      }
    }
  }

 private:
  template <class T>
  static const char* type_name() {
    return std::is_same_v<T, bool>          ? "true or false"
           : std::is_same_v<T, std::string> ? "text"
                                            : "a whole number";
  }
  const toml::table& table_;
  std::string where_;
  std::set<std::string> seen_;
};

std::string resolved(const std::string& file, const std::filesystem::path& folder) {
  const std::filesystem::path path(file);
  return path.is_absolute() ? file : (folder / path).string();
}

void read_files(Reader& reader, SourceSpec& source, const std::filesystem::path& folder) {
  reader.require("files");
  reader.texts("files", source.files);
  for (std::string& file : source.files) file = resolved(file, folder);
  if (source.kind == SourceKind::text) {
    reader.read("separator", source.separator);
    reader.number("chunk_bytes", source.chunk_bytes, std::int64_t{0}, std::int64_t{1} << 30);
  } else {
    source.field = source.kind == SourceKind::chat ? "messages" : "text";
    reader.read("field", source.field);
  }
}

void read_tasks(Reader& reader, SourceSpec& source) {
  reader.require("tasks");
  reader.require("count");
  reader.texts("tasks", source.tasks);
  reader.number("count", source.count, std::int64_t{1}, std::int64_t{1} << 40);
  std::int64_t seed = 0;
  reader.number("seed", seed, std::int64_t{0}, std::int64_t{1} << 62);
  source.seed = static_cast<std::uint64_t>(seed);
  reader.choice<TaskForm>("form", source.form,
                          {{"chat", TaskForm::chat}, {"text", TaskForm::text}});
}

SourceSpec read_source(const toml::table& table, const std::string& where,
                       const std::filesystem::path& folder) {
  Reader reader(table, where);
  SourceSpec source;
  reader.require("name");
  reader.read("name", source.name);
  const bool plain =
      !source.name.empty() && source.name.find_first_not_of(
                                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-") == source.name.npos;
  if (!plain) reader.fail_at(table, "'name' of a source has letters, digits, _ and - only");
  reader.choice<SourceKind>("kind", source.kind,
                            {{"text", SourceKind::text},
                             {"jsonl", SourceKind::jsonl},
                             {"chat", SourceKind::chat},
                             {"tasks", SourceKind::tasks}});
  if (!table.contains("kind") && table["files"].is_array()) {
    for (const toml::node& file : *table["files"].as_array()) {
      const std::string path = file.value_or(std::string());
      if (path.ends_with(".jsonl") || path.ends_with(".jsonl.zst"))
        reader.fail_at(table, "'kind' is missing: " + path +
                                  " holds JSON lines, kind = \"jsonl\" (a text in each) or "
                                  "\"chat\" (OpenAI messages)");
    }
  }
  reader.number("weight", source.weight, 0.0, 1e9);
  reader.number("held_out", source.held_out, 0.0, 1.0);
  // Generated problems are alike by design.
  source.near_duplicates = source.kind != SourceKind::tasks;
  source.tags = source.kind == SourceKind::tasks;
  reader.read("near_duplicates", source.near_duplicates);
  reader.read("tags", source.tags);
  reader.choice<LossOn>("loss", source.loss,
                        {{"assistant", LossOn::assistant}, {"all", LossOn::all}});
  if (source.kind == SourceKind::tasks) {
    read_tasks(reader, source);
  } else {
    read_files(reader, source, folder);
  }
  reader.finish();
  return source;
}

DataSpec read_spec(const toml::table& table, const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  Reader reader(table, path);
  DataSpec spec;
  reader.require("tokenizer");
  reader.read("tokenizer", spec.tokenizer);
  spec.tokenizer = resolved(spec.tokenizer, folder);
  reader.read("chat_format", spec.chat_format);
  reader.number("held_out", spec.held_out, 0.0, 1.0);
  reader.number("shard_tokens", spec.shard_tokens, std::int64_t{1024}, std::int64_t{1} << 40);
  reader.read("skip_bad", spec.skip_bad);
  reader.number("near_threshold", spec.near_threshold, 0.0, 1.0);
  reader.number("ngram", spec.ngram, std::int64_t{8}, std::int64_t{1000});
  reader.texts("decontaminate", spec.decontaminate);
  for (std::string& file : spec.decontaminate) file = resolved(file, folder);
  const toml::node* sources = reader.take("source");
  const toml::array* list = sources ? sources->as_array() : nullptr;
  if (!list || list->empty()) reader.fail_at(table, "there is no [[source]]");
  for (const toml::node& item : *list) {
    const toml::table* source = item.as_table();
    if (!source) reader.fail_at(item, "'source' is not a table: write [[source]]");
    spec.sources.push_back(read_source(*source, path, folder));
    const auto same =
        std::count_if(spec.sources.begin(), spec.sources.end(),
                      [&](const SourceSpec& s) { return s.name == spec.sources.back().name; });
    if (same > 1)
      reader.fail_at(item, fmt::format("there are two sources '{}'", spec.sources.back().name));
  }
  reader.finish();
  return spec;
}

}  // namespace

DataSpec parse_data_spec(std::string_view toml, const std::string& path) {
  try {
    const toml::table table = toml::parse(toml, path);
    return read_spec(table, path);
  } catch (const toml::parse_error& error) {
    fail(ErrorKind::bad_input, "{}, line {}: {}", path, error.source().begin.line,
         error.description());
  }
}

}  // namespace nautile::train

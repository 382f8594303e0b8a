#include "train/data_folder.h"

#include <xxhash.h>

#include <charconv>
#include <filesystem>

#include "base/error.h"
#include "base/json.h"

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

const Json& member(const Json& object, const char* name, const std::string& where) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  NAUTILE_CHECK(object.is_object() && found != object.end(), "{}: there is no \"{}\"", where, name);
  return *found;
}

std::string text_member(const Json& object, const char* name, const std::string& where) {
  const Json& value = member(object, name, where);
  NAUTILE_CHECK(value.is_string(), "{}: expected \"{}\" to be text, found {}", where, name,
                value.type_name());
  return value.get<std::string>();
}

std::vector<Shard> open_shards(const Json& source, const char* name, const fs::path& folder,
                               const std::string& where) {
  const Json& files = member(source, name, where);
  NAUTILE_CHECK(files.is_array(), "{}: expected \"{}\" to be a list of files", where, name);
  std::vector<Shard> shards;
  for (const Json& file : files) {
    NAUTILE_CHECK(file.is_string(), "{}: expected file names in \"{}\"", where, name);
    const auto text = file.get<std::string>();
    NAUTILE_CHECK(!text.empty() && text.find('/') == text.npos && text != "..",
                  "{}: '{}' is no name of a file in the folder", where, text);
    shards.emplace_back((folder / text).string());
  }
  return shards;
}

Vocabulary read_vocabulary(const Json& index, const std::string& where) {
  const Json& object = member(index, "vocabulary", where);
  const std::string hash = text_member(object, "hash", where);
  Vocabulary vocabulary;
  const auto [end, error] =
      std::from_chars(hash.data(), hash.data() + hash.size(), vocabulary.hash, 16);
  NAUTILE_CHECK(error == std::errc() && end == hash.data() + hash.size(),
                "{}: the vocabulary's hash is no hexadecimal number", where);
  const Json& size = member(object, "size", where);
  NAUTILE_CHECK(size.is_number_unsigned() && size.get<std::uint64_t>() < 0x7FFFFFFF,
                "{}: the vocabulary's size is no count", where);
  vocabulary.size = size.get<std::uint32_t>();
  return vocabulary;
}

}  // namespace

std::uint64_t DataSource::tokens(DataSplit split) const {
  std::uint64_t sum = 0;
  for (const Shard& shard : shards(split)) sum += shard.tokens();
  return sum;
}

std::uint64_t DataSource::documents(DataSplit split) const {
  std::uint64_t sum = 0;
  for (const Shard& shard : shards(split)) sum += shard.documents();
  return sum;
}

std::uint64_t DataFolder::identity() const {
  std::string all;
  for (const DataSource& source : sources) {
    all += fmt::format("{} {}", source.name, source.weight);
    for (const auto* list : {&source.train, &source.held_out}) {
      for (const Shard& shard : *list) all += fmt::format(" {:016x}", shard.checksum());
      all += '\n';
    }
  }
  return XXH3_64bits(all.data(), all.size());
}

Vocabulary vocabulary_of(std::string_view tokenizer_json, std::int32_t size) {
  return {XXH3_64bits(tokenizer_json.data(), tokenizer_json.size()),
          static_cast<std::uint32_t>(size)};
}

void require_own_tokenizer(const DataFolder& folder) {
  const std::string file = (fs::path(folder.path) / "tokenizer.json").string();
  const std::uint64_t found = vocabulary_of(read_file(file), 0).hash;
  NAUTILE_CHECK(found == folder.vocabulary.hash,
                "{} is not the tokenizer that the shards beside it were written with: its hash is "
                "{:016x}, theirs {:016x}",
                file, found, folder.vocabulary.hash);
}

DataFolder DataFolder::open(const std::string& path) {
  const std::string where = (fs::path(path) / kDataIndex).string();
  if (!fs::exists(where)) {
    throw make_error(ErrorKind::failure, "{} is no data folder: there is no {} in it", path,
                     kDataIndex)
        .hint("`nautile data build` makes one");
  }
  DataFolder folder;
  folder.path = path;
  folder.index = parse_ordered_json(read_file(where), where);
  const Json& version = member(folder.index, "version", where);
  if (version != kDataVersion) {
    fail(ErrorKind::unsupported, "{} has version {}, this nautile reads {}", where, version.dump(),
         kDataVersion);
  }
  folder.vocabulary = read_vocabulary(folder.index, where);
  const Json& sources = member(folder.index, "sources", where);
  NAUTILE_CHECK(sources.is_array() && !sources.empty(), "{}: there are no sources", where);
  for (const Json& entry : sources) {
    DataSource source;
    source.name = text_member(entry, "name", where);
    const Json& weight = member(entry, "weight", where);
    NAUTILE_CHECK(weight.is_number(), "{}: the weight of source '{}' is no number", where,
                  source.name);
    source.weight = weight.get<double>();
    source.train = open_shards(entry, "train", path, where);
    source.held_out = open_shards(entry, "held_out", path, where);
    for (const auto* list : {&source.train, &source.held_out}) {
      for (const Shard& shard : *list) {
        NAUTILE_CHECK(shard.vocabulary() == folder.vocabulary,
                      "{} was written with another tokenizer than {} says", shard.path(), where);
      }
    }
    folder.sources.push_back(std::move(source));
  }
  return folder;
}

}  // namespace nautile::train

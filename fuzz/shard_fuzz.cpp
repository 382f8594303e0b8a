// shard_fuzz.cpp — libFuzzer: any bytes as the body of a token shard whose checksums are right.
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cstring>
#include <string>

#include "base/error.h"
#include "train/shards.h"

namespace {

// Eight counts and sizes from the input, then the body; see train/shards.h.
std::string shard_of(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kFields = 8;
  std::array<std::uint8_t, kFields> f{};
  std::memcpy(f.data(), data, std::min(size, kFields));
  const std::string body(reinterpret_cast<const char*>(data) + std::min(size, kFields),
                         size - std::min(size, kFields));
  std::string bytes = "NAUTSHRD";
  const auto put = [&bytes](auto value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  const std::uint32_t vocabulary = f[0] & 1 ? 100'000 : 1u + f[1];
  put(std::uint32_t{1});
  put(std::uint32_t{vocabulary <= 65536 ? 2u : 4u});
  put(std::uint64_t{7});
  put(vocabulary);
  put(std::uint32_t{1u << 20});
  bytes.append(24, '\0');
  put(XXH3_64bits(bytes.data(), bytes.size()));
  bytes += body;
  const std::uint64_t tokens = f[2], token_bytes = vocabulary <= 65536 ? 2 : 4;
  // Sometimes a count that no memory could hold.
  const std::uint64_t documents = f[0] & 2 ? std::uint64_t{f[3]} << 52 : f[3];
  std::string trailer;
  std::swap(bytes, trailer);
  put(tokens);
  put(documents);
  put(std::uint64_t{f[4]});
  put(std::uint64_t{f[5]});
  const std::size_t at = std::min<std::size_t>(tokens * token_bytes, body.size());
  put(XXH3_64bits(body.data() + at, body.size() - at));
  put(std::uint64_t{0});
  put(XXH3_64bits(bytes.data(), bytes.size()));
  return trailer + bytes + "NAUTSEND";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nautile::train;
  static const int kFile = memfd_create("shard", 0);
  const std::string bytes = shard_of(data, size);
  if (ftruncate(kFile, 0) != 0 ||
      pwrite(kFile, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return 0;
  }
  try {
    const Shard shard("/proc/self/fd/" + std::to_string(kFile));
    for (std::uint64_t i = 0; i < shard.documents(); ++i) {
      std::vector<std::int32_t> tokens(shard.length(i));
      shard.read(i, 0, tokens);
      for (const std::int32_t token : tokens) {
        if (static_cast<std::uint32_t>(token) >= shard.vocabulary().size) __builtin_trap();
      }
      for (const TokenRun& run : shard.runs(i)) {
        if (run.end > tokens.size()) __builtin_trap();
      }
    }
  } catch (const nautile::Error&) {
  }
  return 0;
}

// ids.cpp — random bits as letters and digits.
#include "server/ids.h"

#include <random>

namespace nautile::server {
namespace {

std::mt19937_64& generator() {
  thread_local std::mt19937_64 engine = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return engine;
}

}  // namespace

std::string new_id(std::string_view prefix) {
  static constexpr char kLetters[] =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::uniform_int_distribution<int> letter(0, 61);
  std::string id(prefix);
  for (int i = 0; i < 24; ++i) id += kLetters[letter(generator())];
  return id;
}

unsigned long long new_seed() {
  return generator()();
}

}  // namespace nautile::server

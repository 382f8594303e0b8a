#include <future>
#include <list>
#include <map>

#include "base/error.h"
#include "text/grammar.h"

namespace nautile {
namespace {

// A plan and its vocabulary as one key. Each text is preceded by its length.
std::string key_of(const GrammarPlan& plan, const GrammarVocabulary& vocabulary) {
  std::string key;
  const auto number = [&](std::uint64_t n) { key += fmt::format("{};", n); };
  const auto text = [&](const std::string& s) {
    number(s.size());
    key += s;
  };
  number(reinterpret_cast<std::uintptr_t>(&vocabulary));
  number(plan.free_texts.size());
  for (const FreeText& free : plan.free_texts) {
    number(static_cast<std::uint64_t>(free.end));
    number(free.until.size());
    for (const std::string& until : free.until) text(until);
    text(free.opened_by);
    number(free.blanks);
  }
  text(plan.opening);
  for (const auto* alternatives : {&plan.choices, &plan.answers}) {
    number(alternatives->size());
    for (const GrammarPlan::Parts& parts : *alternatives) {
      number(parts.size());
      for (const GrammarSpec& part : parts) {
        number(static_cast<std::uint64_t>(part.kind));
        number(static_cast<std::uint64_t>(part.space));
        text(part.text);
      }
    }
  }
  number(plan.least);
  number(plan.most);
  text(plan.separator);
  text(plan.closing);
  return key;
}

}  // namespace

struct GrammarCache::Impl {
  using Grammar = std::shared_ptr<const CompiledGrammar>;
  struct Entry {
    std::string key;
    std::shared_future<Grammar> grammar;
    bool ready = false;
  };
  using Place = std::list<Entry>::iterator;

  explicit Impl(std::size_t bytes) : most_bytes(bytes) {}

  static std::size_t bytes_of(const Entry& entry) {
    return entry.ready ? entry.grammar.get()->bytes() + entry.key.size() : 0;
  }

  // Grammars grow as they are used, so all are asked again.
  std::size_t total() const {
    std::size_t sum = 0;
    for (const Entry& entry : entries) sum += bytes_of(entry);
    return sum;
  }

  void shrink() {
    std::size_t sum = total();
    for (auto last = entries.end(); sum > most_bytes && last != entries.begin();) {
      --last;
      if (!last->ready || last == entries.begin()) continue;
      sum -= bytes_of(*last);
      index.erase(last->key);
      last = entries.erase(last);
    }
  }

  std::size_t most_bytes;
  mutable std::mutex mutex;
  std::list<Entry> entries;  // the last asked for first
  std::map<std::string, Place> index;
  std::uint64_t hits = 0, misses = 0;
};

GrammarCache::GrammarCache(std::size_t bytes) : impl_(std::make_unique<Impl>(bytes)) {}
GrammarCache::~GrammarCache() = default;

std::shared_ptr<const CompiledGrammar> GrammarCache::get(const GrammarPlan& plan,
                                                         const GrammarVocabulary& vocabulary) {
  const std::string key = key_of(plan, vocabulary);
  std::promise<Impl::Grammar> promise;
  std::shared_future<Impl::Grammar> found;
  {
    const std::lock_guard lock(impl_->mutex);
    if (const auto known = impl_->index.find(key); known != impl_->index.end()) {
      ++impl_->hits;
      impl_->entries.splice(impl_->entries.begin(), impl_->entries, known->second);
      found = known->second->grammar;
    } else {
      ++impl_->misses;
      impl_->entries.push_front({key, promise.get_future().share(), false});
      impl_->index.emplace(key, impl_->entries.begin());
    }
  }
  if (found.valid()) return found.get();
  try {
    auto made = std::make_shared<const CompiledGrammar>(plan, vocabulary);
    promise.set_value(made);
    const std::lock_guard lock(impl_->mutex);
    impl_->index.at(key)->ready = true;
    impl_->shrink();
    return made;
  } catch (...) {
    // Whoever waits gets the error too; the next to ask tries again.
    promise.set_exception(std::current_exception());
    const std::lock_guard lock(impl_->mutex);
    impl_->entries.erase(impl_->index.at(key));
    impl_->index.erase(key);
    throw;
  }
}

GrammarCache::Counts GrammarCache::counts() const {
  const std::lock_guard lock(impl_->mutex);
  return {impl_->hits, impl_->misses, impl_->entries.size(), impl_->total()};
}

}  // namespace nautile

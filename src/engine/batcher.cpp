#include "engine/batcher.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace nautile::engine {
namespace {

// Read back from disk before a batch, at most: what running streams wait for.
constexpr std::size_t kDiskBytesPerStep = std::size_t{16} << 20;

const BatchEngineOptions& checked(const BatchEngineOptions& options, const Model& model) {
  const auto positive = [](const char* name, std::int64_t value, std::int64_t least) {
    if (value < least) fail(ErrorKind::usage, "{} is {}: expected {} or more", name, value, least);
  };
  positive("context", options.context, 2);
  positive("kv_tokens", options.kv_tokens, KvPages::kPageTokens);
  positive("row_budget", options.row_budget, 2);
  positive("prefill_beside_decode", options.prefill_beside_decode, 1);
  positive("most_running", options.most_running, 1);
  positive("queue", options.queue, 0);
  if (options.context > model.options().context) {
    fail(ErrorKind::usage, "context is {}: the model was set up for {} tokens", options.context,
         model.options().context);
  }
  if (model.config().attention.kind == AttentionKind::mla &&
      model.options().mla == MlaForm::by_cost) {
    fail(ErrorKind::usage,
         "an engine needs one form of latent attention: set the model up with MlaForm::absorbed");
  }
  return options;
}

std::unique_ptr<PageDisk> disk_of(const BatchEngineOptions& options, const Model& model,
                                  const KvPages& pages) {
  if (options.disk.folder.empty()) return nullptr;
  const char* form = model.config().attention.kind != AttentionKind::mla ? "grouped"
                     : model.options().mla == MlaForm::absorbed          ? "absorbed"
                                                                         : "expanded";
  return std::make_unique<PageDisk>(
      options.disk.folder, options.disk.bytes,
      fmt::format("{} {} {} pages of {}", options.disk.fingerprint, info(options.kv_format).name,
                  form, KvPages::kPageTokens),
      pages.page_bytes());
}

}  // namespace

std::int64_t& RateMeter::slot() {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start_);
  for (; now_ < seconds.count(); ++now_) {
    if (seconds.count() - now_ > kSeconds) now_ = seconds.count() - kSeconds;
    counts_[(now_ + 1) % kSeconds] = 0;
  }
  return counts_[now_ % kSeconds];
}

double RateMeter::per_second() {
  slot();
  std::int64_t sum = 0;
  for (const std::int64_t count : counts_) sum += count;
  const double alive = std::chrono::duration<double>(Clock::now() - start_).count();
  return static_cast<double>(sum) / std::clamp(alive, 1.0, static_cast<double>(kSeconds));
}

Batcher::Batcher(const Model& model, Backend& backend, const Tokenizer& tokenizer,
                 const BatchEngineOptions& options)
    : model_(model),
      tokenizer_(tokenizer),
      options_(checked(options, model)),
      limits_{options.row_budget, options.prefill_beside_decode, KvPages::kPageTokens},
      pages_(model.config(), options.kv_format, options.kv_tokens),
      cache_(pages_),
      disk_(disk_of(options, model, pages_)),
      runner_(model, backend, pages_, memory_need(model.config(), 0, options).scratch),
      pool_(backend.threads()),
      scratch_(static_cast<std::size_t>(backend.threads())),
      room_(std::min(options.context, pages_.pages() * KvPages::kPageTokens)),
      most_running_(static_cast<std::size_t>(std::min(options.most_running, options.row_budget))) {}

Batcher::~Batcher() = default;

void Batcher::add(RequestId id, Request request, const EventSink& sink,
                  Clock::time_point submitted) {
  ++counts_.requests;
  const std::int64_t choices = request.task == Task::embed ? 1 : request.choices;
  try {
    auto live = std::make_unique<LiveRequest>(id, std::move(request), sink, submitted, tokenizer_,
                                              model_.config().vocabulary, room_, orders_);
    orders_ += live->choices().size();
    share_.enter(live->request().user);
    waiting_.push_back(live->choices()[0].get());
    following_ += static_cast<std::int64_t>(live->choices().size()) - 1;
    requests_.emplace(id, std::move(live));
  } catch (const std::exception& error) {
    ++counts_.failed;
    ended_ += std::max<std::int64_t>(choices, 1);
    Event event;
    event.kind = Event::Kind::failed;
    event.finish = Finish::failed;
    event.error = error.what();
    try {
      sink(event);
    } catch (...) {  // against its promise; there is nothing more to tell it
    }
  }
}

void Batcher::cancel(RequestId id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  LiveRequest& request = *found->second;
  ++counts_.cancelled;
  for (const std::unique_ptr<Choice>& choice : request.choices()) {
    if (choice->state != Choice::State::ended) end_choice(*choice, Finish::cancelled);
  }
}

void Batcher::cancel_all() {
  while (!requests_.empty()) cancel(requests_.begin()->first);
  bury();
}

void Batcher::fail_all(const std::string& error) {
  while (!requests_.empty()) fail_request(*requests_.begin()->second, error);
  bury();
}

bool Batcher::step() {
  bury();
  if (waiting_.empty() && running_.empty()) return false;
  const Clock::time_point start = Clock::now();
  admit();
  adopt_known_pages();
  const std::vector<Part> parts = plan();
  if (!parts.empty()) {
    compute(parts);
    // Memory was short for some time only.
    if (++counts_.steps % 64 == 0)
      most_running_ =
          std::min(most_running_ + 1,
                   static_cast<std::size_t>(std::min(options_.most_running, options_.row_budget)));
  }
  counts_.busy_seconds += std::chrono::duration<double>(Clock::now() - start).count();
  bury();
  return true;
}

EngineCounts Batcher::counts() {
  counts_.waiting = static_cast<std::int64_t>(waiting_.size()) + following_;
  counts_.running = static_cast<std::int64_t>(running_.size());
  counts_.pages = pages_.pages();
  counts_.pages_cached = cache_.idle();
  counts_.pages_used = pages_.pages() - cache_.available();
  counts_.tokens_per_second = tokens_.per_second();
  if (disk_) counts_.disk_bytes = disk_->bytes();
  return counts_;
}

std::vector<Candidate> Batcher::candidates(const std::vector<Choice*>& of) {
  std::vector<Candidate> list;
  list.reserve(of.size());
  for (Choice* choice : of) {
    Candidate& one = choice->sequence.candidate();
    one.served = share_.served(choice->request.request().user);
    list.push_back(one);
  }
  return list;
}

// Of the pages that take() can give, how many admission binds: those that running choices hold
// already are free of charge.
std::int64_t Batcher::pages_to_admit(Choice& choice) {
  const Sequence& sequence = choice.sequence;
  std::int64_t pages =
      pages_for(std::min(sequence.candidate().known + 1, room_), KvPages::kPageTokens);
  if (!sequence.uses_cached_prefix()) return pages;
  const std::string& user = choice.request.request().user;
  PageChain chain = PrefixCache::begin(user);
  constexpr std::size_t kTokens = KvPages::kPageTokens;
  const std::span<const TokenId> tokens = sequence.tokens();
  for (std::size_t end = kTokens; end < tokens.size(); end += kTokens) {
    const PrefixCache::PageTokens part(tokens.data() + end - kTokens, kTokens);
    const std::int32_t page = cache_.peek(chain, PrefixCache::next_key(chain, part), part, user);
    if (page < 0) break;
    if (cache_.held(page)) --pages;
  }
  return pages;
}

void Batcher::admit() {
  while (const std::optional<std::size_t> next = next_to_admit(candidates(waiting_))) {
    Choice& choice = *waiting_[*next];
    const bool fits =
        running_.size() < most_running_ &&
        cache_.available() - promised_pages(candidates(running_), KvPages::kPageTokens) >=
            pages_to_admit(choice);
    if (fits) {
      start_running(choice);
    } else if (!make_way(choice.sequence.candidate().priority)) {
      break;
    }
  }
}

// Takes a choice of lower priority from the running; false if there is none.
bool Batcher::make_way(int priority) {
  const std::optional<std::size_t> junior = gives_way_to(candidates(running_), priority);
  if (junior) preempt(*running_[*junior]);
  return junior.has_value();
}

void Batcher::start_running(Choice& choice) {
  Sequence& sequence = choice.sequence;
  std::erase(waiting_, &choice);
  running_.push_back(&choice);
  choice.state = Choice::State::running;
  std::size_t no_disk = 0;
  const std::int64_t cached = adopt(choice, no_disk);
  LiveRequest& request = choice.request;
  // A prompt is charged when it is admitted, so that one round does not serve one user alone.
  if (!request.admitted())
    share_.charge(request.request().user, static_cast<double>(sequence.candidate().rows_left()));
  request.admit(cached);
}

void Batcher::preempt(Choice& choice) {
  ++counts_.preempted;
  keep_tail(choice);
  give_pages_back(choice);
  choice.request.restart();
  std::erase(running_, &choice);
  waiting_.push_back(&choice);
  choice.state = Choice::State::waiting;
}

void Batcher::give_pages_back(Choice& choice) {
  const std::vector<std::int32_t> pages = choice.sequence.drop_pages();
  for (std::size_t i = pages.size(); i-- > 0;) cache_.release(pages[i]);
}

// Whether the next whole page of known tokens could come from a cache instead of being computed.
bool Batcher::at_page_border(const Choice& choice) const {
  const Sequence& sequence = choice.sequence;
  const auto whole = static_cast<std::int64_t>(sequence.chained()) * KvPages::kPageTokens;
  return sequence.uses_cached_prefix() && sequence.computed() == whole &&
         sequence.pages().size() == sequence.chained() &&
         sequence.candidate().known > whole + KvPages::kPageTokens;
}

// Takes pages that are known, in memory or on disk while there are `disk_bytes` -> their tokens.
std::int64_t Batcher::adopt(Choice& choice, std::size_t& disk_bytes) {
  Sequence& sequence = choice.sequence;
  const std::string& user = choice.request.request().user;
  std::int64_t tokens = 0;
  while (at_page_border(choice)) {
    const PageKey key = sequence.next_key();
    const PrefixCache::PageTokens part = sequence.next_page_tokens();
    std::int32_t page = cache_.find(sequence.chain(), key, part, user);
    if (page < 0) {
      if (!disk_ || disk_bytes < pages_.page_bytes() || !disk_->has(key)) break;
      page = cache_.take();
      if (page < 0) break;
      disk_bytes -= pages_.page_bytes();
      const auto prefix =
          sequence.tokens().first((sequence.chained() + 1) * std::size_t{KvPages::kPageTokens});
      if (disk_->read(key, user, prefix, {pages_.data(page), pages_.page_bytes()}) ==
          PageDisk::Read::miss) {
        cache_.release(page);
        break;
      }
      page = cache_.insert(sequence.chain(), key, part, user, page);
      ++counts_.disk_hits;
    }
    sequence.push_page(page);
    sequence.advance(KvPages::kPageTokens);
    sequence.chain_moved();
    tokens += KvPages::kPageTokens;
  }
  return tokens;
}

// Prefixes that became known since. Of several choices that need one unknown page now, one
// computes it and the others wait for it.
void Batcher::adopt_known_pages() {
  std::size_t disk_bytes = std::max(kDiskBytesPerStep, pages_.page_bytes());
  std::unordered_set<PageKey, PageKeyHash> being_computed;
  for (Choice* choice : running_) {
    Candidate& candidate = choice->sequence.candidate();
    candidate.ready = Candidate::Ready::now;
    if (at_page_border(*choice)) choice->request.found_more(adopt(*choice, disk_bytes));
    if (at_page_border(*choice) && !being_computed.insert(choice->sequence.next_key()).second) {
      candidate.ready = Candidate::Ready::later;
    } else {
      choice->request.found_more(adopt_beginning(*choice));
    }
  }
}

// Where no whole page is known, a copy of the page that begins as this one must -> tokens taken.
// The last known token is left: its row says what comes next.
std::int64_t Batcher::adopt_beginning(Choice& choice) {
  Sequence& sequence = choice.sequence;
  const auto whole = static_cast<std::int64_t>(sequence.chained()) * KvPages::kPageTokens;
  const std::int64_t wanted =
      std::min<std::int64_t>(sequence.candidate().rows_left() - 1, KvPages::kPageTokens);
  if (!sequence.uses_cached_prefix() || sequence.computed() != whole ||
      sequence.pages().size() != sequence.chained() || wanted < 1) {
    return 0;
  }
  const auto next =
      sequence.tokens().subspan(static_cast<std::size_t>(whole), static_cast<std::size_t>(wanted));
  const PageBeginning found =
      cache_.longest_beginning(sequence.chain(), next, choice.request.request().user);
  if (found.tokens == 0) return 0;
  cache_.retain(found.page);
  const std::int32_t mine = cache_.take();
  if (mine >= 0) pages_.copy(found.page, mine);
  cache_.release(found.page);
  if (mine < 0) return 0;
  sequence.push_page(mine);
  sequence.advance(static_cast<std::int64_t>(found.tokens));
  return static_cast<std::int64_t>(found.tokens);
}

// Makes the page known that a choice leaves half written.
void Batcher::keep_tail(Choice& choice) {
  const Sequence& sequence = choice.sequence;
  const std::size_t whole = sequence.chained() * std::size_t{KvPages::kPageTokens};
  const auto computed = static_cast<std::size_t>(sequence.computed());
  if (computed <= whole || sequence.pages().size() != sequence.chained() + 1) return;
  cache_.insert_tail(choice.sequence.chain(), sequence.tokens().subspan(whole, computed - whole),
                     choice.request.request().user, sequence.pages().back());
}

// Pages for another choice that goes on from what `leader` computed; none if there is no memory.
std::optional<std::vector<std::int32_t>> Batcher::fork_pages(const Sequence& leader) {
  std::vector<std::int32_t> pages(leader.pages().begin(), leader.pages().end());
  const auto whole = static_cast<std::size_t>(leader.computed() / KvPages::kPageTokens);
  std::int32_t last = -1;
  if (whole < pages.size()) {
    last = cache_.take();
    if (last < 0) return std::nullopt;
    pages_.copy(pages[whole], last);
    pages.resize(whole + 1);
    pages[whole] = last;
  }
  for (std::size_t i = 0; i < whole; ++i) cache_.retain(pages[i]);
  return pages;
}

void Batcher::leave(Choice& choice) {
  give_pages_back(choice);
  if (choice.state == Choice::State::following) --following_;
  std::erase(choice.state == Choice::State::running ? running_ : waiting_, &choice);
  choice.state = Choice::State::ended;
  ++ended_;
  ends_.add(1);
  LiveRequest& request = choice.request;
  for (const std::unique_ptr<Choice>& other : request.choices()) {
    if (other->state != Choice::State::ended) return;
  }
  share_.leave(request.request().user);
  const auto node = requests_.extract(request.id());
  buried_.push_back(std::move(node.mapped()));
}

// Somebody may still look at choices that end in the middle of a step.
void Batcher::bury() {
  buried_.clear();
}

void Batcher::end_choice(Choice& choice, Finish finish) {
  LiveRequest& request = choice.request;
  request.finish(choice, finish);
  keep_tail(choice);
  const std::size_t before = buried_.size();
  leave(choice);
  if (buried_.size() > before && finish != Finish::cancelled) ++counts_.finished;
}

void Batcher::fail_request(LiveRequest& request, const std::string& error, ErrorKind kind) {
  ++counts_.failed;
  request.fail(error, kind);
  for (const std::unique_ptr<Choice>& choice : request.choices()) {
    if (choice->state != Choice::State::ended) leave(*choice);
  }
}

}  // namespace nautile::engine

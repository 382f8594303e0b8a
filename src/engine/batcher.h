// batcher.h — Batcher: the engine without its thread: admits, computes and says, a batch at a time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/parallel.h"
#include "engine/batch_engine.h"
#include "engine/live_request.h"
#include "engine/page_disk.h"
#include "engine/runner.h"
#include "engine/scheduler.h"

namespace nautile::engine {

// How many things happened in each of the last ten seconds.
class RateMeter {
 public:
  void add(std::int64_t count) { slot() += count; }
  double per_second();

 private:
  static constexpr std::int64_t kSeconds = 10;
  std::int64_t& slot();  // of now; those of seconds that have passed are 0

  Clock::time_point start_ = Clock::now();
  std::int64_t now_ = 0;  // seconds since start_
  std::int64_t counts_[kSeconds] = {};
};

// Errors of its construction are BatchEngine's. One thread uses it.
class Batcher {
 public:
  Batcher(const Model& model, Backend& backend, const Tokenizer& tokenizer,
          const BatchEngineOptions& options);
  ~Batcher();

  void add(RequestId id, Request request, const EventSink& sink, Clock::time_point submitted);
  void cancel(RequestId id);
  void cancel_all();
  void fail_all(const std::string& error);
  // False if there is nothing to do.
  bool step();

  EngineCounts counts();
  std::int64_t room() const { return room_; }            // tokens of one sequence
  std::int64_t ended_choices() const { return ended_; }  // since the beginning
  double ends_per_second() { return ends_.per_second(); }

 private:
  // Rows of one choice in a batch.
  struct Part {
    Choice* choice;
    std::int64_t rows;
  };
  // What is wanted of a row's logits: the next token of a choice, or a prompt token's logprob.
  struct RowJob {
    std::size_t row = 0;  // of those whose logits are made
    Choice* choice = nullptr;
    std::size_t prompt_index = 0;  // 0: the choice's next token
    std::string error;
  };

  // batcher.cpp: who holds what
  std::vector<Candidate> candidates(const std::vector<Choice*>& of);
  void admit();
  bool make_way(int priority);
  std::int64_t pages_to_admit(Choice& choice);
  void start_running(Choice& choice);
  void preempt(Choice& choice);
  void adopt_known_pages();
  std::int64_t adopt(Choice& choice, std::size_t& disk_bytes);
  std::int64_t adopt_beginning(Choice& choice);
  void keep_tail(Choice& choice);
  bool at_page_border(const Choice& choice) const;
  std::optional<std::vector<std::int32_t>> fork_pages(const Sequence& leader);
  void give_pages_back(Choice& choice);
  void end_choice(Choice& choice, Finish finish);
  void fail_request(LiveRequest& request, const std::string& error,
                    ErrorKind kind = ErrorKind::failure);
  void leave(Choice& choice);
  void bury();

  // batcher_compute.cpp: the batch
  std::vector<Part> plan();
  void compute(std::span<const Part> parts);
  void recover(std::span<const Part> parts, const std::string& error, ErrorKind kind);
  std::vector<RowJob> jobs_of(std::span<const Part> parts, std::vector<std::int64_t>& rows) const;
  void run_jobs(Tensor hidden, std::span<const std::int64_t> rows, std::vector<RowJob>& jobs);
  void commit(const Part& part, Tensor hidden_rows);
  void keep_pages(Choice& choice);
  void prompt_done(Choice& leader);
  void say(Choice& choice);

  const Model& model_;
  const Tokenizer& tokenizer_;
  BatchEngineOptions options_;
  SchedulerLimits limits_;
  KvPages pages_;
  PrefixCache cache_;
  std::unique_ptr<PageDisk> disk_;  // null: none
  Runner runner_;
  ThreadPool pool_;
  std::vector<ChoiceScratch> scratch_;  // by thread
  std::int64_t room_ = 0;

  std::map<RequestId, std::unique_ptr<LiveRequest>> requests_;
  std::vector<std::unique_ptr<LiveRequest>> buried_;  // ended in this step
  std::vector<Choice*> waiting_, running_;
  std::int64_t following_ = 0;
  std::size_t most_running_ = 0;  // now: less than asked for after memory was short
  FairShare share_;
  std::uint64_t orders_ = 0;
  EngineCounts counts_;
  std::int64_t ended_ = 0;
  RateMeter tokens_, ends_;
};

}  // namespace nautile::engine

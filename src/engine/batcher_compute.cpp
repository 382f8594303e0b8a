// batcher_compute.cpp — the batch: who is in it, what is made of its rows, what is said.
#include <algorithm>
#include <cmath>
#include <new>

#include "base/error.h"
#include "engine/batcher.h"

namespace nautile::engine {

std::vector<Batcher::Part> Batcher::plan() {
  for (;;) {
    const StepPlan plan = plan_step(candidates(running_), cache_.available(), limits_);
    if (plan.preempt) {
      preempt(*running_[*plan.preempt]);
      continue;
    }
    std::vector<Part> parts;
    parts.reserve(plan.parts.size());
    for (const StepPlan::Part& part : plan.parts) parts.push_back({running_[part.who], part.rows});
    return parts;
  }
}

// The rows whose logits are needed, and what for. Ascending in both.
std::vector<Batcher::RowJob> Batcher::jobs_of(std::span<const Part> parts,
                                              std::vector<std::int64_t>& rows) const {
  std::vector<RowJob> jobs;
  std::int64_t first = 0;
  for (const Part& part : parts) {
    LiveRequest& request = part.choice->request;
    const Sequence& sequence = part.choice->sequence;
    const bool prompt_told = request.wants_prompt_logprobs() && !request.started();
    const auto prompt = static_cast<std::int64_t>(sequence.prompt().size());
    for (std::int64_t i = 0; i < part.rows; ++i) {
      const std::int64_t position = sequence.computed() + i;
      const bool last = position + 1 == sequence.candidate().known;
      const bool tells = prompt_told && position + 1 < prompt;
      const bool draws = last && request.wants_token();
      if (!tells && !draws) continue;
      if (tells)
        jobs.push_back({rows.size(), part.choice, static_cast<std::size_t>(position + 1), {}});
      if (draws) {
        jobs.push_back({rows.size(), part.choice, 0, {}});
        for (const std::unique_ptr<Choice>& other : request.choices()) {
          if (other->state == Choice::State::following)
            jobs.push_back({rows.size(), other.get(), 0, {}});
        }
      }
      rows.push_back(first + i);
    }
    first += part.rows;
  }
  return jobs;
}

void Batcher::run_jobs(Tensor hidden, std::span<const std::int64_t> rows,
                       std::vector<RowJob>& jobs) {
  std::size_t next = 0;
  runner_.logits(hidden, rows, [&](std::size_t first, Tensor logits) {
    const std::size_t begin = next, end = first + static_cast<std::size_t>(logits.rows());
    while (next < jobs.size() && jobs[next].row < end) ++next;
    const auto work = [&](std::int64_t from, std::int64_t to, int thread) {
      ChoiceScratch& scratch = scratch_[static_cast<std::size_t>(thread)];
      for (std::size_t i = begin + static_cast<std::size_t>(from);
           i < begin + static_cast<std::size_t>(to); ++i) {
        RowJob& job = jobs[i];
        const std::span<const float> row(logits.row(static_cast<std::int64_t>(job.row - first)),
                                         static_cast<std::size_t>(logits.cols()));
        try {
          if (job.prompt_index > 0) {
            job.choice->request.tell_prompt_token(job.prompt_index, row, scratch);
          } else {
            job.choice->sequence.choose(row, scratch);
          }
        } catch (const std::exception& error) {
          job.error = error.what();
        }
      }
    };
    pool_.parallel_for(static_cast<std::int64_t>(next - begin), 1, work);
  });
}

void Batcher::compute(std::span<const Part> parts) {
  std::vector<RunnerSpan> spans;
  std::int64_t all = 0;
  for (const Part& part : parts) {
    Sequence& sequence = part.choice->sequence;
    const std::int64_t end = sequence.computed() + part.rows;
    while (sequence.candidate().pages * KvPages::kPageTokens < end) {
      const std::int32_t page = cache_.take();
      NAUTILE_ASSERT(page >= 0, "the plan had a page for {} tokens", end);
      sequence.push_page(page);
    }
    spans.push_back({sequence.tokens().subspan(static_cast<std::size_t>(sequence.computed()),
                                               static_cast<std::size_t>(part.rows)),
                     sequence.computed(), sequence.pages()});
    all += part.rows;
  }
  Tensor hidden;
  std::vector<std::int64_t> rows;
  std::vector<RowJob> jobs;
  try {
    hidden = runner_.run(spans);
    jobs = jobs_of(parts, rows);
  } catch (const Error& error) {
    return recover(parts, error.what(), error.kind());
  } catch (const std::bad_alloc& error) {
    return recover(parts, error.what(), ErrorKind::no_memory);
  } catch (const std::exception& error) {
    return recover(parts, error.what(), ErrorKind::failure);
  }
  counts_.rows += static_cast<std::uint64_t>(all);
  counts_.most_rows = std::max(counts_.most_rows, static_cast<std::uint64_t>(all));
  std::string broken;
  try {
    run_jobs(hidden, rows, jobs);
  } catch (const std::exception& error) {
    broken = error.what();
  }
  for (const RowJob& job : jobs) {
    const std::string& error = !broken.empty()      ? broken
                               : !job.error.empty() ? job.error
                                                    : job.choice->sequence.error();
    const bool own = broken.empty() && job.error.empty();
    if (!error.empty() && job.choice->state != Choice::State::ended) {
      fail_request(job.choice->request, error,
                   own ? job.choice->sequence.error_kind() : ErrorKind::failure);
    }
  }
  std::int64_t first = 0;
  const std::uint64_t decoded = counts_.decode_rows;
  for (const Part& part : parts) {
    const std::int64_t begin = std::exchange(first, first + part.rows);
    if (part.choice->state == Choice::State::ended) continue;
    try {
      commit(part, Tensor{hidden.row(begin), {part.rows, hidden.cols()}});
    } catch (const std::exception& error) {
      if (part.choice->state != Choice::State::ended)
        fail_request(part.choice->request, error.what());
    }
  }
  counts_.most_decode_rows = std::max(counts_.most_decode_rows, counts_.decode_rows - decoded);
}

// The batch could not be computed and nothing has changed. Where memory is short the junior gives
// way; else each is tried alone, and who cannot be computed fails.
void Batcher::recover(std::span<const Part> parts, const std::string& error, ErrorKind kind) {
  if (parts.size() == 1) return fail_request(parts[0].choice->request, error);
  if (kind == ErrorKind::no_memory) {
    runner_.release();
    most_running_ = std::max<std::size_t>(1, running_.size() - 1);
    return preempt(*parts.back().choice);
  }
  for (const Part& part : parts) {
    if (part.choice->state == Choice::State::running) compute({&part, 1});
  }
}

void Batcher::commit(const Part& part, Tensor hidden_rows) {
  Choice& choice = *part.choice;
  LiveRequest& request = choice.request;
  Sequence& sequence = choice.sequence;
  const bool decodes = sequence.completion_tokens() > 0 && part.rows == 1;
  if (request.request().task == Task::embed)
    request.add_embedding(runner_.normed(hidden_rows, 0, part.rows));
  sequence.advance(part.rows);
  sequence.candidate().last_step = counts_.steps + 1;
  if (decodes) {
    ++counts_.decode_rows;
    share_.charge(request.request().user, 1);
  }
  keep_pages(choice);
  if (sequence.candidate().rows_left() > 0) return;
  if (!request.started()) {
    prompt_done(choice);
  } else {
    say(choice);
  }
}

// Pages that have become whole are made known, to memory and disk.
void Batcher::keep_pages(Choice& choice) {
  Sequence& sequence = choice.sequence;
  const std::string& user = choice.request.request().user;
  constexpr std::size_t kTokens = KvPages::kPageTokens;
  while ((sequence.chained() + 1) * kTokens <= static_cast<std::size_t>(sequence.computed())) {
    const std::size_t index = sequence.chained();
    const PageKey key = sequence.next_key();
    const std::int32_t mine = sequence.pages()[index];
    const std::int32_t kept =
        cache_.insert(sequence.chain(), key, sequence.next_page_tokens(), user, mine);
    sequence.replace_page(index, kept);
    sequence.chain_moved();
    if (disk_ && kept == mine) {
      disk_->write(key, user, sequence.tokens().first((index + 1) * kTokens),
                   {pages_.data(mine), pages_.page_bytes()});
    }
  }
}

// The first choice has computed the prompt: the others go on from there, each with its own token.
void Batcher::prompt_done(Choice& leader) {
  LiveRequest& request = leader.request;
  counts_.prompt_tokens += request.request().prompt.size();
  counts_.cached_tokens += static_cast<std::uint64_t>(request.cached_tokens());
  request.start();
  std::vector<Choice*> speak;
  for (const std::unique_ptr<Choice>& choice : request.choices()) {
    speak.push_back(choice.get());
    if (choice.get() == &leader) continue;
    std::optional<std::vector<std::int32_t>> pages;
    if (request.wants_token() && running_.size() < most_running_)
      pages = fork_pages(leader.sequence);
    --following_;
    choice->state = pages ? Choice::State::running : Choice::State::waiting;
    (pages ? running_ : waiting_).push_back(choice.get());
    if (pages) choice->sequence.fork(leader.sequence, std::move(*pages));
  }
  for (Choice* choice : speak) {
    if (request.wants_token()) {
      say(*choice);
    } else {
      end_choice(*choice, request.request().task == Task::embed ? Finish::end : Finish::length);
    }
  }
}

// Says the token that was drawn.
void Batcher::say(Choice& choice) {
  const Finish finish = choice.sequence.take_choice();
  ++counts_.completion_tokens;
  tokens_.add(1);
  if (finish != Finish::none) return end_choice(choice, finish);
  choice.request.tell(choice);
}

}  // namespace nautile::engine

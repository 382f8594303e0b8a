// echo_engine.cpp — one thread that lets every running choice say a token, again and again.
#include "server/echo_engine.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <optional>
#include <utility>

#include "server/echo_speaker.h"

namespace nautile::server {

using engine::Event;
using engine::Finish;
using Clock = std::chrono::steady_clock;

namespace {

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

std::vector<float> fake_embedding(const std::vector<TokenId>& prompt) {
  std::vector<float> numbers(EchoEngine::kEmbedding, 0.0F);
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    numbers[i % numbers.size()] += static_cast<float>(prompt[i] % 101) / 101.0F;
  }
  return numbers;
}

}  // namespace

struct EchoEngine::Job {
  engine::RequestId id = 0;
  engine::Request request;
  engine::EventSink sink;
  Clock::time_point came = Clock::now(), begun;
  std::vector<std::optional<EchoSpeaker>> speakers;  // empty where a choice has ended
  std::size_t ended = 0;

  void tell(const Event& event) const { sink(event); }
  engine::Usage usage() const {
    engine::Usage usage;
    usage.prompt_tokens = static_cast<std::int64_t>(request.prompt.size());
    usage.queued_seconds = std::chrono::duration<double>(begun - came).count();
    usage.decode_seconds = seconds_since(begun);
    return usage;
  }
  void fail(std::string why) {
    Event event;
    event.kind = Event::Kind::failed;
    event.finish = Finish::failed;
    event.error = std::move(why);
    tell(event);
  }
  void finish(int choice, Event event, std::int64_t said) {
    event.kind = Event::Kind::finished;
    event.choice = choice;
    event.usage = usage();
    event.usage.completion_tokens = said;
    ++ended;
    tell(event);
  }
  // Ends all that has not ended.
  void cancel() {
    for (std::size_t i = 0; i < static_cast<std::size_t>(request.choices); ++i) {
      const bool begun_already = i < speakers.size();
      if (begun_already && !speakers[i]) continue;
      Event event;
      event.finish = Finish::cancelled;
      finish(static_cast<int>(i), event, begun_already ? speakers[i]->said() : 0);
    }
  }
};

EchoEngine::EchoEngine(const Tokenizer& tokenizer, EchoOptions options)
    : tokenizer_(tokenizer), options_(std::move(options)) {
  if (options_.thread == EchoOptions::Thread::own) thread_ = std::thread([this] { run(); });
}

EchoEngine::~EchoEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

engine::Admission EchoEngine::submit(engine::Request request, engine::EventSink sink) {
  engine::Admission admission;
  admission.room = options_.context;
  std::unique_lock lock(mutex_);
  const auto refuse = [&](engine::Admission::Kind kind) {
    ++counts_.refused;
    admission.kind = kind;
    return admission;
  };
  if (draining_ || stopping_) return refuse(engine::Admission::Kind::draining);
  if (static_cast<std::int64_t>(request.prompt.size()) + 1 > options_.context) {
    return refuse(engine::Admission::Kind::too_long);
  }
  if (waiting_.size() >= options_.waiting) {
    admission.retry_after = 1;
    return refuse(engine::Admission::Kind::queue_full);
  }
  auto job = std::make_unique<Job>();
  job->id = admission.id = next_++;
  job->request = std::move(request);
  job->sink = std::move(sink);
  ++counts_.requests;
  if (options_.thread == EchoOptions::Thread::callers) {
    ++counts_.finished;
    lock.unlock();
    while (!step(*job)) continue;
    return admission;
  }
  waiting_.push_back(std::move(job));
  wake_.notify_all();
  return admission;
}

engine::Admission EchoEngine::foresee(std::int64_t ahead) const {
  engine::Admission admission;
  admission.room = options_.context;
  const std::lock_guard lock(mutex_);
  if (draining_ || stopping_) {
    admission.kind = engine::Admission::Kind::draining;
  } else if (waiting_.size() + running_.size() + static_cast<std::size_t>(ahead) >=
             options_.waiting + options_.running) {
    admission.kind = engine::Admission::Kind::queue_full;
    admission.retry_after = 1;
  }
  return admission;
}

void EchoEngine::cancel(engine::RequestId id) {
  if (options_.thread == EchoOptions::Thread::callers) return;  // it has ended
  const std::lock_guard lock(mutex_);
  cancelled_.push_back(id);
  wake_.notify_all();
}

void EchoEngine::drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

engine::EngineCounts EchoEngine::counts() const {
  const std::lock_guard lock(mutex_);
  engine::EngineCounts counts = counts_;
  for (const auto& job : waiting_) counts.waiting += job->request.choices;
  return counts;
}

void EchoEngine::begin(Job& job) {
  const engine::Request& request = job.request;
  job.begun = Clock::now();
  Event event;
  event.kind = Event::Kind::started;
  event.usage = job.usage();
  if (request.prompt_logprobs >= 0) {
    for (const TokenId id : request.prompt) {
      event.prompt.push_back(echo_logprob(id, request.prompt_logprobs, tokenizer_.vocab_size()));
    }
    event.prompt.front().logprob = std::numeric_limits<float>::quiet_NaN();
    event.prompt.front().top.clear();
  }
  job.tell(event);
  const auto room = options_.context - static_cast<std::int64_t>(request.prompt.size());
  for (int i = 0; i < request.choices; ++i) {
    job.speakers.emplace_back();
    if (request.task == engine::Task::embed || request.generate_nothing) {
      Event end;
      end.finish = request.task == engine::Task::embed ? Finish::end : Finish::length;
      if (request.task == engine::Task::embed) end.embedding = fake_embedding(request.prompt);
      job.finish(i, end, 0);
      continue;
    }
    std::vector<TokenId> plan =
        options_.answer ? tokenizer_.encode(options_.answer(request, i), EncodeMode::parse_added)
                        : request.prompt;
    job.speakers.back().emplace(tokenizer_, request, i, std::move(plan), room);
  }
}

// A token of each choice; true when the job has ended.
bool EchoEngine::step(Job& job) {
  try {
    if (job.speakers.empty()) begin(job);
    for (std::size_t i = 0; i < job.speakers.size(); ++i) {
      auto& speaker = job.speakers[i];
      if (!speaker) continue;
      if (options_.fail_after >= 0 && speaker->said() >= options_.fail_after) {
        job.fail("the engine was told to fail here");
        return true;
      }
      Event event;
      if (!speaker->say(event)) {
        if (!event.text.empty() || !event.tokens.empty()) job.tell(event);
        continue;
      }
      const std::int64_t said = speaker->said();
      speaker.reset();
      job.finish(static_cast<int>(i), std::move(event), said);
    }
  } catch (const std::exception& error) {
    job.fail(error.what());
    return true;
  }
  return job.ended == static_cast<std::size_t>(job.request.choices);
}

void EchoEngine::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] {
      return stopping_ || !running_.empty() || !waiting_.empty() || !cancelled_.empty();
    });
    while (!waiting_.empty() && running_.size() < options_.running) {
      running_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    // Sinks are called without the lock, so that they may ask this engine for things.
    std::vector<std::unique_ptr<Job>> ending;
    const auto take_if = [&](auto& jobs, const auto& wanted) {
      for (auto job = jobs.begin(); job != jobs.end();) {
        if (!wanted(**job)) {
          ++job;
          continue;
        }
        ending.push_back(std::move(*job));
        job = jobs.erase(job);
      }
    };
    const auto asked = [&](const Job& job) {
      return std::count(cancelled_.begin(), cancelled_.end(), job.id) > 0;
    };
    const auto any = [](const Job&) { return true; };
    if (stopping_) {
      take_if(running_, any);
      take_if(waiting_, any);
    } else {
      take_if(running_, asked);
      take_if(waiting_, asked);
      counts_.cancelled += ending.size();
    }
    cancelled_.clear();
    const bool stop = stopping_;
    std::vector<Job*> speaking;
    for (const auto& job : running_) {
      if (seconds_since(job->came) >= options_.start_seconds) speaking.push_back(job.get());
    }
    counts_.running = static_cast<std::int64_t>(running_.size());
    lock.unlock();
    for (const auto& job : ending) {
      if (stop) {
        job->fail("the engine has ended");
      } else {
        job->cancel();
      }
    }
    ending.clear();
    if (stop) return;
    std::vector<Job*> done;
    for (Job* job : speaking) {
      if (step(*job)) done.push_back(job);
    }
    const bool idle = speaking.empty();
    const double pause = idle ? 0.001 : options_.token_seconds;
    lock.lock();
    for (const Job* job : done) {
      ++counts_.finished;
      std::erase_if(running_, [&](const auto& held) { return held.get() == job; });
    }
    counts_.running = static_cast<std::int64_t>(running_.size());
    if (pause > 0 && !running_.empty()) {
      wake_.wait_for(lock, std::chrono::duration<double>(pause),
                     [&] { return stopping_ || !cancelled_.empty(); });
    }
  }
}

}  // namespace nautile::server

// doctor.cpp — the verb `doctor`: what this machine offers and what nautile makes of it, and why.
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "app/loaded_model.h"
#include "app/machine.h"
#include "app/program.h"
#include "base/cpu_features.h"
#include "kernels/kernels.h"

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;

struct DoctorOptions {
  ModelChoice model;
  bool quick = false, as_json = false;
};

// How weights of one format are multiplied here.
struct FormatPlan {
  Format format;
  ComputeClass compute;
  std::string how, why;
};

std::string how_text(const kernels::Kernels& table, Format format, ComputeClass compute) {
  switch (compute) {
    case ComputeClass::f32:
      return "unpack to f32, multiply_f32";
    case ComputeClass::bf16:
      return format == Format::bf16 ? "bytes as they lie, multiply_bf16"
                                    : "unpack to bf16, multiply_bf16";
    case ComputeClass::i8: {
      const kernels::FormatKernels& kernels = table.format(format);
      return fmt::format("unpack to i8 with a scale{} per {}, multiply_i8",
                         kernels.offsets == kernels::Offsets::per_group ? " and an offset" : "",
                         kernels.group);
    }
    case ComputeClass::fp8dyn:
      return "inputs to E4M3 per 128, multiply_f8";
  }
  return "";
}

std::string why_text(Format format, ComputeClass compute, const CpuOptions& options) {
  if (options.compute_class == compute) return "--class asks for it";
  if (options.compute_class) return "--class does not apply to this format";
  switch (compute) {
    case ComputeClass::f32:
      return "nothing is rounded that the file kept";
    case ComputeClass::bf16:
      return format == Format::f8_e4m3
                 ? "E4M3 fits into bf16 exactly; --class fp8dyn rounds inputs too"
                 : "the weights are bf16 already";
    case ComputeClass::i8:
      return "integer sums are exact and the fastest products";
    case ComputeClass::fp8dyn:
      return "as the checkpoint was trained";
  }
  return "";
}

std::vector<FormatPlan> format_plans(const CpuOptions& options) {
  const auto backend = make_cpu_backend({options.isa, 1, options.compute_class});
  std::vector<FormatPlan> plans;
  for (int i = 0; i < kFormatCount; ++i) {
    const auto format = static_cast<Format>(i);
    if (format == Format::i32) continue;
    const ComputeClass compute = backend->compute_class(format);
    plans.push_back({format, compute, how_text(kernels::table(options.isa), format, compute),
                     why_text(format, compute, options)});
  }
  return plans;
}

std::string table_reason(const ModelChoice& choice, const Environment& environment) {
  if (!choice.isa.empty()) return "--isa asks for it";
  if (environment.isa) return "NAUTILE_ISA asks for it";
  if (cpu_features().absent.empty()) return "the best that there is";
  return fmt::format("the best that this CPU can run; the next one lacks {}",
                     fmt::join(cpu_features().absent, ", "));
}

std::string amx_state() {
  const CpuFeatures& features = cpu_features();
  if (features.can(Isa::amx)) return "present, and the kernel has given the tile registers";
  for (const std::string& word : features.absent) {
    if (word.starts_with("amx permission"))
      return "present, but the kernel refuses the tile registers";
  }
  return "not present";
}

// Speeds; 0 where not measured.
struct Ceilings {
  double read_one = 0, read_all = 0;
  double peak[kComputeClassCount] = {};
};

Ceilings measure(const CpuOptions& options) {
  Ceilings ceilings;
  ceilings.read_one = measure_read_bandwidth(1);
  ceilings.read_all =
      options.threads > 1 ? measure_read_bandwidth(options.threads) : ceilings.read_one;
  for (int i = 0; i < kComputeClassCount; ++i) {
    ceilings.peak[i] =
        measure_peak_flops(options.isa, static_cast<ComputeClass>(i), options.threads);
  }
  return ceilings;
}

void print_json(const MachineFacts& machine, const CpuOptions& options, const std::string& reason,
                const DoctorOptions& choice, const Ceilings& ceilings) {
  Json json = {{"cpu", machine.cpu},
               {"features", cpu_features().present},
               {"missing_features", cpu_features().absent},
               {"table", name(options.isa)},
               {"table_reason", reason},
               {"amx", amx_state()},
               {"cores", machine.cores},
               {"threads", options.threads},
               {"numa_nodes", machine.numa_nodes},
               {"memory_bytes", machine.memory},
               {"available_bytes", machine.available},
               {"level2_bytes", machine.level2},
               {"level3_bytes", machine.level3},
               {"transparent_huge_pages", machine.huge_pages},
               {"formats", Json::array()}};
  for (const FormatPlan& plan : format_plans(options)) {
    json["formats"].push_back({{"format", info(plan.format).name},
                               {"class", name(plan.compute)},
                               {"how", plan.how},
                               {"why", plan.why}});
  }
  if (!choice.quick) {
    json["read_bytes_per_second"] = {{"one_thread", ceilings.read_one},
                                     {"all_threads", ceilings.read_all}};
    Json& peak = json["peak_flops"] = Json::object();
    for (int i = 0; i < kComputeClassCount; ++i) {
      peak[std::string(name(static_cast<ComputeClass>(i)))] = ceilings.peak[i];
    }
  }
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

template <class... Args>
void row(const char* label, fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{:<16}{}\n", label, fmt::format(format, std::forward<Args>(args)...));
}

void print_text(const MachineFacts& machine, const CpuOptions& options, const std::string& reason,
                const DoctorOptions& choice, const Ceilings& ceilings) {
  row("CPU", "{}", machine.cpu);
  row("features", "{}", fmt::join(cpu_features().present, " "));
  if (!cpu_features().absent.empty()) row("missing", "{}", fmt::join(cpu_features().absent, " "));
  row("table", "{}: {}", name(options.isa), reason);
  row("AMX", "{}", amx_state());
  row("cores", "{}{}, {} thread{}", machine.cores,
      machine.numa_nodes > 1 ? fmt::format(" on {} nodes of memory", machine.numa_nodes) : "",
      options.threads, options.threads == 1 ? "" : "s");
  row("memory", "{}, {} available", bytes_text(static_cast<double>(machine.memory)),
      bytes_text(static_cast<double>(machine.available)));
  row("caches", "L2 {}, L3 {}", bytes_text(static_cast<double>(machine.level2)),
      bytes_text(static_cast<double>(machine.level3)));
  row("huge pages", "{}", machine.huge_pages.empty() ? "none" : machine.huge_pages);
  if (!choice.quick) {
    row("reads", "{:.1f} GB/s by one thread, {:.1f} GB/s by {}", ceilings.read_one / 1e9,
        ceilings.read_all / 1e9, options.threads);
    for (int i = 0; i < kComputeClassCount; ++i) {
      row(i == 0 ? "products" : "", "{:<7} {:.0f} GFLOP/s", name(static_cast<ComputeClass>(i)),
          ceilings.peak[i] / 1e9);
    }
  }
  fmt::print("\n{:<9} {:<7} {:<52} {}\n", "format", "class", "how", "why");
  for (const FormatPlan& plan : format_plans(options)) {
    fmt::print("{:<9} {:<7} {:<52} {}\n", info(plan.format).name, name(plan.compute), plan.how,
               plan.why);
  }
}

ExitCode doctor(const DoctorOptions& options, const Environment& environment) {
  const CpuOptions cpu = cpu_options(options.model, environment);
  const MachineFacts machine = machine_facts();
  const std::string reason = table_reason(options.model, environment);
  const Ceilings ceilings = options.quick ? Ceilings() : measure(cpu);
  if (options.as_json) {
    print_json(machine, cpu, reason, options, ceilings);
  } else {
    print_text(machine, cpu, reason, options, ceilings);
  }
  return ExitCode::ok;
}

}  // namespace

void add_doctor(CLI::App& root, Program& program) {
  const auto options = std::make_shared<DoctorOptions>();
  CLI::App* verb =
      add_verb(root, program, "doctor", "Show what this machine can do and what is made of it",
               options, doctor);
  add_machine_options(*verb, options->model);
  verb->add_flag("--quick", options->quick, "Measure nothing");
  verb->add_flag("--json", options->as_json, "Print JSON");
}

}  // namespace nautile::app

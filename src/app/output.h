// output.h — standard output, and what is done when its reader has gone.
#pragma once

#include <cstdint>
#include <string_view>

namespace nautile::app {

// closed: a pipe whose reader has gone (`nautile … | head`). That is no error: what was begun is
// brought to an end (an answer stops and is saved where --save asks), then OutputClosed is thrown.
enum class Output : std::uint8_t { open, closed };

// From now on a write to a closed pipe fails, and no signal ends the program in the midst of
// things.
void keep_running_on_closed_pipes();

// Writes at once, after what was printed by other ways, also while signals come. Throws
// Error(failure) if standard output cannot be written to (a full disk).
Output write_output(std::string_view text);

// Brings out what was printed by other ways. Throws Error(failure), OutputClosed.
void flush_output();

}  // namespace nautile::app

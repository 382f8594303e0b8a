// event_file.h — EventFile: numbers of a run as TensorBoard reads them.
//
// A TFRecord file: records of {length, masked CRC-32C of it, bytes, masked CRC-32C of them}, little
// endian; the bytes are Event messages in protobuf's wire format
// (tensorflow/core/util/event.proto).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "train/log_file.h"

namespace nautile::train {

// CRC-32C (Castagnoli), as RFC 3720 defines it.
std::uint32_t crc32c(std::string_view bytes);

class EventFile {
 public:
  struct Scalar {
    std::string_view tag;
    float value;
  };

  // Begins `folder`/events.out.tfevents.<seconds>.<host>.<process>. TensorBoard forgets what
  // earlier files in the folder say of steps from `first_step` on. Throws Error(failure).
  EventFile(const std::string& folder, std::int64_t first_step);

  // All of one step, in the file when it returns. `wall_time`: seconds since 1970.
  void add(std::int64_t step, double wall_time, std::span<const Scalar> scalars);
  const std::string& path() const { return file_.path(); }

  // The record of an event with these fields (wire format), for tests.
  static std::string record(std::string_view event);
  static std::string scalars_event(std::int64_t step, double wall_time,
                                   std::span<const Scalar> scalars);

 private:
  LogFile file_;
};

}  // namespace nautile::train

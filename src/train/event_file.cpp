#include "train/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <vector>

namespace nautile::train {
namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0u);
    table[i] = crc;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

// A checksum of data that holds checksums is weak, so TFRecord turns and shifts it.
std::uint32_t masked(std::uint32_t crc) {
  return std::rotr(crc, 15) + 0xA282EAD8u;
}

template <class T>
void put_fixed(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    out.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7F) | 0x80));
  out.push_back(static_cast<char>(value));
}

// Wire types of protobuf.
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void put_key(std::string& out, std::uint32_t field, Wire wire) {
  put_varint(out, std::uint64_t{field} << 3 | static_cast<std::uint64_t>(wire));
}
void put_bytes(std::string& out, std::uint32_t field, std::string_view bytes) {
  put_key(out, field, Wire::bytes);
  put_varint(out, bytes.size());
  out += bytes;
}

// Fields of Event: 1 wall_time, 2 step, 3 file_version, 5 summary, 7 session_log.
std::string event_head(std::int64_t step, double wall_time) {
  std::string event;
  put_key(event, 1, Wire::fixed64);
  put_fixed(event, std::bit_cast<std::uint64_t>(wall_time));
  if (step != 0) {
    put_key(event, 2, Wire::varint);
    put_varint(event, static_cast<std::uint64_t>(step));
  }
  return event;
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string event_path(const std::string& folder) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("{}/events.out.tfevents.{:010}.{}.{}", folder,
                     static_cast<std::int64_t>(seconds_since_1970()),
                     host[0] ? host.data() : "localhost", ::getpid());
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char c : bytes)
    crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return ~crc;
}

std::string EventFile::record(std::string_view event) {
  std::string out;
  put_fixed(out, static_cast<std::uint64_t>(event.size()));
  put_fixed(out, masked(crc32c(out)));
  out += event;
  put_fixed(out, masked(crc32c(event)));
  return out;
}

std::string EventFile::scalars_event(std::int64_t step, double wall_time,
                                     std::span<const Scalar> scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {  // Summary.Value: 1 tag, 2 simple_value
    std::string value;
    put_bytes(value, 1, scalar.tag);
    put_key(value, 2, Wire::fixed32);
    put_fixed(value, std::bit_cast<std::uint32_t>(scalar.value));
    put_bytes(summary, 1, value);
  }
  std::string event = event_head(step, wall_time);
  put_bytes(event, 5, summary);
  return event;
}

EventFile::EventFile(const std::string& folder, std::int64_t first_step)
    : file_(event_path(folder)) {
  const double now = seconds_since_1970();
  std::string version = event_head(0, now);
  put_bytes(version, 3, "brain.Event:2");
  file_.append(record(version));
  std::string start = event_head(first_step, now), session;
  put_key(session, 1, Wire::varint);  // SessionLog.status = START
  put_varint(session, 1);
  put_bytes(start, 7, session);
  file_.append(record(start));
}

void EventFile::add(std::int64_t step, double wall_time, std::span<const Scalar> scalars) {
  file_.append(record(scalars_event(step, wall_time, scalars)));
}

}  // namespace nautile::train

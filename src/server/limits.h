// limits.h — Limits: what a client may send, how long it may take, and how much is kept for it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nautile::server {

// One table for plain and TLS connections, for bodies of known length and chunked ones.
struct Limits {
  // A head is the request line and its header fields. Beyond: 431.
  std::size_t head_bytes = std::size_t{16} << 10;
  std::size_t header_fields = 100;
  // Beyond: 413, before the body is read where its length is told.
  std::size_t body_bytes = std::size_t{32} << 20;
  // What surrounds the data of a chunked body: one size line with its extensions, all trailers.
  std::size_t chunk_line_bytes = 256;
  std::size_t trailer_bytes = std::size_t{4} << 10;

  // Seconds from a request's first byte (of a new connection: from its beginning) to the end of its
  // head; beyond: 408.
  double head_seconds = 10;
  // A body may take this long, and one second more for each body_bytes_per_second received.
  double body_seconds = 10;
  std::size_t body_bytes_per_second = std::size_t{4} << 10;
  double idle_seconds = 60;   // between two requests of one connection
  double stall_seconds = 30;  // without the client taking a byte of what it is being sent
  double linger_seconds = 2;  // what still comes in is thrown away, so that a refusal is read

  // Beyond: the connection that has waited longest for a request's head is closed, or, if all are
  // at work, the new one gets 503.
  std::size_t connections = 4096;
  // Bytes of a stream that its client has not taken; beyond: the connection ends.
  std::size_t unread_bytes = std::size_t{1} << 20;
  // Requests that may be sent ahead of an answer (pipelining), in bytes; more waits in the socket.
  std::size_t ahead_bytes = std::size_t{64} << 10;
};

}  // namespace nautile::server

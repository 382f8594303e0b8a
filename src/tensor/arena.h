// arena.h — Arena: bump memory with marks; what a forward pass computes lives here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nautile {

// Reserves address space once and commits pages as they are touched, so pointers never move.
// Rewound memory is poisoned under AddressSanitizer. Not thread-safe: one owner allocates.
class Arena {
 public:
  static constexpr std::size_t kAlignment = 64;

  // Throws Error(no_memory) when the address space cannot be had.
  explicit Arena(std::size_t capacity);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // 64-byte aligned, contents undefined. Throws Error(no_memory), naming sizes, beyond the
  // capacity.
  std::byte* allocate(std::size_t bytes);

  template <class T>
  T* array(std::size_t count) {
    return reinterpret_cast<T*>(allocate(count * sizeof(T)));
  }

  std::size_t mark() const { return used_; }
  void rewind(std::size_t mark);
  // Gives the pages of what was rewound back to the system; the address space stays.
  void release_unused();

  std::size_t used() const { return used_; }
  std::size_t peak() const { return peak_; }
  std::size_t capacity() const { return capacity_; }

  // Gives back at the closing brace what was allocated since.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
    ~Scope() { arena_.rewind(mark_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    std::size_t mark_;
  };

 private:
  std::byte* base_ = nullptr;
  std::size_t capacity_ = 0, used_ = 0, peak_ = 0;
};

}  // namespace nautile

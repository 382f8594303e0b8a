#include "tensor/arena.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/error.h"
#include "base/sanitizer.h"

#if defined(NAUTILE_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) \
  (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) \
  (static_cast<void>(address), static_cast<void>(size))
#endif

namespace nautile {

Arena::Arena(std::size_t capacity) : capacity_((capacity + 4095) / 4096 * 4096) {
  void* address = ::mmap(nullptr, std::max<std::size_t>(capacity_, 4096), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    fail(ErrorKind::no_memory, "cannot reserve {} bytes of memory", capacity_);
  // Training walks over gigabytes: with pages of 4 KiB it would wait for their addresses.
  ::madvise(address, capacity_, MADV_HUGEPAGE);
  base_ = static_cast<std::byte*>(address);
  ASAN_POISON_MEMORY_REGION(base_, capacity_);
}

Arena::~Arena() {
  ASAN_UNPOISON_MEMORY_REGION(base_, capacity_);
  ::munmap(base_, std::max<std::size_t>(capacity_, 4096));
}

std::byte* Arena::allocate(std::size_t bytes) {
  const std::size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (size < bytes || size > capacity_ - used_) {
    fail(ErrorKind::no_memory, "working memory is full: {} bytes asked for, {} of {} in use", bytes,
         used_, capacity_);
  }
  std::byte* result = base_ + used_;
  ASAN_UNPOISON_MEMORY_REGION(result, bytes);
  used_ += size;
  peak_ = std::max(peak_, used_);
  return result;
}

void Arena::rewind(std::size_t mark) {
  NAUTILE_ASSERT(mark <= used_, "rewind to {} of {}", mark, used_);
  ASAN_POISON_MEMORY_REGION(base_ + mark, used_ - mark);
  used_ = mark;
}

void Arena::release_unused() {
  const std::size_t begin = (used_ + 4095) / 4096 * 4096;
  if (begin < capacity_) ::madvise(base_ + begin, capacity_ - begin, MADV_DONTNEED);
}

}  // namespace nautile

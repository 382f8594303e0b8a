// sanitizer.h — whether this build runs under AddressSanitizer; g++ and clang say it differently.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NAUTILE_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define NAUTILE_ASAN 1
#endif

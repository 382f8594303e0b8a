# One object per instruction set: fixed -O2, its own -m flags, never sanitized, never LTO. Only these
# objects may hold instructions that the baseline CPU lacks; tools/guards checks their symbols.
function(nautile_isa_object name)
  add_library(nautile_isa_${name} OBJECT kernels/isa_${name}.cpp)
  target_include_directories(nautile_isa_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(nautile_isa_${name} PRIVATE -O2 -fno-lto -fno-exceptions -fno-rtti -fno-math-errno
                         -fno-trapping-math ${ARGN}
                         # g++ 12 finds its own intrinsics headers uninitialized
                         -Wno-uninitialized $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endfunction()

function(nautile_isa name)
  nautile_isa_object(${name} ${ARGN})
  target_link_libraries(nautile_kernels PUBLIC $<TARGET_OBJECTS:nautile_isa_${name}>)
  add_dependencies(nautile_kernels nautile_isa_${name})
endfunction()

set(avx2_flags -mavx2 -mfma -mf16c)
set(avx512_vnni_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
    -mprefer-vector-width=512)
set(avx512_flags ${avx512_vnni_flags} -mavx512bf16)
nautile_isa(avx2 ${avx2_flags})
nautile_isa(avx512_vnni ${avx512_vnni_flags})
nautile_isa(avx512 ${avx512_flags})
nautile_isa(amx ${avx512_flags} -mamx-tile -mamx-bf16)

# The amx products over emulated tiles: for the tests of CPUs without AMX, not for the program.
if(NAUTILE_TESTS)
  nautile_isa_object(amx_emulated ${avx512_flags})
  foreach(program test_kernels test_backend)
    target_link_libraries(${program} PRIVATE $<TARGET_OBJECTS:nautile_isa_amx_emulated>)
    add_dependencies(${program} nautile_isa_amx_emulated)
  endforeach()
endif()

# cmake -DLIST=page_files.txt -DOUT=page_files.inc.cpp -DGZIP=gzip -P embed_page.cmake — writes
# page_files() of server/page_files.h: LIST has a line "URL path=file" for each file. Texts are
# compressed beside OUT, unless GZIP is empty.

set(types html=text/html css=text/css js=text/javascript svg=image/svg+xml woff2=font/woff2)

file(STRINGS ${LIST} lines ENCODING UTF-8)
list(SORT lines)
set(bytes "")
set(names "")
set(table "")
set(number 0)
foreach(line IN LISTS lines)
  string(REGEX MATCH "^([^=]+)=(.+)$" line "${line}")
  set(path "${CMAKE_MATCH_1}")
  set(file "${CMAKE_MATCH_2}")
  string(REGEX MATCH "[a-z0-9]+$" ending "${file}")
  set(type ${types})
  list(FILTER type INCLUDE REGEX "^${ending}=")
  string(REGEX REPLACE "^[^=]*=" "" type "${type}")
  if(type MATCHES "^text|svg")
    string(APPEND type "; charset=utf-8")
  endif()
  file(SHA256 "${file}" hash)
  string(SUBSTRING ${hash} 0 16 hash)
  set(encoding "")
  if(GZIP AND type MATCHES "charset")
    set(encoding gzip)
    # Without name and time, so that the same page makes the same program.
    execute_process(COMMAND ${GZIP} -9nc ${file} OUTPUT_FILE ${OUT}.${number}.gz COMMAND_ERROR_IS_FATAL ANY)
    set(file ${OUT}.${number}.gz)
  endif()
  string(APPEND bytes "nautile_page_${number}:\\n.incbin \\\"${file}\\\"\\n"
                      "nautile_page_${number}_end:\\n")
  string(APPEND names "extern \"C\" const std::byte nautile_page_${number}[], nautile_page_${number}_end[];\n")
  string(APPEND table "    {\"${path}\", \"${type}\", \"${encoding}\", {nautile_page_${number}, nautile_page_${number}_end}, \"\\\"${hash}\\\"\"},\n")
  math(EXPR number "${number} + 1")
endforeach()

file(WRITE ${OUT} "// Written by embed_page.cmake.
#include \"server/page_files.h\"

asm(\".pushsection .rodata\\n${bytes}.popsection\\n\");
${names}
namespace nautile::server {

std::span<const PageFile> page_files() {
  static const PageFile files[] = {
${table}  };
  return files;
}

}  // namespace nautile::server
")

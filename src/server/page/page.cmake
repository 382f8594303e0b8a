# The files of the page into nautile_server: this folder's, and others' from Debian's packages.
#
# At build time embed_page.cmake writes page_files.inc.cpp, which takes the bytes in by the assembler's
# .incbin: no copy of them in C++, nothing but CMake needed.

set(NAUTILE_PAGE_FOLDER ${CMAKE_CURRENT_SOURCE_DIR}/server/page)
file(GLOB NAUTILE_PAGE_FILES CONFIGURE_DEPENDS ${NAUTILE_PAGE_FOLDER}/*.html ${NAUTILE_PAGE_FOLDER}/*.css
     ${NAUTILE_PAGE_FOLDER}/*.js ${NAUTILE_PAGE_FOLDER}/*.svg)

# Pairs of URL path and file, one line each: "/page/x.js=/…/x.js".
set(NAUTILE_PAGE_LIST "")
set(NAUTILE_PAGE_SOURCES "")
function(nautile_page_add path file)
  # A link is followed: its target is what changes.
  file(REAL_PATH ${file} file)
  string(APPEND NAUTILE_PAGE_LIST "${path}=${file}\n")
  list(APPEND NAUTILE_PAGE_SOURCES ${file})
  set(NAUTILE_PAGE_LIST "${NAUTILE_PAGE_LIST}" PARENT_SCOPE)
  set(NAUTILE_PAGE_SOURCES "${NAUTILE_PAGE_SOURCES}" PARENT_SCOPE)
endfunction()

foreach(file IN LISTS NAUTILE_PAGE_FILES)
  get_filename_component(name ${file} NAME)
  if(name STREQUAL "index.html")
    nautile_page_add(/ ${file})
  else()
    nautile_page_add(/page/${name} ${file})
  endif()
endforeach()

# Others' files lie under /usr/share; NAUTILE_PAGE_SHARE names another place, or one that is empty.
set(NAUTILE_PAGE_SHARE /usr/share CACHE PATH "where the page's libraries are looked for")
set(NAUTILE_PAGE_VENDOR
    marked.js=javascript/marked/marked.umd.min.js=libjs-marked
    highlight.js=javascript/highlight.js/highlight.min.js=libjs-highlight.js
    katex.js=javascript/katex/katex.min.js=libjs-katex
    katex.css=javascript/katex/katex.min.css=libjs-katex)
set(missing "")
foreach(entry IN LISTS NAUTILE_PAGE_VENDOR)
  string(REPLACE "=" ";" entry ${entry})
  list(GET entry 0 name)
  list(GET entry 1 file)
  list(GET entry 2 package)
  if(EXISTS ${NAUTILE_PAGE_SHARE}/${file})
    nautile_page_add(/page/vendor/${name} ${NAUTILE_PAGE_SHARE}/${file})
  else()
    list(APPEND missing ${package})
  endif()
endforeach()
file(GLOB fonts ${NAUTILE_PAGE_SHARE}/javascript/katex/fonts/*.woff2)
foreach(file IN LISTS fonts)
  get_filename_component(name ${file} NAME)
  nautile_page_add(/page/vendor/fonts/${name} ${file})
endforeach()
if(missing)
  list(REMOVE_DUPLICATES missing)
  list(JOIN missing " " missing)
  message(STATUS "The browser page shows less than it could, for want of the packages: ${missing}")
endif()

# The list is rewritten only when it changes, so that a new configuration builds nothing again.
set(NAUTILE_PAGE_LIST_FILE ${CMAKE_CURRENT_BINARY_DIR}/page_files.txt)
file(CONFIGURE OUTPUT ${NAUTILE_PAGE_LIST_FILE} CONTENT "${NAUTILE_PAGE_LIST}" @ONLY)
find_program(NAUTILE_GZIP gzip)
set(NAUTILE_PAGE_CPP ${CMAKE_CURRENT_BINARY_DIR}/page_files.inc.cpp)
add_custom_command(
  OUTPUT ${NAUTILE_PAGE_CPP}
  COMMAND ${CMAKE_COMMAND} -DLIST=${NAUTILE_PAGE_LIST_FILE} -DOUT=${NAUTILE_PAGE_CPP}
          -DGZIP=$<$<BOOL:${NAUTILE_GZIP}>:${NAUTILE_GZIP}>
          -P ${NAUTILE_PAGE_FOLDER}/embed_page.cmake
  DEPENDS ${NAUTILE_PAGE_LIST_FILE} ${NAUTILE_PAGE_SOURCES} ${NAUTILE_PAGE_FOLDER}/embed_page.cmake
  VERBATIM)
target_sources(nautile_server PRIVATE ${NAUTILE_PAGE_CPP})
# The compiler does not tell ninja of what .incbin reads.
set_source_files_properties(${NAUTILE_PAGE_CPP} PROPERTIES OBJECT_DEPENDS "${NAUTILE_PAGE_SOURCES}")

# test_server_threads: what of the server its threads share, with the tests of that, for
# ThreadSanitizer. The whole of test_server takes ten minutes to build once more, most of it for
# dialects that know no threads.
if(NOT NAUTILE_TESTS OR NOT NAUTILE_SANITIZE STREQUAL "thread")
  return()
endif()
set(NAUTILE_SHARED_PARTS
    # connections
    api_keys error_reply exchange gate http_connection http_reply http_server http_stream json_log metrics
    ops_endpoints outbox request_facts request_head request_parser router
    # from a request to an engine and back
    adapters answering api_error choice_reader completion_manner delta echo_engine echo_speaker ids manner openai_chat_manner prepare
    service shape watched_engine workers
    # tests
    echo_engine_test http_server_test http_tls_test outbox_test service_concurrency_test service_test
    watched_engine_test)
list(TRANSFORM NAUTILE_SHARED_PARTS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/server/)
list(TRANSFORM NAUTILE_SHARED_PARTS APPEND .cpp)
add_executable(test_server_threads EXCLUDE_FROM_ALL ${NAUTILE_SHARED_PARTS})
target_link_libraries(test_server_threads PRIVATE nautile_engine nautile_text ${NAUTILE_LIBS_server}
                      GTest::gtest GTest::gtest_main)
target_compile_options(test_server_threads PRIVATE ${NAUTILE_SANITIZE_FLAGS})
# By the prefix all of them are among the tests of what is concurrent.
include(GoogleTest)
gtest_discover_tests(test_server_threads WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} DISCOVERY_MODE PRE_TEST
                     DISCOVERY_TIMEOUT 60 TEST_PREFIX Threads. PROPERTIES TIMEOUT 900)

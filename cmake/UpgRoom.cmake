# upg_room(NAME SOURCES file... [USES room-or-library...])
# A room is a set of object files (upg_NAME_objects, which libupg is made of) and a static library upg_NAME that tests of
# this room link, so that a room can be built and tested without the rooms above it.
function(upg_room name)
    cmake_parse_arguments(ROOM "" "" "SOURCES;USES" ${ARGN})
    add_library(upg_${name}_objects OBJECT ${ROOM_SOURCES})
    target_include_directories(upg_${name}_objects PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    add_library(upg_${name} STATIC $<TARGET_OBJECTS:upg_${name}_objects>)
    target_include_directories(upg_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    foreach(used ${ROOM_USES})
        target_link_libraries(upg_${name} PUBLIC ${used})
        if(NOT used MATCHES "^upg_")
            target_link_libraries(upg_${name}_objects PUBLIC ${used})
        endif()
    endforeach()
    set_property(GLOBAL APPEND PROPERTY UPG_ROOMS ${name})
endfunction()

# Sanitizers fail an allocation that is too large as malloc does, instead of ending the program: tests ask for such.
set(UPG_TEST_ENVIRONMENT ASAN_OPTIONS=allocator_may_return_null=1 TSAN_OPTIONS=allocator_may_return_null=1)

# See tests/unit.h.
if(UPG_SANITIZE OR CMAKE_CROSSCOMPILING)
    set(UPG_TEST_DEFINITIONS UPG_SLOW_BUILD)
endif()

# upg_test(NAME SOURCES file... USES library... [ARGS argument...])
# A cmocka program that ctest runs from the source tree's root, so that tests find tests/data.
function(upg_test name)
    cmake_parse_arguments(TEST "" "" "SOURCES;USES;ARGS" ${ARGN})
    add_executable(test_${name} ${TEST_SOURCES})
    target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    target_compile_definitions(test_${name} PRIVATE ${UPG_TEST_DEFINITIONS})
    target_link_libraries(test_${name} PRIVATE ${TEST_USES} PkgConfig::CMOCKA m)
    add_test(NAME ${name} COMMAND test_${name} ${TEST_ARGS} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${UPG_TEST_ENVIRONMENT}")
endfunction()

# upg_fuzz(NAME SOURCE file USES library... CORPUS folder...)
# One LLVMFuzzerTestOneInput().  With UPG_FUZZ it becomes a libFuzzer program fuzz_NAME; always, it becomes a plain test
# that replays the committed corpus folders (relative to the source root).
function(upg_fuzz name)
    cmake_parse_arguments(FUZZ "" "SOURCE" "USES;CORPUS" ${ARGN})
    if(UPG_FUZZ)
        add_executable(fuzz_${name} ${FUZZ_SOURCE})
        target_link_libraries(fuzz_${name} PRIVATE ${FUZZ_USES} m)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    endif()
    add_executable(replay_${name} ${FUZZ_SOURCE} ${PROJECT_SOURCE_DIR}/tests/replay.c)
    target_link_libraries(replay_${name} PRIVATE ${FUZZ_USES} m)
    if(UPG_FUZZ)
        target_link_options(replay_${name} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    add_test(NAME fuzz_corpus_${name} COMMAND replay_${name} ${FUZZ_CORPUS} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(fuzz_corpus_${name} PROPERTIES ENVIRONMENT "${UPG_TEST_ENVIRONMENT}")
endfunction()

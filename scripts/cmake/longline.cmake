# SPDX-License-Identifier: Apache-2.0
#
# Helpers for the CMakeLists.txt of each folder:
#
#   ll_module(NAME net SOURCES a.c b.c DEPS base PUBLIC_LIBS ... PRIVATE_LIBS LL::uv)
#       static library ll_net; DEPS name other modules. Private headers are included by their bare
#       name or as "<module>/<header>.h"; scripts/check_layers.py keeps them within the module.
#   ll_program(NAME loadgen SOURCES main.c DEPS net LIBS LL::uv)
#       executable in the current output folder.
#   ll_test(NAME net_timer SOURCES test_timer.c DEPS net LIBS ... TIMEOUT 120)
#       cmocka program test_net_timer, run by `ctest -L unit`.
#   ll_sim(...)
#       the same under the label `sim`.
#   ll_fuzz(NAME url SOURCES fuzz_url.c DEPS net)
#       program fuzz_url: a libFuzzer target in the fuzz build; in every other build it replays
#       test/fuzz/corpus/url/ under the label `fuzz`.

set(LL_GENERATED_DIR "${CMAKE_BINARY_DIR}/generated")
configure_file("${PROJECT_SOURCE_DIR}/scripts/cmake/version.h.in"
    "${LL_GENERATED_DIR}/longline/version.h" @ONLY)

# Sanitizer settings for everything that ctest runs.
set(LL_TEST_ENV
    "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

# Adds a folder, and the folders directly below it that it did not add itself. Folders without a
# CMakeLists.txt are passed over.
function(ll_add dir)
    set(path "${PROJECT_SOURCE_DIR}/${dir}")
    set(added "")
    if(EXISTS "${path}/CMakeLists.txt")
        add_subdirectory("${path}")
        get_property(added DIRECTORY "${path}" PROPERTY SUBDIRECTORIES)
    endif()
    file(GLOB children CONFIGURE_DEPENDS "${path}/*/CMakeLists.txt")
    foreach(child IN LISTS children)
        cmake_path(GET child PARENT_PATH child_dir)
        if(NOT child_dir IN_LIST added)
            add_subdirectory("${child_dir}")
        endif()
    endforeach()
endfunction()

function(ll_link_modules target scope)
    foreach(dep IN LISTS ARGN)
        target_link_libraries(${target} ${scope} ll_${dep})
    endforeach()
endfunction()

function(ll_module)
    cmake_parse_arguments(PARSE_ARGV 0 M "" "NAME" "SOURCES;DEPS;PUBLIC_LIBS;PRIVATE_LIBS")
    ll_no_leftovers(ll_module "${M_UNPARSED_ARGUMENTS}")
    set(target ll_${M_NAME})
    add_library(${target} STATIC ${M_SOURCES})
    target_include_directories(${target}
        PUBLIC "${PROJECT_SOURCE_DIR}/include" "${LL_GENERATED_DIR}"
        PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/src")
    ll_link_modules(${target} PUBLIC ${M_DEPS})
    target_link_libraries(${target} PUBLIC ${M_PUBLIC_LIBS} PRIVATE ${M_PRIVATE_LIBS})
endfunction()

function(ll_program)
    cmake_parse_arguments(PARSE_ARGV 0 P "" "NAME" "SOURCES;DEPS;LIBS")
    ll_no_leftovers(ll_program "${P_UNPARSED_ARGUMENTS}")
    add_executable(${P_NAME} ${P_SOURCES})
    target_include_directories(${P_NAME} PRIVATE
        "${PROJECT_SOURCE_DIR}/include" "${LL_GENERATED_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
    ll_link_modules(${P_NAME} PRIVATE ${P_DEPS})
    target_link_libraries(${P_NAME} PRIVATE ${P_LIBS})
endfunction()

function(ll_test)
    ll_cmocka_test(unit ${ARGV})
endfunction()

function(ll_sim)
    ll_cmocka_test(sim ${ARGV})
endfunction()

function(ll_cmocka_test label)
    cmake_parse_arguments(PARSE_ARGV 1 T "" "NAME;TIMEOUT" "SOURCES;DEPS;LIBS;ARGS")
    ll_no_leftovers("ll_test or ll_sim" "${T_UNPARSED_ARGUMENTS}")
    set(target test_${T_NAME})
    ll_program(NAME ${target} SOURCES ${T_SOURCES} DEPS ${T_DEPS} LIBS ${T_LIBS} LL::cmocka)
    ll_test_includes(${target})
    add_test(NAME ${T_NAME} COMMAND ${target} ${T_ARGS})
    ll_test_properties(${T_NAME} ${label} "${T_TIMEOUT}")
endfunction()

function(ll_fuzz)
    cmake_parse_arguments(PARSE_ARGV 0 F "" "NAME;TIMEOUT" "SOURCES;DEPS;LIBS")
    ll_no_leftovers(ll_fuzz "${F_UNPARSED_ARGUMENTS}")
    set(target fuzz_${F_NAME})
    set(corpus "${PROJECT_SOURCE_DIR}/test/fuzz/corpus/${F_NAME}")
    ll_program(NAME ${target} SOURCES ${F_SOURCES} DEPS ${F_DEPS} LIBS ${F_LIBS})
    ll_test_includes(${target})
    # The entry point is declared by nobody: libFuzzer finds it by name.
    target_compile_options(${target} PRIVATE -Wno-missing-prototypes)
    if(LL_BUILD STREQUAL "fuzz")
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        add_test(NAME fuzz_${F_NAME} COMMAND ${target} -runs=0 "${corpus}")
    else()
        target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/test/fuzz/replay_main.c")
        add_test(NAME fuzz_${F_NAME} COMMAND ${target} "${corpus}")
    endif()
    ll_test_properties(fuzz_${F_NAME} fuzz "${F_TIMEOUT}")
endfunction()

# Tests may see private headers of modules as "<module>/<header>.h".
function(ll_test_includes target)
    target_include_directories(${target} PRIVATE
        "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/test/support")
    set_target_properties(${target} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test")
endfunction()

function(ll_test_properties name label timeout)
    if(NOT timeout)
        set(timeout 300)
    endif()
    set_tests_properties(${name} PROPERTIES
        LABELS ${label}
        TIMEOUT ${timeout}
        ENVIRONMENT "${LL_TEST_ENV}"
        WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
endfunction()

# Target all_verify_interface_header_sets compiles every contract header alone.
function(ll_contract_headers)
    file(GLOB headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/longline/*.h")
    if(NOT headers)
        return()
    endif()
    add_library(ll_contracts INTERFACE)
    target_sources(ll_contracts INTERFACE
        FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${headers})
    target_include_directories(ll_contracts INTERFACE "${LL_GENERATED_DIR}")
    set_target_properties(ll_contracts PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
endfunction()

function(ll_no_leftovers helper leftovers)
    if(leftovers)
        message(FATAL_ERROR "${helper}: unknown arguments: ${leftovers}")
    endif()
endfunction()

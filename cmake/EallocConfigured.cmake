# SPDX-License-Identifier: MIT
# Object files of sources in many configurations: a source is compiled once for all that agree in the
# knobs it reads (scripts/knobs_read.py). For builds that are configured anew before every use, as
# scripts/wcet and scripts/size do: what a source reads is found out then.
include_guard(GLOBAL)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# ealloc_knobs_read(<source>...): set the global property EALLOC_KNOBS_<source> of each.
function(ealloc_knobs_read)
    execute_process(COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/scripts/knobs_read.py
        -I ${PROJECT_SOURCE_DIR}/include -I ${PROJECT_SOURCE_DIR}/src ${ARGN}
        OUTPUT_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)
    string(STRIP "${said}" said)
    string(REPLACE "\n" ";" lines "${said}")
    foreach(line IN LISTS lines)
        string(REGEX REPLACE "\t.*" "" source "${line}")
        string(REGEX REPLACE ".*\t" "" knobs "${line}")
        string(REPLACE " " ";" knobs "${knobs}")
        set_property(GLOBAL PROPERTY EALLOC_KNOBS_${source} "${knobs}")
    endforeach()
endfunction()

# ealloc_configured(<out> SOURCES <file>... [DEFINES EA_CFG_x=<v>...] [OPTIONS <flag>...]
#                   [INCLUDES <folder>...] [LIBS <target>...])
# out: the objects, for add_executable or add_library.
function(ealloc_configured out)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEFINES;OPTIONS;INCLUDES;LIBS" ${ARGN})
    set(objects "")
    foreach(source IN LISTS ARG_SOURCES)
        get_filename_component(source ${source} ABSOLUTE)
        get_property(is_known GLOBAL PROPERTY EALLOC_KNOBS_${source} SET)
        if(NOT is_known)
            ealloc_knobs_read(${source})
        endif()
        get_property(knobs GLOBAL PROPERTY EALLOC_KNOBS_${source})
        set(relevant "")
        foreach(define IN LISTS ARG_DEFINES)
            string(REGEX REPLACE "=.*" "" knob ${define})
            if(knob IN_LIST knobs OR NOT knob MATCHES "^EA_CFG_")
                list(APPEND relevant ${define})
            endif()
        endforeach()
        list(SORT relevant)
        get_filename_component(name ${source} NAME_WE)
        string(MD5 key "${source} ${relevant} ${ARG_OPTIONS} ${ARG_INCLUDES} ${ARG_LIBS}")
        string(SUBSTRING ${key} 0 12 key)
        set(target ${name}_${key})
        if(NOT TARGET ${target})
            add_library(${target} OBJECT EXCLUDE_FROM_ALL ${source})
            set_target_properties(${target} PROPERTIES C_EXTENSIONS OFF)
            target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include
                ${PROJECT_SOURCE_DIR}/src ${ARG_INCLUDES})
            target_compile_definitions(${target} PRIVATE ${relevant})
            target_compile_options(${target} PRIVATE ${ARG_OPTIONS})
            target_link_libraries(${target} PRIVATE ${ARG_LIBS} ealloc_warnings)
        endif()
        list(APPEND objects $<TARGET_OBJECTS:${target}>)
    endforeach()
    set(${out} ${objects} PARENT_SCOPE)
endfunction()

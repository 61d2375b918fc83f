# Translate every program to Metal's language.  Integer products of four bytes (NAME_dot.spv) have no form there: devices
# without them use the others.
foreach(shader ${SHADERS})
    if(NOT shader MATCHES "_dot\\.spv$")
        execute_process(COMMAND ${SPIRV_CROSS} --msl --msl-version 20300 ${shader}
                        RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
        if(NOT result EQUAL 0 OR NOT text MATCHES "kernel void")
            message(FATAL_ERROR "${shader}: ${text}")
        endif()
    endif()
endforeach()

# Compare gemm_matrix.comp and gemm_matrix.spv with the sums that scripts/matrix_shader wrote when it made the one from the
# other.
file(STRINGS ${SHADERS}/gemm_matrix.sha256 lines)
list(LENGTH lines n)
if(NOT n EQUAL 2)
    message(FATAL_ERROR "gemm_matrix.sha256 has ${n} lines, not 2; run scripts/matrix_shader")
endif()
foreach(line ${lines})
    string(REGEX MATCH "^([0-9a-f]+) +(gemm_matrix\\.(comp|spv))$" _ "${line}")
    file(SHA256 ${SHADERS}/${CMAKE_MATCH_2} sum)
    if(NOT sum STREQUAL CMAKE_MATCH_1)
        message(FATAL_ERROR "${CMAKE_MATCH_2} was changed after gemm_matrix.spv was made; run scripts/matrix_shader")
    endif()
endforeach()

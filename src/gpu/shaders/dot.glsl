/* dot.glsl -- products of four bytes. */
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019],
                  id = 4452) /* OpSUDot */
int dot_mixed(int x_word, uint weights, spirv_literal int format);
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019],
                  id = 4450) /* OpSDot */
int dot_signed(int x, int y, spirv_literal int format);
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019],
                  id = 4451) /* OpUDot */
uint dot_unsigned(uint x, uint y, spirv_literal int format);
#endif

/* Four signed bytes times four unsigned ones. */
int multiply(int x_word, uint weights)
{
#ifdef DOT
    return dot_mixed(x_word, weights, 0);
#else
    int sum = 0;

    [[unroll]] for (int i = 0; i < 32; i += 8)
        sum += bitfieldExtract(x_word, i, 8) * int(bitfieldExtract(weights, i, 8));
    return sum;
#endif
}

/* Four signed bytes times four signed ones. */
int multiply_signed(int x_word, int y_word)
{
#ifdef DOT
    return dot_signed(x_word, y_word, 0);
#else
    int sum = 0;

    [[unroll]] for (int i = 0; i < 32; i += 8)
        sum += bitfieldExtract(x_word, i, 8) * bitfieldExtract(y_word, i, 8);
    return sum;
#endif
}

/* dot.glsl -- the product of four signed and four unsigned bytes. */
#ifdef DOT
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019],
                  id = 4452) /* OpSUDot */
int signed_times_unsigned(int a, uint b, spirv_literal int format);
#endif

int multiply(int x_word, uint weights)
{
#ifdef DOT
    return signed_times_unsigned(x_word, weights, 0);
#else
    int sum = 0;

    [[unroll]] for (int i = 0; i < 32; i += 8)
        sum += bitfieldExtract(x_word, i, 8) * int(bitfieldExtract(weights, i, 8));
    return sum;
#endif
}

/* add.comp -- x[i] += y[i].  Workgroups: (256 columns, row). */
#version 460
layout(local_size_x = 256) in;

layout(push_constant) uniform Constants
{
    uint d_model, x_begin, x_stride, y_begin, y_stride; /* floats */
};

layout(binding = 0) buffer X { float x[]; };
layout(binding = 1) readonly buffer Y { float y[]; };

void main()
{
    const uint j = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;

    if (j < d_model)
        x[x_begin + row * x_stride + j] += y[y_begin + row * y_stride + j];
}

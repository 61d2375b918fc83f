/* norm.glsl -- 1 / sqrt(mean(x^2) + eps) of a row.  Zhang & Sennrich 2019 (RMSNorm).
 *
 * Needs squares[row][blocks of 256 columns], as squares.glsl makes them. */
float norm_factor(uint row, uint n_cols, float eps)
{
    const uint n = (n_cols + 255) / 256, from = row * n, ahead = 32; /* loads side by side */
    float sum = 0;

    for (uint first = 0; first < n; first += ahead) {
        float parts[ahead];

        [[unroll]] for (uint j = 0; j < ahead; j++)
            parts[j] = squares[from + min(first + j, n - 1)];
        [[unroll]] for (uint j = 0; j < ahead; j++)
            sum += first + j < n ? parts[j] : 0;
    }
    return 1 / sqrt(sum / float(n_cols) + eps);
}

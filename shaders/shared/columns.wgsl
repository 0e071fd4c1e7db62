// A row of params.cols columns, in fours and in blocks of 32. Sizes of weights are parameters, so
// that matrices of all shapes share pipelines.
fn quads() -> u32 {
    return params.cols / 4u;
}

fn blocks() -> u32 {
    return params.cols / 32u;
}

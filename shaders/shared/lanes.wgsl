var<workgroup> partial: array<f32, LANES>;

// The sum of `value` over all LANES invocations of a workgroup, in each of them.
fn sum_of_lanes(value: f32, lane: u32) -> f32 {
    workgroupBarrier(); // all lanes have read the previous sum
    partial[lane] = value;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    return partial[0];
}

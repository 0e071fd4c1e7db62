// Workgroup memory for the sums of invocations that share rows, for the variants of `linear` that
// split K.
var<workgroup> partial: array<Sums, WORKGROUP>; // (lanes, parts of a lane)

// Adds up the parts of a lane's pair of results, and finishes them.
fn finish(token: u32, first_lane: u32, lane: u32, i: u32, parts: u32) {
#ifdef GATED
    let rows = vec2(i, ROWS / 2u + i);
    let output = (first_lane + lane) * OUTPUTS_PER_INVOCATION + i;
#else
    let rows = vec2(2u * i, 2u * i + 1u);
    let output = (first_lane + lane) * OUTPUTS_PER_INVOCATION + 2u * i;
#endif
    var results = vec2(0.0);
    for (var part = lane * parts; part < (lane + 1u) * parts; part++) {
        results += vec2(partial[part].rows[rows.x], partial[part].rows[rows.y]);
    }
#ifdef NORM
    var squares = 0.0;
    for (var part = lane * parts; part < (lane + 1u) * parts; part++) {
        squares += partial[part].squares;
    }
    results *= inverse_rms(squares);
#endif
#ifdef GATED
    store(token, output, results.x, results.y);
#else
    store_pair(token, output, results);
#endif
}

// A matrix product in workgroup memory, for variants of `linear`: TILE_ROWS rows by TILE_TOKENS
// tokens per workgroup, four by eight per invocation. Rows and tokens of an invocation are a stride
// apart, so that neighbours read neighbouring memory.
//
// Workgroups that differ in tokens only are neighbours in the grid, so that they share the rows of
// the weight in a cache.
const TOKEN_LANES = K_THREADS; // invocations along the tokens; LANES is along the rows
const TILE_ROWS = LANES * ROWS;
const TILE_TOKENS = 8u * TOKEN_LANES;

// The tokens of a tile are in eight groups, a token of each invocation in each. A step may end in
// the tile, with so many tokens in it: then 1, 2, 4 or 8 groups are computed.
fn groups_of(tokens: u32) -> u32 {
    return (min(tokens, TILE_TOKENS) + TOKEN_LANES - 1u) / TOKEN_LANES;
}

// The row of the weight at a place in the tile of a workgroup.
fn tile_row(tile: u32, place: u32) -> u32 {
    return row_of((tile * LANES + place % LANES) * OUTPUTS_PER_INVOCATION, place / LANES);
}

// Stores the results of four rows of a token.
fn finish(token: u32, first: u32, results: vec4<f32>) {
#ifdef GATED
    store(token, first, results.x, results.z);
    store(token, first + 1u, results.y, results.w);
#else
    store_pair(token, first, results.xy);
    store_pair(token, first + 2u, results.zw);
#endif
}

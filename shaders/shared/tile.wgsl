// The workgroup of a matrix product, 64 rows by 32 tokens, of which an invocation computes four by four: for the variants
// of `linear` that go by way of its memory. Rows and tokens of an invocation are a stride apart.
const TOKEN_LANES = K_THREADS; // invocations side by side along the tokens; LANES along the rows
const TILE_ROWS = LANES * ROWS;
const TILE_TOKENS = TOKEN_LANES * 4u;
#ifdef NORM
var<workgroup> squares: array<f32, 2u * TILE_TOKENS>; // (tokens, halves of the blocks)
#endif

// Finishes four rows of a token, of which `token` is the number in the tile.
fn finish(first_token: u32, token: u32, first: u32, sums: vec4<f32>) {
#ifdef NORM
    let results = sums * inverse_rms(squares[2u * token] + squares[2u * token + 1u]);
#else
    let results = sums;
#endif
#ifdef SWIGLU
    store(first_token + token, first, results.x, results.z);
    store(first_token + token, first + 1u, results.y, results.w);
#else
    store_pair(first_token + token, first, results.xy);
    store_pair(first_token + token, first + 2u, results.zw);
#endif
}

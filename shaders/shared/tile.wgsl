// A matrix product in workgroup memory, for variants of `linear`: 64 rows by 32 tokens per
// workgroup, four by four per invocation. Rows and tokens of an invocation are a stride apart.
const TOKEN_LANES = K_THREADS; // invocations along the tokens; LANES is along the rows
const TILE_ROWS = LANES * ROWS;
const TILE_TOKENS = TOKEN_LANES * 4u;
#ifdef NORM
var<workgroup> squares: array<f32, 2u * TILE_TOKENS>; // (tokens, halves of the blocks)
#endif

// The part of a block that an invocation fetches: half of the invocations fetch one row of the
// weight each, the others half a block of one token each (WORKGROUP = 2 TILE_ROWS = 4 TILE_TOKENS).
struct Fetch {
    weights: bool,
    task: u32, // index among the invocations that fetch the same kind
    row: u32, // of the weight
    token: u32, // index in the tile
    half: u32,
    // position of the token's first half block, in quads; tokens past the last repeat it
    x_row: u32,
}

fn fetch_of(tile: u32, index: u32, first_token: u32, tokens: u32) -> Fetch {
    let task = index % TILE_ROWS;
    let row = row_of((tile * LANES + task % LANES) * OUTPUTS_PER_INVOCATION, task / LANES);
    let token = task / 2u;
    let half = task % 2u;
    let x_row = min(first_token + token, tokens - 1u) * QUADS + 4u * half;
    return Fetch(index < TILE_ROWS, task, row, token, half, x_row);
}

// Finishes four rows of a token; `token` is its index in the tile.
fn finish(first_token: u32, token: u32, first: u32, sums: vec4<f32>) {
#ifdef NORM
    let results = sums * inverse_rms(squares[2u * token] + squares[2u * token + 1u]);
#else
    let results = sums;
#endif
#ifdef GATED
    store(first_token + token, first, results.x, results.z);
    store(first_token + token, first + 1u, results.y, results.w);
#else
    store_pair(first_token + token, first, results.xy);
    store_pair(first_token + token, first + 2u, results.zw);
#endif
}

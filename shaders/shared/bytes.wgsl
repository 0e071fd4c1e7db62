// Rows of a quantised weight in workgroup memory as bytes, and products with them, for variants of
// `linear` in tiles. An invocation has four of TILE_ROWS rows, LANES apart.
var<workgroup> weights: array<vec4<u32>, 2u * TILE_ROWS>; // (halves of a block, rows)
var<workgroup> weight_scales: array<vec4<f32>, TILE_ROWS>; // scale and minimum of the halves

// A block of the rows of an invocation.
struct Rows {
    low: array<vec4<u32>, 4>, // bytes of the first halves
    high: array<vec4<u32>, 4>,
    scales: mat4x4<f32>, // scales of the low halves, their minima, and those of the high halves
}

// Fetches a block of a row of the weight to its place in the tile.
fn fetch_row(place: u32, row: u32, block: u32) {
    let bytes = block_bytes(row, block);
    weights[place] = bytes[0];
    weights[TILE_ROWS + place] = bytes[1];
    weight_scales[place] = block_scales(row, block);
}

fn rows_of(lane: u32) -> Rows {
    let scales = mat4x4<f32>(
        weight_scales[lane],
        weight_scales[lane + LANES],
        weight_scales[lane + 2u * LANES],
        weight_scales[lane + 3u * LANES],
    );
    return Rows(half_rows(lane), half_rows(TILE_ROWS + lane), transpose(scales));
}

fn half_rows(first: u32) -> array<vec4<u32>, 4> {
    return array(weights[first], weights[first + LANES], weights[first + 2u * LANES], weights[first + 3u * LANES]);
}

// Products of 16 bytes with those of four rows.
fn dots(a: vec4<u32>, rows: array<vec4<u32>, 4>) -> vec4<i32> {
    return vec4(dot16(a, rows[0]), dot16(a, rows[1]), dot16(a, rows[2]), dot16(a, rows[3]));
}

fn dot16(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

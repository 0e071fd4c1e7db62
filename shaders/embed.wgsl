// y[t] = table[ids[t] - first_row], for the ids that lie in this part of the table.
//
// One invocation decodes four values; a workgroup takes 256 values of a token.
#import step
#import weight

struct Params {
    rows: u32, // capacity of y
    first_row: u32, // id of the table's first row
    table_rows: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> ids: array<u32>; // (tokens)
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (tokens, QUADS)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    let quad = id.x;
    if token >= min(step.tokens, params.rows) || quad >= QUADS {
        return;
    }
    // an id before this part wraps to a number beyond it
    let row = ids[token] - params.first_row;
    if row < params.table_rows {
        y[token * QUADS + quad] = weight_quad(row, quad);
    }
}

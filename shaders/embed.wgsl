// y[t] = scale · table[ids[t] - first_row], for the ids that lie in this part of the table.
//
// POSITION takes positions for ids, SEGMENT the number of the segment, and both add to y.
// One invocation decodes four values; a workgroup takes 256 values of a token.
#import step
#import weight

struct Params {
    rows: u32, // capacity of y
    first_row: u32, // id of the table's first row
    table_rows: u32,
    scale: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>; // (tokens, QUADS)
#ifdef POSITION
#else
#ifdef SEGMENT
#else
@group(0) @binding(3) var<storage, read> ids: array<u32>; // (tokens)
#endif
#endif

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    let quad = id.x;
    if token >= min(step.tokens, params.rows) || quad >= QUADS {
        return;
    }
    let at = token * QUADS + quad;
    // what lies before this part wraps to a number beyond it
#ifdef POSITION
    let row = step.position + token - params.first_row;
    if row < params.table_rows {
        y[at] += params.scale * weight_quad(row, quad);
    }
#else
#ifdef SEGMENT
    let row = select(0u, 1u, token >= step.second) - params.first_row;
    if row < params.table_rows {
        y[at] += params.scale * weight_quad(row, quad);
    }
#else
    let row = ids[token] - params.first_row;
    if row < params.table_rows {
        y[at] = params.scale * weight_quad(row, quad);
    }
#endif
#endif
}

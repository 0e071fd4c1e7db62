// y[t] = scale · table[id - first_row], for the ids in this part of the table.
//
// POSITION takes the row's position instead of its id, SEGMENT the index of its segment; both add
// to y. One invocation decodes four values; a workgroup takes 256 values of a row.
#import step
#import rows
#import weight

struct Params {
    rows: u32, // capacity of y
    cols: u32,
    first_row: u32, // id of the table's first row
    table_rows: u32,
    scale: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(next) var<storage, read_write> y: array<vec4<f32>>; // (rows, cols / 4)

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    let quad = id.x;
    if token >= min(step.tokens, params.rows) || quad >= quads() {
        return;
    }
    let at = token * quads() + quad;
#ifdef POSITION
    let index = rows[token].position;
    let before = y[at];
#else
#ifdef SEGMENT
    let index = select(0u, 1u, rows[token].position >= step.second);
    let before = y[at];
#else
    let index = rows[token].id;
    let before = vec4(0.0);
#endif
#endif
    // an index before this part wraps to one beyond it
    let row = index - params.first_row;
    if row < params.table_rows {
        y[at] = before + params.scale * weight_quad(row, quad);
    }
}

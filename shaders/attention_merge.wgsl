// Merges the pieces of `attention`, see PARTIAL in shared/attention.wgsl.
//
// One invocation per four values of a head.
#import step
#import seen

struct Params {
    rows: u32, // capacity of y
}
const HEAD_QUADS = HEAD_DIM / 4u;

@group(0) @binding(1) var<uniform> params: Params;
// (rows, HEADS, pieces, HEAD_QUADS + 1): the weighted values of a piece, its maximum and its sum
@group(0) @binding(next) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(next) var<storage, read_write> y: array<vec4<f32>>; // (rows, HEADS, HEAD_QUADS)

@compute @workgroup_size(MERGE_WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = id.y;
    if token >= min(step.tokens, params.rows) || id.x >= HEADS * HEAD_QUADS {
        return;
    }
    let head = id.x / HEAD_QUADS;
    let quad = id.x % HEAD_QUADS;
    let row = rows[token];
    let pieces = (token * HEADS + head) * ((step.reach + SPLIT - 1u) / SPLIT);
    // pieces outside of what the row sees were not computed
    let first = (pieces + first_position(row) / SPLIT) * (HEAD_QUADS + 1u);
    let last = (pieces + (end_position(row) - 1u) / SPLIT) * (HEAD_QUADS + 1u);
    var maximum = -1e30; // below any score
    var sum = 0.0;
    var values = vec4(0.0);
    for (var at = first; at <= last; at += HEAD_QUADS + 1u) {
        let piece = partial[at + HEAD_QUADS].xy; // its maximum, its sum
        let larger = max(maximum, piece.x);
        let factors = exp(vec2(maximum, piece.x) - larger);
        values = values * factors.x + partial[at + quad] * factors.y;
        sum = sum * factors.x + piece.y * factors.y;
        maximum = larger;
    }
    y[token * HEADS * HEAD_QUADS + id.x] = values / sum;
}

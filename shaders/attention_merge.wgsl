// Merges the pieces of `attention`, see PARTIAL in shared/attention.wgsl: a workgroup for each head
// of a row.
//
// SINKS as in shared/attention. HEAD_QUADS invocations share a piece; as many such groups as fit
// share the pieces.
#import step
#import pieces

struct Params {
    rows: u32, // capacity of y
    window: u32, // these as in shared/attention
    split: u32,
    pieces: u32,
}
const HEAD_QUADS = HEAD_DIM / 4u;
const LANES = MERGE_WORKGROUP; // at least params.pieces
const GROUPS = LANES / HEAD_QUADS;

@group(0) @binding(1) var<uniform> params: Params;
// (rows, HEADS, pieces, HEAD_QUADS + 1): the weighted values of a piece, its maximum and its sum
@group(0) @binding(next) var<storage, read> partial: array<vec4<f32>>;
@group(0) @binding(next) var<storage, read_write> y: array<vec4<f32>>; // (rows, HEADS, HEAD_QUADS)
#ifdef SINKS
@group(0) @binding(next) var<storage, read> sinks: array<f32>; // (HEADS)
#endif

var<workgroup> maxima: array<f32, LANES>; // of the pieces
var<workgroup> factors: array<f32, LANES>; // exp(maximum of a piece - maximum of all)
var<workgroup> sums: array<f32, LANES>; // of the weights, relative to the maximum of all
var<workgroup> group_values: array<vec4<f32>, LANES>; // (GROUPS, HEAD_QUADS)

@compute @workgroup_size(MERGE_WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let head = workgroup.x;
    let token = workgroup.y;
    if token >= min(step.tokens, params.rows) {
        return;
    }
    let row = rows[token];
    // pieces outside of what the row sees were not computed
    let length = piece_length(row);
    let begin = pieces_begin(row);
    let first = (first_position(row) - begin) / length;
    let end = (end_position(row) - begin + length - 1u) / length;
    let pieces = (token * HEADS + head) * piece_count() * (HEAD_QUADS + 1u);

    var own = vec2(-1e30, 0.0); // maximum, below any score, and sum
    if lane >= first && lane < end {
        own = partial[pieces + lane * (HEAD_QUADS + 1u) + HEAD_QUADS].xy;
    }
    maxima[lane] = own.x;
    workgroupBarrier();
    var maximum = own.x;
    for (var i = first; i < end; i++) {
        maximum = max(maximum, maxima[i]);
    }
    let factor = exp(own.x - maximum);
    factors[lane] = factor;
    sums[lane] = own.y * factor;
    workgroupBarrier();

    let group = lane / HEAD_QUADS; // those at or past GROUPS sum nothing
    let quad = lane % HEAD_QUADS;
    var values = vec4(0.0);
    if group < GROUPS {
        for (var i = first + group; i < end; i += GROUPS) {
            values += factors[i] * partial[pieces + i * (HEAD_QUADS + 1u) + quad];
        }
    }
    group_values[lane] = values;
    workgroupBarrier();
    if lane < HEAD_QUADS {
        var sum = 0.0;
        for (var i = first; i < end; i++) {
            sum += sums[i];
        }
#ifdef SINKS
        sum += exp(min(sinks[head] - maximum, 80.0));
#endif
        for (var at = lane + HEAD_QUADS; at < GROUPS * HEAD_QUADS; at += HEAD_QUADS) {
            values += group_values[at];
        }
        y[(token * HEADS + head) * HEAD_QUADS + lane] = values / sum;
    }
}

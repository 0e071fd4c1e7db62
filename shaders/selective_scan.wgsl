// The selective scan of a head of Mamba-2: see ops/selective_scan.rs. COLUMNS: a head is a run of
// columns of Mamba's, which fade by themselves.
//
// One workgroup a head of a sequence, which takes its rows in turn. A column of the matrix is in
// the registers of PARTS invocations, each with the same share of its rows. The workgroups of a
// row that does not begin a sequence have nothing to do.
#import step
#import softplus
#import rows
#import state_column

struct Params {
    rows: u32, // capacity
    gate_cols: u32,
    heads: u32,
    groups: u32,
    slot: u32, // values of a slot of the state
    first: u32, // of the matrices in a slot
}
@group(0) @binding(1) var<uniform> params: Params;
// a sequence: before its length the slots that its state is read from and written to
@group(0) @binding(next) var<storage, read> tables: array<u32>;
#ifdef COLUMNS
@group(0) @binding(next) var<storage, read> xbc: array<f32>; // (rows, heads · HEAD_DIM): x
@group(0) @binding(next) var<storage, read> gates: array<f32>; // (rows, gate_cols): …, z, dt, B, C
@group(0) @binding(next) var<storage, read> weights: array<f32>; // A: (heads · HEAD_DIM, STATE_DIM), D
#else
@group(0) @binding(next) var<storage, read> xbc: array<f32>; // (rows, x of all heads, B and C of all groups)
@group(0) @binding(next) var<storage, read> gates: array<f32>; // (rows, gate_cols): z, …, dt
@group(0) @binding(next) var<storage, read> weights: array<f32>; // (3, heads): A, biases, D
#endif
@group(0) @binding(next) var<storage, read_write> state: array<f32>; // (slots, slot)
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (rows, heads · HEAD_DIM)

const HEIGHT = STATE_DIM;
const WIDTH = HEAD_DIM;

// B and C of a row
var<workgroup> vectors: array<vec2<f32>, STATE_DIM>;
var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let count = min(step.tokens, params.rows);
    let head = group.x;
    let begin = group.y;
    if begin >= count || !begins_sequence(begin) {
        return;
    }
    let sequence = rows[begin].table;
    let inner = params.heads * HEAD_DIM;
    let shared_width = params.groups * STATE_DIM;

    let col = lane % HEAD_DIM;
    let part = lane / HEAD_DIM;
    let is_busy = part < PARTS;
    let first = min(part * HELD, STATE_DIM);
    let held = min(HELD, STATE_DIM - first);
    let own = head * HEAD_DIM + col; // among all columns
#ifdef COLUMNS
    let cols = inner;
    var decays: array<f32, HELD>;
    for (var i = 0u; i < held; i++) {
        decays[i] = weights[own * STATE_DIM + first + i];
    }
    let direct = weights[inner * STATE_DIM + own];
    let first_z = inner;
#else
    let cols = inner + 2u * shared_width;
    let first_b = inner + head / (params.heads / params.groups) * STATE_DIM;
    let decay = weights[head];
    let bias = weights[params.heads + head];
    let direct = weights[2u * params.heads + head];
    let first_z = 0u;
#endif
    let matrix = params.first + (head * STATE_DIM + first) * HEAD_DIM + col;
    var column: Column;
    if is_busy {
        load_column(&column, sequence, matrix, held);
    }

    for (var at = begin; at < count; at++) {
        if rows[at].table != sequence {
            break;
        }
        let row = at * cols;
        let gate = at * params.gate_cols;
        for (var i = lane; i < STATE_DIM; i += LANES) {
#ifdef COLUMNS
            vectors[i] = vec2(gates[gate + 3u * inner + i], gates[gate + 3u * inner + STATE_DIM + i]);
#else
            vectors[i] = vec2(xbc[row + first_b + i], xbc[row + first_b + shared_width + i]);
#endif
        }
        workgroupBarrier();
#ifdef COLUMNS
        let delta = softplus(gates[gate + 2u * inner + own]);
#else
        let delta = softplus(gates[gate + inner + cols + head] + bias);
        let fade = exp(decay * delta);
#endif
        let x = xbc[row + own];
        var found = 0.0;
        if is_busy {
            let added = delta * x;
            for (var i = 0u; i < held; i++) {
                let pair = vectors[first + i];
#ifdef COLUMNS
                let fade = exp(decays[i] * delta);
#endif
                let value = column[i] * fade + pair.x * added;
                column[i] = value;
                found += value * pair.y;
            }
        }
        partial[lane] = found;
        workgroupBarrier();
        if part == 0u {
            var sum = direct * x;
            for (var i = 0u; i < PARTS; i++) {
                sum += partial[i * HEAD_DIM + col];
            }
            let z = gates[gate + first_z + own];
            y[at * inner + own] = sum * z / (1.0 + exp(min(-z, 80.0)));
        }
    }

    if is_busy {
        store_column(&column, sequence, matrix, held);
    }
}

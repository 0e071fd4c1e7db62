// The gated delta rule of a value head, and its gated norm: see ops/delta_rule.rs.
//
// One workgroup a value head of a sequence, which takes its rows in turn. A column of the matrix is
// in the registers of PARTS invocations, each with the same share of the keys. The workgroups of a
// row that does not begin a sequence have nothing to do.
#import step
#import softplus
#import rows
#import state_column

struct Params {
    rows: u32, // capacity
    gate_cols: u32,
    key_heads: u32,
    value_heads: u32,
    tiled: u32,
    slot: u32, // values of a slot of the state
    first: u32, // of the matrices in a slot
    eps: f32,
}
@group(0) @binding(1) var<uniform> params: Params;
// a sequence: before its length the slots that its state is read from and written to
@group(0) @binding(next) var<storage, read> tables: array<u32>;
@group(0) @binding(next) var<storage, read> qkv: array<f32>; // (rows, q, k and v of all heads)
@group(0) @binding(next) var<storage, read> gates: array<f32>; // (rows, gate_cols): …, z, b and a
@group(0) @binding(next) var<storage, read> weights: array<f32>; // decays, biases, norm
@group(0) @binding(next) var<storage, read_write> state: array<f32>; // (slots, slot)
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (rows, value_heads · VALUE_DIM)

const HEIGHT = KEY_DIM;
const WIDTH = VALUE_DIM;
const SUMS = 16u;

// q and k of a row
var<workgroup> keys: array<vec2<f32>, KEY_DIM>;
var<workgroup> partial: array<vec2<f32>, LANES>;
var<workgroup> sums: array<vec3<f32>, SUMS>;

fn sum_of_sums() -> vec3<f32> {
    var sum = vec3(0.0);
    for (var i = 0u; i < SUMS; i++) {
        sum += sums[i];
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let count = min(step.tokens, params.rows);
    let head = group.x;
    let begin = group.y;
    if begin >= count || !begins_sequence(begin) {
        return;
    }
    let sequence = rows[begin].table;
    let each = params.value_heads / params.key_heads;
    let key_width = params.key_heads * KEY_DIM;
    let value_width = params.value_heads * VALUE_DIM;
    let qkv_cols = 2u * key_width + value_width;
    var key_head = head / each;
    var b_at = head / each * 2u * each + head % each;
    var a_at = b_at + each;
    if params.tiled != 0u {
        key_head = head % params.key_heads;
        b_at = head;
        a_at = params.value_heads + head;
    }
    let decay = weights[head];
    let bias = weights[params.value_heads + head];

    let col = lane % VALUE_DIM;
    let part = lane / VALUE_DIM;
    let is_busy = part < PARTS;
    let first_key = min(part * HELD, KEY_DIM);
    let held = min(HELD, KEY_DIM - first_key);
    let matrix = params.first + head * KEY_DIM * VALUE_DIM + first_key * VALUE_DIM + col;
    var column: Column;
    if is_busy {
        load_column(&column, sequence, matrix, held);
    }

    for (var at = begin; at < count; at++) {
        if rows[at].table != sequence {
            break;
        }
        let row = at * qkv_cols;
        for (var i = lane; i < KEY_DIM; i += LANES) {
            let place = row + key_head * KEY_DIM + i;
            keys[i] = vec2(qkv[place], qkv[place + key_width]);
        }
        workgroupBarrier();
        if lane < SUMS {
            var sum = vec3(0.0);
            for (var i = lane; i < KEY_DIM; i += SUMS) {
                let pair = keys[i];
                sum += vec3(pair * pair, pair.x * pair.y);
            }
            sums[lane] = sum;
        }
        let gate = at * params.gate_cols + qkv_cols;
        let fade = exp(decay * softplus(gates[gate + value_width + a_at] + bias));
        let beta = 1.0 / (1.0 + exp(min(-gates[gate + value_width + b_at], 80.0)));
        var found = vec2(0.0);
        if is_busy {
            for (var i = 0u; i < held; i++) {
                let value = column[i] * fade;
                column[i] = value;
                found += value * keys[first_key + i];
            }
        }
        partial[lane] = found;
        workgroupBarrier();
        let lengths = sum_of_sums();
        let q_scale = inverseSqrt(lengths.x + 1e-6) * inverseSqrt(f32(KEY_DIM));
        let k_scale = inverseSqrt(lengths.y + 1e-6);
        var total = vec2(0.0);
        for (var i = 0u; i < PARTS; i++) {
            total += partial[i * VALUE_DIM + col];
        }
        let value = qkv[row + 2u * key_width + head * VALUE_DIM + col];
        let change = beta * (value - total.y * k_scale) * k_scale;
        if is_busy {
            for (var i = 0u; i < held; i++) {
                column[i] += keys[first_key + i].y * change;
            }
        }
        let result = (total.x + lengths.z * change) * q_scale;
        workgroupBarrier();
        if part == 0u {
            partial[col] = vec2(result, 0.0);
        }
        workgroupBarrier();
        if lane < SUMS {
            var sum = 0.0;
            for (var i = lane; i < VALUE_DIM; i += SUMS) {
                sum += partial[i].x * partial[i].x;
            }
            sums[lane] = vec3(sum, 0.0, 0.0);
        }
        workgroupBarrier();
        let scale = inverseSqrt(sum_of_sums().x / f32(VALUE_DIM) + params.eps);
        if part == 0u {
            let z = gates[gate + head * VALUE_DIM + col];
            let gated = z / (1.0 + exp(min(-z, 80.0)));
            y[at * value_width + head * VALUE_DIM + col] = result * scale * weights[2u * params.value_heads + col] * gated;
        }
        workgroupBarrier();
    }

    if is_busy {
        store_column(&column, sequence, matrix, held);
    }
}

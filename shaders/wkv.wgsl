// The time mixing of a head of RWKV-7: see ops/wkv.rs.
//
// One workgroup a head of a sequence, which takes its rows in turn. A column of the matrix is in
// the registers of PARTS invocations, each with the same share of the keys. The workgroups of a
// row that does not begin a sequence have nothing to do.
#import step
#import rows
#import state_column

struct Params {
    rows: u32, // capacity
    heads: u32,
    slot: u32, // values of a slot of the state
    first: u32, // of the matrices in a slot
}
@group(0) @binding(1) var<uniform> params: Params;
// a sequence: before its length the slots that its state is read from and written to
@group(0) @binding(next) var<storage, read> tables: array<u32>;
@group(0) @binding(next) var<storage, read> projected: array<f32>; // (rows, r, k, v, w, a, g and m of all heads)
@group(0) @binding(next) var<storage, read> first_values: array<f32>; // (rows, heads · DIM)
@group(0) @binding(next) var<storage, read> weights: array<f32>; // w0, a0, v0, k_k, k_a, r_k, norm, its bias
@group(0) @binding(next) var<storage, read_write> state: array<f32>; // (slots, slot)
@group(0) @binding(next) var<storage, read_write> y: array<f32>; // (rows, heads · DIM)

const HEIGHT = DIM;
const WIDTH = DIM;
const SUMS = 16u;
const FASTEST = 0.60653066;

// of a row: r, k, what a row of the matrix keeps, κ before it has length one
var<workgroup> keys: array<vec4<f32>, DIM>;
// of a row: a, v
var<workgroup> others: array<vec2<f32>, DIM>;
var<workgroup> partial: array<vec2<f32>, LANES>;
var<workgroup> sums: array<vec4<f32>, SUMS>;

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(min(-x, 80.0)));
}

fn sum_of_sums() -> vec4<f32> {
    var sum = vec4(0.0);
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
    let width = params.heads * DIM;
    let col = lane % DIM;
    let part = lane / DIM;
    let is_busy = part < PARTS;
    let of_head = head * DIM + col;
    let first_key = min(part * HELD, DIM);
    let held = min(HELD, DIM - first_key);
    let matrix = params.first + head * DIM * DIM + first_key * DIM + col;
    var column: Column;
    if is_busy {
        load_column(&column, sequence, matrix, held);
    }

    for (var at = begin; at < count; at++) {
        if rows[at].table != sequence {
            break;
        }
        let row = at * 7u * width + of_head;
        if part == 0u {
            let k = projected[row + width];
            let v = projected[row + 2u * width];
            let rate = sigmoid(projected[row + 4u * width] + weights[of_head + width]);
            let kept = exp(-FASTEST * sigmoid(projected[row + 3u * width] + weights[of_head]));
            let mix = sigmoid(projected[row + 6u * width] + weights[of_head + 2u * width]);
            let key = k * (1.0 + (rate - 1.0) * weights[of_head + 4u * width]);
            keys[col] = vec4(projected[row], key, kept, k * weights[of_head + 3u * width]);
            others[col] = vec2(rate, v + (first_values[at * width + of_head] - v) * mix);
        }
        workgroupBarrier();
        if lane < SUMS {
            var sum = vec4(0.0);
            for (var i = lane; i < DIM; i += SUMS) {
                let key = keys[i];
                let direct = key.x * key.y;
                sum += vec4(key.w * key.w, direct, key.w * others[i].x * key.x,
                    direct * weights[head * DIM + 5u * width + i]);
            }
            sums[lane] = sum;
        }
        // what the key finds, and what the receptance would
        var found = vec2(0.0);
        if is_busy {
            for (var i = 0u; i < held; i++) {
                let key = keys[first_key + i];
                found.x += column[i] * key.w;
                column[i] *= key.z;
                found.y += column[i] * key.x;
            }
        }
        partial[lane] = found;
        workgroupBarrier();
        let of_row = sum_of_sums();
        let scale = 1.0 / max(sqrt(of_row.x), 1e-12);
        var total = vec2(0.0);
        for (var i = 0u; i < PARTS; i++) {
            total += partial[i * DIM + col];
        }
        let value = others[col].y;
        // twice: of the key that finds, and of the one that is taken away
        let taken = total.x * scale * scale;
        if is_busy {
            for (var i = 0u; i < held; i++) {
                let key = keys[first_key + i];
                column[i] += key.y * value - taken * key.w * others[first_key + i].x;
            }
        }
        let result = total.y + value * of_row.y - taken * of_row.z;
        workgroupBarrier();
        if part == 0u {
            partial[col].x = result;
        }
        workgroupBarrier();
        if lane < SUMS {
            var sum = 0.0;
            for (var i = lane; i < DIM; i += SUMS) {
                sum += partial[i].x;
            }
            sums[lane] = vec4(sum, 0.0, 0.0, 0.0);
        }
        workgroupBarrier();
        let centred = result - sum_of_sums().x / f32(DIM);
        workgroupBarrier();
        if part == 0u {
            partial[col].x = centred;
        }
        workgroupBarrier();
        if lane < SUMS {
            var sum = 0.0;
            for (var i = lane; i < DIM; i += SUMS) {
                sum += partial[i].x * partial[i].x;
            }
            sums[lane] = vec4(sum, 0.0, 0.0, 0.0);
        }
        workgroupBarrier();
        let deviation = inverseSqrt(sum_of_sums().x / f32(DIM) + 1e-5 * f32(DIM));
        if part == 0u {
            let normed = centred * deviation * weights[of_head + 6u * width] + weights[of_head + 7u * width];
            y[at * width + of_head] = (normed + of_row.w * value) * projected[row + 5u * width];
        }
        workgroupBarrier();
    }

    if is_busy {
        store_column(&column, sequence, matrix, held);
    }
}

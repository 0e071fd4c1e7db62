// `expert_linear` for many tokens and a quantised weight, see shared/linear.wgsl: like
// linear_gathered, but with products of bytes.
//
// Activations are rounded to signed bytes as they are fetched, with a scale per 16 values, after
// the multiplication with the norm's weight. The sums of activations, which the minima of a block
// multiply, are taken before rounding.
#import linear
#import blocks
#import gathered
#import bytes

var<workgroup> activations: array<vec4<u32>, 2u * TILE_SLOTS>; // (halves, slots)
// (halves, slots): scale, sum
var<workgroup> activation_scales: array<vec2<f32>, 2u * TILE_SLOTS>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let tile = tile_of(workgroup.y);
    if tile.slots == 0u || !has_expert(tile.expert) {
        return;
    }
    let lane = index % LANES;
    let slot_lane = index / LANES;
    let fetch = fetch_of(tile, workgroup.x, index);
    let groups = slot_groups(tile);
    var square_sum = 0.0;

    var sums: mat4x4<f32>; // (slots, rows)
    for (var block = 0u; block < blocks(); block++) {
        workgroupBarrier(); // all invocations have finished the previous block
        if fetch.weights {
            fetch_row(fetch.task, fetch.row, block);
        }
        if fetch.x {
            var values: array<vec4<f32>, 4>;
            for (var i = 0u; i < 4u; i++) {
                values[i] = x[fetch.x_row + 8u * block + i];
                if params.normalises == 1u {
                    square_sum += dot(values[i], values[i]);
                    values[i] *= norm[8u * block + 4u * fetch.half + i];
                }
            }
            let largest = max(max(abs(values[0]), abs(values[1])), max(abs(values[2]), abs(values[3])));
            let range = max(max(largest.x, largest.y), max(largest.z, largest.w));
            let factor = select(0.0, 127.0 / range, range > 0.0);
            let at = fetch.half * TILE_SLOTS + fetch.task / 2u;
            activations[at] = vec4(
                pack4xI8(vec4<i32>(round(values[0] * factor))),
                pack4xI8(vec4<i32>(round(values[1] * factor))),
                pack4xI8(vec4<i32>(round(values[2] * factor))),
                pack4xI8(vec4<i32>(round(values[3] * factor))),
            );
            activation_scales[at] = vec2(range / 127.0, dot(values[0] + values[1] + values[2] + values[3], vec4(1.0)));
        }
        workgroupBarrier();
        let rows = rows_of(lane);
        sums[0] += products(rows, slot_lane);
        if groups > 1u {
            sums[1] += products(rows, slot_lane + SLOT_LANES);
        }
        if groups > 2u {
            sums[2] += products(rows, slot_lane + 2u * SLOT_LANES);
        }
        if groups > 3u {
            sums[3] += products(rows, slot_lane + 3u * SLOT_LANES);
        }
    }
    workgroupBarrier(); // all invocations have finished the last block
    if fetch.x {
        activation_scales[fetch.task].x = square_sum;
    }
    workgroupBarrier();
    finish_all(tile, workgroup.x * TILE_ROWS + lane * ROWS, slot_lane, sums);
}

// Multiplies a block of four rows with a slot.
fn products(rows: Rows, i: u32) -> vec4<f32> {
    let a = activation_scales[i];
    let b = activation_scales[TILE_SLOTS + i];
    let lows = a.x * vec4<f32>(dots(activations[i], rows.low));
    let highs = b.x * vec4<f32>(dots(activations[TILE_SLOTS + i], rows.high));
    return lows * rows.scales[0] + a.y * rows.scales[1] + highs * rows.scales[2] + b.y * rows.scales[3];
}

// Of half of the blocks of a slot, with a norm: at last they take the place of activations.
fn squares_of(half: u32) -> f32 {
    return activation_scales[half].x;
}

// `expert_linear` for many tokens and a quantised weight, see shared/linear.wgsl: like
// linear_gathered, but with byte products. Activations are rounded as in linear_block_int8.
#import linear
#import blocks
#import gathered

var<workgroup> weights: array<vec4<u32>, 2u * TILE_ROWS>; // (halves of a block, rows)
var<workgroup> weight_scales: array<vec4<f32>, TILE_ROWS>; // scale and minimum of the halves
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
    for (var block = 0u; block < BLOCKS; block++) {
        workgroupBarrier(); // all invocations have finished the previous block
        if fetch.weights {
            let bytes = block_bytes(fetch.row, block);
            weights[fetch.task] = bytes[0];
            weights[TILE_ROWS + fetch.task] = bytes[1];
            weight_scales[fetch.task] = block_scales(fetch.row, block);
        }
        if fetch.x {
            var values: array<vec4<f32>, 4>;
            for (var i = 0u; i < 4u; i++) {
                values[i] = x[fetch.x_row + 8u * block + i];
#ifdef NORM
                square_sum += dot(values[i], values[i]);
                values[i] *= norm[8u * block + 4u * fetch.half + i];
#endif
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
        let low = array(weights[lane], weights[lane + LANES], weights[lane + 2u * LANES], weights[lane + 3u * LANES]);
        let w = TILE_ROWS + lane;
        let high = array(weights[w], weights[w + LANES], weights[w + 2u * LANES], weights[w + 3u * LANES]);
        let scales = mat4x4<f32>(
            weight_scales[lane],
            weight_scales[lane + LANES],
            weight_scales[lane + 2u * LANES],
            weight_scales[lane + 3u * LANES],
        );
        sums[0] += products(low, high, scales, slot_lane);
        if groups > 1u {
            sums[1] += products(low, high, scales, slot_lane + SLOT_LANES);
        }
        if groups > 2u {
            sums[2] += products(low, high, scales, slot_lane + 2u * SLOT_LANES);
        }
        if groups > 3u {
            sums[3] += products(low, high, scales, slot_lane + 3u * SLOT_LANES);
        }
    }
#ifdef NORM
    if fetch.x {
        squares[fetch.task] = square_sum;
    }
    workgroupBarrier();
#endif
    finish_all(tile, workgroup.x * TILE_ROWS + lane * ROWS, slot_lane, sums);
}

// Multiplies a block of four rows with a slot.
fn products(low: array<vec4<u32>, 4>, high: array<vec4<u32>, 4>, scales: mat4x4<f32>, i: u32) -> vec4<f32> {
    let a = activations[i];
    let b = activations[TILE_SLOTS + i];
    let scale_a = activation_scales[i];
    let scale_b = activation_scales[TILE_SLOTS + i];
    let product_a = vec4<f32>(vec4(dot16(a, low[0]), dot16(a, low[1]), dot16(a, low[2]), dot16(a, low[3])));
    let product_b = vec4<f32>(vec4(dot16(b, high[0]), dot16(b, high[1]), dot16(b, high[2]), dot16(b, high[3])));
    let low_products = product_a * scale_a.x;
    let high_products = product_b * scale_b.x;
    return vec4(
        dot(scales[0], vec4(low_products.x, scale_a.y, high_products.x, scale_b.y)),
        dot(scales[1], vec4(low_products.y, scale_a.y, high_products.y, scale_b.y)),
        dot(scales[2], vec4(low_products.z, scale_a.y, high_products.z, scale_b.y)),
        dot(scales[3], vec4(low_products.w, scale_a.y, high_products.w, scale_b.y)),
    );
}

fn dot16(a: vec4<u32>, b: vec4<u32>) -> i32 {
    return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}

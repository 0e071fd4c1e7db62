// `expert_linear` for many tokens, see shared/linear.wgsl: a workgroup computes 64 rows of an
// expert for a tile of slots through workgroup memory.
//
// For each block of 32 columns, half of the invocations each decode a block of one row, and the
// other half fetch x. Then every invocation multiplies four rows with up to four slots.
#import linear
#import blocks
#import gathered

var<workgroup> weights: array<vec4<f32>, 8u * TILE_ROWS>; // (quads, rows)
var<workgroup> activations: array<vec4<f32>, 8u * TILE_SLOTS>; // (quads, slots)

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
            let values = weight_block(fetch.row, block);
            weights[fetch.task] = values[0];
            weights[TILE_ROWS + fetch.task] = values[1];
            weights[2u * TILE_ROWS + fetch.task] = values[2];
            weights[3u * TILE_ROWS + fetch.task] = values[3];
            weights[4u * TILE_ROWS + fetch.task] = values[4];
            weights[5u * TILE_ROWS + fetch.task] = values[5];
            weights[6u * TILE_ROWS + fetch.task] = values[6];
            weights[7u * TILE_ROWS + fetch.task] = values[7];
        }
        if fetch.x {
            for (var i = 0u; i < 4u; i++) {
                var values = x[fetch.x_row + 8u * block + i];
                if params.normalises == 1u {
                    square_sum += dot(values, values);
                    values *= norm[8u * block + 4u * fetch.half + i];
                }
                activations[(4u * fetch.half + i) * TILE_SLOTS + fetch.task / 2u] = values;
            }
        }
        workgroupBarrier();
        for (var quad = 0u; quad < 8u; quad++) {
            let w = quad * TILE_ROWS + lane;
            let a = quad * TILE_SLOTS + slot_lane;
            let rows = mat4x4<f32>(weights[w], weights[w + LANES], weights[w + 2u * LANES], weights[w + 3u * LANES]);
            sums[0] += activations[a] * rows;
            if groups > 1u {
                sums[1] += activations[a + SLOT_LANES] * rows;
            }
            if groups > 2u {
                sums[2] += activations[a + 2u * SLOT_LANES] * rows;
            }
            if groups > 3u {
                sums[3] += activations[a + 3u * SLOT_LANES] * rows;
            }
        }
    }
    workgroupBarrier(); // all invocations have finished the last block
    if fetch.x {
        activations[fetch.task].x = square_sum;
    }
    workgroupBarrier();
    finish_all(tile, workgroup.x * TILE_ROWS + lane * ROWS, slot_lane, sums);
}

// Of half of the blocks of a slot, with a norm: at last they take the place of activations.
fn squares_of(half: u32) -> f32 {
    return activations[half].x;
}

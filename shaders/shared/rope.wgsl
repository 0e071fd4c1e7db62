// Epilogue of the q, k and v projection for interleaved RoPE: q and k are rotated by the row's
// position; q goes to y, k and v to the KV cache. See rope_append.
#import rows
// (rows, ROTARY_PAIRS): cos, sin
@group(0) @binding(next) var<storage, read> angles: array<vec2<f32>>;
#import kv_write

fn store_rotated(token: u32, first: u32, results: vec2<f32>) {
    if token >= min(step.tokens, params.rows) || first >= params.outputs {
        return;
    }
    let head = first / HEAD_DIM; // q heads, then k heads, then v heads
    let pair = first % HEAD_DIM / 2u;
    let row = rows[token];
    var values = results;
    if head < HEADS + KV_HEADS && pair < ROTARY_PAIRS {
        let angle = angles[token * ROTARY_PAIRS + pair];
        values = vec2(values.x * angle.x - values.y * angle.y, values.x * angle.y + values.y * angle.x);
    }
    if head < HEADS {
        let at = token * params.y_cols + first;
        y[at] = values.x;
        y[at + 1u] = values.y;
        return;
    }
    // k heads, then v heads
    let kv_head = row.slot / KV_BLOCK * 2u * KV_HEADS + head - HEADS;
    let at = (kv_head * KV_BLOCK + row.slot % KV_BLOCK) * HEAD_DIM + first % HEAD_DIM;
    write_kv(at / 2u, values);
}

// The epilogue of the q, k and v projection where the two values that turn together are neighbours (interleaved pairs):
// q and k are turned by the token's position, q goes to y, k and v to the cache. See rope_append for the rest.
@group(0) @binding(5) var<storage, read> table: array<vec2<f32>>; // (context, ROTARY_PAIRS): cos, sin
@group(0) @binding(6) var<storage, read_write> k_cache: array<f32>; // (KV_HEADS, CONTEXT, HEAD_DIM)
@group(0) @binding(7) var<storage, read_write> v_cache: array<f32>; // (KV_HEADS, CONTEXT, HEAD_DIM)

fn store_turned(token: u32, first: u32, results: vec2<f32>) {
    if token >= min(step.tokens, params.rows) || first >= OUTPUTS {
        return;
    }
    let head = first / HEAD_DIM; // q heads, then k heads, then v heads
    let pair = first % HEAD_DIM / 2u;
    let position = step.position + token;
    var values = results;
    if head < HEADS + KV_HEADS && pair < ROTARY_PAIRS {
        let angle = table[position * ROTARY_PAIRS + pair];
        values = vec2(values.x * angle.x - values.y * angle.y, values.x * angle.y + values.y * angle.x);
    }
    if head < HEADS {
        let at = token * Y_COLS + first;
        y[at] = values.x;
        y[at + 1u] = values.y;
        return;
    }
    let slot = ((head - HEADS) % KV_HEADS * CONTEXT + position) * HEAD_DIM + first % HEAD_DIM;
    if head < HEADS + KV_HEADS {
        k_cache[slot] = values.x;
        k_cache[slot + 1u] = values.y;
    } else {
        v_cache[slot] = values.x;
        v_cache[slot + 1u] = values.y;
    }
}

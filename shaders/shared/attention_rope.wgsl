// Prologue of `attention` for one row whose queries are as they were projected: QK-norm, with NORM,
// then RoPE, see norm and rope_append. Each workgroup does its queries; that of the newest position
// also the key, and appends key and value to the KV cache.
@group(0) @binding(next) var<storage, read> angles: array<vec2<f32>>; // (ROTARY_PAIRS): cos, sin
#ifdef NORM
@group(0) @binding(next) var<storage, read> norm: array<vec4<f32>>; // (HEADS + KV_HEADS, HEAD_QUADS)
#endif
#ifdef BEHIND
@group(0) @binding(next) var<storage, read> behind: array<vec4<f32>>; // the same, of rotated values
#endif

// In `products`: the queries and then the key, and of each four values the sum of their squares.
const VECTORS = TOGETHER + 1u;
const SQUARES = VECTORS * HEAD_DIM;
const TAKEN = SQUARES + VECTORS * HEAD_QUADS;

// Value `i` of a vector, rotated.
fn rotated(vector: u32, i: u32) -> f32 {
    let first = vector * HEAD_DIM;
    if i >= 2u * ROTARY_PAIRS {
        return products[first + i];
    }
#ifdef HALF_SPLIT
    let pair = i % max(ROTARY_PAIRS, 1u);
    let places = first + vec2(pair, pair + ROTARY_PAIRS);
    let is_second = i >= ROTARY_PAIRS;
#else
    let pair = i / 2u;
    let places = first + vec2(2u * pair, 2u * pair + 1u);
    let is_second = i % 2u == 1u;
#endif
    let angle = angles[pair];
    let values = vec2(products[places.x], products[places.y]);
    return select(values.x * angle.x - values.y * angle.y, values.x * angle.y + values.y * angle.x, is_second);
}

#ifdef KV_Q8
// In `scored`: the largest magnitude of each quad that is appended, first those of the key. All of
// a quad's group.
fn most_of_group(at: u32) -> f32 {
    var most = 0.0;
    for (var i = 0u; i < 8u; i++) {
        most = max(most, scored[at / 8u * 8u + i]);
    }
    return most;
}

fn magnitude(values: vec4<f32>) -> f32 {
    let magnitudes = abs(values);
    return max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
}
#endif

// Writes the queries of a key head, times the scale, to `query`.
fn take_queries(row: Row, kv_head: u32, is_newest: bool, lane: u32) {
    let quads = select(TOGETHER, VECTORS, is_newest) * HEAD_QUADS;
    for (var i = lane; i < quads; i += LANES) {
        let head = select(kv_head * GROUP + i / HEAD_QUADS, HEADS + kv_head, i >= TOGETHER * HEAD_QUADS);
        let at = head * HEAD_QUADS + i % HEAD_QUADS;
        var values = q[at];
#ifdef NORM
        products[SQUARES + i] = dot(values, values);
        values *= norm[at];
#endif
        products[4u * i] = values.x;
        products[4u * i + 1u] = values.y;
        products[4u * i + 2u] = values.z;
        products[4u * i + 3u] = values.w;
    }
    workgroupBarrier();

    let place = row.slot / KV_BLOCK * 2u * PART_HEADS + kv_head - params.first_kv_head;
    let key = (place * KV_BLOCK + row.slot % KV_BLOCK) * HEAD_QUADS;
#ifdef KV_Q8
    // the quad that this invocation appends, of a key and of a value; LANES ≥ 2 HEAD_QUADS
    var own = HEAD_QUADS;
    var own_key = vec4(0.0);
    var own_value = vec4(0.0);
#endif
    for (var i = lane; i < quads; i += LANES) {
        let vector = i / HEAD_QUADS;
        let quad = i % HEAD_QUADS;
        let four = 4u * quad;
        var values =
            vec4(rotated(vector, four), rotated(vector, four + 1u), rotated(vector, four + 2u), rotated(vector, four + 3u));
#ifdef NORM
        var squares = 0.0;
        for (var j = 0u; j < HEAD_QUADS; j++) {
            squares += products[SQUARES + vector * HEAD_QUADS + j];
        }
        values *= inverseSqrt(squares / f32(HEAD_DIM) + params.eps);
#endif
#ifdef BEHIND
        values *= behind[select(HEADS + kv_head, kv_head * GROUP + vector, vector < TOGETHER) * HEAD_QUADS + quad];
#endif
        if vector < TOGETHER {
            query[i] = values * query_scale(row);
            continue;
        }
        let value = q[(HEADS + KV_HEADS + kv_head) * HEAD_QUADS + quad];
#ifdef KV_Q8
        // an infinite key or value would spoil every later token
        own = quad;
        own_key = clamp(values, vec4(-65504.0), vec4(65504.0));
        own_value = clamp(value, vec4(-65504.0), vec4(65504.0));
        scored[quad] = magnitude(own_key);
        scored[HEAD_QUADS + quad] = magnitude(own_value);
#else
        write_quad(key + quad, values);
        write_quad(key + VALUES * HEAD_QUADS + quad, value);
#endif
    }
#ifdef KV_Q8
    workgroupBarrier();
    if own < HEAD_QUADS {
        write_quad(key + own, own_key, most_of_group(own));
        write_quad(key + VALUES * HEAD_QUADS + own, own_value, most_of_group(HEAD_QUADS + own));
    }
#endif
    // the walk reads what was appended
    storageBarrier();
    workgroupBarrier();
}

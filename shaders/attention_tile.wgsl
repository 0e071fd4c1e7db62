// `attention`, see shared/attention.wgsl: a workgroup computes a tile of QUERIES queries, those of
// TOKENS rows and TOGETHER of the heads that share keys and values, or a piece of their positions.
// PARTS workgroups share a key/value head. Rows of several sequences are done one sequence after
// the other, and so are rows whose pieces have other lengths.
//
// FlashAttention over tiles of KEYS positions, each loaded once for all queries. Four queries
// belong to SIDES invocations; each has the products of these with KEYS_EACH keys, and QUADS_EACH
// quads of their weighted values, in registers. All operands pass through workgroup memory:
//
// 1. Queries and keys, CHUNK quads of each at a time, give scores.
// 2. The largest score of a query is found among its invocations; scores become weights.
// 3. Values, RUN positions at a time, are added up by weight.
#import attention

const LANES = WORKGROUP;
const KEYS = 32u; // divides KV_BLOCK
const FOURS = QUERIES / 4u; // an invocation's four queries are so far apart
const SIDES = LANES / FOURS; // and its keys, and its quads, so far
const KEYS_EACH = KEYS / SIDES;
const QUADS_EACH = (HEAD_QUADS + SIDES - 1u) / SIDES;
// rows of memory begin in different banks
const STRIDE = CHUNK + 1u;
const WEIGHT_STRIDE = KEYS + 1u;
const KEYS_AT = QUERIES * STRIDE;
const BEHIND = FOURS * WEIGHT_STRIDE;

// First (QUERIES, STRIDE) quads of queries and (KEYS, STRIDE) of keys; then (FOURS, WEIGHT_STRIDE)
// weights, each of four queries, and behind them what (FOURS, SIDES) invocations tell each other,
// or (RUN, HEAD_QUADS) quads of values.
var<workgroup> memory: array<vec4<f32>, max((QUERIES + KEYS) * STRIDE, BEHIND + max(LANES, RUN * HEAD_QUADS))>;
// (firsts and ends, FOURS): the positions that queries see, here to save registers
var<workgroup> limits: array<vec4<u32>, 2u * FOURS>;

// What is computed at once: consecutive rows of a sequence, and heads that share keys and values.
struct Tile {
    first_row: u32,
    last_row: u32,
    kv_head: u32,
    first_head: u32,
    heads: u32,
    piece: u32,
}

fn row_of(tile: Tile, query: u32) -> u32 {
    return tile.first_row + query / TOGETHER;
}

// There may be more queries in a tile than its rows and heads have.
fn is_used(tile: Tile, query: u32) -> bool {
    return row_of(tile, query) <= tile.last_row && query % TOGETHER < tile.heads;
}

// Whether a later row is of the same sequence and, so that a piece of both is as long, has pieces
// of the same length.
fn goes_on(row: Row, later: Row) -> bool {
#ifdef PARTIAL
    return row.table == later.table && piece_length(row) == piece_length(later);
#else
    return row.table == later.table;
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let kv_head = params.first_kv_head + workgroup.x / PARTS;
    let first_head = kv_head * GROUP + workgroup.x % PARTS * TOGETHER;
    let heads = min(TOGETHER, (kv_head + 1u) * GROUP - first_head);
    let end_row = min(min(step.tokens, params.rows), (workgroup.z + 1u) * TOKENS);
    var first_row = workgroup.z * TOKENS;
    while first_row < end_row {
        var last_row = first_row;
        while last_row + 1u < end_row && goes_on(rows[first_row], rows[last_row + 1u]) {
            last_row++;
        }
        attend(Tile(first_row, last_row, kv_head, first_head, heads, workgroup.y), lane);
        first_row = last_row + 1u;
    }
}

fn attend(tile: Tile, lane: u32) {
    let row = rows[tile.first_row];
    let first = seen_by(row, tile.piece).x;
    let end = seen_by(rows[tile.last_row], tile.piece).y;
    if first >= end {
        return;
    }
    let own = lane / SIDES; // the first of its queries
    let side = lane % SIDES; // and of its keys and quads

    // what its queries see: nothing where they are not used
    var firsts = vec4(0u);
    var ends = vec4(0u);
#ifdef ALIBI
    var own_positions = vec4(0u);
    var slopes = vec4(0.0);
#endif
#ifdef BIAS
    var own_positions = vec4(0u);
    var own_heads = vec4(0u);
#endif
    for (var i = 0u; i < 4u; i++) {
        let query = own + i * FOURS;
        if is_used(tile, query) {
            let query_row = rows[row_of(tile, query)];
            let seen = seen_by(query_row, tile.piece);
            firsts[i] = seen.x;
            ends[i] = seen.y;
#ifdef ALIBI
            own_positions[i] = query_row.position;
            slopes[i] = slope(tile.first_head + query % TOGETHER);
#endif
#ifdef BIAS
            own_positions[i] = query_row.position;
            own_heads[i] = tile.first_head + query % TOGETHER;
#endif
        }
    }

    if side == 0u {
        limits[own] = firsts;
        limits[FOURS + own] = ends;
    }

    var maxima = vec4(LOWEST);
    var sums = vec4(0.0); // of the weights of its keys, relative to the maxima
    var values = array<vec4<f32>, 4u * QUADS_EACH>(); // (QUADS_EACH, 4 queries)
    for (var start = first / KEYS * KEYS; start < end; start += KEYS) {
        // of the positions that any query sees
        let lowest = max(first, start);
        let highest = min(end, start + KEYS) - 1u;
        let keys = keys_of(row, tile.kv_head, start);

        // set to zero explicitly: one browser initialised the declaration only once
        var scores = array<vec4<f32>, KEYS_EACH>();
        for (var quad = 0u; quad < HEAD_QUADS; quad += CHUNK) {
            for (var i = lane; i < QUERIES * CHUNK; i += LANES) {
                let query = i / CHUNK;
                let query_row = min(row_of(tile, query), tile.last_row);
                let head = tile.first_head + min(query % TOGETHER, tile.heads - 1u);
                let at = query_row * (Q_COLS / 4u) + head * HEAD_QUADS + quad + i % CHUNK;
                memory[query * STRIDE + i % CHUNK] = q[at] * query_scale(rows[query_row]);
            }
            for (var i = lane; i < KEYS * CHUNK; i += LANES) {
                let position = clamp(start + i / CHUNK, lowest, highest);
                let key = kv_quad((keys + position) * HEAD_QUADS + quad + i % CHUNK);
                memory[KEYS_AT + i / CHUNK * STRIDE + i % CHUNK] = key;
            }
            workgroupBarrier();
            for (var i = 0u; i < CHUNK; i++) {
                let at = own * STRIDE + i;
                let queries = mat4x4<f32>(
                    memory[at],
                    memory[at + FOURS * STRIDE],
                    memory[at + 2u * FOURS * STRIDE],
                    memory[at + 3u * FOURS * STRIDE],
                );
                for (var k = 0u; k < KEYS_EACH; k++) {
                    scores[k] += memory[KEYS_AT + (side + k * SIDES) * STRIDE + i] * queries;
                }
            }
            workgroupBarrier();
        }

        let own_firsts = limits[own];
        let own_ends = limits[FOURS + own];
        var larger = maxima;
        for (var k = 0u; k < KEYS_EACH; k++) {
            let position = vec4(start + side + k * SIDES);
            var score = bounded(scores[k]);
#ifdef ALIBI
            score -= slopes * abs(vec4<f32>(vec4<i32>(own_positions) - vec4<i32>(position)));
#endif
#ifdef BIAS
            score += vec4(
                bias(own_heads.x, own_positions.x, position.x),
                bias(own_heads.y, own_positions.y, position.x),
                bias(own_heads.z, own_positions.z, position.x),
                bias(own_heads.w, own_positions.w, position.x),
            );
#endif
            scores[k] = select(score, vec4(LOWEST), (position < own_firsts) | (position >= own_ends));
            larger = max(larger, scores[k]);
        }
        memory[BEHIND + lane] = larger;
        workgroupBarrier();
        for (var i = 0u; i < SIDES; i++) {
            larger = max(larger, memory[BEHIND + own * SIDES + i]);
        }
        let shrink = exp(maxima - larger);
        maxima = larger;
        sums *= shrink;
        for (var k = 0u; k < KEYS_EACH; k++) {
            // a query that has seen nothing yet has no maximum
            let weights = select(exp(scores[k] - larger), vec4(0.0), scores[k] <= vec4(LOWEST));
            sums += weights;
            memory[own * WEIGHT_STRIDE + side + k * SIDES] = weights;
        }
        for (var j = 0u; j < QUADS_EACH; j++) {
            values[4u * j] *= shrink.x;
            values[4u * j + 1u] *= shrink.y;
            values[4u * j + 2u] *= shrink.z;
            values[4u * j + 3u] *= shrink.w;
        }

        for (var run = start; run <= highest; run += RUN) {
            workgroupBarrier();
            for (var i = lane; i < RUN * HEAD_QUADS; i += LANES) {
                let position = clamp(run + i / HEAD_QUADS, lowest, highest);
                memory[BEHIND + i] = kv_quad((keys + VALUES + position) * HEAD_QUADS + i % HEAD_QUADS);
            }
            workgroupBarrier();
            for (var p = 0u; p < RUN; p++) {
                let weights = memory[own * WEIGHT_STRIDE + run - start + p];
                for (var j = 0u; j < QUADS_EACH; j++) {
                    let value = memory[BEHIND + p * HEAD_QUADS + min(side + j * SIDES, HEAD_QUADS - 1u)];
                    values[4u * j] += weights.x * value;
                    values[4u * j + 1u] += weights.y * value;
                    values[4u * j + 2u] += weights.z * value;
                    values[4u * j + 3u] += weights.w * value;
                }
            }
        }
        workgroupBarrier();
    }

    memory[BEHIND + lane] = sums;
    workgroupBarrier();
    sums = vec4(0.0);
    for (var i = 0u; i < SIDES; i++) {
        sums += memory[BEHIND + own * SIDES + i];
    }
    for (var i = 0u; i < 4u; i++) {
        let query = own + i * FOURS;
        if is_used(tile, query) {
            for (var j = 0u; j < QUADS_EACH; j++) {
                let quad = side + j * SIDES;
                if quad < HEAD_QUADS {
                    let head = tile.first_head + query % TOGETHER;
                    store_quad(row_of(tile, query), head, tile.piece, quad, values[4u * j + i], maxima[i], sums[i]);
                }
            }
        }
    }
    // the next sequence begins with memory that everyone has read
    workgroupBarrier();
}
